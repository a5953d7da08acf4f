use chrono::TimeDelta;

use super::*;

fn at(minutes: f64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_789_171_200, 0).unwrap() + TimeDelta::milliseconds((minutes * 60_000.0) as i64)
}

fn asked() -> SmsAsked {
    SmsAsked {
        app: AppId::stored("shop"),
        country: "ID".to_owned(),
        prefix: "+62812345".to_owned(),
        price_micros: 40_000,
    }
}

/// Everything enforced.
fn rules() -> SmsRules {
    let mut rules = SmsRules::default();
    rules.set_usual(Mode::Enforce);
    rules
}

/// Asks for an SMS and counts it if no rule refuses. Returns the rules that do.
fn ask(records: &mut SmsRecords, rules: &SmsRules, now: DateTime<Utc>) -> Vec<SmsRule> {
    let refused: Vec<SmsRule> = records.judge(&asked(), rules, now).into_iter().map(|refusal| refusal.rule).collect();
    if refused.is_empty() {
        records.note_sent(&asked(), now);
    }
    refused
}

fn verify(records: &mut SmsRecords, sent_at: DateTime<Utc>, now: DateTime<Utc>) {
    for record in [&mut records.prefix, &mut records.country, &mut records.app] {
        record.note_verified(sent_at, now);
    }
}

#[test]
fn a_pump_uses_its_budget_up_and_no_more() {
    for every_s in [0.1, 1.0, 20.0, 120.0, 600.0] {
        let mut records = SmsRecords::default();
        let mut left = 0;
        let mut minutes = 0.0;
        while minutes < 24.0 * 60.0 && minutes * 60.0 / every_s < 20_000.0 {
            left += usize::from(ask(&mut records, &rules(), at(minutes)).is_empty());
            minutes += every_s / 60.0;
        }
        assert!(left <= 30, "{left} in a day, one every {every_s} s");
        assert!(left >= 15, "{left}");
    }
}

#[test]
fn honest_people_are_never_refused() {
    // Nine of ten enter their code after half a minute; a thousand of them in a day, in one range.
    let mut records = SmsRecords::default();
    let mut refused = 0;
    for n in 0..1_000 {
        let sent_at = at(f64::from(n));
        refused += usize::from(!ask(&mut records, &rules(), sent_at).is_empty());
        if n % 10 != 0 {
            verify(&mut records, sent_at, sent_at + TimeDelta::seconds(30));
        }
    }
    assert_eq!(refused, 0);
}

#[test]
fn a_code_that_comes_back_gives_its_unit_back() {
    let mut records = SmsRecords::default();
    for _ in 0..15 {
        assert_eq!(ask(&mut records, &rules(), at(0.0)), []);
    }
    assert_eq!(ask(&mut records, &rules(), at(1.0)), [SmsRule::PrefixBudget]);
    verify(&mut records, at(0.0), at(1.0));
    assert_eq!(ask(&mut records, &rules(), at(1.0)), []);
    assert_eq!(ask(&mut records, &rules(), at(1.0)), [SmsRule::PrefixBudget]);
    // Another hour, and the same day.
    for n in 0..15 {
        assert_eq!(ask(&mut records, &rules(), at(70.0)), [], "{n}");
    }
    assert!(ask(&mut records, &rules(), at(70.0)).contains(&SmsRule::PrefixBudget), "30 are outstanding in this day");
}

#[test]
fn a_range_whose_codes_hardly_come_back_is_closed_for_an_hour_then_for_two() {
    let mut loose = rules();
    loose.prefix = Budget { floor_per_hour: 10_000, floor_per_day: 100_000 };
    let mut records = SmsRecords::default();
    let fill = |records: &mut SmsRecords, minute: f64| {
        for _ in 0..60 {
            records.note_sent(&asked(), at(minute));
        }
    };
    fill(&mut records, 0.0);
    verify(&mut records, at(0.0), at(1.0));
    assert_eq!(ask(&mut records, &loose, at(4.0)), [], "too young to judge");
    assert_eq!(ask(&mut records, &loose, at(11.0)), [SmsRule::PrefixConversion]);
    assert_eq!(ask(&mut records, &loose, at(70.9)), [SmsRule::PrefixConversion]);
    assert_eq!(ask(&mut records, &loose, at(71.0)), []);
    fill(&mut records, 75.0);
    assert_eq!(ask(&mut records, &loose, at(90.0)), [SmsRule::PrefixConversion]);
    assert_eq!(ask(&mut records, &loose, at(209.9)), [SmsRule::PrefixConversion], "two hours");
    assert_eq!(ask(&mut records, &loose, at(210.0)), []);

    let mut good = SmsRecords::default();
    fill(&mut good, 0.0);
    (0..12).for_each(|_| verify(&mut good, at(0.0), at(1.0)));
    assert_eq!(ask(&mut good, &loose, at(11.0)), [], "a fifth came back");
}

