//! Every row of a provider's error table (`fixtures/codes.json`), in every place where its code can stand.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::receipt::ErrorClass;
use crate::providers::conformance::{CASES, Case, Keys, Runs, our_id};
use crate::providers::{Question, Reply, Retry, SendOutcome, Verified};

/// What an answer or a callback looks like with `$CODE` in it.
#[derive(Deserialize)]
pub struct CodeTemplate {
    adapter: String,
    /// `own` or `meta`: whose codes stand there. Or a name of the provider's own, see [`CodeRow::templates`].
    codes: String,
    kind: String,
    /// JSON, or as text a body that is none.
    body: Value,
    /// Stands for `$STATUS` in it, for a provider whose word is not `failed`.
    #[serde(default)]
    status: String,
}

impl CodeTemplate {
    fn raw(&self) -> String {
        self.body.as_str().map_or_else(|| self.body.to_string(), str::to_owned)
    }

    fn text(&self) -> String {
        self.raw().replace("$STATUS", &self.status)
    }
}

#[derive(Clone, Deserialize)]
pub struct CodeRow {
    code: String,
    /// The templates in which it stands, where `own` ones are of another kind.
    templates: Option<String>,
    /// What stands there, where that is not `code` itself.
    written: Option<String>,
    http_status: Value,
    class: String,
    #[serde(default)]
    ambiguous: bool,
    #[serde(default = "yes")]
    sms_may_help: bool,
}

fn yes() -> bool {
    true
}

impl Case {
    pub fn check_row(&self, row: &CodeRow, templates: &[CodeTemplate], runs: &mut Runs) {
        let numeric = |range: std::ops::RangeInclusive<u16>| range.map(|code| code.to_string()).collect::<Vec<_>>();
        match row.code.as_str() {
            // Our own deadline says it, no code does.
            "none" => assert_eq!(row.class, "expired"),
            "http_5xx_or_transport" => self.check_statuses(row, &[500, 502, 503, 504], None, templates, runs),
            "unknown_4xx" => {
                self.check_code(row, "999999", "own", &[400, 404, 422], templates, runs);
            }
            "any" => match row.http_status.as_str() {
                Some("4xx") => {
                    let others: Vec<u16> = (400..500).filter(|s| ![429].contains(s)).collect();
                    self.check_statuses(row, &others, Some("some_word"), templates, runs);
                }
                Some("5xx") => self.check_statuses(row, &[500, 502, 503, 504, 599], Some("some_word"), templates, runs),
                Some(other) => panic!("{other}"),
                None => {
                    let status = u16::try_from(row.http_status.as_u64().unwrap()).unwrap();
                    self.check_statuses(row, &[status], Some("some_word"), templates, runs);
                }
            },
            "meta:*" => {
                let meta: Vec<CodeRow> = CASES[0].json("codes.json");
                for row in meta.iter().filter(|row| row.code.parse::<u32>().is_ok()) {
                    self.check_code(row, &row.code, "meta", &[400, 429, 500, 503], templates, runs);
                }
            }
            code if code.contains(':') => {
                let (adapter, status) = code.split_once(':').unwrap();
                let template = templates.iter().find(|t| t.adapter == adapter && t.kind == "callback").unwrap();
                let mut body = template.raw().replace("$CODE", "").replace("$STATUS", status);
                // Their own words for it.
                for word in ["\"failed\"", "\"rejected\""] {
                    body = body.replace(word, &format!("\"{status}\""));
                }
                self.check_failed(row, "callback", adapter, &body, runs);
            }
            "200-299" => {
                for code in numeric(200..=299) {
                    self.check_code(row, &code, "own", &[403], templates, runs);
                }
            }
            code => {
                let upstream = row.http_status == "upstream";
                let statuses: &[u16] = match row.http_status.as_u64() {
                    // Decided on the code, whatever the status.
                    _ if self.name == "meta" || upstream => &[400, 403, 429, 500, 503],
                    Some(status) => &[u16::try_from(status).unwrap()],
                    // Listed without one.
                    None if row.http_status.is_null() => &[400],
                    None => panic!("{code}"),
                };
                let codes = row.templates.as_deref().unwrap_or(if upstream { "meta" } else { "own" });
                self.check_code(row, code, codes, statuses, templates, runs);
            }
        }
    }

