//! The OpenAPI document lists what is served, and answers match it.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use otpost::api::channels::Channels;
use otpost::api::checks::CheckAnswer;
use otpost::api::health::{Health, Readiness};
use otpost::api::messages::{Message, MessageList};
use otpost::api::openapi;
use otpost::api::operations::Operation;
use otpost::api::problems::{Kind, Problem};
use otpost::api::timeline::Timeline;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, with_app};
use crate::helpers::schema::faults;

const TO: &str = "+628123450003";
const CODE: &str = "739150";

fn document() -> Value {
    serde_json::from_str(&openapi::json()).expect("JSON")
}

/// The schema of an answer with JSON.
fn schema_of(document: &Value, operation: Operation, status: u16) -> &Value {
    let method = operation.method().as_str().to_lowercase();
    let answer = &document["paths"][operation.path()][method]["responses"][status.to_string()];
    let content = answer["content"].as_object().unwrap_or_else(|| panic!("{operation} does not answer {status}"));
    &content.values().next().expect("a content")["schema"]
}

/// Holds an answer against the document and against its type: neither loses anything of it.
fn fits<T: DeserializeOwned + Serialize>(operation: Operation, status: u16, answer: &Value) {
    let document = document();
    let faults = faults(&document, schema_of(&document, operation, status), answer);
    assert!(faults.is_empty(), "{operation} {status}: {faults:#?}\n{answer:#}");
    let typed: T = serde_json::from_value(answer.clone()).unwrap_or_else(|e| panic!("{operation} {status}: {e}"));
    assert_eq!(serde_json::to_value(typed).unwrap(), *answer, "{operation} {status}");
}

async fn status_and_allow(app: &TestApp, method: &str, path: &str) -> (u16, Option<String>) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = app.http.request(method, format!("{}{path}", app.url)).bearer_auth(&app.key);
    let response = request.body("{}").send().await.expect("an answer");
    let allow = response.headers().get("allow").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), allow)
}

#[tokio::test]
async fn what_is_documented_is_served_and_nothing_else_is() {
    with_app(async |app| {
        let id = app.send(TO).await;
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let documented: BTreeSet<(&str, String)> = paths
            .iter()
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|m| (path.as_str(), m.to_uppercase())))
            .collect();
        let table = Operation::ALL.iter().map(|one| (one.path(), one.method().as_str().to_owned()));
        assert_eq!(documented, table.collect(), "the document has every operation, and no other");
        for path in paths.keys() {
            let address = path.replace("{id}", &id).replace("{account}", "meta-main");
            for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
                let (status, allow) = status_and_allow(app, method, &address).await;
                let is_documented = documented.contains(&(path.as_str(), method.to_owned()))
                    || method == "HEAD" && Operation::at(path).any(Operation::answers_head);
                assert_ne!(status, 404, "{method} {path}");
                assert_eq!(status != 405, is_documented, "{method} {path}: {status}");
                if status == 405 {
                    assert_eq!(allow, Some(Operation::allowed(path)), "{method} {path}");
                }
            }
        }
        for unknown in ["/", "/v1", "/v2/messages", "/openapi", "/openapi.json/x", "/docs/x", "/v1/messages/x/y"] {
            assert_eq!(status_and_allow(app, "GET", unknown).await.0, 404, "{unknown}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    with_app(async |app| {
        let body =
            json!({ "to": TO, "code": CODE, "metadata": { "z": 1e300, "a": [null] }, "locale": ["pt-BR", "en"] });
        let (status, sent) = app.post("/v1/messages", body).await;
        fits::<Message>(Operation::SendMessage, status, &sent);
        let id = sent["id"].as_str().unwrap().to_owned();
        app.pass(Duration::from_secs(20)).await;
        let (status, message) = app.get(&Operation::GetMessage.of_message(&id)).await;
        fits::<Message>(Operation::GetMessage, status, &message);
        let check = Operation::CheckCode.of_message(&id);
        let (status, wrong) = app.post(&check, json!({ "code": "000000" })).await;
        fits::<CheckAnswer>(Operation::CheckCode, status, &wrong);
        let (status, timeline) = app.get(&Operation::GetTimeline.of_message(&id)).await;
        fits::<Timeline>(Operation::GetTimeline, status, &timeline);
        let (status, resent) = app.post(&Operation::ResendMessage.of_message(&id), json!({})).await;
        fits::<Message>(Operation::ResendMessage, status, &resent);
        let (status, right) = app.post(&check, json!({ "code": CODE })).await;
        fits::<CheckAnswer>(Operation::CheckCode, status, &right);
        let (status, list) = app.get("/v1/messages?limit=1").await;
        fits::<MessageList>(Operation::ListMessages, status, &list);
        let (status, channels) = app.post("/v1/channels", json!({ "to": TO })).await;
        fits::<Channels>(Operation::OfferChannels, status, &channels);
        let (status, settled) = app.post(&Operation::CancelMessage.of_message(&id), json!({})).await;
        assert_eq!(settled["code"], "settled_verified");
        fits::<Problem>(Operation::CancelMessage, status, &settled);
        let other = app.send("+628123450001").await;
        let (status, cancelled) = app.post(&Operation::CancelMessage.of_message(&other), json!({})).await;
        fits::<Message>(Operation::CancelMessage, status, &cancelled);
        let (status, health) = app.get("/healthz").await;
        fits::<Health>(Operation::GetHealth, status, &health);
        let (status, readiness) = app.get("/readyz").await;
        fits::<Readiness>(Operation::GetReadiness, status, &readiness);

        let (status, refused) = app.post("/v1/messages", json!({ "to": "1", "x": 1 })).await;
        fits::<Problem>(Operation::SendMessage, status, &refused);
        let (status, refused) = app.get("/v1/messages?limit=0").await;
        fits::<Problem>(Operation::ListMessages, status, &refused);
        let (status, refused) = app.get("/v1/messages/x/timeline").await;
        fits::<Problem>(Operation::GetTimeline, status, &refused);
        let (status, refused) = app.post("/webhooks/meta-main", json!({})).await;
        fits::<Problem>(Operation::ReceiveWebhook, status, &refused);
        let (status, refused) = app.get("/webhooks/meta-main").await;
        fits::<Problem>(Operation::HandshakeWebhook, status, &refused);
    })
    .await;
}

