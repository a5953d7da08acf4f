//! The judgements as tables.

use super::counts::{Counts, Slot};
use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_789_034_400, 0).unwrap()
}

fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

/// All confirmed attempts are confirmed in time.
fn heard(sent: i64, heard: i64) -> Counts {
    Counts { sent, heard, prompt: heard, delivered: heard, in_time: heard }
}

/// One slot per second over `from..=to` seconds ago, oldest first.
fn each_second(from: i64, to: i64, counts: Counts) -> Vec<Slot> {
    (to..=from).rev().map(|s| Slot { at: ago(s), counts }).collect()
}

fn bins(from: i64, to: i64, counts: Counts) -> Vec<Slot> {
    (to..=from).rev().filter(|s| s % 10 == 0).map(|s| Slot { at: ago(s), counts }).collect()
}

fn evidence(seconds: Vec<Slot>, usual: Counts) -> Evidence {
    Evidence { seconds, bins: bins(3600, 70, usual), listening_since: ago(3600) }
}

fn is_silent(seconds: Vec<Slot>, usual: Counts) -> bool {
    judge((ReceiptHealth::Arriving, None), &evidence(seconds, usual), &HealthRules::default(), now()).receipts
        == ReceiptHealth::Silent
}

#[test]
fn an_account_falls_silent_when_what_was_usual_stops() {
    let well = heard(30, 30);
    for (what, seconds, usual, expected) in [
        ("three a second, confirmed", each_second(300, 0, heard(3, 3)), well, false),
        (
            "three a second, nothing for ten seconds",
            [each_second(300, 10, heard(3, 3)), each_second(9, 0, heard(3, 0))].concat(),
            well,
            true,
        ),
        (
            "no receipt yet, and none is expected yet",
            [each_second(300, 7, heard(3, 3)), each_second(6, 0, heard(3, 0))].concat(),
            well,
            false,
        ),
        (
            "one second of loss is not a silence",
            [each_second(300, 9, heard(3, 3)), each_second(8, 0, heard(3, 0))].concat(),
            well,
            false,
        ),
        (
            "four unconfirmed are too few",
            [each_second(300, 200, heard(1, 1)), each_second(18, 15, heard(1, 0))].concat(),
            well,
            false,
        ),
        (
            "five are enough where all are usually confirmed",
            [each_second(300, 200, heard(1, 1)), each_second(19, 15, heard(1, 0))].concat(),
            well,
            true,
        ),
        (
            "five are not enough where one in ten is late",
            [each_second(300, 200, heard(1, 1)), each_second(19, 15, heard(1, 0))].concat(),
            heard(30, 27),
            false,
        ),
        (
            "ten are enough where one in ten is late",
            [each_second(300, 200, heard(1, 1)), each_second(24, 15, heard(1, 0))].concat(),
            heard(30, 27),
            true,
        ),
        ("one in twenty still confirmed counts as silent", each_second(60, 0, heard(20, 1)), well, true),
        ("one in five still confirmed is not silent", each_second(60, 0, heard(20, 4)), well, false),
        ("never a receipt", each_second(300, 0, heard(3, 0)), heard(30, 0), false),
        ("hardly ever a receipt", each_second(300, 0, heard(3, 0)), heard(30, 5), false),
        ("no data for the hour before", each_second(300, 0, heard(3, 0)), Counts::default(), false),
        ("unconfirmed, but six minutes ago", each_second(400, 360, heard(3, 0)), well, false),
        (
            "five in four minutes",
            [240, 180, 120, 60, 30].map(|s| Slot { at: ago(s), counts: heard(1, 0) }).to_vec(),
            well,
            true,
        ),
    ] {
        assert_eq!(is_silent(seconds, usual), expected, "{what}");
    }
}

