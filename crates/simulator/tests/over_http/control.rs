//! Reading back and changing things while it runs.

use otpost_simulator::{Count, Laws, SimConfig, Simulator};
use serde_json::{Value, json};

use crate::bench::*;

async fn put(bench: &Bench, path: &str, body: Value) -> u16 {
    let request = bench.client.put(format!("{}{path}", bench.sim.url())).body(body.to_string());
    request.send().await.unwrap().status().as_u16()
}

#[test]
fn it_starts_without_any_runtime() {
    let sim = Simulator::start(SimConfig::default(), "127.0.0.1:0".parse().unwrap()).unwrap();
    assert!(sim.url().starts_with("http://127.0.0.1:") && sim.addr().port() != 0);
}

#[tokio::test]
async fn everything_can_be_changed_and_read_over_http() {
    let bench = Bench::manual();
    let none = ("X-Nothing", "");
    assert_eq!(put(&bench, "/sim/accounts/meta-main", json!({"mode": "outage"})).await, 200);
    assert_eq!(bench.whatsapp("+628123457777", "a").await.unwrap().0, 503);
    assert_eq!(put(&bench, "/sim/accounts/meta-main", json!({"mode": {"slow": 2.0}, "callback_url": null})).await, 200);
    assert_eq!(put(&bench, "/sim/accounts/nobody", json!({})).await, 404);
    assert_eq!(put(&bench, "/sim/accounts/meta-main", json!({"url": "x"})).await, 400);
    assert_eq!(put(&bench, "/sim/fates/7777", json!({"whatsapp": "delivered", "sms": "failed"})).await, 204);
    assert_eq!(put(&bench, "/sim/fates/7777", json!({"whatsapp": "lucky"})).await, 400);
    assert_eq!(put(&bench, "/sim/laws", json!({"sms": {"lost": 1.0}})).await, 204);
    assert_eq!(bench.get("/sim/laws", none).await["sms"]["lost"], 1.0);
    assert_eq!(bench.whatsapp("+628123457777", "a").await.unwrap().0, 200);
    let advance = bench.client.post(format!("{}/sim/time/advance", bench.sim.url())).body(r#"{"ms": 600000}"#);
    assert_eq!(advance.send().await.unwrap().status(), 200);
    let messages = bench.get("/sim/messages?to=+628123457777&limit=5", none).await;
    assert_eq!((messages.as_array().unwrap().len(), &messages[0]["outcome"]), (2, &json!("outage")));
    assert_eq!(bench.get("/sim/messages?to=7777", none).await.as_array().unwrap().len(), 2);
    let phone = bench.get("/sim/phones/+628123457777", none).await;
    assert_eq!((&phone["received"]["whatsapp"], &phone["codes"][0]["code"]), (&json!(1), &json!("493817")));
    let stats = bench.get("/sim/stats", none).await;
    assert_eq!(
        (&stats["callbacks"]["nowhere"], &stats["by_account"]["meta-main"]["cost_micros"]),
        (&json!(2), &json!(20_000))
    );
    assert_eq!(bench.get("/sim/accounts", none).await[0]["callback_url"], Value::Null);
    let gone = bench.client.delete(format!("{}/sim/messages", bench.sim.url())).send().await.unwrap();
    assert_eq!((gone.status().as_u16(), bench.sim.stats().requests), (204, 0));
}

#[tokio::test]
async fn the_oldest_are_forgotten_and_the_counts_stay() {
    let bench = Bench::start(SimConfig { keep: 1, laws: Laws::instant(), ..SimConfig::manual(1) });
    for reference in ["a", "b", "c"] {
        bench.whatsapp("+628123457777", reference).await.unwrap();
        bench.advance(1).await;
    }
    let seen = bench.sim.messages(Some("+628123457777"), 10);
    assert_eq!((seen.len(), seen[0].reference.as_deref()), (1, Some("c")));
    assert_eq!(bench.sim.phone("+628123457777").received.whatsapp, 3);
}

#[tokio::test]
async fn a_code_that_came_twice_is_counted() {
    let bench = Bench::start(SimConfig { laws: Laws::instant(), ..SimConfig::manual(1) });
    for _ in 0..2 {
        bench.sms("+628123457777", "a").await;
    }
    bench.whatsapp("+628123457777", "b").await.unwrap();
    bench.advance(1).await;
    let stats = bench.sim.stats();
    assert_eq!((stats.handset, stats.handset_repeated), (Count { whatsapp: 1, sms: 2 }, Count { whatsapp: 0, sms: 1 }));
}
