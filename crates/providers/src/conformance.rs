//! One suite for every provider: runs each fixture, each row of its error table and each vector, as its manifest
//! (`fixtures/index.json`) lists them. The rows of the registry bring the cases.

pub(crate) mod case;
pub(crate) mod cases;
mod codes;
mod vectors;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::case::{Accepted, Case, Keys, Runs, our_id};
pub(crate) use self::cases::cases;
use self::codes::{CodeRow, CodeTemplate};
use crate::regional::DltIds;
use crate::{Method, Outbound, Provider, Reply, Retry, SendOutcome, StatusQuery, Template, Verified, query};
use otpost_domain::code::Code;
use otpost_domain::ids::AttemptId;
use otpost_domain::phone::Phone;
use otpost_domain::receipt::{Failure, Status};

#[derive(Deserialize)]
pub struct Manifest {
    pub fixtures: Vec<Fixture>,
    templates: Vec<CodeTemplate>,
}

#[derive(Deserialize)]
pub struct Fixture {
    pub file: String,
    pub kind: String,
    pub adapters: Vec<String>,
    /// Path of a request or a status query.
    path: Option<String>,
    #[serde(default)]
    pub status: u16,
    retry_after_s: Option<u64>,
    #[serde(default)]
    expect: Value,
    /// What is sent, where it differs from the default.
    #[serde(default)]
    message: Message,
    /// The provider gives no time with these statuses.
    #[serde(default)]
    timeless: bool,
}

/// What a request fixture sends.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Message {
    to: String,
    code: String,
    text: String,
    /// As in the fixture, with our id in its place.
    attempt: Option<String>,
    /// Name of the template, where it differs from the case's.
    template: Option<String>,
    /// Sender for the recipient's country.
    sender: Option<String>,
    /// India's ids: of the company and of the text.
    dlt: Option<(String, String)>,
    life_s: u32,
}

impl Default for Message {
    fn default() -> Self {
        Self {
            to: "+447700900123".to_owned(),
            code: "493817".to_owned(),
            text: "493817 is your Example code. It expires in 5 minutes.".to_owned(),
            attempt: None,
            template: None,
            sender: None,
            dlt: None,
            life_s: 300,
        }
    }
}

impl Case {
    fn folder(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src").join(self.name).join("fixtures")
    }

    /// With our attempt ids in place of the fixtures'.
    pub fn text(&self, file: &str) -> String {
        with_our_ids(&self.raw(file))
    }

