//! Sends by every fate: what is told, and what the handset gets.

use std::time::Duration;

use otpost_simulator::{ChannelLaws, Count, Fate, GivenFate, Laws, Outcome, SimConfig, SimTime};
use serde_json::json;

use crate::bench::*;

#[tokio::test]
async fn every_fate_of_whatsapp_is_followed_by_a_delivered_sms() {
    let bench = Bench::manual();
    for (digits, told, on_whatsapp) in [
        ("0001", vec!["sent", "delivered", "read"], 1),
        ("0002", vec!["failed"], 0),
        ("0005", vec!["failed"], 0),
        ("0011", vec!["failed", "delivered"], 1),
        ("0012", vec!["delivered"], 1),
    ] {
        let to = format!("+62812345{digits}");
        assert_eq!(bench.whatsapp(&to, digits).await.unwrap().0, 200);
        bench.advance(600).await;
        let got = bench.receiver.take();
        assert_eq!(words(&got), told, "{digits}");
        if digits == "0002" {
            let value = &got[0].json()["entry"][0]["changes"][0]["value"];
            assert_eq!(value["statuses"][0]["errors"][0]["code"], 131_026);
            assert_eq!(value.get("contacts"), None);
        }
        assert_eq!(bench.sms(&to, digits).await.0, 200);
        bench.advance(600).await;
        let got = bench.receiver.take();
        let word = if digits == "0005" { "undelivered" } else { "delivered" };
        assert_eq!((got.len(), &got[0].json()["sms"]["status"]), (1, &json!(word)), "{digits}");
        let sms = u64::from(digits != "0005");
        assert_eq!(bench.sim.phone(&to).received, Count { whatsapp: on_whatsapp, sms }, "{digits}");
    }
}

#[tokio::test]
async fn silent_stays_silent_and_the_handset_gets_nothing() {
    let bench = Bench::manual();
    bench.whatsapp("+628123450003", "a").await.unwrap();
    bench.advance(86_400).await;
    assert!(words(&bench.receiver.take()).iter().all(|word| word == "sent"));
    assert_eq!(bench.sim.phone("+628123450003").received, Count::default());
}

#[tokio::test]
async fn late_comes_seconds_after_the_sms_however_long_that_takes() {
    let bench = Bench::manual();
    bench.whatsapp("+628123450004", "wa").await.unwrap();
    bench.advance(3_600).await;
    assert_eq!(words(&bench.receiver.take()), ["sent"]);
    bench.sms("+628123450004", "sms").await;
    bench.advance(2).await;
    assert!(words(&bench.receiver.take()).is_empty());
    bench.advance(60).await;
    assert_eq!(words(&bench.receiver.take()), ["delivered"]);
    assert_eq!(bench.sim.phone("+628123450004").received, Count { whatsapp: 1, sms: 1 });

    // An SMS-first route: the WhatsApp is late as well.
    bench.sms("+628123460004", "sms").await;
    bench.whatsapp("+628123460004", "wa").await.unwrap();
    bench.advance(60).await;
    assert_eq!(bench.sim.phone("+628123460004").received, Count { whatsapp: 1, sms: 1 });
}

#[tokio::test]
async fn a_late_sms_is_late_as_an_sms() {
    let bench = Bench::manual();
    bench.sim.set_fate("7777", GivenFate { whatsapp: None, sms: Some(Fate::Late) });
    bench.sms("+628123457777", "a").await;
    bench.advance(600).await;
    assert_eq!(bench.sim.phone("+628123457777").received, Count { whatsapp: 0, sms: 1 });
    assert_eq!(bench.receiver.take().len(), 1);
}

#[tokio::test]
async fn shuffled_receipts_come_at_least_twice_and_one_message_arrives() {
    let bench = Bench::manual();
    bench.whatsapp("+628123450006", "a").await.unwrap();
    bench.advance(600).await;
    let words = words(&bench.receiver.take());
    for word in ["sent", "delivered", "read"] {
        assert!(words.iter().filter(|one| *one == word).count() >= 2, "{words:?}");
    }
    assert_eq!(bench.sim.phone("+628123450006").received.whatsapp, 1);
}

