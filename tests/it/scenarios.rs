//! The effect of memory, receipt health and prices on simulated populations. Each test prints its figures: `cargo test
//! --test it scenarios -- --nocapture`. docs/routes.md has the latest ones.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use otpost::config::{PriceSettings, RouteOptions, Settings};
use otpost::domain::channel::Channel;
use otpost::domain::prices::PriceList;
use otpost::domain::routing::{Order, WhenSilent};
use otpost::simulator::{Laws, Mode, SeenMessage};
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, with_settings};

/// A message that was requested.
struct Asked {
    to: String,
    at: DateTime<Utc>,
}

/// Requests a code for each of `numbers`, at this rate.
async fn ask(app: &TestApp, numbers: &[String], per_second: usize, more: &Value) -> Vec<Asked> {
    let mut asked = Vec::new();
    for second in numbers.chunks(per_second) {
        for to in second {
            let mut body = more.clone();
            body["to"] = json!(to);
            let (status, answer) = app.post("/v1/messages", body).await;
            assert_eq!(status, 202, "{answer}");
            asked.push(Asked { to: to.clone(), at: answer["created_at"].as_str().unwrap().parse().unwrap() });
        }
        app.pass(Duration::from_secs(1)).await;
    }
    asked
}

/// Seconds from the request until the first copy of its code was on the handset; infinite when none ever was.
fn waits(app: &TestApp, asked: &[Asked]) -> Vec<f64> {
    let mut seen: HashMap<String, Vec<SeenMessage>> = HashMap::new();
    for message in app.sim.messages(None, usize::MAX) {
        seen.entry(message.to.clone()).or_default().push(message);
    }
    let wait = |asked: &Asked| {
        let of_number = seen.get(&asked.to).map_or(&[][..], Vec::as_slice);
        // The first request that came after it has its code.
        let code = of_number.iter().find(|m| m.received_at >= asked.at).and_then(|m| m.code.clone());
        let copies = of_number.iter().filter(|m| m.code == code && m.received_at >= asked.at);
        let first = copies.filter_map(|m| m.handset_at).min();
        first.map_or(f64::INFINITY, |at| (at - asked.at).as_seconds_f64())
    };
    asked.iter().map(wait).collect()
}

fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

fn share_within(waits: &[f64], seconds: f64) -> f64 {
    waits.iter().filter(|wait| **wait <= seconds).count() as f64 / waits.len() as f64
}

fn numbers(prefix: &str, count: usize) -> Vec<String> {
    // Numbers end from 1000 on, where none has a fate.
    (0..count).map(|n| format!("{prefix}{:04}", 1000 + n)).collect()
}

/// The defaults of a real installation where tests have shorter ones.
fn as_installed(settings: &mut Settings) {
    settings.route.replace_after_s = 30;
    for purpose in settings.purposes.values_mut() {
        purpose.replace_after_s = 30;
    }
}

/// One in five is not on WhatsApp: for half of them Meta says so after a second, for the others nothing is reported.
async fn three_logins(remember: bool) -> Vec<[f64; 4]> {
    const PEOPLE: usize = 200;
    let mut medians = Vec::new();
    let change = |settings: &mut Settings| {
        as_installed(settings);
        settings.health.watch = false;
        if !remember {
            settings.memory.remember_for = None;
        }
    };
    with_settings(change, async |app| {
        app.sim.set_laws(Laws::default());
        let people = numbers("+62812345", PEOPLE);
        let without: Vec<bool> = (0..PEOPLE).map(|n| n % 5 == 0).collect();
        for (n, to) in people.iter().enumerate().filter(|(n, _)| without[*n]) {
            let fate = if n % 10 == 0 { "failed" } else { "silent" };
            app.sim.set_fate(to, serde_json::from_value(json!({ "whatsapp": fate })).unwrap());
        }
        for _ in 0..3 {
            let asked = ask(app, &people, 20, &json!({})).await;
            app.pass(Duration::from_secs(50)).await;
            let all = waits(app, &asked);
            let of: Vec<f64> = all.iter().zip(&without).filter(|(_, w)| **w).map(|(wait, _)| *wait).collect();
            medians.push([percentile(&all, 0.5), percentile(&all, 0.95), percentile(&of, 0.5), percentile(&of, 0.95)]);
        }
    })
    .await;
    medians
}

