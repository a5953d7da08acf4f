use super::*;
use crate::engine::laws::Laws;

fn of(fate: Fate, channel: Channel, tries_before: u32) -> Plan {
    let draws = Draws::new(1, 0, "+628123450001", 1);
    plan(fate, channel, Laws::default().of(channel), &draws, &draws, tries_before)
}

fn told(plan: &Plan) -> Vec<Status> {
    let mut callbacks = plan.story.callbacks.clone();
    callbacks.sort_by_key(|callback| callback.post_after);
    callbacks.iter().map(|callback| callback.status).collect()
}

const FAILED: Status = Status::Failed(UNDELIVERABLE);

#[test]
fn each_fate_tells_its_story_and_the_handset_gets_what_it_should() {
    use Answer::*;
    use Status::*;
    for (fate, answer, expected, gets_it) in [
        (Fate::Delivered, Accept, vec![Sent, Delivered], true),
        (Fate::Read, Accept, vec![Sent, Delivered, Read], true),
        (Fate::Failed, Accept, vec![FAILED], false),
        (Fate::Late, Accept, vec![Sent], false),
        (Fate::CallbackFirst, Accept, vec![Sent, Delivered], true),
        (Fate::ServerErrorTwice, ServerError { readable: true }, vec![], false),
        (Fate::Hangs, Hang, vec![], false),
        (Fate::RateLimited, RateLimited, vec![], false),
        (Fate::Contradictory, Accept, vec![FAILED, Delivered], true),
        (Fate::DeliveredOnly, Accept, vec![Delivered], true),
        (Fate::Rejected, Reject(UNDELIVERABLE), vec![], false),
        (Fate::ResetBefore, ResetBefore, vec![], false),
        (Fate::ResetAfter, ResetAfter, vec![Sent, Delivered], true),
    ] {
        let plan = of(fate, Channel::Whatsapp, 0);
        assert_eq!((plan.answer, told(&plan)), (answer, expected), "{fate:?}");
        assert_eq!(plan.story.handset_after.is_some(), gets_it, "{fate:?}");
        assert_eq!(plan.callback_first, fate == Fate::CallbackFirst);
        assert_eq!(plan.after_sms.is_some(), fate == Fate::Late);
    }
    let silent = of(Fate::Silent, Channel::Whatsapp, 0);
    assert!(matches!(told(&silent)[..], [] | [Sent]) && silent.story.handset_after.is_none());
    assert_eq!(told(&of(Fate::ServerErrorTwice, Channel::Whatsapp, 2)), [Sent, Delivered]);
}

#[test]
fn an_sms_tells_only_of_its_end() {
    assert_eq!(told(&of(Fate::Delivered, Channel::Sms, 0)), [Status::Delivered]);
    assert_eq!(told(&of(Fate::Read, Channel::Sms, 0)), [Status::Delivered]);
    assert_eq!(told(&of(Fate::Failed, Channel::Sms, 0)), [FAILED]);
}

#[test]
fn shuffled_means_each_twice_or_more_and_never_in_order() {
    let laws = Laws::default();
    for nth in 0..500 {
        let draws = Draws::new(1, 0, "+628123450006", nth);
        let plan = plan(Fate::Shuffled, Channel::Whatsapp, &laws.whatsapp, &draws, &draws, 0);
        let told = told(&plan);
        for status in [Status::Sent, Status::Delivered, Status::Read] {
            assert!(told.iter().filter(|&&one| one == status).count() >= 2);
        }
        assert!(!told.is_sorted_by_key(|status| status.rank()), "{nth}");
        assert!(plan.story.callbacks.iter().all(|callback| callback.post_after >= callback.status_after));
    }
}

#[test]
fn laws_come_out_at_their_rates() {
    let laws = ChannelLaws {
        hang: 0.05,
        rate_limited: 0.1,
        server_error: 0.05,
        failed: 0.2,
        failed_codes: vec![(131_026, 3.0), (131_000, 1.0)],
        silent: 0.1,
        lost: 0.25,
        doubled: 0.1,
        not_on_channel: 0.0,
        ..ChannelLaws::default()
    };
    let mut count = std::collections::BTreeMap::<&str, f64>::new();
    let total = 20_000;
    for nth in 0..total {
        let draws = Draws::new(4, 0, "+628123457777", nth);
        let plan = plan(Fate::ByLaw, Channel::Whatsapp, &laws, &draws, &draws, 0);
        let mut add = |what, how_many: f64| *count.entry(what).or_default() += how_many / f64::from(total);
        match plan.answer {
            Answer::Hang => add("hang", 1.0),
            Answer::RateLimited => add("rate limited", 1.0),
            Answer::ServerError { .. } => add("server error", 1.0),
            _ => add("accepted", 1.0),
        }
        add("handset", f64::from(u8::from(plan.story.handset_after.is_some())));
        add("lost", plan.story.lost as f64);
        add("statuses", plan.story.truth.len() as f64);
        for (_, status) in &plan.story.truth {
            match status {
                Status::Failed(131_026) => add("131026", 1.0),
                Status::Failed(_) => add("131000", 1.0),
                _ => {}
            }
        }
    }
    for (what, expected) in [
        ("hang", 0.05),
        ("rate limited", 0.1),
        ("server error", 0.05),
        ("accepted", 0.8),
        ("131026", 0.8 * 0.15),
        ("131000", 0.8 * 0.05),
        ("handset", 0.8 * 0.7),
        ("lost", count["statuses"] * 0.25),
    ] {
        assert!((count[what] - expected).abs() < 0.012, "{what}: {} and not {expected}", count[what]);
    }
}

#[test]
fn a_number_that_is_not_on_whatsapp_is_never_on_it() {
    let laws = ChannelLaws { not_on_channel: 0.5, ..ChannelLaws::default() };
    let mut never = 0;
    for number in 0..200 {
        let phone = format!("+62812345{number:04}");
        let sticky = Draws::new(1, 0, &phone, 0);
        let reached = |nth| {
            let draws = Draws::new(1, 0, &phone, nth);
            plan(Fate::ByLaw, Channel::Whatsapp, &laws, &draws, &sticky, 0).story.handset_after.is_some()
        };
        assert!((1..20).all(|nth| reached(nth) == reached(1)));
        never += usize::from(!reached(1));
    }
    assert!((70..130).contains(&never), "{never}");
}

#[test]
fn a_message_that_outlives_its_lifetime_is_dropped_without_a_word() {
    let laws = ChannelLaws { delivered: Latency::Fixed { ms: 900.0 }, lifetime_ms: 800, ..ChannelLaws::default() };
    let draws = Draws::new(1, 0, "+1", 1);
    let dropped = plan(Fate::ByLaw, Channel::Whatsapp, &laws, &draws, &draws, 0);
    assert_eq!((told(&dropped), dropped.story.handset_after), (vec![Status::Sent], None));
}

#[test]
fn slow_stretches_everything() {
    let plain = of(Fate::Read, Channel::Whatsapp, 0);
    let slow = plain.clone().slowed(10.0);
    assert!(slow.answer_after >= plain.answer_after * 9);
    assert!(slow.story.truth[2].0 >= plain.story.truth[2].0 * 9);
}