#[test]
fn a_country_is_judged_by_what_is_usual_for_it() {
    let mut loose = rules();
    loose.prefix = Budget { floor_per_hour: 10_000, floor_per_day: 100_000 };
    loose.country = loose.prefix;
    loose.set(SmsRule::PrefixConversion, Mode::Off);
    let mut records = SmsRecords::default();
    let fill = |records: &mut SmsRecords, minute: f64, verified: usize| {
        (0..200).for_each(|_| records.note_sent(&asked(), at(minute)));
        (0..verified).for_each(|_| verify(records, at(minute), at(minute)));
    };
    fill(&mut records, 0.0, 180);
    assert_eq!(ask(&mut records, &loose, at(11.0)), []);
    // Two days later a tenth comes back, where nine tenths are usual.
    fill(&mut records, 2_880.0, 20);
    assert_eq!(ask(&mut records, &loose, at(2_891.0)), [SmsRule::CountryConversion]);
}

#[test]
fn a_cap_is_hard_and_warns_before() {
    let mut capped = rules();
    capped.app_cap_micros = 400_000;
    let mut records = SmsRecords::default();
    let mut alarms = Vec::new();
    for _ in 0..10 {
        let before = records.app.spent_today(at(0.0));
        assert_eq!(ask(&mut records, &capped, at(0.0)), []);
        alarms.extend(alarm(before, records.app.spent_today(at(0.0)), capped.app_cap_micros));
    }
    assert_eq!(alarms, [50, 80]);
    assert_eq!(ask(&mut records, &capped, at(0.0)), [SmsRule::AppCap]);
    assert_eq!(records.app.spent_today(at(0.0)), 400_000);
    assert_eq!(records.app.spent_today(at(1_440.0)), 0, "another day");
}

#[test]
fn what_an_operator_decided_comes_first_and_a_listed_country_next() {
    let mut listed = rules();
    listed.countries = Some(BTreeSet::from(["BR".to_owned()]));
    let mut records = SmsRecords::default();
    assert_eq!(ask(&mut records, &listed, at(0.0)), [SmsRule::Country]);
    records.exceptions = vec![Exception::Allow];
    assert_eq!(ask(&mut records, &listed, at(0.0)), []);
    records.exceptions = vec![Exception::Allow, Exception::Block];
    assert_eq!(ask(&mut records, &listed, at(0.0)), [SmsRule::Blocked]);
}

#[test]
fn rules_are_recorded_until_they_are_enforced() {
    let rules = SmsRules::default();
    assert_eq!(rules.mode(SmsRule::PrefixBudget), Mode::Record);
    for expressly in [SmsRule::Country, SmsRule::Blocked, SmsRule::AppCap, SmsRule::CountryCap] {
        assert_eq!(rules.mode(expressly), Mode::Enforce);
    }
    assert!(!rules.is_off());
}

/// Plays seeded strategies of an attacker against the rules, and looks for one that gets more than the stated ceiling.
mod search {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ids::{Bucket, MessageId};
    use crate::limits::sends::{NumberSends, Sending};
    use crate::limits::window::{Window, start_of};
    use crate::limits::{LimitRule, Limits};
    use crate::phone::Phone;

    /// Strategies in the gate; `OTPOST_TEST_STRATEGIES` for more.
    const STRATEGIES: u64 = 3_000;

    struct Random(u64);

    impl Random {
        fn below(&mut self, most: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % most
        }

        fn pick<T: Copy>(&mut self, from: &[T]) -> T {
            from[self.below(from.len() as u64) as usize]
        }
    }

    /// The service as the attacker meets it: the limits of messages, then the guard of SMS.
    struct Service {
        limits: Limits,
        rules: SmsRules,
        numbers: BTreeMap<(u64, u64), NumberSends>,
        prefixes: BTreeMap<u64, (Window, SmsRecord)>,
        country: SmsRecord,
        app: SmsRecord,
        app_window: Window,
        id: MessageId,
    }

    impl Service {
        fn new(limits: Limits, rules: SmsRules) -> Self {
            let id = MessageId::new(at(0.0), Bucket::of(&Phone::parse("+628123450003").unwrap()), [1; 8]);
            let app_window = Window { started_at: start_of(at(0.0)), current: 0, previous: 0 };
            let (country, app) = (SmsRecord::default(), SmsRecord::default());
            Self { limits, rules, numbers: BTreeMap::new(), prefixes: BTreeMap::new(), country, app, app_window, id }
        }

        /// One message, or one resend of it: whether an SMS leaves.
        fn sms(&mut self, prefix: u64, number: u64, what: Sending, now: DateTime<Utc>) -> bool {
            let sends = self.numbers.entry((prefix, number)).or_default();
            if sends.refuse(what, "login", &self.limits, now).is_some() {
                return false;
            }
            let empty = (Window { started_at: start_of(now), current: 0, previous: 0 }, SmsRecord::default());
            let (window, record) = self.prefixes.entry(prefix).or_insert(empty);
            let (per_prefix, per_app) =
                (self.limits.of(LimitRule::PrefixPerHour), self.limits.of(LimitRule::AppPerHour));
            if window.grant(1, per_prefix, now) == 0 || self.app_window.grant(1, per_app, now) == 0 {
                return false;
            }
            for window in [&mut *window, &mut self.app_window] {
                *window = window.at(now);
                window.current += 1;
            }
            sends.note(what, "login", self.id, now);
            let mut records = SmsRecords {
                prefix: record.clone(),
                country: self.country.clone(),
                app: self.app.clone(),
                exceptions: Vec::new(),
            };
            let leaves = ask(&mut records, &self.rules, now).is_empty();
            (*record, self.country, self.app) = (records.prefix, records.country, records.app);
            leaves
        }

