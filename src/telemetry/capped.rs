//! Limits log lines that others can cause at will: at most this many per minute and kind, then their number.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Maximum number of lines per kind and minute.
const LINES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);

/// Kinds are constants of the program, so there are few.
static KINDS: Mutex<BTreeMap<&'static str, Window>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Copy)]
struct Window {
    began: Instant,
    lines: u32,
    left_out: u64,
}

/// Whether one more line of this kind may be written. Suppressed lines are counted, see [`tell_left_out`].
pub fn may_tell(kind: &'static str) -> bool {
    let (may, left_out) = count(&mut kinds(), kind, Instant::now());
    summary(kind, left_out);
    may
}

/// Logs how many lines were suppressed in past minutes. Call it regularly.
pub fn tell_left_out() {
    for (kind, left_out) in over(&mut kinds(), Instant::now()) {
        summary(kind, left_out);
    }
}

fn summary(kind: &'static str, left_out: u64) {
    if left_out > 0 {
        tracing::warn!(kind, left_out, "lines were left out of the log: too many of this kind in a minute");
    }
}

/// Whether a line may be written, and how many were suppressed in the minute before.
fn count(kinds: &mut BTreeMap<&'static str, Window>, kind: &'static str, now: Instant) -> (bool, u64) {
    let fresh = Window { began: now, lines: 0, left_out: 0 };
    let window = kinds.entry(kind).or_insert(fresh);
    let mut left_out = 0;
    if now.saturating_duration_since(window.began) >= WINDOW {
        left_out = window.left_out;
        *window = fresh;
    }
    let may = window.lines < LINES;
    if may {
        window.lines += 1;
    } else {
        window.left_out += 1;
    }
    (may, left_out)
}

fn over(kinds: &mut BTreeMap<&'static str, Window>, now: Instant) -> Vec<(&'static str, u64)> {
    let is_over = |window: &Window| now.saturating_duration_since(window.began) >= WINDOW;
    let found =
        kinds.iter().filter(|(_, window)| is_over(window)).map(|(kind, window)| (*kind, window.left_out)).collect();
    kinds.retain(|_, window| !is_over(window));
    found
}

fn kinds() -> MutexGuard<'static, BTreeMap<&'static str, Window>> {
    KINDS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_becomes_a_few_and_a_number() {
        let mut kinds = BTreeMap::new();
        let now = Instant::now();
        let told = (0..100_000).filter(|_| count(&mut kinds, "bad signature", now).0).count();
        assert_eq!(told, LINES as usize);
        assert!(count(&mut kinds, "another", now).0, "each kind has its own");
        assert_eq!(count(&mut kinds, "bad signature", now + WINDOW), (true, 100_000 - u64::from(LINES)));
        assert_eq!(over(&mut kinds, now + WINDOW), [("another", 0)]);
        assert_eq!(kinds.len(), 1);
    }
}