#[tokio::test]
async fn with_memory_the_second_code_does_not_wait_for_a_channel_that_never_worked() {
    let (without, with) = (three_logins(false).await, three_logins(true).await);
    println!("\nseconds to the code             all, median  all, p95   not on WhatsApp, median   p95");
    for (name, rounds) in [("without memory", &without), ("with memory", &with)] {
        for (n, [all, all_95, of, of_95]) in rounds.iter().enumerate() {
            println!("{name:15} message {}       {all:11.1} {all_95:9.1} {of:24.1} {of_95:6.1}", n + 1);
        }
    }
    assert!(without.iter().all(|round| round[3] > 30.0), "the silent ones wait each time");
    assert!(with[0][3] > 30.0 && with[1][3] < 10.0 && with[2][3] < 10.0, "and with memory only once");
    assert!((with[2][0] - without[2][0]).abs() < 1.0, "nobody else notices");
}

struct Silent {
    /// Seconds from the beginning of the silence.
    detected_after: Option<f64>,
    /// SMS to phones that had the code by WhatsApp, or were about to.
    needless: usize,
    sms: usize,
    /// Seconds from the end of the silence until WhatsApp goes first again.
    back_after: Option<f64>,
}

/// Meta delivers, but its callbacks are lost for two minutes; five messages a second.
async fn two_silent_minutes(policy: WhenSilent) -> Silent {
    let mut result = Silent { detected_after: None, needless: 0, sms: 0, back_after: None };
    let change = |settings: &mut Settings| {
        as_installed(settings);
        settings.route.options.when_silent = policy;
        settings.health.watch = policy != WhenSilent::Ignore;
        settings.memory.remember_for = None;
    };
    with_settings(change, async |app| {
        app.sim.set_laws(Laws::default());
        ask(app, &numbers("+62812345", 600), 5, &json!({})).await;
        app.sim.set_mode("meta-main", Mode::Silence).unwrap();
        let began = app.sim.now();
        ask(app, &numbers("+62812346", 600), 5, &json!({})).await;
        app.sim.set_mode("meta-main", Mode::Up).unwrap();
        let ended = app.sim.now();
        ask(app, &numbers("+62812347", 300), 5, &json!({})).await;
        app.pass(Duration::from_secs(40)).await;

        for phone in app.sim.phones(usize::MAX) {
            result.sms += usize::from(phone.received.sms > 0);
            result.needless += usize::from(phone.received.sms > 0 && phone.received.whatsapp > 0);
        }
        let events: Vec<(String, DateTime<Utc>)> =
            sqlx::query_as("select event, at from account_events order by at").fetch_all(&app.pool).await.unwrap();
        let first = |event: &str, since| events.iter().find(|(e, at)| e == event && *at >= since).map(|(_, at)| *at);
        result.detected_after = first("silent_began", began).map(|at| (at - began).as_seconds_f64());
        result.back_after = first("silent_ended", began).map(|at| (at - ended).as_seconds_f64());
        if policy == WhenSilent::Ignore {
            assert_eq!(events, [], "nothing is watched");
        }
    })
    .await;
    result
}