    fn raw(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    fn json<T: DeserializeOwned>(&self, file: &str) -> T {
        serde_json::from_str(&self.text(file)).unwrap_or_else(|e| panic!("{} {file}: {e}", self.name))
    }

    /// The vectors unchanged: a signature may cover the id in an address.
    fn vectors(&self, file: &str) -> Vec<Value> {
        let read = || serde_json::from_str(&self.raw(file)).unwrap_or_else(|e| panic!("{} {file}: {e}", self.name));
        if self.folder().join(file).exists() { read() } else { Vec::new() }
    }

    pub fn manifest(&self) -> Manifest {
        self.json("index.json")
    }

    fn run(&self) -> Runs {
        let mut runs = Runs::default();
        let manifest = self.manifest();
        self.every_file_is_listed(&manifest);
        for fixture in &manifest.fixtures {
            for name in &fixture.adapters {
                let adapter = (self.adapter)(name, &Keys::default());
                match fixture.kind.as_str() {
                    "request" => self.check_request(fixture, &*adapter, &mut runs),
                    "answer" => self.check_answer(fixture, &*adapter, &mut runs),
                    "callback" => self.check_callback(fixture, &*adapter, &mut runs),
                    "told" => self.check_told(fixture, &*adapter, &mut runs),
                    other => panic!("{other}"),
                }
            }
        }
        let rows: Vec<CodeRow> = self.json("codes.json");
        for row in &rows {
            self.check_row(row, &manifest.templates, &mut runs);
            runs.codes += 1;
        }
        self.check_vectors(&mut runs);
        runs
    }

    fn every_file_is_listed(&self, manifest: &Manifest) {
        let listed: BTreeSet<&str> = manifest.fixtures.iter().map(|f| f.file.as_str()).collect();
        let mut found = BTreeSet::new();
        for kind in ["requests", "answers", "callbacks", "told"] {
            for file in std::fs::read_dir(self.folder().join(kind)).into_iter().flatten() {
                found.insert(format!("{kind}/{}", file.unwrap().file_name().to_str().unwrap()));
            }
        }
        assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), listed, "{}", self.name);
    }

    fn check_request(&self, fixture: &Fixture, adapter: &dyn Provider, runs: &mut Runs) {
        let sms = fixture.file.contains("sms");
        let named = fixture.message.attempt.as_deref().map(|id| AttemptId::parse(id).unwrap());
        let attempt_id = named.unwrap_or(our_id(if sms { "att_01K4T9R1KD6V" } else { "att_01K4T9Q3M7Y2" }));
        let call = adapter.call(&Outbound {
            attempt_id,
            to: &Phone::from_stored(&fixture.message.to, "GB", 2).unwrap(),
            code: &Code::parse(&fixture.message.code).unwrap(),
            text: &fixture.message.text,
            template: &Template {
                name: fixture.message.template.clone().unwrap_or_else(|| self.template.0.to_owned()),
                language: self.template.1.to_owned(),
            },
            sender: fixture.message.sender.as_deref(),
            dlt: fixture.message.dlt.as_ref().map(|(entity_id, template_id)| DltIds { entity_id, template_id }),
            callback_url: CALLBACK_URL,
            life_s: fixture.message.life_s,
        });
        let url = format!("https://provider.test{}", fixture.path.as_deref().unwrap());
        assert_eq!((call.method, call.url.as_str()), (Method::Post, url.as_str()), "{}", fixture.file);
        assert!(call.headers.iter().any(|(_, v)| shows_key(v.expose())), "{} has no key", fixture.file);
        if fixture.file.ends_with(".txt") {
            assert_eq!(call.content_type, "application/x-www-form-urlencoded", "{}", fixture.file);
            assert_eq!(form(std::str::from_utf8(&call.body).unwrap()), form(&self.text(&fixture.file)));
            runs.requests += 1;
            return;
        }
        assert_eq!(call.content_type, "application/json", "{}", fixture.file);
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let mut expected: Value = self.json(&fixture.file);
        if expected["status_callback_url"] == "$CALLBACK_URL" {
            let given = body["status_callback_url"].as_str().unwrap();
            let start = format!("{CALLBACK_URL}?attempt={attempt_id}&token=");
            assert!(given.starts_with(&start) && given.len() == start.len() + 64, "{given}");
            expected["status_callback_url"] = Value::from(given);
        }
        assert_eq!(body, expected, "{}", fixture.file);
        runs.requests += 1;
    }

    /// The answer to a status query about the only expected message.
    fn check_told(&self, fixture: &Fixture, adapter: &dyn Provider, runs: &mut Runs) {
        let expect = &fixture.expect;
        let attempt_id = our_id("att_01K4T9Q3M7Y2");
        let about = StatusQuery {
            attempt_id,
            provider_message_id: expect["id"].as_str().unwrap(),
            ask_by: expect["ask_by"].as_str(),
        };
        let question = adapter.status_query(&about).unwrap();
        let url = format!("https://provider.test{}", fixture.path.as_deref().unwrap());
        assert_eq!((question.method, question.url.as_str()), (Method::Get, url.as_str()), "{}", fixture.file);
        assert!(question.headers.iter().any(|(_, v)| shows_key(v.expose())), "{} has no key", fixture.file);
        let body = self.text(&fixture.file);
        let reply = Reply { status: fixture.status, retry_after: None, body: body.as_bytes() };
        let receipts = adapter.status_answer(&about, &reply).unwrap().receipts;
        // The last one counts, as with callbacks.
        let last = receipts.iter().max_by_key(|receipt| receipt.status);
        let at = format!("{} {}: {receipts:?}", self.name, fixture.file);
        assert_eq!(last.map(|r| r.status.as_str()), expect["state"].as_str(), "{at}");
        assert!(receipts.iter().all(|r| r.attempt_id == Some(attempt_id)), "{at}");
        let failure = last.and_then(|r| r.failure.as_ref());
        assert_eq!(failure.map(|f| f.class.as_str()), expect["class"].as_str(), "{at}");
        if let Some(code) = expect["code"].as_str() {
            assert_eq!(failure.unwrap().code, code, "{at}");
        }
        runs.told += 1;
    }

    fn check_answer(&self, fixture: &Fixture, adapter: &dyn Provider, runs: &mut Runs) {
        let body = self.text(&fixture.file);
        let retry_after = fixture.retry_after_s.map(Duration::from_secs);
        let outcome = adapter.outcome(&Reply { status: fixture.status, retry_after, body: body.as_bytes() });
        let expect = &fixture.expect;
        let at = format!("{} {}: {outcome:?}", self.name, fixture.file);
        match expect["state"].as_str() {
            Some("accepted") => {
                let SendOutcome::Accepted { provider_message_id, held, ask_by } = outcome else { panic!("{at}") };
                assert!(expect["provider_message_id"].as_str().is_none_or(|id| id == provider_message_id), "{at}");
                assert_eq!(held, expect["held"] == true, "{at}");
                assert_eq!(ask_by.as_deref(), expect["ask_by"].as_str(), "{at}");
            }
            Some("failed") => {
                let SendOutcome::Rejected { failure, retry } = outcome else { panic!("{at}") };
                assert_eq!(failure.class.as_str(), expect["class"], "{at}");
                assert_eq!(failure.code, expect["code"], "{at}");
                if let Some(wait) = retry_after {
                    assert_eq!(retry, Retry::After(wait), "{at}");
                }
            }
            Some("unknown") => {
                let SendOutcome::Unknown { failure } = outcome else { panic!("{at}") };
                assert_eq!(
                    (failure.class.as_str(), failure.code.as_str().into()),
                    (expect["class"].as_str().unwrap(), expect["code"].clone(),),
                    "{at}"
                );
            }
            _ => panic!("{at}"),
        }
        runs.answers += 1;
    }

    /// A list in a file is a sequence of callbacks. The expectation is the final state of each of our messages.
    fn check_callback(&self, fixture: &Fixture, adapter: &dyn Provider, runs: &mut Runs) {
        let text = self.text(&fixture.file);
        let bodies = match serde_json::from_str(&text) {
            Ok(Value::Array(bodies)) => bodies.iter().map(Value::to_string).collect(),
            _ => vec![text],
        };
        let mut last: BTreeMap<String, (Status, Option<AttemptId>, Option<Failure>)> = BTreeMap::new();
        for body in bodies {
            let receipts = adapter.receipts(Verified::new(body.as_bytes(), None)).unwrap();
            assert_eq!(receipts.unreadable, [], "{}", fixture.file);
            for receipt in receipts.receipts {
                assert!(receipt.provider_at.is_some() != fixture.timeless, "{}", fixture.file);
                assert_eq!(receipt.failure.is_some(), receipt.status == Status::Failed, "{}", fixture.file);
                let state = (receipt.status, receipt.attempt_id, receipt.failure);
                let slot = last.entry(receipt.provider_message_id).or_insert_with(|| state.clone());
                if state.0 > slot.0 {
                    *slot = state;
                }
                runs.receipts += 1;
            }
        }
        let expected = fixture.expect.as_array().unwrap();
        for expect in expected {
            let id = expect["id"].as_str().unwrap();
            let (status, attempt_id, failure) = last.get(id).unwrap_or_else(|| panic!("{} {id}", fixture.file));
            let at = format!("{} {}: {status:?} {failure:?}", self.name, fixture.file);
            assert_eq!(status.as_str(), expect["state"], "{at}");
            assert_eq!(attempt_id.map(|id| id.to_string()).as_deref(), expect["attempt"].as_str(), "{at}");
            assert_eq!(failure.as_ref().map(|f| f.class.as_str()), expect["class"].as_str(), "{at}");
            if let Some(code) = expect["code"].as_str() {
                assert_eq!(failure.as_ref().unwrap().code, code, "{at}");
            }
        }
        let strangers = usize::from(fixture.file.ends_with("batch.json"));
        assert_eq!(last.len(), expected.len() + strangers, "{}", fixture.file);
        runs.callbacks += 1;
    }
}

