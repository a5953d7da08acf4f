//! Wrong codes of one number, over all its messages: a new code does not buy new tries.
//!
//! Whoever holds the newest code is not locked out by the wrong guesses of others at older ones: a few tries of the newest message
//! are allowed whatever was counted before ([`RESERVED`]). So at most the limit and [`RESERVED`] for each message are evaluated
//! within an hour, and the messages of a number are limited too.

use chrono::{DateTime, TimeDelta, Utc};

use super::sends::NumberSends;
use super::{LimitHit, LimitRule};
use crate::ids::MessageId;

/// Wrong tries that the newest message of a number always has.
pub const RESERVED: i16 = 2;
/// How long a wrong try counts.
pub const COUNTS_FOR: TimeDelta = TimeDelta::hours(1);
/// Maximum number of tries that are kept; the highest limit is below it.
pub const MOST_KEPT: usize = 200;

/// Times of the wrong tries at codes of one number in the last hour, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberTries(pub Vec<DateTime<Utc>>);

impl NumberTries {
    /// Why the code of `message` is not compared. `wrong_tries`: of this message. `sends`: of its number.
    pub fn refuse(
        &self,
        message: MessageId,
        wrong_tries: i16,
        limit: i64,
        sends: &NumberSends,
        now: DateTime<Utc>,
    ) -> Option<LimitHit> {
        let oldest = self.surplus(limit, now)?;
        let is_reserved = wrong_tries < RESERVED && sends.is_newest(message);
        let retry_after = (oldest + COUNTS_FOR - now).to_std().unwrap_or_default();
        (!is_reserved).then_some(LimitHit { rule: LimitRule::TriesPerHour, limit, retry_after })
    }

    /// The try that must grow old before another is allowed; `None` while there are fewer than `limit`.
    pub fn surplus(&self, limit: i64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0)?;
        let counting: Vec<_> = self.0.iter().filter(|at| **at > now - COUNTS_FOR).collect();
        counting.len().checked_sub(limit).map(|index| *counting[index])
    }

    /// How many more are within the limit.
    pub fn left(&self, limit: i64, now: DateTime<Utc>) -> i64 {
        if limit == 0 {
            return i64::MAX;
        }
        (limit - self.0.iter().filter(|at| **at > now - COUNTS_FOR).count() as i64).max(0)
    }

    pub fn note(&mut self, now: DateTime<Utc>) {
        let at = self.0.last().map_or(now, |last| now.max(*last));
        self.0.push(at);
        self.0.retain(|at| *at > now - COUNTS_FOR);
        let surplus = self.0.len().saturating_sub(MOST_KEPT);
        self.0.drain(..surplus);
    }

    /// Both records of one number, kept under two keys while keys are rotated.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Bucket;
    use crate::limits::sends::Sending;
    use crate::phone::Phone;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_789_000_000 + seconds, 0).unwrap()
    }

    fn message(n: u8) -> MessageId {
        MessageId::new(at(i64::from(n)), Bucket::of(&Phone::parse("+628123450003").unwrap()), [n; 8])
    }

    #[test]
    fn ten_in_an_hour_and_two_more_for_who_holds_the_newest_code() {
        let (mut tries, mut sends) = (NumberTries::default(), NumberSends::default());
        sends.note(Sending::New, "login", message(1), at(0));
        sends.note(Sending::New, "login", message(2), at(60));
        for n in 0..10 {
            assert_eq!(tries.refuse(message(1), 5, 10, &sends, at(n)), None);
            tries.note(at(n));
        }
        let older = tries.refuse(message(1), 0, 10, &sends, at(100)).unwrap();
        assert_eq!((older.rule, older.limit, older.retry_after_s()), (LimitRule::TriesPerHour, 10, 3_500));
        assert_eq!(tries.refuse(message(2), 0, 10, &sends, at(100)), None);
        assert_eq!(tries.refuse(message(2), 1, 10, &sends, at(100)), None);
        assert!(tries.refuse(message(2), RESERVED, 10, &sends, at(100)).is_some());
        assert_eq!(tries.refuse(message(1), 0, 10, &sends, at(3_600)), None, "the first grew old");
        assert_eq!((tries.left(10, at(100)), tries.left(10, at(3_600)), tries.left(0, at(0))), (0, 1, i64::MAX));
        assert_eq!(tries.refuse(message(1), 5, 0, &sends, at(100)), None, "no limit");
    }
}