#[tokio::test]
async fn a_silence_of_two_minutes_is_heard_and_saves_needless_sms() {
    println!("\nwhen silent   detected after   SMS sent   needless   back after");
    let mut results = BTreeMap::new();
    for policy in [WhenSilent::Ignore, WhenSilent::Shorten, WhenSilent::PassBy] {
        let result = two_silent_minutes(policy).await;
        let seconds = |s: Option<f64>| s.map_or("never".to_owned(), |s| format!("{s:.1} s"));
        let (detected, back) = (seconds(result.detected_after), seconds(result.back_after));
        println!("{policy:13} {detected:>14} {:10} {:10} {back:>12}", result.sms, result.needless);
        results.insert(policy.as_str(), result);
    }
    let (ignore, pass_by) = (&results["ignore"], &results["pass_by"]);
    assert!(pass_by.detected_after.is_some_and(|s| s < 15.0), "{:?}", pass_by.detected_after);
    assert!(pass_by.back_after.is_some_and(|s| s < 30.0), "{:?}", pass_by.back_after);
    assert!(
        ignore.needless > 400 && pass_by.needless * 3 < ignore.needless,
        "{} {}",
        ignore.needless,
        pass_by.needless
    );
}

/// Prices in dollars and shares of people: invented, in realistic proportions. For half of those who are not on
/// WhatsApp the provider says so; for the others nothing is reported.
const COUNTRIES: [Country; 6] = [
    Country { name: "ID", prefix: "+62812345", whatsapp: "0.025", sms: "0.320", on_whatsapp: 0.92, sms_arrives: 0.90 },
    Country { name: "IN", prefix: "+91987654", whatsapp: "0.002", sms: "0.080", on_whatsapp: 0.95, sms_arrives: 0.88 },
    Country { name: "BR", prefix: "+551196123", whatsapp: "0.031", sms: "0.050", on_whatsapp: 0.97, sms_arrives: 0.95 },
    Country { name: "DE", prefix: "+491512345", whatsapp: "0.077", sms: "0.110", on_whatsapp: 0.88, sms_arrives: 0.98 },
    Country { name: "US", prefix: "+1202555", whatsapp: "0.014", sms: "0.008", on_whatsapp: 0.30, sms_arrives: 0.98 },
    Country { name: "VN", prefix: "+8491234", whatsapp: "0.030", sms: "0.060", on_whatsapp: 0.12, sms_arrives: 0.96 },
];

struct Country {
    name: &'static str,
    prefix: &'static str,
    whatsapp: &'static str,
    sms: &'static str,
    on_whatsapp: f64,
    sms_arrives: f64,
}

fn price_list(account: &str, price: impl Fn(&Country) -> &'static str) -> PriceSettings {
    let one = |c: &Country| (c.name.to_owned(), format!("{} USD", price(c)).parse().unwrap());
    let countries = COUNTRIES.iter().map(one).collect();
    let list = PriceList { from: "2020-01-01".parse().unwrap(), until: None, countries, other: None };
    PriceSettings { name: account.to_owned(), account: account.to_owned(), list }
}

const PEOPLE_PER_COUNTRY: usize = 120;

/// Whether the `n`-th of a group belongs to this share of it; evenly spread.
fn is_among(n: usize, share: f64) -> bool {
    ((n + 1) as f64 * share).floor() > (n as f64 * share).floor()
}

/// Dollars paid, the share of people who had the code within 15 s, and the same of the second half of them, when the first
/// half has shown how well each account delivers.
type Result = (f64, f64, f64);