/// The address of callbacks in every fixture.
const CALLBACK_URL: &str = "https://otp.example.org/webhooks/main";

/// The key of every adapter ends in `k`; with Basic authentication it is the password.
fn shows_key(header: &str) -> bool {
    let basic = header.strip_prefix("Basic ").and_then(|text| BASE64_STANDARD.decode(text).ok());
    header.ends_with('k') || basic.is_some_and(|pair| pair.ends_with(b"k"))
}

/// The fields of a form, sorted by name.
fn form(text: &str) -> Vec<(String, String)> {
    let field = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        (query::decode(name).unwrap(), query::decode(value).unwrap())
    };
    let mut fields: Vec<_> = text.trim_end().split('&').map(field).collect();
    fields.sort();
    fields
}

fn with_our_ids(text: &str) -> String {
    const LENGTH: usize = "att_01K4T9Q3M7Y2".len();
    let mut text = text.to_owned();
    while let Some(start) = text.find("att_") {
        let id = our_id(&text[start..start + LENGTH]).to_string();
        text.replace_range(start..start + LENGTH, &id);
    }
    text
}

#[test]
fn every_provider_does_what_its_manifest_says() {
    let ran: Vec<_> = cases().map(|case| (case.name, case.run())).collect();
    let known: Vec<_> = cases().map(|case| (case.name, case.runs)).collect();
    assert_eq!(ran, known);
}
