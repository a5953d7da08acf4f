//! The messages of one number: exact, because each is kept with its time for a day.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{LimitHit, LimitRule, Limits};
use crate::ids::MessageId;

/// Maximum number of sends that are kept, and so the highest limit of messages to a number a day.
pub const MOST_KEPT: usize = 200;
/// How long a send is kept.
pub const KEPT_FOR: TimeDelta = TimeDelta::days(1);
const HOUR: TimeDelta = TimeDelta::hours(1);

/// What is sent to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    New,
    /// An earlier message once more, because the person asked. It may follow at once, and counts.
    Again,
}

/// The sends of one number in the last day, oldest first. Replacements do not count: they belong to their message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NumberSends(Vec<Sent>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sent {
    at: DateTime<Utc>,
    purpose: String,
    message: Uuid,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    again: bool,
}

impl NumberSends {
    /// The limit that one more send would exceed; the one that lasts longest first.
    pub fn refuse(&self, what: Sending, purpose: &str, limits: &Limits, now: DateTime<Utc>) -> Option<LimitHit> {
        let over = |rule, length: TimeDelta| {
            let limit = limits.of(rule);
            let limit_of = usize::try_from(limit).ok().filter(|limit| *limit > 0)?;
            let within = self.0.partition_point(|sent| sent.at <= now - length);
            let counted = self.0.len() - within;
            // The send that must be older than `length`, so that one more fits.
            let last = self.0.get(within + counted.checked_sub(limit_of)?)?;
            Some(hit(rule, limit, last.at + length - now))
        };
        let day = over(LimitRule::NumberPerDay, KEPT_FOR);
        let hour = || over(LimitRule::NumberPerHour, HOUR);
        let spacing = || {
            let spacing_s = limits.of(LimitRule::NumberSpacing);
            let last = self.0.iter().rfind(|sent| sent.purpose == purpose && !sent.again)?;
            let left = last.at + TimeDelta::seconds(spacing_s) - now;
            let is_too_soon = what == Sending::New && left > TimeDelta::zero();
            is_too_soon.then(|| hit(LimitRule::NumberSpacing, spacing_s, left))
        };
        day.or_else(hour).or_else(spacing)
    }

    /// Adds a send, and drops those that are too old or too many.
    pub fn note(&mut self, what: Sending, purpose: &str, message: MessageId, now: DateTime<Utc>) {
        // A clock that was ahead must not leave the sends out of order.
        let at = self.0.last().map_or(now, |last| last.at.max(now));
        let again = what == Sending::Again;
        self.0.push(Sent { at, purpose: purpose.to_owned(), message: message.uuid(), again });
        self.0.retain(|sent| sent.at > now - KEPT_FOR);
        let surplus = self.0.len().saturating_sub(MOST_KEPT);
        self.0.drain(..surplus);
    }

    /// The messages of a purpose begun since `since`, newest first.
    pub fn since(&self, purpose: &str, since: DateTime<Utc>) -> Vec<MessageId> {
        let sent = self.0.iter().rev().filter(|sent| !sent.again && sent.purpose == purpose && sent.at >= since);
        sent.filter_map(|sent| MessageId::from_uuid(sent.message)).collect()
    }

    /// Whether this is the newest message of its purpose.
    pub fn is_newest(&self, message: MessageId) -> bool {
        let uuid = message.uuid();
        let mine = self.0.iter().find(|sent| sent.message == uuid);
        mine.is_some_and(|mine| {
            self.0
                .iter()
                .rfind(|sent| sent.purpose == mine.purpose && !sent.again)
                .is_some_and(|last| last.message == uuid)
        })
    }

