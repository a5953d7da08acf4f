//! Every fate of the simulator, end to end, through each WhatsApp provider with each SMS provider after it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use otpost::config::Settings;
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, start, with_app, with_settings};

const WHATSAPP: [&str; 6] = ["meta-main", "ycloud-wa", "cliqtel-wa", "infobip-wa", "engagelab-wa", "http-wa"];
const SMS: [&str; 5] = ["ycloud-sms", "cliqtel-sms", "infobip-sms", "engagelab-sms", "http-sms"];

/// These accept no reference of ours, so they return none.
const NO_ECHO: [&str; 2] = ["cliqtel-wa", "engagelab-wa"];

/// The expected end of one message.
#[derive(Debug)]
struct Expected {
    digits: &'static str,
    state: &'static str,
    /// Messages on the handset: by WhatsApp, by SMS.
    handset: (u64, u64),
    /// The state of each attempt, and of its sending.
    attempts: &'static [(&'static str, &'static str)],
    /// Why the second attempt exists.
    reason: Option<&'static str>,
    timer: &'static str,
    wasted: bool,
    /// Receipts of the first attempt with their dispositions and counts; `None`: covered by another test.
    receipts: Option<&'static [(&'static str, &'static str, i64)]>,
}

/// The first attempt goes by WhatsApp, the second by SMS.
fn expected(whatsapp: &str) -> Vec<Expected> {
    let one = |digits, attempts, receipts| Expected {
        digits,
        state: "delivered",
        handset: (1, 0),
        attempts,
        reason: None,
        timer: "disarmed",
        wasted: false,
        receipts,
    };
    let replaced = |digits, reason, timer, first: &'static [(&'static str, &'static str)], receipts| Expected {
        digits,
        state: "delivered",
        handset: (0, 1),
        attempts: first,
        reason: Some(reason),
        timer,
        wasted: false,
        receipts,
    };
    let delivered: &[(&str, &str)] = &[("delivered", "accepted")];
    // Each event of YCloud's contains the times of earlier ones, and each is a receipt.
    let tells_again = whatsapp == "ycloud-wa";
    let read: &[(&str, &str, i64)] = if tells_again {
        &[
            ("delivered", "applied", 1),
            ("delivered", "duplicate", 1),
            ("read", "applied", 1),
            ("sent", "applied", 1),
            ("sent", "duplicate", 2),
        ]
    } else {
        &[("delivered", "applied", 1), ("read", "applied", 1), ("sent", "applied", 1)]
    };
    let arrived: &[(&str, &str, i64)] = if tells_again {
        &[("delivered", "applied", 1), ("delivered", "duplicate", 1), ("sent", "applied", 1), ("sent", "duplicate", 1)]
    } else {
        &[("delivered", "applied", 1), ("sent", "applied", 1)]
    };
    vec![
        one("0001", delivered, Some(read)),
        replaced(
            "0002",
            "failed",
            "disarmed",
            &[("failed", "accepted"), ("delivered", "accepted")],
            Some(&[("failed", "applied", 1)]),
        ),
        replaced("0003", "silent", "fired", &[("sent", "accepted"), ("delivered", "accepted")], None),
        Expected {
            handset: (1, 1),
            wasted: true,
            ..replaced(
                "0004",
                "silent",
                "fired",
                &[("delivered", "accepted"), ("delivered", "accepted")],
                // Providers that can be queried are, before the deadline, and report the same again.
                Some(match whatsapp {
                    "meta-main" | "infobip-wa" | "vonage-wa" | "engagelab-wa" | "engagelab-wa-plain" => {
                        &[("delivered", "applied", 1), ("sent", "applied", 1)]
                    }
                    "ycloud-wa" => &[("delivered", "applied", 1), ("sent", "applied", 1), ("sent", "duplicate", 2)],
                    _ => &[("delivered", "applied", 1), ("sent", "applied", 1), ("sent", "duplicate", 1)],
                }),
            )
        },
        Expected {
            state: "failed",
            handset: (0, 0),
            ..replaced(
                "0005",
                "failed",
                "disarmed",
                &[("failed", "accepted"), ("failed", "accepted")],
                Some(&[("failed", "applied", 1)]),
            )
        },
        one("0006", delivered, None),
        // Without our reference, an early receipt waits for the id, and is then applied in any order.
        one("0007", delivered, (!NO_ECHO.contains(&whatsapp)).then_some(arrived)),
        // Meta's code says "not accepted"; with the others it is unknown whether the message was sent.
        if whatsapp == "meta-main" {
            one("0008", delivered, Some(&[("delivered", "applied", 1), ("sent", "applied", 1)]))
        } else {
            replaced("0008", "silent", "fired", &[("accepted", "unknown"), ("delivered", "accepted")], Some(&[]))
        },
        replaced("0009", "silent", "fired", &[("accepted", "unknown"), ("delivered", "accepted")], Some(&[])),
        replaced("0010", "failed", "disarmed", &[("failed", "rejected"), ("delivered", "accepted")], Some(&[])),
        Expected {
            handset: (1, 1),
            wasted: true,
            ..replaced(
                "0011",
                "failed",
                "disarmed",
                &[("delivered", "accepted"), ("delivered", "accepted")],
                Some(&[("delivered", "contradictory", 1), ("failed", "applied", 1)]),
            )
        },
        one("0012", delivered, Some(&[("delivered", "applied", 1)])),
    ]
}