    /// This code, as text and as a number, in every place where the templates say that it can stand.
    fn check_code(
        &self,
        row: &CodeRow,
        code: &str,
        codes: &str,
        statuses: &[u16],
        templates: &[CodeTemplate],
        runs: &mut Runs,
    ) {
        let mut places = 0;
        let written = row.written.as_deref().unwrap_or(code);
        for template in templates.iter().filter(|t| t.codes == codes) {
            let body = template.text();
            let mut bodies = vec![body.replace("$CODE", written)];
            if written.parse::<u32>().is_ok() && body.contains("\"$CODE\"") {
                bodies.push(body.replace("\"$CODE\"", written));
            }
            for body in bodies {
                places += 1;
                match template.kind.as_str() {
                    "answer" => {
                        for &status in statuses {
                            self.check_refused(row, Some(code), &template.adapter, status, &body, runs);
                        }
                    }
                    kind => self.check_failed(row, kind, &template.adapter, &body, runs),
                }
            }
        }
        assert!(places > 0, "{} {code}: nowhere", self.name);
    }

    /// These statuses, with and without a body to read.
    fn check_statuses(
        &self,
        row: &CodeRow,
        statuses: &[u16],
        word: Option<&str>,
        templates: &[CodeTemplate],
        runs: &mut Runs,
    ) {
        for template in templates.iter().filter(|t| t.kind == "answer" && t.codes == "own") {
            for &status in statuses {
                for body in ["", "{}", "[]", "null", "<html>", "{\"error\":{}}", "{\"error\":7}", "{\"error\":null}"] {
                    self.check_refused(row, None, &template.adapter, status, body, runs);
                }
                if let Some(word) = word {
                    let body = template.text().replace("$CODE", word);
                    self.check_refused(row, Some(word), &template.adapter, status, &body, runs);
                }
            }
        }
    }

    fn check_refused(
        &self,
        row: &CodeRow,
        code: Option<&str>,
        adapter: &str,
        status: u16,
        body: &str,
        runs: &mut Runs,
    ) {
        let adapter = (self.adapter)(adapter, &Keys::default());
        let outcome = adapter.outcome(&Reply { status, retry_after: None, body: body.as_bytes() });
        let at = format!("{} {} {status} {body}: {outcome:?}", self.name, row.code);
        let failure = match outcome {
            SendOutcome::Rejected { failure, retry } if !row.ambiguous => {
                let worth = matches!(failure.class, ErrorClass::Retryable | ErrorClass::RateLimited);
                assert!(worth || retry == Retry::Never, "{at}");
                failure
            }
            SendOutcome::Unknown { failure } if row.ambiguous => failure,
            _ => panic!("{at}"),
        };
        assert_eq!((failure.class.as_str(), !failure.number_is_bad), (row.class.as_str(), row.sms_may_help), "{at}");
        assert!(code.is_none_or(|code| code == failure.code), "{at}");
        runs.verdicts += 1;
    }

    /// In a callback, or (`told`) in the answer to a question.
    fn check_failed(&self, row: &CodeRow, kind: &str, adapter: &str, body: &str, runs: &mut Runs) {
        let adapter = (self.adapter)(adapter, &Keys::default());
        let receipts = match kind {
            "callback" => adapter.receipts(Verified::new(body.as_bytes(), None)),
            "told" => {
                let attempt_id = our_id("att_01K4T9Q3M7Y2");
                let about = Question { attempt_id, provider_message_id: "1", ask_by: None };
                adapter.told(&about, &Reply { status: 200, retry_after: None, body: body.as_bytes() })
            }
            other => panic!("{other}"),
        };
        let receipts = receipts.unwrap().receipts;
        let failure = receipts[0].failure.as_ref().unwrap();
        assert_eq!((failure.class.as_str(), !failure.number_is_bad), (row.class.as_str(), row.sms_may_help), "{body}");
        runs.verdicts += 1;
    }
}