/// Everybody requests one code, all countries at the same time. By country.
async fn six_countries(way: RouteOptions) -> Vec<Result> {
    let mut results = Vec::new();
    let change = |settings: &mut Settings| {
        as_installed(settings);
        settings.route.options = way;
        settings.memory.remember_for = None;
        settings.prices = vec![price_list("meta-main", |c| c.whatsapp), price_list("ycloud-sms", |c| c.sms)];
    };
    with_settings(change, async |app| {
        app.sim.set_laws(Laws::default());
        let people: Vec<Vec<String>> = COUNTRIES.iter().map(|c| numbers(c.prefix, PEOPLE_PER_COUNTRY)).collect();
        for (country, people) in COUNTRIES.iter().zip(&people) {
            for (n, to) in people.iter().enumerate() {
                let mut fate = json!({});
                if !is_among(n, country.on_whatsapp) {
                    fate["whatsapp"] = json!(if n % 2 == 0 { "failed" } else { "silent" });
                }
                // Another order than that of WhatsApp, so that the two are not lost by the same people.
                if !is_among(PEOPLE_PER_COUNTRY - n, country.sms_arrives) {
                    fate["sms"] = json!("silent");
                }
                app.sim.set_fate(to, serde_json::from_value(fate).unwrap());
            }
        }
        let mixed: Vec<String> =
            (0..PEOPLE_PER_COUNTRY).flat_map(|n| people.iter().map(move |p| p[n].clone())).collect();
        let asked = ask(app, &mixed, COUNTRIES.len(), &json!({})).await;
        app.pass(Duration::from_secs(60)).await;
        let waits = waits(app, &asked);
        for (country, people) in COUNTRIES.iter().zip(&people) {
            let of: Vec<f64> =
                asked.iter().zip(&waits).filter(|(a, _)| people.contains(&a.to)).map(|(_, wait)| *wait).collect();
            let dollars: f64 = people.iter().map(|to| paid(app, country, to)).sum();
            results.push((dollars, share_within(&of, 15.0), share_within(&of[of.len() / 2..], 15.0)));
        }
    })
    .await;
    results
}

/// WhatsApp is charged when it is delivered, an SMS when it is sent.
fn paid(app: &TestApp, country: &Country, to: &str) -> f64 {
    let phone = app.sim.phone(to);
    let price = |text: &str| text.parse::<f64>().unwrap();
    let (whatsapp, sms) = (phone.received.of(Channel::Whatsapp), phone.accepted.of(Channel::Sms));
    whatsapp as f64 * price(country.whatsapp) + sms as f64 * price(country.sms)
}

#[tokio::test]
async fn routes_chosen_by_price_and_delivery_are_nearly_the_cheapest_and_the_most_timely() {
    let whatsapp_first = six_countries(RouteOptions::listed(["meta-main", "ycloud-sms"])).await;
    let sms_first = six_countries(RouteOptions::listed(["ycloud-sms", "meta-main"])).await;
    let chosen =
        six_countries(RouteOptions { order: Order::Cheapest, ..RouteOptions::listed(["meta-main", "ycloud-sms"]) })
            .await;
    println!(
        "\n{PEOPLE_PER_COUNTRY} people each   always WhatsApp first   always SMS first      chosen      second half"
    );
    let cell = |(dollars, share, _): &Result| format!("{dollars:7.2} $  {:5.1} %", share * 100.0);
    let second = |(_, _, share): &Result| format!("{:5.1} %", share * 100.0);
    for (n, country) in COUNTRIES.iter().enumerate() {
        let Country { name, .. } = country;
        let (a, b, c) = (&whatsapp_first[n], &sms_first[n], &chosen[n]);
        println!("{name:17} {}      {}      {}   {}", cell(a), cell(b), cell(c), second(c));
    }
    let total = |results: &[Result]| {
        let mean = |of: fn(&Result) -> f64| results.iter().map(of).sum::<f64>() / results.len() as f64;
        (results.iter().map(|result| result.0).sum::<f64>(), mean(|result| result.1), mean(|result| result.2))
    };
    let (a, b, c) = (total(&whatsapp_first), total(&sms_first), total(&chosen));
    println!("{:17} {}      {}      {}   {}", "all", cell(&a), cell(&b), cell(&c), second(&c));
    assert!(c.0 < b.0 / 2.0 && c.0 < a.0 * 1.1, "it costs about as little as the cheaper order: {c:?} {a:?} {b:?}");
    assert!(c.1 > a.1 + 0.05 && c.1 > b.1 - 0.02, "and no fewer people have their code in time: {c:?} {a:?} {b:?}");
    assert!(c.2 > b.1, "and more, once it is known who delivers where: {c:?} {b:?}");
}