fn number(expected: &Expected) -> String {
    format!("+62812345{}", expected.digits)
}

fn route(steps: &[&str]) -> impl FnOnce(&mut Settings) + use<> {
    let steps: Vec<String> = steps.iter().map(|s| (*s).to_owned()).collect();
    move |settings| settings.route.options.steps = steps
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap_or_else(|| panic!("not a time: {value}")).parse().expect("a time")
}

async fn receipts_of(app: &TestApp, id: &str, attempt_no: i16) -> Vec<(String, String, i64)> {
    sqlx::query_as(
        "select status, disposition, count(*) from receipts where message_id = $1::text::uuid and attempt_no = $2
          group by 1, 2 order by 1, 2",
    )
    .bind(id)
    .bind(attempt_no)
    .fetch_all(&app.pool)
    .await
    .expect("receipts")
}

async fn all_fates(whatsapp: &'static str, sms: &'static str) {
    with_settings(route(&[whatsapp, sms]), async |app| {
        let expected = expected(whatsapp);
        let mut ids = Vec::new();
        for e in &expected {
            ids.push(app.send(&number(e)).await);
        }
        app.pass(Duration::from_secs(40)).await;
        for (e, id) in expected.iter().zip(&ids) {
            fate_is(app, e, id, &[whatsapp, sms]).await;
        }
        let refusals = app.sim.refusals();
        assert!(refusals.is_empty(), "{refusals:?}");
        let unmatched: i64 =
            sqlx::query_scalar("select count(*) from unmatched_receipts").fetch_one(&app.pool).await.expect("a count");
        assert_eq!(unmatched, 0);
    })
    .await;
}