        fn verify(&mut self, prefix: u64, sent_at: DateTime<Utc>, now: DateTime<Utc>) {
            if let Some((_, record)) = self.prefixes.get_mut(&prefix) {
                record.note_verified(sent_at, now);
            }
            self.country.note_verified(sent_at, now);
            self.app.note_verified(sent_at, now);
        }
    }

    /// The most within any window of this length.
    fn most(times: &[i64], length_s: i64) -> i64 {
        let mut first = 0;
        let mut most = 0;
        for (last, at) in times.iter().enumerate() {
            while times[first] <= at - length_s {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        most as i64
    }

    #[test]
    fn no_strategy_gets_more_than_the_stated_ceiling() {
        let strategies =
            std::env::var("OTPOST_TEST_STRATEGIES").ok().and_then(|n| n.parse().ok()).unwrap_or(STRATEGIES);
        let mut highest: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for seed in 0..strategies {
            let mut random = Random(seed);
            let limits = Limits::default()
                .with(LimitRule::PrefixPerHour, random.pick(&[20, 60]))
                .with(LimitRule::AppPerHour, random.pick(&[200, 400]));
            let mut rules = rules();
            rules.country = Budget { floor_per_hour: random.pick(&[40, 100]), floor_per_day: random.pick(&[100, 300]) };
            rules.app_cap_micros = random.pick(&[2_000_000, 8_000_000]);
            rules.country_cap_micros = random.pick(&[1_000_000, 8_000_000]);
            let exposure = Exposure {
                limits: &limits,
                limits_mode: Mode::Enforce,
                rules: &rules,
                sms_per_message: 1,
                least_price_micros: asked().price_micros,
            };
            let [_, of_prefix, of_country, of_app] = ceilings(&exposure);
            // The strategy: how many ranges and numbers, how fast, which part enters its code, resends, pauses, bursts.
            let (ranges, numbers) = (random.pick(&[1, 2, 8, 40]), random.pick(&[1, 20, 1_000]));
            let pace_s = random.pick(&[1, 5, 30, 120, 600]);
            let converts = random.pick(&[0, 0, 2, 10, 40, 100]);
            let resends = random.pick(&[0, 0, 30]);
            let burst = random.pick(&[1, 1, 20]);
            let starts = random.below(3_600) as i64;
            let mut service = Service::new(limits, rules.clone());
            let (mut all, mut by_prefix, mut bogus) = (Vec::new(), BTreeMap::<u64, Vec<i64>>::new(), Vec::new());
            let mut bogus_by_prefix = BTreeMap::<u64, Vec<i64>>::new();
            let mut now_s = starts;
            for _ in 0..120 {
                for _ in 0..burst {
                    let (prefix, number) = (random.below(ranges), random.below(numbers));
                    let what = if random.below(100) < resends { Sending::Again } else { Sending::New };
                    let now = at(0.0) + TimeDelta::seconds(now_s);
                    if service.sms(prefix, number, what, now) {
                        all.push(now_s);
                        by_prefix.entry(prefix).or_default().push(now_s);
                        if random.below(100) < converts {
                            service.verify(prefix, now, now + TimeDelta::seconds(20));
                        } else {
                            bogus.push(now_s);
                            bogus_by_prefix.entry(prefix).or_default().push(now_s);
                        }
                    }
                }
                now_s += pace_s * burst as i64;
            }
            let mut holds = |name: &'static str, times: &[i64], bounds: [Option<Bound>; 2]| {
                for (bound, length) in bounds.into_iter().zip([3_600, 86_400]) {
                    let Some(bound) = bound else { continue };
                    let got = most(times, length);
                    assert!(got <= bound.sms, "seed {seed}: {name} got {got}, and {bound:?} is stated");
                    let one = highest.entry(name).or_insert((0, 1));
                    if got * one.1 > one.0 * bound.sms {
                        *one = (got, bound.sms);
                    }
                }
            };
            holds("app", &all, of_app.any);
            holds("country", &all, of_country.any);
            by_prefix.values().for_each(|times| holds("range", times, of_prefix.any));
            // Who enters codes raises the budget; the stated bound is of those who enter none.
            if converts == 0 {
                holds("country, no code entered", &bogus, of_country.unverified);
                bogus_by_prefix.values().for_each(|times| holds("range, no code entered", times, of_prefix.unverified));
            }
        }
        for (name, (got, bound)) in highest {
            println!("{strategies} strategies, {name}: at most {got} of {bound}");
        }
    }
}
