use serde_json::json;

use super::*;
use crate::bench::*;
use crate::wire::shapes::Wrong::*;
use crate::wire::shapes::*;
use crate::{Advanced, Batching, Count, Laws, SimConfig};

#[tokio::test]
async fn a_whatsapp_goes_in_and_signed_escaped_callbacks_come_out() {
    let bench = Bench::manual();
    let (status, body) = bench.whatsapp("+628123450001", "ref-1").await.unwrap();
    let id = body["messages"][0]["id"].as_str().unwrap().to_owned();
    assert!(status == 200 && id.starts_with("wamid.") && body["contacts"][0]["wa_id"] == "628123450001");
    assert!(bench.receiver.take().is_empty() && bench.sim.pending() == 3);

    let advanced = bench.advance(600).await;
    assert_eq!(advanced, Advanced { handset: 1, posted: 3, ok: 3 });
    let got = bench.receiver.take();
    assert_eq!(words(&got), ["sent", "delivered", "read"]);
    for one in &got {
        assert_eq!(one.header("x-hub-signature-256"), signature::of(APP_SECRET, &one.body));
        assert!(one.body.is_ascii() && String::from_utf8_lossy(&one.body).contains("\\u6d4b"));
        let value = &one.json()["entry"][0]["changes"][0]["value"];
        assert_eq!(value["statuses"][0]["id"], id.as_str());
        assert_eq!(value["contacts"][0]["profile"]["name"], "Zoë 测试 😀");
    }
    let seen = bench.sim.messages(Some("+628123450001"), 10);
    assert_eq!((seen.len(), seen[0].code.as_deref(), seen[0].callbacks.len()), (1, Some("493817"), 3));
    assert_eq!(bench.sim.phone("+628123450001").received, Count { whatsapp: 1, sms: 0 });
    bench.sim.stop().await;
}

#[tokio::test]
async fn statuses_travel_together_where_batches_are_on() {
    let batching = Batching { max: 4, window_ms: 500 };
    let config = SimConfig { batching, laws: Laws::instant(), ..SimConfig::manual(1) };
    let bench = Bench::start(config);
    for n in 0..5 {
        bench.whatsapp(&format!("+62812345777{n}"), &n.to_string()).await.unwrap();
    }
    bench.advance(10).await;
    let got = bench.receiver.take();
    assert_eq!((got.len(), statuses(&got).len()), (3, 10));
    assert!(got.iter().all(|one| one.header("x-hub-signature-256") == signature::of(APP_SECRET, &one.body)));
}

fn right() -> Right {
    Right {
        account: "meta-main",
        path: WHATSAPP_PATH,
        header: ("Authorization", |_| format!("Bearer {TOKEN}")),
        body: json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+628123450001",
            "type": "template", "template": right_template(json!("0"), false)}),
        at: "/template",
        error: |answer| text_of(&answer["error"]["code"]),
        words: |wrong| match wrong {
            Count => (400, "132000"),
            Missing => (400, "131008"),
            Absent | Unknown => (400, "100"),
            Invalid => (400, "131009"),
            TooLong => (400, "132005"),
            Spaces | Disagree => (400, "132018"),
            NoTemplate => (404, "132001"),
        },
    }
}

#[tokio::test]
async fn a_template_is_refused_in_every_other_shape() {
    assert_eq!(every_wrong_shape_is_refused(right(), of_template()).await, 47);
}
