use super::*;

const KEY: (&str, &str) = ("X-Sleekflow-Api-Key", SLEEKFLOW_KEY);
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
    let list = bench.get(&path, KEY).await;
    list.as_array().unwrap().iter().map(|one| (one["id"].clone(), one["status"].clone())).collect()
}

#[tokio::test]
async fn sleekflow_posts_nothing_and_lists_what_became_of_a_conversation_s_messages() {
    let bench = Bench::manual();
    bench.sim.set_callback("sleekflow-wa", Some(&bench.receiver.url)).unwrap();
    let (status, first) = bench.post(SEND, KEY, &body("628123450001", "493817")).await.unwrap();
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
    let (_, second) = bench.post(SEND, KEY, &body("628123450001", "493818")).await.unwrap();
    bench.post(SEND, KEY, &body("628123450002", "493819")).await.unwrap();
    bench.meta("+628123450001", "ref").await.unwrap();
    let both = [(second["id"].clone(), json!("Sending")), (id.clone(), json!("Read"))];
    assert_eq!(list(&bench, conversation, page).await, both);
    assert_eq!(list(&bench, conversation, "offset=1&limit=10").await, both[1..]);
    assert_eq!(list(&bench, conversation, "offset=0&limit=1").await, both[..1]);
}

#[tokio::test]
async fn sleekflow_lists_a_failure_with_metas_code() {
    let bench = Bench::manual();
    let (_, sent) = bench.post(SEND, KEY, &body("628123450002", "493817")).await.unwrap();
    bench.advance(600).await;
    let path =
        format!("/sleekflow/api/conversation/message/{}?offset=0&limit=10", sent["conversationId"].as_str().unwrap());
    let message = bench.get(&path, KEY).await[0].clone();
    let code = &message["metadata"]["errors"][0]["code"];
    assert_eq!((&message["status"], code), (&json!("Failed"), &json!(131_026)));
    assert_eq!(bench.get(&path, ("X-Sleekflow-Api-Key", "wrong")).await["code"], 401);
    let nobody = "/sleekflow/api/conversation/message/x?offset=0&limit=10";
    assert_eq!(bench.get(nobody, KEY).await["code"], 404);
}

#[tokio::test]
async fn sleekflow_takes_both_channels_and_no_other_shape() {
    let bench = Bench::manual();
    let mut dialog = body("628123450001", "493817");
    let mut inner = dialog["extendedMessage"]["WhatsappCloudApiTemplateMessageObject"].take();
    inner["templateNamespace"] = json!("ns");
    dialog["channel"] = json!("whatsapp360dialog");
    dialog["extendedMessage"] = json!({"whatsapp360DialogTemplateMessage": inner});
    assert_eq!(bench.post(SEND, KEY, &dialog).await.unwrap().0, 200);
    let mut mixed = dialog.clone();
    mixed["channel"] = json!("whatsappcloudapi");
    let mut plus = body("628123450001", "493817");
    plus["to"] = json!("+628123450001");
    let mut sms = body("628123450001", "493817");
    sms["channel"] = json!("sms");
    let mut stranger = body("628123450001", "493817");
    stranger["from"] = json!("12025550100");
    for wrong in [mixed, plus, sms, stranger] {
        let (status, answer) = bench.post(SEND, KEY, &wrong).await.unwrap();
        assert_eq!((status, &answer["code"]), (400, &json!(400)), "{wrong}");
    }
    bench.sim.set_mode("sleekflow-wa", Mode::Outage).unwrap();
    assert_eq!(bench.post(SEND, KEY, &body("628123450001", "1234")).await.unwrap().0, 503);
}