#[test]
fn too_few_attempts_of_the_hour_before_tell_nothing() {
    let silence = || each_second(60, 0, heard(3, 0));
    for (sent, expected) in [(19, None), (20, Some(ReceiptHealth::Silent))] {
        let bins = vec![Slot { at: ago(600), counts: heard(sent, sent) }];
        let evidence = Evidence { seconds: silence(), bins, listening_since: ago(3600) };
        let judged = judge((ReceiptHealth::Arriving, None), &evidence, &HealthRules::default(), now());
        assert_eq!(judged.receipts == ReceiptHealth::Silent, expected.is_some(), "{sent}");
    }
}

/// A silence that has just begun must not count as usual.
#[test]
fn the_last_minute_is_not_what_is_usual() {
    let bins = [bins(600, 70, heard(10, 10)), bins(50, 0, heard(10, 0))].concat();
    let usual = silence::usual_share(&bins, now()).unwrap();
    assert!(usual > 0.99, "{usual}");
}

#[test]
fn what_was_sent_before_this_process_listened_is_not_held_against_the_account() {
    let seconds = [each_second(300, 12, heard(9, 9)), each_second(11, 6, heard(9, 0))].concat();
    let mut evidence = evidence(seconds, heard(30, 30));
    let rules = HealthRules::default();
    let judged = judge((ReceiptHealth::Arriving, None), &evidence, &rules, now());
    assert_eq!((judged.receipts, judged.silent_since), (ReceiptHealth::Silent, Some(ago(11))));
    evidence.listening_since = ago(8);
    assert_eq!(judge((ReceiptHealth::Arriving, None), &evidence, &rules, now()).receipts, ReceiptHealth::Arriving);
}

/// The probabilities that the comment at `ODDS` states, from the binomial distribution.
#[test]
fn chance_hardly_ever_looks_like_silence() {
    for percent in 20..=99 {
        let usual = f64::from(percent) / 100.0;
        let n = silence::needed(usual, &HealthRules::default());
        let forgiven = ((0.1 * usual * n as f64).ceil() as i64 - 1).max(0);
        let (mut odds, mut exactly) = (0.0, (1.0 - usual).powi(n as i32));
        for k in 0..=forgiven {
            odds += exactly;
            exactly *= (n - k) as f64 / (k + 1) as f64 * usual / (1.0 - usual);
        }
        let bar = if percent >= 85 { 1e-9 } else { 5e-8 };
        assert!(odds <= bar, "{percent} %: {n} attempts, {forgiven} forgiven: {odds:e}");
    }
    let needed = |usual| silence::needed(usual, &HealthRules::default());
    assert_eq!([0.99, 0.9, 0.5].map(needed), [5, 9, 30]);
}

#[test]
fn a_silence_ends_when_two_in_a_row_are_heard() {
    let lost = || each_second(120, 60, heard(3, 0));
    let probe = |s, is_heard: bool| Slot { at: ago(s), counts: heard(1, is_heard.into()) };
    for (what, newer, expected) in [
        ("nothing", vec![], false),
        ("one probe confirmed", vec![probe(10, false), probe(5, true)], false),
        ("two probes confirmed", vec![probe(10, true), probe(5, true)], true),
        ("both confirmed at once, before they are due", vec![probe(5, true), probe(0, true)], true),
        ("heard, lost, heard", vec![probe(20, true), probe(15, false), probe(10, true)], false),
        ("confirmed, and the next not due yet", vec![probe(15, true), probe(10, true), probe(2, false)], true),
        ("confirmed, and the next lost", vec![probe(15, true), probe(10, true), probe(8, false)], false),
        ("many sent, most heard", each_second(10, 0, heard(10, 9)), true),
        ("many sent, a few confirmed", each_second(10, 0, heard(10, 2)), false),
        (
            "many sent, half of those not yet due confirmed",
            [each_second(20, 6, heard(10, 0)), each_second(5, 0, heard(10, 5))].concat(),
            false,
        ),
    ] {
        let evidence = evidence([lost(), newer].concat(), heard(30, 30));
        let was = (ReceiptHealth::Silent, Some(0.98));
        let judged = judge(was, &evidence, &HealthRules::default(), now());
        assert_eq!(judged.receipts == ReceiptHealth::Arriving, expected, "{what}");
    }
    let late = evidence(each_second(120, 60, heard(3, 3)), heard(30, 30));
    let judged = judge((ReceiptHealth::Silent, Some(0.98)), &late, &HealthRules::default(), now());
    assert_eq!(judged.receipts, ReceiptHealth::Arriving, "late receipts end it as well");
    let alone = evidence(vec![probe(3, true)], Counts::default());
    let judged = judge((ReceiptHealth::Silent, None), &alone, &HealthRules::default(), now());
    assert_eq!(
        judged.receipts,
        ReceiptHealth::Arriving,
        "one attempt is enough when it is the only one in five minutes"
    );
    let long = evidence(vec![], heard(30, 0));
    assert_eq!(
        judge((ReceiptHealth::Silent, None), &long, &HealthRules::default(), now()).receipts,
        ReceiptHealth::Silent
    );
}

