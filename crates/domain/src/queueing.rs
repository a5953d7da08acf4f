//! Whether a message that is accepted now can be sent in time, given the queues at the accounts of its route.

use crate::route::MIN_LIFE_S;

/// The queue at one step's account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queue {
    /// Attempts that are due and have not left.
    pub waiting: i64,
    /// The account's rate, of all instances together.
    pub per_second: f64,
}

/// Maximum `Retry-After` for a client, in seconds: rates and queues change sooner than this.
const LONGEST_RETRY_S: f64 = 60.0;

/// A message moves on from a step whose queue takes longer than `replace_after_s`, and waits at its last step as long
/// as it is still useful. `None` when some step can send it in time; else the number of seconds after which a retry is
/// worthwhile.
///
/// Messages that an earlier step cannot send in time also move on, and queue ahead of this message at the next step.
pub fn overload(steps: &[Queue], replace_after_s: i16, valid_for_s: i32) -> Option<u64> {
    let replace_after = f64::from(replace_after_s);
    let useful = f64::from(valid_for_s) - MIN_LIFE_S as f64;
    let (mut moved_on, mut waited) = (0.0, 0.0);
    let mut excess = 0.0;
    for (index, step) in steps.iter().enumerate() {
        let is_last = index + 1 == steps.len();
        let patience = if is_last { useful - waited } else { replace_after.min(useful - waited) };
        let queue = step.waiting as f64 + moved_on;
        let takes = queue / step.per_second;
        if takes <= patience {
            return None;
        }
        excess = takes - patience;
        moved_on = queue - step.per_second * patience.max(0.0);
        waited += replace_after;
    }
    Some(excess.clamp(1.0, LONGEST_RETRY_S).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(queues: &[(i64, f64)]) -> Vec<Queue> {
        queues.iter().map(|&(waiting, per_second)| Queue { waiting, per_second }).collect()
    }

    #[test]
    fn what_gets_through_in_time_is_accepted_and_nothing_else() {
        for (steps, expected) in [
            (&[(0, 1.0)][..], None),
            // 300 s of life; the last 45 s are too late to send.
            (&[(255, 1.0)], None),
            (&[(256, 1.0)], Some(1)),
            (&[(1000, 1.0)], Some(60)),
            // WhatsApp sends 30 in its 30 s; the others move on to SMS.
            (&[(300, 1.0), (0, 10.0)], None),
            (&[(30, 1.0), (100_000, 1.0)], None),
            (&[(2280, 1.0), (0, 10.0)], None),
            (&[(2300, 1.0), (0, 10.0)], Some(2)),
            (&[(300, 1.0), (2000, 10.0)], Some(2)),
            (&[(31, 1.0), (31, 1.0), (0, 1.0)], None),
        ] {
            assert_eq!(overload(&queues(steps), 30, 300), expected, "{steps:?}");
        }
    }
}
