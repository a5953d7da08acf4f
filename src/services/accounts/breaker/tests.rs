use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_789_034_400, 0).unwrap() + TimeDelta::seconds(seconds)
}

fn to(country: &str) -> Sending {
    in_language(country, "en")
}

fn in_language(country: &str, language: &str) -> Sending {
    let template = TemplateKey { name: "login_code".to_owned(), language: language.to_owned() };
    Sending { country: country.to_owned(), template }
}

const ACCOUNT: Shown = Shown::Fault(Scope::Account);

fn closed(scope: Scope, seconds: i64) -> Permission {
    Permission::Open { scope, closed_in: TimeDelta::seconds(seconds) }
}

#[test]
fn it_opens_when_half_of_the_recent_sends_were_faults_and_closes_after_one_success() {
    let breaker = Breaker::new(3, TimeDelta::seconds(30));
    let id = to("ID");
    for shown in [ACCOUNT, ACCOUNT, Shown::Well, Shown::Well, Shown::Well] {
        assert_eq!(breaker.tell(&id, shown, at(0)), None);
    }
    assert_eq!(breaker.tell(&id, ACCOUNT, at(1)), Some(Scope::Account));
    assert_eq!(breaker.ask(&id, true, at(2)), closed(Scope::Account, 29));
    breaker.tell(&id, Shown::Well, at(3));
    assert!(breaker.is_open("ID", at(3)), "an answer from before does not close it");

    assert_eq!(breaker.ask(&id, true, at(31)), Permission::Go);
    assert_eq!(breaker.ask(&id, true, at(31)), closed(Scope::Account, 2), "one at a time");
    assert!(breaker.is_probing(at(32)) && !breaker.is_probing(at(33)), "and the others wait for it, not for long");
    breaker.tell(&id, Shown::Nothing, at(31));
    assert_eq!(breaker.ask(&id, true, at(31)), Permission::Go, "the first did not take place");
    assert_eq!(breaker.tell(&id, ACCOUNT, at(32)), Some(Scope::Account));
    assert_eq!(breaker.ask(&id, true, at(62)), Permission::Go);
    breaker.tell(&id, Shown::Well, at(63));
    assert_eq!(breaker.ask(&id, true, at(63)), Permission::Go);
    assert!(!breaker.is_open("ID", at(63)) && !breaker.is_probing(at(63)));
}

#[test]
fn faults_in_a_row_among_many_good_sends_do_not_open_it_and_an_outage_does_within_seconds() {
    let breaker = Breaker::new(8, TimeDelta::seconds(30));
    let id = to("ID");
    // 20 a second; then eight faults in a row.
    for i in 0..200 {
        breaker.tell(&id, Shown::Well, at(i / 20));
    }
    for _ in 0..8 {
        assert_eq!(breaker.tell(&id, ACCOUNT, at(10)), None, "8 of 188");
    }
    let opened = (0..200).find(|i| breaker.tell(&id, ACCOUNT, at(11 + i / 20)).is_some());
    assert!((60..=120).contains(&opened.unwrap()), "{opened:?}: when half of ten seconds are faults");

    // One a minute: the last sixteen count.
    let breaker = Breaker::new(3, TimeDelta::seconds(30));
    assert_eq!([0, 60, 120].map(|s| breaker.tell(&id, ACCOUNT, at(s)).is_some()), [false, false, true]);
    // What is older than five minutes is forgotten.
    let breaker = Breaker::new(3, TimeDelta::seconds(30));
    assert_eq!([0, 200, 400, 601].map(|s| breaker.tell(&id, ACCOUNT, at(s)).is_some()), [false; 4]);
}

#[test]
fn a_refusal_about_a_part_closes_that_part_at_once_and_nothing_else() {
    for (scope, at_fault, others) in [
        (Scope::Country, to("PK"), [to("ID"), in_language("BR", "pt_BR")]),
        (Scope::Sender, to("US"), [to("ID"), to("GB")]),
        (Scope::Template, in_language("BR", "pt_BR"), [to("BR"), to("ID")]),
    ] {
        let breaker = Breaker::new(8, TimeDelta::seconds(30));
        for _ in 0..50 {
            assert_eq!(breaker.tell(&to("ID"), Shown::Nothing, at(0)), None, "about a person");
        }
        assert_eq!(breaker.tell(&at_fault, Shown::Fault(scope), at(0)), Some(scope));
        assert_eq!(breaker.tell(&at_fault, Shown::Fault(scope), at(0)), None, "it is closed already");
        assert_eq!(breaker.ask(&at_fault, true, at(1)), closed(scope, 29));
        assert_eq!(breaker.ask(&at_fault, false, at(1)), Permission::Go, "nothing else is left to try");
        for other in &others {
            assert_eq!(breaker.ask(other, true, at(1)), Permission::Go, "{scope} {other:?}");
            breaker.tell(other, Shown::Well, at(1));
        }
        assert_eq!(breaker.ask(&at_fault, true, at(2)), closed(scope, 28), "{scope}: others say nothing of it");

        assert_eq!(breaker.ask(&at_fault, true, at(30)), Permission::Go, "one tries");
        assert_eq!(breaker.ask(&at_fault, true, at(30)), closed(scope, 2));
        breaker.tell(&at_fault, Shown::Well, at(31));
        assert_eq!(breaker.ask(&at_fault, true, at(31)), Permission::Go);
    }
}

#[test]
fn the_one_send_that_tries_an_account_is_none_that_is_bound_to_be_refused() {
    let breaker = Breaker::new(2, TimeDelta::seconds(30));
    breaker.tell(&to("PK"), Shown::Fault(Scope::Country), at(25));
    breaker.tell(&to("ID"), ACCOUNT, at(0));
    breaker.tell(&to("ID"), ACCOUNT, at(0));
    assert_eq!(breaker.ask(&to("PK"), true, at(30)), closed(Scope::Country, 25));
    assert_eq!(breaker.ask(&to("ID"), true, at(30)), Permission::Go, "it is this one that tries");
    // An answer about a person tells nothing of the account: the next one tries.
    assert_eq!(breaker.tell(&to("ID"), Shown::Nothing, at(30)), None);
    assert_eq!(breaker.ask(&to("GB"), true, at(30)), Permission::Go);
}

#[test]
fn a_template_can_be_passed_by_before_anything_is_asked() {
    let breaker = Breaker::new(8, TimeDelta::seconds(30));
    let sending = in_language("BR", "pt_BR");
    assert_eq!(breaker.template_closed_in(&sending.template, at(0)), None);
    breaker.tell(&sending, Shown::Fault(Scope::Template), at(0));
    assert_eq!(breaker.template_closed_in(&sending.template, at(10)), Some(TimeDelta::seconds(20)));
    assert!(!breaker.is_open("BR", at(10)), "there may be another language");
    assert_eq!(breaker.template_closed_in(&sending.template, at(30)), None);
}