fn in_time(sent: i64, in_time: i64) -> Counts {
    Counts { in_time, ..heard(sent, sent) }
}

#[test]
fn pace_is_measured_by_what_is_usual() {
    for (what, usual, recent, expected) in [
        ("as usual", in_time(10, 9), in_time(10, 9), Some(1.0)),
        ("faster than usual is capped at 1", in_time(10, 5), in_time(10, 10), Some(1.0)),
        ("half of what is usual", in_time(10, 8), in_time(10, 4), Some(0.5)),
        ("nothing in time", in_time(10, 8), in_time(10, 0), Some(0.0)),
        ("never in time anyway", in_time(10, 0), in_time(10, 0), None),
        ("nothing recent, so the earlier minutes count", in_time(10, 8), in_time(0, 0), Some(1.0)),
        ("too few earlier attempts", in_time(0, 0), in_time(10, 4), None),
    ] {
        let bins = [bins(3600, 140, usual), bins(130, 0, recent)].concat();
        let bins: Vec<Slot> = bins.into_iter().filter(|bin| bin.counts.sent > 0).collect();
        let pace = pace::pace(&bins, &HealthRules::default(), now());
        assert_eq!(pace.map(|p| (p * 100.0).round() / 100.0), expected, "{what}");
    }
}

/// A slow account is given little traffic; the lack of data must not make it look recovered.
#[test]
fn where_little_is_sent_now_reaches_further_back() {
    let rules = HealthRules::default();
    let little = |to| [bins(3600, 900, in_time(10, 10)), bins(600, to, in_time(1, 0))].concat();
    assert_eq!(pace::pace(&little(20), &rules, now()), Some(0.0));
    let stale = [bins(3600, 1200, in_time(10, 10)), bins(100, 50, in_time(1, 0))].concat();
    assert_eq!(pace::pace(&stale, &rules, now()), None, "old data stops counting");
}

#[test]
fn attempts_that_can_still_be_in_time_do_not_count_as_late() {
    let bins = [bins(3600, 20, in_time(10, 10)), bins(10, 0, in_time(500, 0))].concat();
    assert_eq!(pace::pace(&bins, &HealthRules::default(), now()), Some(1.0));
}

#[test]
fn weight_is_lost_to_faster_accounts_only() {
    for (own, channel, expected) in [
        (Some(1.0), vec![1.0, 0.2], 1.0),
        (Some(0.2), vec![1.0, 0.2], 0.2),
        (Some(0.2), vec![0.2, 0.2], 1.0),
        (Some(0.2), vec![0.2], 1.0),
        (Some(0.5), vec![0.5, 0.75], 0.75),
        (Some(0.0), vec![0.0, 1.0], 0.05),
        (Some(0.0), vec![0.0, 0.0], 1.0),
        (None, vec![1.0], 1.0),
    ] {
        let what = format!("{own:?} of {channel:?}");
        let weight = pace::weight(own, channel);
        assert!((weight - expected).abs() < 1e-9, "{what}: {weight}");
    }
}

