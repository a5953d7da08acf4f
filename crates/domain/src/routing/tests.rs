use std::cell::Cell;
use std::sync::LazyLock;

use super::*;

/// What a test says about the accounts.
#[derive(Default)]
struct Known {
    open: Vec<&'static str>,
    silent: Vec<&'static str>,
    probes: Cell<u32>,
    weights: Vec<(&'static str, f64)>,
    /// Account, country, on-time share.
    shares: Vec<(&'static str, &'static str, f64)>,
    draws: Cell<u64>,
}

impl Knowledge for Known {
    fn is_open(&self, account: &str, _country: &str) -> bool {
        self.open.contains(&account)
    }

    fn health(&self, account: &str, country: &str) -> Health {
        Health {
            receipts: if self.silent.contains(&account) { ReceiptHealth::Silent } else { ReceiptHealth::Arriving },
            weight: self.weights.iter().find(|(name, _)| *name == account).map_or(1.0, |(_, weight)| *weight),
            in_time: self.shares.iter().find(|(a, c, _)| (*a, *c) == (account, country)).map(|(_, _, share)| *share),
        }
    }

    fn may_probe(&self, _account: &str) -> bool {
        let left = self.probes.get();
        self.probes.set(left.saturating_sub(1));
        left > 0
    }

    /// SplitMix64: the same values in every run.
    fn draw(&self) -> f64 {
        let state = self.draws.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.draws.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn pool(channel: Channel, accounts: &[(&str, f64)], choose: Choose) -> Pool {
    let accounts = accounts.iter().map(|(a, weight)| Weighted { account: (*a).to_owned(), weight: *weight }).collect();
    Pool { channel, accounts, choose }
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn rule(name: &str, steps: Vec<Pool>) -> Rule {
    Rule {
        name: name.to_owned(),
        fits: Fits::default(),
        steps,
        order: Order::Listed,
        when_silent: WhenSilent::PassBy,
        good_share: 0.8,
        replace_after_s: None,
    }
}

/// Two WhatsApp accounts, two SMS accounts; `sms-b` sends to Brazil only.
fn routing(rules: Vec<Rule>) -> Routing {
    let sender = |channel, countries| Sender { channel, countries };
    let price = |name: &str, countries: &[(&str, &str)]| {
        let countries = countries.iter().map(|(c, p)| ((*c).to_owned(), p.parse().unwrap())).collect();
        let list = crate::prices::PriceList { from: day(), until: None, countries, other: None };
        (name.to_owned(), crate::prices::AccountPrices { flat: None, lists: vec![list] })
    };
    Routing {
        rules,
        accounts: BTreeMap::from([
            ("wa-a".to_owned(), sender(Channel::Whatsapp, None)),
            ("wa-b".to_owned(), sender(Channel::Whatsapp, None)),
            ("sms-a".to_owned(), sender(Channel::Sms, None)),
            ("sms-b".to_owned(), sender(Channel::Sms, Some(set(&["BR"])))),
        ]),
        prices: Prices::new([
            price("wa-a", &[("ID", "0.03 USD"), ("BR", "0.03 USD"), ("US", "0.01 USD")]),
            price("wa-b", &[("ID", "0.02 USD"), ("BR", "0.04 USD"), ("US", "0.01 USD")]),
            price("sms-a", &[("ID", "0.30 USD"), ("BR", "0.02 USD"), ("US", "0.008 USD")]),
            price("sms-b", &[("BR", "0.01 USD")]),
        ]),
    }
}

fn day() -> NaiveDate {
    "2026-01-01".parse().unwrap()
}

static SHOP: LazyLock<AppId> = LazyLock::new(|| AppId::stored("shop"));

fn ask(country: &'static str) -> Ask<'static> {
    let e164 = match country {
        "BR" => "+5511961230002",
        "US" => "+12025550143",
        _ => "+628123450003",
    };
    Ask { e164, country, purpose: "login", app: &SHOP, channel: None, memory: Memory::default(), on: day() }
}

fn both(choose: Choose) -> Vec<Pool> {
    vec![
        pool(Channel::Whatsapp, &[("wa-a", 3.0), ("wa-b", 1.0)], choose),
        pool(Channel::Sms, &[("sms-a", 1.0), ("sms-b", 1.0)], choose),
    ]
}

/// `wa-a sms-a`; a standby has a `+`.
fn steps(chosen: &Result<Chosen, Unreachable>) -> String {
    let name = |step: &Step| format!("{}{}", if step.standby { "+" } else { "" }, step.account);
    chosen.as_ref().map_or_else(|e| format!("{e:?}"), |c| c.steps.iter().map(name).collect::<Vec<_>>().join(" "))
}

#[test]
fn the_most_specific_route_counts() {
    let named = |name: &str, fits: Fits| Rule { fits, ..rule(name, both(Choose::Cheapest)) };
    let countries = set(&["ID", "BR"]);
    let rules = vec![
        named("purpose", Fits { purposes: set(&["payment"]), ..Fits::default() }),
        named("app", Fits { apps: set(&["bank"]), ..Fits::default() }),
        named("country", Fits { countries: countries.clone(), ..Fits::default() }),
        named("country and purpose", Fits { countries, purposes: set(&["payment"]), ..Fits::default() }),
        named("prefix", Fits { prefixes: set(&["+62812"]), ..Fits::default() }),
        named("longer prefix", Fits { prefixes: set(&["+628123", "+55119"]), ..Fits::default() }),
        named("everybody", Fits::default()),
    ];
    let routing = routing(rules);
    for (e164, country, purpose, app, expected) in [
        ("+12025550143", "US", "login", "shop", "everybody"),
        ("+12025550143", "US", "payment", "shop", "purpose"),
        ("+12025550143", "US", "payment", "bank", "app"),
        ("+6281112345678", "ID", "login", "bank", "country"),
        ("+6281112345678", "ID", "payment", "shop", "country and purpose"),
        ("+628124450003", "ID", "payment", "shop", "prefix"),
        ("+628123450003", "ID", "login", "shop", "longer prefix"),
        ("+5511961230002", "BR", "payment", "shop", "longer prefix"),
    ] {
        let app = AppId::stored(app);
        let asked = Ask { e164, country, purpose, app: &app, ..ask("ID") };
        assert_eq!(routing.rule(&asked).unwrap().name, expected, "{e164} {purpose} {app}");
    }
}

#[test]
fn accounts_that_stand_by_follow_and_those_that_cannot_reach_are_left_out() {
    let routing = routing(vec![rule("all", both(Choose::Cheapest))]);
    let known = Known::default();
    for (country, expected) in [("ID", "wa-b +wa-a sms-a"), ("BR", "wa-a +wa-b sms-b +sms-a")] {
        assert_eq!(steps(&routing.choose(&ask(country), &known)), expected, "{country}");
    }
    let chosen = routing.choose(&ask("ID"), &known).unwrap();
    assert_eq!(chosen.steps[0].price, Some("0.02 USD".parse().unwrap()), "the price is frozen with the step");
    assert_eq!(chosen.why, "all");

    let only = super::tests::routing(vec![rule("all", vec![pool(Channel::Sms, &[("sms-b", 1.0)], Choose::Weight)])]);
    assert_eq!(only.choose(&ask("ID"), &known), Err(Unreachable::Country));
    let asked = Ask { channel: Some(Channel::Whatsapp), ..ask("BR") };
    assert_eq!(only.choose(&asked, &known), Err(Unreachable::Channel));
}

#[test]
fn weights_share_the_messages_and_a_slow_account_gets_fewer() {
    let routing = routing(vec![rule("all", both(Choose::Weight))]);
    let share = |known: &Known| {
        let firsts = (0..10_000).filter(|_| steps(&routing.choose(&ask("ID"), known)).starts_with("wa-a"));
        firsts.count() as f64 / 10_000.0
    };
    assert!((share(&Known::default()) - 0.75).abs() < 0.03, "three to one");
    let slow = Known { weights: vec![("wa-a", 1.0 / 3.0)], ..Known::default() };
    assert!((share(&slow) - 0.5).abs() < 0.03, "the health factor scales the weight");
    let open = Known { open: vec!["wa-a"], ..Known::default() };
    assert_eq!(share(&open).to_bits(), 0.0_f64.to_bits(), "an account with an open breaker gets nothing");
    assert_eq!(steps(&routing.choose(&ask("ID"), &open)), "wa-b +wa-a sms-a");
}

#[test]
fn the_cheapest_goes_first_among_those_that_deliver_well_enough() {
    let routing = routing(vec![Rule { order: Order::Cheapest, ..rule("all", both(Choose::Cheapest)) }]);
    let chosen = |known: &Known, country| steps(&routing.choose(&ask(country), known));
    let known = Known::default();
    assert_eq!(chosen(&known, "ID"), "wa-b +wa-a sms-a");
    assert_eq!(chosen(&known, "BR"), "sms-b +sms-a wa-a +wa-b");
    assert_eq!(chosen(&known, "US"), "sms-a wa-a +wa-b", "among equals the order counts, not the weight");
    // In Brazil the cheap SMS arrives late, and so does everything else, but less.
    let shares = vec![("sms-b", "BR", 0.5), ("sms-a", "BR", 0.85), ("wa-b", "ID", 0.1), ("wa-a", "ID", 0.79)];
    let known = Known { shares, ..Known::default() };
    assert_eq!(chosen(&known, "BR"), "sms-a +sms-b wa-a +wa-b");
    assert_eq!(chosen(&known, "ID"), "sms-a wa-b +wa-a", "no WhatsApp account is good enough");
}

#[test]
fn a_silent_account_is_passed_by_but_for_a_few_that_try() {
    let of = |when_silent| routing(vec![Rule { when_silent, ..rule("all", both(Choose::Cheapest)) }]);
    let silent = |probes| Known { silent: vec!["wa-a", "wa-b"], probes: Cell::new(probes), ..Known::default() };
    let chosen = of(WhenSilent::PassBy).choose(&ask("ID"), &silent(0));
    assert_eq!(steps(&chosen), "sms-a wa-b +wa-a");
    assert_eq!(chosen.unwrap().why, "all; silent accounts last");
    assert_eq!(steps(&of(WhenSilent::PassBy).choose(&ask("ID"), &silent(1))), "wa-a +wa-b sms-a");

    let shorter = of(WhenSilent::Shorten).choose(&ask("ID"), &silent(0)).unwrap();
    assert_eq!(shorter.replace_after_s, Some(15));
    assert_eq!(of(WhenSilent::Ignore).choose(&ask("ID"), &silent(0)).unwrap().replace_after_s, None);

    // An account that sends receipts takes the place of a silent one.
    let one = Known { silent: vec!["wa-b"], ..Known::default() };
    assert_eq!(steps(&of(WhenSilent::PassBy).choose(&ask("ID"), &one)), "wa-a +wa-b sms-a");
    // No probe is used up for a message that goes elsewhere.
    let known = silent(1);
    let memory = Memory { not_on_whatsapp: true, answers_by_sms: false };
    let _ = of(WhenSilent::PassBy).choose(&Ask { memory, ..ask("ID") }, &known);
    assert_eq!(known.probes.get(), 1);
}

#[test]
fn the_memory_of_a_number_puts_sms_first_and_a_wish_counts_more() {
    let routing = routing(vec![rule("all", both(Choose::Cheapest))]);
    let known = Known::default();
    let not_there = Memory { not_on_whatsapp: true, answers_by_sms: false };
    let by_sms = Memory { not_on_whatsapp: false, answers_by_sms: true };
    for (memory, channel, expected, why) in [
        (not_there, None, "sms-a wa-b +wa-a", "all; the number was not on WhatsApp"),
        (by_sms, None, "sms-a wa-b +wa-a", "all; the number answered by SMS"),
        (by_sms, Some(Channel::Whatsapp), "wa-b +wa-a sms-a", "all"),
        (Memory::default(), Some(Channel::Sms), "sms-a wa-b +wa-a", "all; sms as asked"),
    ] {
        let chosen = routing.choose(&Ask { memory, channel, ..ask("ID") }, &known);
        assert_eq!((steps(&chosen).as_str(), chosen.unwrap().why.as_str()), (expected, why));
    }
}

#[test]
fn routes_that_chance_would_choose_between_are_found() {
    let fits =
        |countries: &[&str], apps: &[&str]| Fits { countries: set(countries), apps: set(apps), ..Fits::default() };
    for (a, b, same) in [
        (fits(&["ID", "BR"], &[]), fits(&["BR"], &[]), true),
        (fits(&["ID"], &[]), fits(&["BR"], &[]), false),
        (fits(&["ID"], &["shop"]), fits(&["ID"], &[]), false),
        (fits(&["ID"], &["shop"]), fits(&["ID"], &["shop", "bank"]), true),
        (fits(&[], &[]), fits(&[], &[]), true),
    ] {
        assert_eq!(a.is_as_specific_as(&b), same, "{a:?} {b:?}");
    }
}