#[tokio::test]
async fn callbacks_can_come_before_the_answer() {
    let bench = Bench::manual();
    bench.whatsapp("+628123450007", "early").await.unwrap();
    assert_eq!(words(&bench.receiver.take()), ["sent", "delivered"]);
}

#[tokio::test]
async fn two_answers_500_for_a_reference_and_then_it_is_taken() {
    let bench = Bench::manual();
    for reference in ["first", "second"] {
        for status in [500, 500, 200] {
            let (got, body) = bench.whatsapp("+628123450008", reference).await.unwrap();
            assert_eq!(got, status);
            assert!(got == 200 || body["error"]["code"] == 131_000);
        }
    }
    bench.advance(600).await;
    assert_eq!(bench.sim.phone("+628123450008").received.whatsapp, 2);
}

#[tokio::test]
async fn a_hang_holds_the_connection_until_the_client_gives_up() {
    let bench = Bench::manual();
    let impatient = reqwest::Client::builder().timeout(Duration::from_millis(300)).no_proxy().build().unwrap();
    let request = impatient.post(format!("{}{WHATSAPP_PATH}", bench.sim.url())).header(WHATSAPP.0, WHATSAPP.1);
    let request = request.header("Content-Type", "application/json; charset=utf-8");
    let error = request.body(whatsapp_body("+628123450009", "493817", "a").to_string()).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    bench.advance(600).await;
    let seen = bench.sim.messages(Some("+628123450009"), 10);
    assert_eq!((seen[0].outcome, seen[0].handset_at), (Outcome::Hung, None));
}

#[tokio::test]
async fn a_broken_connection_brings_no_answer_and_perhaps_the_message() {
    let bench = Bench::manual();
    for (fate, received) in [(Fate::ResetBefore, 0), (Fate::ResetAfter, 1)] {
        bench.sim.set_fate("7777", GivenFate { whatsapp: Some(fate), sms: None });
        let error = bench.whatsapp("+628123457777", "a").await.unwrap_err();
        assert!(!error.is_timeout() && !error.is_connect(), "{error:?}");
        bench.advance(600).await;
        assert_eq!(bench.sim.phone("+628123457777").received.whatsapp, received, "{fate:?}");
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_run_in_any_order() {
    let mut runs = Vec::new();
    for (seed, backwards) in [(5, false), (5, true), (6, false)] {
        let start = SimTime::Manual { start_unix_ms: Some(1_789_034_400_000) };
        let mut laws = Laws::default();
        laws.whatsapp =
            ChannelLaws { failed: 0.3, silent: 0.1, doubled: 0.2, lost: 0.1, rate_limited: 0.1, ..laws.whatsapp };
        let bench = Bench::start(SimConfig { seed, time: start, laws, ..SimConfig::default() });
        let mut numbers: Vec<String> = (0..30).map(|n| format!("+6281234577{n:02}")).collect();
        if backwards {
            numbers.reverse();
        }
        for to in &numbers {
            bench.whatsapp(to, to).await.unwrap();
            bench.whatsapp(to, to).await.unwrap();
        }
        bench.advance(600).await;
        let mut run: Vec<(String, u32, Outcome, Option<String>, String)> = bench
            .sim
            .messages(None, 1_000)
            .into_iter()
            .map(|one| {
                let callbacks = format!("{:?} {:?} {:?}", one.truth, one.callbacks, one.handset_at);
                (one.to, one.nth, one.outcome, one.provider_id, callbacks)
            })
            .collect();
        run.sort_by_key(|one| (one.0.clone(), one.1));
        runs.push(run);
    }
    assert_eq!(runs[0].len(), 60);
    assert!(runs[0] == runs[1] && runs[0] != runs[2]);
}