#[test]
fn every_example_fits_its_schema() {
    let document = document();
    let mut examples = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let answers = operation["responses"].as_object().unwrap().values();
            let contents = answers.chain([&operation["requestBody"]]).filter_map(|one| one["content"].as_object());
            for content in contents.flat_map(|contents| contents.values()) {
                let several = content["examples"].as_object().into_iter().flat_map(|several| several.values());
                let several = several.map(|one| match one["$ref"].as_str() {
                    Some(path) => document.pointer(&path[1..]).unwrap(),
                    None => one,
                });
                for example in several.map(|one| &one["value"]).chain(content.get("example")) {
                    examples += 1;
                    let faults = faults(&document, &content["schema"], example);
                    assert!(faults.is_empty(), "{method} {path}: {faults:#?}\n{example:#}");
                }
            }
        }
    }
    let problem = &document["components"]["schemas"]["Problem"];
    for kind in Kind::ALL {
        let example = &document["components"]["examples"][kind.about().name]["value"];
        assert_eq!(faults(&document, problem, example), Vec::<String>::new(), "{kind:?}");
        assert!(kind.codes().contains(&example["code"].as_str().unwrap().to_owned()), "{kind:?}");
        let occurs = document["paths"].to_string().contains(&format!("#/components/examples/{}\"", kind.about().name));
        assert!(occurs, "{kind:?} is answered by no operation of the document");
    }
    assert!(examples > 80, "{examples}");
}

#[tokio::test]
async fn the_document_is_there_for_everybody_and_the_page_shows_all_of_it_without_a_script() {
    with_app(async |app| {
        let get = async |path: &str| app.http.get(format!("{}{path}", app.url)).send().await.unwrap();
        let answer = get("/openapi.json").await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"application/json".parse().unwrap())
        );
        assert_eq!(answer.text().await.unwrap(), openapi::json());
        let printed = Command::new(env!("CARGO_BIN_EXE_otpost")).arg("openapi").output().unwrap();
        assert_eq!(String::from_utf8(printed.stdout).unwrap().trim_end(), openapi::json());
        let document = document();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);

        let answer = get("/docs").await;
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        let page = answer.text().await.unwrap();
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("style=\""));
        let anchors: BTreeSet<&str> =
            page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        for target in page.split(" href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(anchors.contains(target), "a link to #{target} leads nowhere");
        }
        for operation in Operation::ALL {
            assert!(anchors.contains(operation.as_str()), "{operation}");
        }
        for kind in Kind::ALL {
            assert!(anchors.contains(format!("problem-{}", kind.about().name).as_str()), "{kind:?}");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(anchors.contains(format!("type-{name}").as_str()), "{name}");
        }
    })
    .await;
}
