use serde_json::json;

use super::*;
use crate::bench::*;
use crate::engine::account::SENDER;
use crate::wire::shapes::Wrong::*;
use crate::wire::shapes::*;

const AUTH: (&str, &str) = ("Authorization", "Bearer 17|sim-cliqtel-key");

#[tokio::test]
async fn an_sms_is_told_where_that_sms_said_to() {
    let bench = Bench::manual();
    let url = format!("{}/own?token=abc%2Fd&x=1", bench.receiver.url);
    let sms =
        json!({"from": SENDER, "to": "+628123457777", "body": "493817 is your code.", "status_callback_url": url});
    let (status, body) = bench.post("/cliqtel/api/v1/sms/messages", AUTH, &sms).await.unwrap();
    let id = body.pointer("/data/id").or(body.get("id")).unwrap().as_u64().unwrap();
    assert_eq!(status, 201);
    let whatsapp = json!({"account_id": 7, "to": "+628123450001", "type": "template",
        "template": template("493817", json!(0))});
    assert!(bench.post("/cliqtel/api/v1/whatsapp/messages", AUTH, &whatsapp).await.unwrap().0 < 300);
    bench.advance(600).await;
    let got = bench.receiver.take();
    let own: Vec<&Got> = got.iter().filter(|one| one.path == "/own?token=abc%2Fd&x=1").collect();
    assert_eq!((own.len(), got.len()), (1, 4));
    let data = &own[0].json()["data"];
    assert_eq!((&data["id"], &data["status"], &data["channel"]), (&json!(id), &json!("delivered"), &json!("sms")));
    assert_eq!(own[0].header("x-cliqtel-signature"), signature::of(SECRET, &own[0].body));
    let one = bench.get(&format!("/cliqtel/api/v1/sms/messages/{id}"), AUTH).await;
    assert_eq!(one["data"]["status"], "delivered");
}

fn right() -> Right {
    Right {
        account: "cliqtel-wa",
        path: "/cliqtel/api/v1/whatsapp/messages",
        header: ("Authorization", |_| format!("Bearer {KEY}")),
        body: json!({"account_id": 7, "to": "+628123450001", "type": "template",
            "template": right_template(json!(0), false)}),
        at: "/template",
        error: |answer| text_of(&answer["error"]),
        words: |_| (422, "validation_failed"),
    }
}

#[tokio::test]
async fn a_template_is_refused_in_every_other_shape() {
    let index = (("/components/1/index", Some(json!("0"))), Invalid);
    assert_eq!(every_wrong_shape_is_refused(right(), [of_template(), vec![index]].concat()).await, 48);
}
