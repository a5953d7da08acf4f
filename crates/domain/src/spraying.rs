//! Guessing sprayed over many numbers: a few wrong codes at each, so that no number's own limit is reached. It shows in the share of
//! wrong codes of a whole app.

use std::ops::{Add, Sub};

use chrono::TimeDelta;

/// The time that is judged.
pub const RECENT: TimeDelta = TimeDelta::minutes(10);
/// The time that says what is usual; without the recent time.
pub const USUAL: TimeDelta = TimeDelta::days(7);
/// How long an app stays strict after the last sign.
pub const STRICT_FOR: TimeDelta = TimeDelta::minutes(10);
/// Fewer wrong codes show nothing.
const FEWEST: i64 = 20;
/// The recent share of wrong codes beside the usual one.
const TIMES: i64 = 3;
/// With fewer checks than this, the usual share is not known, and taken to be a tenth: people mistype.
const KNOWN_FROM: i64 = 100;

/// Codes that were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    pub right: i64,
    pub wrong: i64,
}

impl Add for Compared {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { right: self.right + other.right, wrong: self.wrong + other.wrong }
    }
}

impl Sub for Compared {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { right: (self.right - other.right).max(0), wrong: (self.wrong - other.wrong).max(0) }
    }
}

/// Whether the recent codes look like guesses: more than twenty wrong ones, and their share more than three times the usual.
pub fn is_sprayed(recent: Compared, usual: Compared) -> bool {
    let all = recent.right + recent.wrong;
    let usual_all = usual.right + usual.wrong;
    let (wrong, of) = if usual_all < KNOWN_FROM { (1, 10) } else { (usual.wrong.max(1), usual_all) };
    recent.wrong > FEWEST && i128::from(recent.wrong) * i128::from(of) > i128::from(TIMES * wrong) * i128::from(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_wrong_codes_three_times_the_usual_is_guessing() {
        let of = |right, wrong| Compared { right, wrong };
        let usual = of(9_000, 1_000);
        for (recent, expected) in [
            (of(0, 20), false),
            (of(0, 21), true),
            (of(900, 100), false),
            (of(700, 300), false),
            (of(690, 310), true),
            (of(100_000, 21), false),
        ] {
            assert_eq!(is_sprayed(recent, usual), expected, "{recent:?}");
            assert_eq!(is_sprayed(recent, of(0, 0)), expected, "{recent:?}, nothing is known");
        }
        // Where people mistype a lot, more is usual.
        assert!(!is_sprayed(of(100, 100), of(700, 300)) && !is_sprayed(of(0, 0), of(0, 0)));
        assert!(is_sprayed(of(0, 100), of(700, 300)));
    }
}