async fn fate_is(app: &TestApp, e: &Expected, id: &str, route: &[&str]) {
    let message = app.message(id).await;
    let what = format!("{} through {route:?}: {message:#}", e.digits);
    let phone = app.sim.phone(&number(e));
    assert_eq!((phone.received.whatsapp, phone.received.sms), e.handset, "{what}");
    assert_eq!(message["state"], e.state, "{what}");
    assert_eq!(message["outcome"], if e.state == "failed" { "failed" } else { "pending" }, "{what}");
    let attempts = message["attempts"].as_array().expect("attempts");
    let states: Vec<(&str, &str)> =
        attempts.iter().map(|a| (a["state"].as_str().unwrap(), a["send_state"].as_str().unwrap())).collect();
    if e.digits == "0003" {
        // "accepted, perhaps sent, then silence"
        assert!(["accepted", "sent"].contains(&states[0].0), "{what}");
        assert_eq!(&states[1..], &e.attempts[1..], "{what}");
    } else {
        assert_eq!(states, e.attempts, "{what}");
    }
    for (attempt, account) in attempts.iter().zip(route) {
        assert_eq!(attempt["account"], *account, "{what}");
    }
    let first = &attempts[0];
    assert_eq!(first["timer"], e.timer, "{what}");
    assert_eq!(first["reason"], "first", "{what}");
    if let Some(reason) = e.reason {
        let second = &attempts[1];
        assert_eq!(second["reason"], reason, "{what}");
        assert_eq!(second["wasted"], e.wasted, "{what}");
        assert_eq!(second["timer"], "none", "the last step is not waited for: {what}");
        match reason {
            "silent" => {
                assert_eq!(time(&second["planned_at"]), time(&first["replace_at"]), "{what}");
                assert_eq!(time(&first["replace_at"]), start() + TimeDelta::seconds(15), "{what}");
            }
            _ => assert_eq!(time(&second["planned_at"]), time(&first["failed_at"]), "{what}"),
        }
        if e.state == "failed" {
            assert_eq!(second["not_replaced"], "route_end", "{what}");
        }
    } else {
        assert_eq!(first["not_replaced"], Value::Null, "{what}");
    }
    if let Some(expected) = e.receipts {
        let found = receipts_of(app, id, 1).await;
        let found: Vec<(&str, &str, i64)> = found.iter().map(|(s, d, n)| (s.as_str(), d.as_str(), *n)).collect();
        assert_eq!(found, expected, "{what}");
    }
    let sms_requests = app.sim.messages(Some(&number(e)), 100);
    let by_sms = sms_requests.iter().filter(|m| m.account == *route.last().unwrap()).count();
    assert_eq!(by_sms, usize::from(attempts.len() == 2), "one SMS request each: {what}");
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_meta_and_ycloud() {
    all_fates(WHATSAPP[0], SMS[0]).await;
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_meta_and_cliqtel() {
    all_fates(WHATSAPP[0], SMS[1]).await;
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_ycloud_and_ycloud() {
    all_fates(WHATSAPP[1], SMS[0]).await;
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_ycloud_and_cliqtel() {
    all_fates(WHATSAPP[1], SMS[1]).await;
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_cliqtel_and_ycloud() {
    all_fates(WHATSAPP[2], SMS[0]).await;
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_cliqtel_and_cliqtel() {
    all_fates(WHATSAPP[2], SMS[1]).await;
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_infobip_and_infobip() {
    all_fates(WHATSAPP[3], SMS[2]).await;
}

/// SleekFlow sends no callbacks: it is queried at set times and once more before the deadline.
#[tokio::test]
async fn a_whatsapp_of_which_nothing_is_told_is_asked_for() {
    with_settings(route(&["sleekflow-wa", "infobip-sms"]), async |app| {
        let cases = [
            ("+628123450001", (1, 0), None),
            ("+628123450002", (0, 1), Some("failed")),
            ("+628123450003", (0, 1), Some("silent")),
        ];
        let mut ids = Vec::new();
        for (to, ..) in cases {
            ids.push(app.send(to).await);
        }
        let limited = app.send("+628123450010").await;
        app.pass(Duration::from_secs(25)).await;
        for (id, (to, received, reason)) in ids.iter().zip(cases) {
            let message = app.message(id).await;
            assert_eq!(message["state"], "delivered", "{message:#}");
            assert_eq!(message["attempts"][1]["reason"].as_str(), reason, "{message:#}");
            let phone = app.sim.phone(to);
            assert_eq!((phone.received.whatsapp, phone.received.sms), received, "{to}");
        }
        let silent = app.message(&ids[2]).await;
        assert_eq!(time(&silent["attempts"][1]["planned_at"]), start() + TimeDelta::seconds(15), "not a moment later");
        // Its refusals are known at once.
        let message = app.message(&limited).await;
        assert_eq!(message["attempts"][0]["error_code"], "http_429", "{message:#}");
        assert_eq!(message["attempts"][1]["reason"], "failed", "{message:#}");
        assert!(app.sim.refusals().is_empty(), "{:?}", app.sim.refusals());
    })
    .await;
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_twilio_and_vonage() {
    all_fates("twilio-wa", "vonage-sms").await;
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_vonage_and_twilio() {
    all_fates("vonage-wa", "twilio-sms").await;
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_engagelab_and_a_described_provider() {
    all_fates(WHATSAPP[4], SMS[4]).await;
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_engagelabs_plain_products() {
    all_fates("engagelab-wa-plain", "engagelab-sms-plain").await;
}

#[tokio::test]
async fn every_fate_ends_as_it_should_through_a_described_provider_and_engagelab() {
    all_fates(WHATSAPP[5], SMS[3]).await;
}

#[tokio::test]
async fn a_silent_whatsapp_gets_one_sms_at_the_deadline_and_not_before() {
    with_app(async |app| {
        let id = app.send("+628123450003").await;
        app.pass(Duration::from_millis(14_999)).await;
        assert_eq!(app.message(&id).await["attempts"].as_array().unwrap().len(), 1);
        app.pass(Duration::from_millis(1)).await;
        let message = app.message(&id).await;
        assert_eq!(message["attempts"][1]["planned_at"], message["attempts"][0]["replace_at"], "{message:#}");
        app.pass(Duration::from_secs(10)).await;
        let message = app.message(&id).await;
        assert_eq!(message["state"], "delivered", "{message:#}");
        assert_eq!(message["attempts"][1]["reason"], "silent");
        assert_eq!(app.sim.phone("+628123450003").received.sms, 1);
    })
    .await;
}

#[tokio::test]
async fn replace_after_is_what_the_request_asks_for() {
    with_app(async |app| {
        for (seconds, to) in [(15, "+628123440003"), (37, "+628123450003"), (60, "+628123460003")] {
            let (status, answer) = app.post("/v1/messages", json!({ "to": to, "replace_after_s": seconds })).await;
            assert_eq!(status, 202, "{answer}");
            let id = answer["id"].as_str().unwrap().to_owned();
            app.run_workers().await;
            let message = app.message(&id).await;
            let armed = time(&message["attempts"][0]["replace_at"]) - time(&message["attempts"][0]["accepted_at"]);
            assert_eq!(armed, TimeDelta::seconds(seconds));
        }
    })
    .await;
}

async fn sms_first(sms: &'static str, whatsapp: &'static str) {
    with_settings(route(&[sms, whatsapp]), async |app| {
        let silent = json!({ "sms": "silent", "whatsapp": "delivered" });
        app.sim.set_fate("+628123451111", serde_json::from_value(silent).unwrap());
        let failing = json!({ "sms": "failed", "whatsapp": "delivered" });
        app.sim.set_fate("+628123452222", serde_json::from_value(failing).unwrap());
        let silent = app.send("+628123451111").await;
        let failing = app.send("+628123452222").await;
        let well = app.send("+628123450001").await;
        app.pass(Duration::from_secs(30)).await;
        for (id, reason, to) in [(&silent, "silent", "+628123451111"), (&failing, "failed", "+628123452222")] {
            let message = app.message(id).await;
            assert_eq!(message["state"], "delivered", "{message:#}");
            assert_eq!(message["attempts"][0]["channel"], "sms");
            assert_eq!(message["attempts"][0]["account"], sms);
            assert_eq!(message["attempts"][1]["channel"], "whatsapp");
            assert_eq!(message["attempts"][1]["reason"], reason, "{message:#}");
            assert_eq!(message["channel"], "whatsapp");
            assert_eq!(app.sim.phone(to).received.whatsapp, 1);
        }
        let message = app.message(&well).await;
        assert_eq!(message["attempts"].as_array().unwrap().len(), 1, "{message:#}");
        assert_eq!(message["attempts"][0]["timer"], "disarmed");
        let refusals = app.sim.refusals();
        assert!(refusals.is_empty(), "{refusals:?}");
    })
    .await;
}

/// Each SMS as the first step, and each WhatsApp as the replacement.
#[tokio::test]
async fn every_provider_is_a_first_step_and_a_replacement() {
    for (sms, whatsapp) in [
        ("ycloud-sms", "meta-main"),
        ("infobip-sms", "sleekflow-wa"),
        ("cliqtel-sms", "infobip-wa"),
        ("engagelab-sms", "http-wa"),
        ("http-sms", "engagelab-wa"),
        ("http-sms", "cliqtel-wa"),
        ("engagelab-sms-plain", "engagelab-wa-plain"),
    ] {
        sms_first(sms, whatsapp).await;
    }
}

#[tokio::test]
async fn an_sms_of_infobip_s_is_a_first_step_as_well() {
    with_settings(route(&["infobip-sms", "infobip-wa"]), async |app| {
        let failing = json!({ "sms": "failed", "whatsapp": "delivered" });
        app.sim.set_fate("+628123452222", serde_json::from_value(failing).unwrap());
        let rejected = json!({ "sms": "rejected", "whatsapp": "delivered" });
        app.sim.set_fate("+628123453333", serde_json::from_value(rejected).unwrap());
        let failing = app.send("+628123452222").await;
        let rejected = app.send("+628123453333").await;
        let well = app.send("+628123450001").await;
        app.pass(Duration::from_secs(20)).await;
        for (id, code, send_state) in [(&failing, "27", "accepted"), (&rejected, "s52", "rejected")] {
            let message = app.message(id).await;
            let (first, second) = (&message["attempts"][0], &message["attempts"][1]);
            assert_eq!(
                (&message["state"], &message["channel"]),
                (&json!("delivered"), &json!("whatsapp")),
                "{message:#}"
            );
            assert_eq!((&first["error_code"], &first["send_state"]), (&json!(code), &json!(send_state)), "{message:#}");
            assert_eq!((&first["error_class"], &second["reason"]), (&json!("recipient_unreachable"), &json!("failed")));
        }
        let message = app.message(&well).await;
        assert_eq!(message["attempts"].as_array().unwrap().len(), 1, "{message:#}");
        assert_eq!((&message["state"], &message["attempts"][0]["timer"]), (&json!("delivered"), &json!("disarmed")));
        assert_eq!(app.sim.phone("+628123453333").received.sms, 0);
    })
    .await;
}

#[tokio::test]
async fn an_sms_first_route_has_whatsapp_behind_it() {
    sms_first("cliqtel-sms", "ycloud-wa").await;
}

#[tokio::test]
async fn an_sms_first_route_through_twilio_has_whatsapp_behind_it() {
    sms_first("twilio-sms", "vonage-wa").await;
}

#[tokio::test]
async fn an_sms_first_route_through_vonage_has_whatsapp_behind_it() {
    sms_first("vonage-sms", "twilio-wa").await;
}

/// The callbacks of these name our attempt, so an SMS whose answer was lost is not sent a second time.
#[tokio::test]
async fn an_sms_without_an_answer_is_found_by_its_callback_through_twilio_and_vonage() {
    for sms in ["twilio-sms", "vonage-sms"] {
        with_settings(route(&[sms, "ycloud-wa"]), async |app| {
            let fate = json!({ "sms": "reset-after", "whatsapp": "delivered" });
            app.sim.set_fate("+628123454444", serde_json::from_value(fate).unwrap());
            let id = app.send("+628123454444").await;
            app.pass(Duration::from_secs(20)).await;
            let message = app.message(&id).await;
            let attempts = message["attempts"].as_array().unwrap();
            assert_eq!((attempts.len(), &attempts[0]["state"]), (1, &json!("delivered")), "{message:#}");
            let phone = app.sim.phone("+628123454444");
            assert_eq!((phone.requests.sms, phone.received.sms), (1, 1), "{sms}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_route_of_three_steps_waits_at_the_first_two() {
    with_settings(route(&["meta-main", "ycloud-wa", "cliqtel-sms"]), async |app| {
        let id = app.send("+628123450003").await;
        app.pass(Duration::from_secs(15)).await;
        assert_eq!(app.message(&id).await["attempts"].as_array().unwrap().len(), 2);
        app.pass(Duration::from_secs(30)).await;
        let message = app.message(&id).await;
        let attempts = message["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 3, "{message:#}");
        let accounts: Vec<&str> = attempts.iter().map(|a| a["account"].as_str().unwrap()).collect();
        assert_eq!(accounts, ["meta-main", "ycloud-wa", "cliqtel-sms"]);
        assert_eq!(time(&attempts[2]["planned_at"]), start() + TimeDelta::seconds(30));
        let timers: Vec<&str> = attempts.iter().map(|a| a["timer"].as_str().unwrap()).collect();
        assert_eq!(timers, ["fired", "fired", "none"]);
        assert_eq!(message["state"], "delivered");
        assert_eq!(app.sim.phone("+628123450003").received.sms, 1);

        // Both fail: the third step starts at once.
        let failing = json!({ "whatsapp": "failed", "sms": "delivered" });
        app.sim.set_fate("+628123453333", serde_json::from_value(failing).unwrap());
        let id = app.send("+628123453333").await;
        app.pass(Duration::from_secs(14)).await;
        let message = app.message(&id).await;
        assert_eq!(message["state"], "delivered", "{message:#}");
        assert_eq!(message["attempts"][2]["reason"], "failed", "{message:#}");
    })
    .await;
}

#[tokio::test]
async fn a_life_too_short_for_a_code_gets_no_replacement() {
    with_app(async |app| {
        // Nothing is delivered while time jumps over the deadline, as after downtime.
        let silent = app.send("+628123460003").await;
        app.run_workers().await;
        app.clock.advance(TimeDelta::seconds(300 - 44));
        app.run_workers().await;
        let message = app.message(&silent).await;
        assert_eq!(message["attempts"].as_array().unwrap().len(), 1, "{message:#}");
        assert_eq!(message["attempts"][0]["not_replaced"], "too_late", "{message:#}");
        app.clock.advance(TimeDelta::seconds(44));
        app.run_workers().await;
        let message = app.message(&silent).await;
        assert_eq!(message["outcome"], "expired", "{message:#}");
    })
    .await;
}

#[tokio::test]
async fn exactly_45_seconds_of_life_are_enough_for_a_replacement() {
    with_app(async |app| {
        let id = app.send("+628123460003").await;
        app.run_workers().await;
        app.clock.advance(TimeDelta::seconds(300 - 45));
        app.run_workers().await;
        let message = app.message(&id).await;
        assert_eq!(message["attempts"].as_array().unwrap().len(), 2, "{message:#}");
        assert_eq!(app.sim.phone("+628123460003").received.whatsapp, 0);
    })
    .await;
}

#[tokio::test]
async fn an_outage_of_whatsapp_opens_its_breaker_and_sms_goes_at_once() {
    with_settings(
        |s| s.sending.breaker_failures = 3,
        async |app| {
            app.sim.set_mode("meta-main", otpost::simulator::Mode::Outage).unwrap();
            for n in 0..3 {
                app.send(&format!("+62812346{n}001")).await;
                app.run_workers().await;
            }
            let before = app.sim.messages(None, 1000).iter().filter(|m| m.account == "meta-main").count();
            let id = app.send("+628123469001").await;
            app.run_workers().await;
            let message = app.message(&id).await;
            assert_eq!(message["attempts"][0]["error_code"], "breaker_open", "{message:#}");
            assert_eq!(message["attempts"][0]["tries"], 0, "{message:#}");
            assert_eq!(message["attempts"][1]["reason"], "failed", "{message:#}");
            let after = app.sim.messages(None, 1000).iter().filter(|m| m.account == "meta-main").count();
            assert_eq!(before, after, "an account whose breaker is open is left alone");
        },
    )
    .await;
}
