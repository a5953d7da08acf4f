//! When to query a provider for the status of an attempt, and whether the answer still matters.
//!
//! Only accepted attempts can be queried, because the query names the provider's id. A request that ended `unknown`
//! returned no id, so its deadline runs without a query.

use chrono::{DateTime, TimeDelta, Utc};

use crate::attempt::{Attempt, SendState, State, Timer};
use crate::message::{Message, Outcome};

/// The last query before a replacement is sent this long before the deadline. An answer takes up to 2 s, and the rest
/// is enough to store it. Most callbacks have arrived by then.
pub const LEAD: TimeDelta = TimeDelta::milliseconds(2_500);

/// When to query a provider that sends no callbacks, in seconds after the acceptance. Most WhatsApp messages are
/// delivered within the first two seconds; after half a minute a code that did not arrive has been replaced.
const AFTER_ACCEPTANCE_S: [i64; 5] = [3, 6, 12, 20, 30];

/// How a provider can be queried about an accepted attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusQueryPlan {
    /// What the provider needs in the query besides its message id.
    pub ask_by: Option<String>,
    /// The provider sends callbacks, so only missing ones need a query.
    pub calls_back: bool,
}

/// When to query an attempt that was just accepted, in ascending order; empty when a query is of no use. Where the
/// provider sends callbacks: once, before the replacement.
pub fn times(attempt: &Attempt, calls_back: bool, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    if attempt.send_state != SendState::Accepted || attempt.state >= State::Failed {
        return Vec::new();
    }
    let Some(accepted_at) = attempt.accepted_at else { return Vec::new() };
    let last_chance = attempt.replace_at.filter(|_| attempt.timer == Timer::Armed).map(|deadline| deadline - LEAD);
    // Close to the last chance one query is enough.
    let is_apart = |at: &DateTime<Utc>| last_chance.is_none_or(|chance| (*at - chance).abs() >= LEAD);
    let regular = AFTER_ACCEPTANCE_S.iter().filter(|_| !calls_back).map(|&s| accepted_at + TimeDelta::seconds(s));
    let mut times: Vec<DateTime<Utc>> = regular.filter(is_apart).chain(last_chance).filter(|&at| at > now).collect();
    times.sort_unstable();
    times
}

/// Whether an answer can still change something: the attempt is neither delivered nor failed, the message is not
/// settled, and, where the provider sends callbacks, the replacement has not been issued.
pub fn is_open(message: &Message, attempt_no: i16, calls_back: bool, now: DateTime<Utc>) -> bool {
    let Some(attempt) = message.attempt(attempt_no) else { return false };
    let is_waited_for = attempt.timer == Timer::Armed && attempt.replace_at.is_some_and(|deadline| now < deadline);
    message.outcome == Outcome::Pending && attempt.state < State::Failed && (is_waited_for || !calls_back)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Reason;
    use crate::channel::Channel;

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_789_034_400, 0).unwrap()
    }

    fn accepted(replace_after_s: Option<i16>) -> Attempt {
        let mut attempt = Attempt::planned(1, 0, Channel::Whatsapp, "wa", Reason::First, start());
        attempt.send_state = SendState::Accepted;
        attempt.accepted_at = Some(start());
        attempt.due_at = None;
        if let Some(seconds) = replace_after_s {
            attempt.arm(start(), seconds);
        }
        attempt
    }

    /// In milliseconds after the acceptance.
    fn planned(attempt: &Attempt, calls_back: bool, now_ms: i64) -> Vec<i64> {
        let now = start() + TimeDelta::milliseconds(now_ms);
        times(attempt, calls_back, now).iter().map(|at| (*at - start()).num_milliseconds()).collect()
    }

    #[test]
    fn a_provider_that_calls_back_is_asked_once_before_the_deadline_and_never_without_one() {
        assert_eq!(planned(&accepted(Some(15)), true, 0), [12_500]);
        assert_eq!(planned(&accepted(None), true, 0), [0_i64; 0]);
    }

    #[test]
    fn a_provider_without_callbacks_is_asked_again_and_again_and_not_twice_before_a_deadline() {
        assert_eq!(planned(&accepted(None), false, 0), [3_000, 6_000, 12_000, 20_000, 30_000]);
        assert_eq!(planned(&accepted(Some(15)), false, 0), [3_000, 6_000, 12_500, 20_000, 30_000]);
        assert_eq!(planned(&accepted(Some(30)), false, 0), [3_000, 6_000, 12_000, 20_000, 27_500, 30_000]);
        assert_eq!(planned(&accepted(Some(60)), false, 0), [3_000, 6_000, 12_000, 20_000, 30_000, 57_500]);
    }

    #[test]
    fn an_acceptance_learned_late_is_asked_about_at_what_is_left_of_the_times() {
        assert_eq!(planned(&accepted(Some(15)), false, 12_500), [20_000, 30_000]);
        assert_eq!(planned(&accepted(Some(15)), true, 13_000), [0_i64; 0]);
    }

    #[test]
    fn what_has_ended_or_may_not_have_left_is_not_asked_about() {
        let changes: [fn(&mut Attempt); 3] =
            [|a| a.state = State::Delivered, |a| a.state = State::Failed, |a| a.send_state = SendState::Unknown];
        for change in changes {
            let mut attempt = accepted(Some(15));
            change(&mut attempt);
            assert_eq!(planned(&attempt, false, 0), [0_i64; 0], "{attempt:?}");
        }
    }
}