    /// Both records of one number, kept under two keys while keys are rotated.
    pub fn join(&mut self, other: Self) {
        for sent in other.0 {
            if !self.0.contains(&sent) {
                self.0.push(sent);
            }
        }
        self.0.sort_by_key(|sent| sent.at);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn hit(rule: LimitRule, limit: i64, left: TimeDelta) -> LimitHit {
    LimitHit { rule, limit, retry_after: left.to_std().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Bucket;
    use crate::phone::Phone;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_789_000_000 + seconds, 0).unwrap()
    }

    fn message(n: u8) -> MessageId {
        MessageId::new(at(i64::from(n)), Bucket::of(&Phone::parse("+628123450003").unwrap()), [n; 8])
    }

    fn refused(sends: &NumberSends, what: Sending, purpose: &str, now: i64) -> Option<(LimitRule, u64)> {
        let hit = sends.refuse(what, purpose, &Limits::default(), at(now));
        hit.map(|hit| (hit.rule, hit.retry_after_s()))
    }

    #[test]
    fn a_minute_between_two_five_an_hour_and_ten_a_day() {
        let mut sends = NumberSends::default();
        let new = |sends: &NumberSends, now| refused(sends, Sending::New, "login", now);
        assert_eq!(new(&sends, 0), None);
        for (n, now) in [0, 60, 120, 180, 240].into_iter().enumerate() {
            assert_eq!(new(&sends, now), None, "{now}");
            sends.note(Sending::New, "login", message(n as u8), at(now));
            assert_eq!(
                new(&sends, now + 59),
                if n < 4 { Some((LimitRule::NumberSpacing, 1)) } else { new(&sends, now + 59) }
            );
        }
        assert_eq!(new(&sends, 241), Some((LimitRule::NumberPerHour, 3_359)));
        assert_eq!(new(&sends, 3_599), Some((LimitRule::NumberPerHour, 1)));
        assert_eq!(new(&sends, 3_600), None);
        for (n, now) in [3_600, 3_660, 3_720, 3_780, 3_840].into_iter().enumerate() {
            assert_eq!(new(&sends, now), None, "{now}");
            sends.note(Sending::New, "login", message(10 + n as u8), at(now));
        }
        assert_eq!(new(&sends, 8_000), Some((LimitRule::NumberPerDay, 86_400 - 8_000)));
        assert_eq!(new(&sends, 86_399), Some((LimitRule::NumberPerDay, 1)));
        assert_eq!(new(&sends, 86_400), None);
    }

    #[test]
    fn another_purpose_and_a_resend_need_no_minute_but_count() {
        let mut sends = NumberSends::default();
        sends.note(Sending::New, "login", message(1), at(0));
        assert_eq!(refused(&sends, Sending::New, "login", 10), Some((LimitRule::NumberSpacing, 50)));
        assert_eq!(refused(&sends, Sending::New, "payment", 10), None);
        assert_eq!(refused(&sends, Sending::Again, "login", 10), None);
        for n in 0..4 {
            sends.note(Sending::Again, "login", message(1), at(10 + n));
        }
        assert_eq!(refused(&sends, Sending::Again, "login", 20), Some((LimitRule::NumberPerHour, 3_580)));
        assert_eq!(refused(&sends, Sending::New, "payment", 20), Some((LimitRule::NumberPerHour, 3_580)));
    }

    #[test]
    fn the_newest_of_a_purpose_is_known() {
        let mut sends = NumberSends::default();
        sends.note(Sending::New, "login", message(1), at(0));
        sends.note(Sending::New, "payment", message(2), at(5));
        sends.note(Sending::New, "login", message(3), at(70));
        sends.note(Sending::Again, "login", message(1), at(75));
        assert_eq!(sends.since("login", at(1)), [message(3)]);
        assert_eq!(sends.since("login", at(0)), [message(3), message(1)]);
        assert!(!sends.is_newest(message(1)) && sends.is_newest(message(2)) && sends.is_newest(message(3)));
        assert!(!sends.is_newest(message(9)));
    }

    #[test]
    fn no_limit_is_no_limit_and_what_is_kept_is_bounded() {
        let none = LimitRule::ALL.iter().fold(Limits::default(), |limits, rule| limits.with(*rule, 0));
        let mut sends = NumberSends::default();
        for n in 0..1_000 {
            assert_eq!(sends.refuse(Sending::New, "login", &none, at(n)), None);
            sends.note(Sending::New, "login", message((n % 250) as u8), at(n));
        }
        assert_eq!(sends.0.len(), MOST_KEPT);
    }

    proptest! {
        /// Whatever is asked when, no hour and no day holds more than its limit, and what is refused passes after the time that
        /// was named.
        #[test]
        fn no_window_holds_more_than_its_limit(gaps in prop::collection::vec((0_i64..4_000, any::<bool>()), 1..80)) {
            let limits = Limits::default()
                .with(LimitRule::NumberSpacing, 45)
                .with(LimitRule::NumberPerHour, 4)
                .with(LimitRule::NumberPerDay, 9);
            let (mut sends, mut now, mut passed) = (NumberSends::default(), 0, Vec::new());
            for (n, (gap, again)) in gaps.into_iter().enumerate() {
                now += gap;
                let what = if again { Sending::Again } else { Sending::New };
                match sends.refuse(what, "login", &limits, at(now)) {
                    None => {
                        sends.note(what, "login", message(n as u8), at(now));
                        passed.push((now, again));
                    }
                    Some(hit) => {
                        let later = at(now + hit.retry_after_s() as i64);
                        let next = sends.refuse(what, "login", &limits, later);
                        prop_assert!(next.is_none_or(|next| next.rule != hit.rule), "{hit:?} then {next:?}");
                    }
                }
            }
            for &(end, _) in &passed {
                let within = |length: i64| passed.iter().filter(|(one, _)| *one > end - length && *one <= end).count();
                prop_assert!(within(3_600) <= 4 && within(86_400) <= 9);
            }
            let new: Vec<i64> = passed.iter().filter(|(_, again)| !again).map(|(one, _)| *one).collect();
            prop_assert!(new.windows(2).all(|pair| pair[1] - pair[0] >= 45));
        }
    }
}
