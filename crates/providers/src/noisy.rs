//! Answers of every provider with other text around them, and unreadable answers.

use crate::conformance::{Accepted, Keys, cases};
use crate::{Provider, Reply, SendOutcome, replies};
use otpost_domain::receipt::Failure;

fn outcome(adapter: &dyn Provider, status: u16, body: &[u8]) -> SendOutcome {
    adapter.outcome(&Reply { status, retry_after: None, body })
}

/// Every adapter by the name of its case.
fn adapters() -> Vec<(&'static str, Box<dyn Provider>)> {
    let mut adapters = Vec::new();
    for case in cases() {
        let fixtures = case.manifest().fixtures;
        let names: std::collections::BTreeSet<String> = fixtures.into_iter().flat_map(|f| f.adapters).collect();
        adapters.extend(names.iter().map(|name| (case.name, (case.adapter)(name, &Keys::default()))));
    }
    adapters
}

#[test]
fn a_2xx_in_which_nothing_can_be_read_was_taken_by_every_provider() {
    let cut = br#"{"messages":[{"id":"#.to_vec();
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b" \n".to_vec(),
        b"OK".to_vec(),
        b"\0\0\0".to_vec(),
        b"\xef\xbb\xbf".to_vec(),
        b"\xff\xfe\xfd".to_vec(),
        b"<html><body>Accepted</body></html>".to_vec(),
        b"<?xml version=\"1.0\"?><id>1</id>".to_vec(),
        b"{}".to_vec(),
        b"[]".to_vec(),
        b"[{}]".to_vec(),
        b"null".to_vec(),
        b"true".to_vec(),
        b"12345".to_vec(),
        b"\"accepted\"".to_vec(),
        br#"{"greeting":"hello"}"#.to_vec(),
        br#"{"error":null,"errors":[]}"#.to_vec(),
        b"\x1f\x8b\x08\x00broken".to_vec(),
        b"{{{{{{{{".to_vec(),
        b"Fatal error: out of {memory} in /a.php".to_vec(),
        cut,
    ];
    let mut tried = 0;
    for (name, adapter) in adapters() {
        for status in [200, 201, 202, 204] {
            for body in &bodies {
                let told = outcome(&*adapter, status, body);
                assert_eq!(told, replies::accepted(None), "{name} {status} {}", String::from_utf8_lossy(body));
                assert!(!replies::unread(&Reply { status, retry_after: None, body }).is_empty());
                tried += 1;
            }
        }
        // The status keeps its meaning.
        for status in [302, 400, 404, 429] {
            assert!(matches!(outcome(&*adapter, status, b"<html>"), SendOutcome::Rejected { .. }), "{name} {status}");
        }
        for status in [500, 502, 503] {
            assert!(matches!(outcome(&*adapter, status, b"<html>"), SendOutcome::Unknown { .. }), "{name} {status}");
        }
    }
    assert!(tried >= 24 * 4 * bodies.len(), "{tried}");
}

#[test]
fn noise_around_an_answer_changes_nothing_of_what_it_means() {
    let wide = |text: &str| {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        [0xff, 0xfe].into_iter().chain(units).collect::<Vec<u8>>()
    };
    type Wrap<'a> = &'a dyn Fn(&str) -> Vec<u8>;
    let noises: [(&str, Wrap<'_>); 14] = [
        ("a byte order mark", &|text| [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("UTF-16", &wide),
        ("new lines", &|text| format!("\r\n\r\n{text}\r\n").into_bytes()),
        ("a NUL at the end", &|text| format!("{text}\0").into_bytes()),
        ("a word before it", &|text| format!("OK: {text}").into_bytes()),
        ("a word behind it", &|text| format!("{text} -- done").into_bytes()),
        ("a warning of PHP", &|text| {
            format!("<br />\n<b>Warning</b>: Undefined key \"x\" in {{closure}}() on line 3<br />\n{text}").into_bytes()
        }),
        ("a brace that opens nothing", &|text| format!("unexpected '{{' in a.php\n{text}").into_bytes()),
        ("a call", &|text| format!("/**/callback({text});").into_bytes()),
        ("a guard", &|text| format!(")]}}',\n{text}").into_bytes()),
        ("another guard", &|text| format!("while(1);{text}").into_bytes()),
        ("a byte that is no text", &|text| [b"\xf3 ", text.as_bytes()].concat()),
        ("an object before it", &|text| format!("{{\"debug\":{{}}}}\n{text}").into_bytes()),
        ("an object behind it", &|text| format!("{text}\n{{\"took_ms\":7}}").into_bytes()),
    ];
    let (mut tried, mut refused) = (0, 0);
    for case in cases() {
        for fixture in case.manifest().fixtures.iter().filter(|f| f.kind == "answer" && f.file.ends_with(".json")) {
            for name in &fixture.adapters {
                let adapter = (case.adapter)(name, &Keys::default());
                let text = case.text(&fixture.file);
                let plain = outcome(&*adapter, fixture.status, text.as_bytes());
                for (noise, wrap) in &noises {
                    let noisy = outcome(&*adapter, fixture.status, &wrap(&text));
                    assert_eq!(noisy, plain, "{} {}: {noise}", case.name, fixture.file);
                    tried += 1;
                    refused += usize::from(matches!(noisy, SendOutcome::Rejected { .. }));
                }
            }
        }
    }
    assert!(tried > 1_500 && refused > 900, "{tried} {refused}");
}

/// The id from each provider's documented answer, written in other ways.
#[test]
fn an_id_may_be_a_number_of_any_form() {
    let forms = [
        ("12345.0", "12345"),
        ("1e5", "100000"),
        ("18446744073709551616", "18446744073709551616"),
        ("340282366920938463463374607431768211457", "340282366920938463463374607431768211457"),
        ("-7", "-7"),
        ("\" a b \"", "a b"),
        ("\"m-1\\n\"", "m-1"),
        ("\"12345.0\"", "12345.0"),
    ];
    for case in cases() {
        let Some(Accepted { adapter: name, status, body }) = case.accepted else { continue };
        let adapter = (case.adapter)(name, &Keys::default());
        for (form, id) in forms {
            let told = outcome(&*adapter, status, body(form).as_bytes());
            assert_eq!(told, replies::accepted(Some(id.to_owned())), "{} {form}", case.name);
        }
    }
}

#[test]
fn a_2xx_that_says_no_is_no_acceptance() {
    let bodies = [
        r#"{"success":false}"#,
        r#"{"ok":false,"message":"no credit"}"#,
        r#"{"error":"insufficient balance"}"#,
        r#"{"error":{"message":"no"}}"#,
        r#"{"errors":[{"detail":"no"}]}"#,
        r#"{"status":"error"}"#,
        r#"{"result":"FAILED"}"#,
        "Warning: x\n{\"notice\":1}\n{\"success\":false}",
        "{\"success\":false}{\"id\":\"x\"}",
        r#"[{"success":false}]"#,
    ];
    for (name, adapter) in adapters() {
        for body in bodies {
            let told = outcome(&*adapter, 200, body.as_bytes());
            assert!(!matches!(told, SendOutcome::Accepted { .. }), "{name} {body}: {told:?}");
            if let SendOutcome::Rejected { failure: Failure { code, .. }, .. } = told {
                assert!(!code.is_empty());
            }
        }
    }
}
