use serde_json::{Value, json};

use super::*;
use crate::Mode;
use crate::bench::*;
use crate::wire::shapes::*;

const AUTH: (&str, &str) = ("X-Sleekflow-Api-Key", KEY);
const SEND: &str = "/sleekflow/api/message/send/json";

fn body(to: &str, code: &str) -> Value {
    json!({"channel": "whatsappcloudapi", "from": "12025550199", "to": to, "messageType": "template",
    "extendedMessage": {"WhatsappCloudApiTemplateMessageObject": {
        "templateName": "login_code", "language": "en_US", "components": template(code, json!(0))["components"],
    }}})
}

/// The ids and statuses of a conversation.
async fn list(bench: &Bench, conversation: &Value, page: &str) -> Vec<(Value, Value)> {
    let path = format!("/sleekflow/api/conversation/message/{}?{page}", conversation.as_str().unwrap());
    let list = bench.get(&path, AUTH).await;
    list.as_array().unwrap().iter().map(|one| (one["id"].clone(), one["status"].clone())).collect()
}

#[tokio::test]
async fn nothing_is_posted_and_a_list_tells_what_became_of_a_conversation_s_messages() {
    let bench = Bench::manual();
    bench.sim.set_callback("sleekflow-wa", Some(&bench.receiver.url)).unwrap();
    let (status, first) = bench.post(SEND, AUTH, &body("628123450001", "493817")).await.unwrap();
    let (id, conversation) = (&first["id"], &first["conversationId"]);
    assert_eq!((status, &first["status"]), (200, &json!("Sending")));
    let page = "offset=0&limit=10";
    assert_eq!(list(&bench, conversation, page).await, [(id.clone(), json!("Sending"))]);
    assert_eq!(bench.sim.pending(), 0);
    bench.advance(600).await;
    assert_eq!(list(&bench, conversation, page).await, [(id.clone(), json!("Read"))]);
    assert!(bench.receiver.take().is_empty());
    assert_eq!(bench.sim.phone("+628123450001").received.whatsapp, 1);

    // The newest first, and nobody else's.
    let (_, second) = bench.post(SEND, AUTH, &body("628123450001", "493818")).await.unwrap();
    bench.post(SEND, AUTH, &body("628123450002", "493819")).await.unwrap();
    bench.whatsapp("+628123450001", "ref").await.unwrap();
    let both = [(second["id"].clone(), json!("Sending")), (id.clone(), json!("Read"))];
    assert_eq!(list(&bench, conversation, page).await, both);
    assert_eq!(list(&bench, conversation, "offset=1&limit=10").await, both[1..]);
    assert_eq!(list(&bench, conversation, "offset=0&limit=1").await, both[..1]);
}

#[tokio::test]
async fn a_failure_is_listed_with_whatsapps_code() {
    let bench = Bench::manual();
    let (_, sent) = bench.post(SEND, AUTH, &body("628123450002", "493817")).await.unwrap();
    bench.advance(600).await;
    let path =
        format!("/sleekflow/api/conversation/message/{}?offset=0&limit=10", sent["conversationId"].as_str().unwrap());
    let message = bench.get(&path, AUTH).await[0].clone();
    let code = &message["metadata"]["errors"][0]["code"];
    assert_eq!((&message["status"], code), (&json!("Failed"), &json!(131_026)));
    assert_eq!(bench.get(&path, ("X-Sleekflow-Api-Key", "wrong")).await["code"], 401);
    let nobody = "/sleekflow/api/conversation/message/x?offset=0&limit=10";
    assert_eq!(bench.get(nobody, AUTH).await["code"], 404);
}

#[tokio::test]
async fn it_takes_both_channels_and_no_other_shape() {
    let bench = Bench::manual();
    let mut dialog = body("628123450001", "493817");
    let mut inner = dialog["extendedMessage"]["WhatsappCloudApiTemplateMessageObject"].take();
    inner["templateNamespace"] = json!("ns");
    dialog["channel"] = json!("whatsapp360dialog");
    dialog["extendedMessage"] = json!({"whatsapp360DialogTemplateMessage": inner});
    assert_eq!(bench.post(SEND, AUTH, &dialog).await.unwrap().0, 200);
    let mut mixed = dialog.clone();
    mixed["channel"] = json!("whatsappcloudapi");
    let mut plus = body("628123450001", "493817");
    plus["to"] = json!("+628123450001");
    let mut sms = body("628123450001", "493817");
    sms["channel"] = json!("sms");
    let mut stranger = body("628123450001", "493817");
    stranger["from"] = json!("12025550100");
    for wrong in [mixed, plus, sms, stranger] {
        let (status, answer) = bench.post(SEND, AUTH, &wrong).await.unwrap();
        assert_eq!((status, &answer["code"]), (400, &json!(400)), "{wrong}");
    }
    bench.sim.set_mode("sleekflow-wa", Mode::Outage).unwrap();
    assert_eq!(bench.post(SEND, AUTH, &body("628123450001", "1234")).await.unwrap().0, 503);
}

fn right() -> Right {
    let mut template = right_template(json!(0), false);
    template["language"] = json!("en_US");
    template["templateName"] = template.as_object_mut().unwrap().remove("name").unwrap();
    Right {
        account: "sleekflow-wa",
        path: "/sleekflow/api/message/send/json",
        header: ("X-Sleekflow-Api-Key", |_| KEY.to_owned()),
        body: json!({"channel": "whatsappcloudapi", "from": "12025550199", "to": "628123450001",
            "messageType": "template", "extendedMessage": {"WhatsappCloudApiTemplateMessageObject": template}}),
        at: "/extendedMessage/WhatsappCloudApiTemplateMessageObject",
        error: |answer| text_of(&answer["code"]),
        words: |_| (400, "400"),
    }
}

#[tokio::test]
async fn a_template_is_refused_in_every_other_shape() {
    let changes = [of_components(), of_name("/templateName", "/language")].concat();
    assert_eq!(every_wrong_shape_is_refused(right(), changes).await, 44);
}
