//! Tests every row of a provider's error table (`fixtures/codes.json`) in every place where its code can occur.

use serde::Deserialize;
use serde_json::Value;

use crate::conformance::case::{Case, Keys, Runs, our_id};
use crate::conformance::cases::cases;
use crate::{Reply, Retry, SendOutcome, StatusQuery, Verified};
use otpost_domain::receipt::ErrorClass;

/// The shape of an answer or a callback, with `$CODE` in it.
#[derive(Deserialize)]
pub struct CodeTemplate {
    adapter: String,
    /// `own` or `whatsapp`: whose codes occur there. Or a name of the provider's own, see [`CodeRow::templates`].
    codes: String,
    kind: String,
    /// JSON, or a text for a body that is not JSON.
    body: Value,
    /// Replaces `$STATUS` in it, for a provider whose word is not `failed`.
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
    meaning: Option<String>,
    /// The templates in which it occurs, where `own` ones are of another kind.
    templates: Option<String>,
    /// The text in the body, if it differs from `code`.
    written: Option<String>,
    http_status: Value,
    class: String,
    #[serde(default)]
    ambiguous: bool,
    /// Whom else it affects. A row for every 4xx has none: the status decides.
    scope: Option<String>,
}

/// Without a known code, only these statuses certainly affect everybody.
fn scope_of_status(status: u16) -> &'static str {
    if matches!(status, 401 | 402 | 407) { "account" } else { "recipient" }
}

/// The head of the page of error codes.
const HEAD: &str = "\
# Error codes

The meaning of each provider's codes for otpost. Generated from the tables with which the adapters are tested
(`crates/providers/src/*/fixtures/codes.json`): `OTPOST_WRITE_DOCS=1 cargo test -p otpost-providers error_codes`.

**Class** decides what happens to the attempt: `retryable` and `rate_limited` are tried again in the remaining time; all others
start the next step at once. No code ends a message while a step is left.

**Scope** is whom else a refusal affects. `account`: all recipients; the account's breaker opens when half of its recent sends
fail this way. `sender`, `template` (in one language) and `country` close only that part, at once, for
`sending.breaker_open_ms`; for a closed template the next language is used. On WhatsApp an account has one sender, so `sender`
counts as `account`. `recipient`: this person alone; also used for every code that may concern a number or a setting.

A code that is not listed gets the class and scope of its HTTP status: 401, 402 and 407 `config_error` of the account, 429
`rate_limited`, other 4xx `config_error` of scope `recipient`; with a 5xx the message may have been sent.
";

/// Whose codes others pass on.
fn upstream() -> &'static Case {
    cases().find(|case| case.is_whatsapp_itself).expect("one of them is WhatsApp itself")
}

/// The page as the tables have it.
fn page() -> String {
    use std::fmt::Write;

    let mut page = HEAD.to_owned();
    for case in cases().filter(|case| case.accepted.is_some()) {
        let _ =
            write!(page, "\n## {}\n\n| code | what it says | class | scope |\n| --- | --- | --- | --- |\n", case.name);
        let rows: Vec<CodeRow> = case.json("codes.json");
        for row in rows.iter().filter(|row| row.code != "none") {
            let code = match (row.code.as_str(), &row.http_status) {
                ("any", Value::Number(status)) => format!("HTTP {status}"),
                ("any", Value::String(statuses)) => format!("HTTP {statuses}"),
                ("http_5xx_or_transport", _) => "HTTP 5xx, or no answer".to_owned(),
                ("unknown_4xx", _) => "another, with a 4xx".to_owned(),
                ("whatsapp:*", _) => "WhatsApp's".to_owned(),
                (code, _) => format!("`{code}`"),
            };
            let (class, scope) = match (row.code.as_str(), &row.scope) {
                ("whatsapp:*", _) => ("as above", "as above"),
                (_, Some(scope)) => (row.class.as_str(), scope.as_str()),
                (_, None) => (row.class.as_str(), "by the status"),
            };
            let meaning = row.meaning.as_deref().unwrap_or_default().replace('|', "/");
            let _ = writeln!(page, "| {code} | {meaning} | {class} | {scope} |");
        }
    }
    page
}

#[test]
fn the_page_of_error_codes_is_what_the_adapters_are_tested_with() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/error-codes.md");
    if std::env::var_os("OTPOST_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).expect("the page can be written");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), page(), "OTPOST_WRITE_DOCS=1 writes it anew");
}

impl Case {
    pub fn check_row(&self, row: &CodeRow, templates: &[CodeTemplate], runs: &mut Runs) {
        let numeric = |range: std::ops::RangeInclusive<u16>| range.map(|code| code.to_string()).collect::<Vec<_>>();
        match row.code.as_str() {
            // Our own deadline, not a code.
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
            "whatsapp:*" => {
                let theirs: Vec<CodeRow> = upstream().json("codes.json");
                for row in theirs.iter().filter(|row| row.code.parse::<u32>().is_ok()) {
                    self.check_code(row, &row.code, "whatsapp", &[400, 429, 500, 503], templates, runs);
                }
            }
            code if code.contains(':') => {
                let (adapter, status) = code.split_once(':').unwrap();
                let template = templates.iter().find(|t| t.adapter == adapter && t.kind == "callback").unwrap();
                let mut body = template.raw().replace("$CODE", "").replace("$STATUS", status);
                // The provider's own words for it.
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
                    _ if self.is_whatsapp_itself || upstream => &[400, 403, 429, 500, 503],
                    Some(status) => &[u16::try_from(status).unwrap()],
                    // Listed without a status.
                    None if row.http_status.is_null() => &[400],
                    None => panic!("{code}"),
                };
                let codes = row.templates.as_deref().unwrap_or(if upstream { "whatsapp" } else { "own" });
                self.check_code(row, code, codes, statuses, templates, runs);
            }
        }
    }

    /// Tests this code, as text and as a number, in every place that the templates allow.
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

    /// Tests these statuses, with and without a readable body.
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
        let scope = row.scope.as_deref().unwrap_or(scope_of_status(status));
        assert_eq!((failure.class.as_str(), failure.scope.as_str()), (row.class.as_str(), scope), "{at}");
        assert!(code.is_none_or(|code| code == failure.code), "{at}");
        runs.verdicts += 1;
    }

    /// In a callback, or (`told`) in the answer to a status query.
    fn check_failed(&self, row: &CodeRow, kind: &str, adapter: &str, body: &str, runs: &mut Runs) {
        let adapter = (self.adapter)(adapter, &Keys::default());
        let receipts = match kind {
            "callback" => adapter.receipts(Verified::new(body.as_bytes(), None)),
            "told" => {
                let attempt_id = our_id("att_01K4T9Q3M7Y2");
                let about = StatusQuery { attempt_id, provider_message_id: "1", ask_by: None };
                adapter.status_answer(&about, &Reply { status: 200, retry_after: None, body: body.as_bytes() })
            }
            other => panic!("{other}"),
        };
        let receipts = receipts.unwrap().receipts;
        let failure = receipts[0].failure.as_ref().unwrap();
        let scope = row.scope.as_deref().expect("a row about failed messages has a scope");
        assert_eq!((failure.class.as_str(), failure.scope.as_str()), (row.class.as_str(), scope), "{body}");
        runs.verdicts += 1;
    }
}