#[test]
fn the_share_in_time_is_as_great_as_so_few_attempts_allow() {
    for (sent, timely, expected) in [
        (19, 19, None),
        (20, 20, Some(1.0)),
        (20, 15, Some(0.873)),
        (20, 5, Some(0.432)),
        (20, 0, Some(0.119)),
        (2000, 1500, Some(0.766)),
    ] {
        let share = pace::in_time(in_time(sent, timely));
        let rounded = share.map(|share| (share * 1000.0).round() / 1000.0);
        assert_eq!(rounded, expected, "{timely} of {sent}");
    }
}

mod of_an_attempt {
    use super::*;
    use crate::attempt::{Attempt, FirstSeen, Reason, SendState};
    use crate::channel::Channel;
    use crate::message::Outcome;
    use crate::message::tests::message_with;

    fn accepted(no: i16, channel: Channel) -> Attempt {
        let mut attempt = Attempt::planned(no, no - 1, channel, "a", Reason::First, ago(61));
        attempt.send_state = SendState::Accepted;
        attempt.accepted_at = Some(ago(60) + TimeDelta::milliseconds(250));
        attempt
    }

    fn after(ms: i64) -> FirstSeen {
        FirstSeen { at: Some(ago(60) + TimeDelta::milliseconds(250 + ms)), provider_at: None }
    }

    /// What happened, how the attempt records it, what is counted.
    type Row = (&'static str, fn(&mut Attempt), Counts);

    #[test]
    fn each_receipt_is_counted_by_when_it_came() {
        let rules = HealthRules::default();
        let nothing = Counts { sent: 1, ..Counts::default() };
        let table: [Row; 7] = [
            ("nothing", |_| {}, nothing),
            ("sent", |a| a.sent = after(5_000), Counts { heard: 1, prompt: 1, ..nothing }),
            ("sent late", |a| a.sent = after(5_001), Counts { heard: 1, ..nothing }),
            ("failed", |a| a.failed = after(100), Counts { heard: 1, prompt: 1, ..nothing }),
            ("a receipt before the answer", |a| a.delivered = after(-50), heard(1, 1)),
            ("delivered", |a| a.delivered = after(10_000), Counts { heard: 1, delivered: 1, in_time: 1, ..nothing }),
            ("read late", |a| a.read = after(10_001), Counts { heard: 1, delivered: 1, ..nothing }),
        ];
        for (what, change, expected) in table {
            let mut attempt = accepted(1, Channel::Whatsapp);
            change(&mut attempt);
            let message = message_with(vec![attempt.clone()]);
            assert_eq!(Counts::of(&message, &attempt, &rules), Some((ago(60), expected)), "{what}");
        }
        let mut planned = accepted(1, Channel::Whatsapp);
        planned.accepted_at = None;
        planned.failed = after(0);
        assert_eq!(Counts::of(&message_with(vec![planned.clone()]), &planned, &rules), None);
    }

    #[test]
    fn a_code_that_came_back_is_heard_of_the_only_attempt_that_left() {
        let rules = HealthRules::default();
        let mut message = message_with(vec![accepted(1, Channel::Whatsapp)]);
        message.outcome = Outcome::Verified;
        message.settled_at = Some(ago(58));
        let count = |m: &crate::message::Message| Counts::of(m, &m.attempts[0], &rules).unwrap().1;
        assert_eq!(count(&message), heard(1, 1));
        message.attempts.push(accepted(2, Channel::Sms));
        assert_eq!(count(&message).heard, 0, "the code may have arrived by SMS");
        message.attempts[1].send_state = SendState::Rejected;
        assert_eq!(count(&message).heard, 1);
    }
}
