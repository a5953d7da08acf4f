use chrono::DateTime;

use super::*;
use crate::domain::code::Code;
use crate::domain::phone::Phone;
use crate::domain::receipt::{ErrorClass, Failure};
use crate::providers::conformance::{Keys, our_id};
use crate::providers::{Retry, Template};

/// The adapters of the conformance suite: what `fixtures/README.md` describes.
pub(in crate::providers) fn for_suite(name: &str, keys: &Keys) -> Box<dyn Provider> {
    match name {
        "json" => Box::new(Http::new(json_aggregator(keys))),
        "form" => Box::new(Http::new(form_aggregator())),
        other => panic!("{other}"),
    }
}

fn json_aggregator(keys: &Keys) -> HttpConfig {
    let pointer = |text: &str| Pointer::parse(text).unwrap();
    let field = |text: &str| Some(Field::Json(pointer(text)));
    let statuses = statuses(&[
        ("QUEUED", None),
        ("SENT", Some(Status::Sent)),
        ("DELIVERED", Some(Status::Delivered)),
        ("SEEN", Some(Status::Read)),
        ("FAILED", Some(Status::Failed)),
        ("BARRED", Some(Status::Failed)),
    ]);
    let body = r#"{"recipient": {"msisdn": "{to_digits}"},
        "template": {"name": "{template}", "lang": "{language}", "vars": ["{code}"]},
        "ref": "{attempt_id}", "callback": "{callback_url}", "ttl": {life_s}}"#;
    HttpConfig {
        channel: Channel::Whatsapp,
        base_url: "https://provider.test".to_owned(),
        url: Pattern::parse("https://provider.test/v3/messages", Place::OF_AN_ADDRESS).unwrap(),
        body: Body::parse(body, Escape::Json).unwrap(),
        headers: vec![("X-Api-Key".into(), Secret::new("k"))],
        login: None,
        answer: AnswerShape {
            id: pointer("/message/id"),
            accepted: Some((pointer("/status"), "queued".to_owned())),
            error_code: Some(pointer("/error/code")),
        },
        codes: codes(),
        callback: Some(CallbackShape {
            proof: proof(keys),
            content: Content::Json { list: Some(pointer("/events")) },
            id: field("/id"),
            attempt_id: field("/ref"),
            status: Field::Json(pointer("/state")),
            statuses: statuses.clone(),
            time: field("/at"),
            error_code: field("/error"),
        }),
        ask: Some(AskShape {
            url: Pattern::parse("https://provider.test/v3/messages/{provider_message_id}", Place::OF_A_QUESTION)
                .unwrap(),
            status: pointer("/message/state"),
            statuses,
            time: Some(pointer("/message/at")),
            error_code: Some(pointer("/message/error")),
        }),
        deduplicates: true,
    }
}

fn form_aggregator() -> HttpConfig {
    let field = |name: &str| Some(Field::Form(name.to_owned()));
    let body = "user={user}&password={password}&to={to}&text={text}&dlr_url={callback_url}";
    HttpConfig {
        channel: Channel::Sms,
        base_url: "https://provider.test".to_owned(),
        url: Pattern::parse("https://provider.test/send?ref={attempt_id}", Place::OF_AN_ADDRESS).unwrap(),
        body: Body::parse(body, Escape::Percent).unwrap(),
        headers: vec![("X-Request-Key".into(), Secret::new("k"))],
        login: Some(("dev".to_owned(), Secret::new("k"))),
        answer: AnswerShape {
            id: Pointer::parse("/msgid").unwrap(),
            accepted: Some((Pointer::parse("/result").unwrap(), "E00".to_owned())),
            error_code: Some(Pointer::parse("/result").unwrap()),
        },
        codes: codes(),
        callback: Some(CallbackShape {
            proof: Proof::Token(Secret::new("token")),
            content: Content::Form,
            id: field("msgid"),
            attempt_id: None,
            status: Field::Form("stat".to_owned()),
            statuses: statuses(&[
                ("ACCEPTD", None),
                ("DELIVRD", Some(Status::Delivered)),
                ("UNDELIV", Some(Status::Failed)),
            ]),
            time: field("time"),
            error_code: field("err"),
        }),
        ask: None,
        deduplicates: false,
    }
}

fn statuses(rows: &[(&str, Option<Status>)]) -> Statuses {
    Statuses(rows.iter().map(|(word, status)| ((*word).to_owned(), *status)).collect())
}

fn codes() -> Codes {
    use ErrorClass::{ConfigError, Expired, RateLimited, RecipientUnreachable, Retryable};
    let rows = [
        ("E10", ConfigError, false, true),
        ("E20", RecipientUnreachable, true, true),
        ("E21", RecipientUnreachable, false, true),
        ("E30", RateLimited, false, true),
        ("E40", ConfigError, false, true),
        ("E50", Retryable, false, false),
        ("E51", Retryable, false, true),
        ("E60", Expired, false, true),
        ("BARRED", RecipientUnreachable, false, true),
    ];
    let meaning = |(code, class, number_is_bad, definite): (&str, _, _, _)| {
        (code.to_owned(), Meaning { class, number_is_bad, definite })
    };
    Codes(rows.into_iter().map(meaning).collect())
}

/// As the vector says.
fn proof(keys: &Keys) -> Proof {
    let word = |key: &str, usual: &str| keys.vector[key].as_str().unwrap_or(usual).to_owned();
    let secret = Secret::new(&*keys.secret);
    match word("proof", "signature").as_str() {
        "token" => Proof::Token(secret),
        "header" => Proof::Header { name: "Authorization".to_owned(), value: secret },
        _ => Proof::Signature(Signature {
            header: "X-Agg-Signature".to_owned(),
            prefix: word("prefix", "sha256="),
            algorithm: word("algorithm", "sha256").parse().unwrap(),
            encoding: word("encoding", "hex").parse().unwrap(),
            secrets: vec![Secret::new("current"), secret],
        }),
    }
}

fn adapter(name: &str) -> Box<dyn Provider> {
    for_suite(name, &Keys::default())
}

fn body(provider: &dyn Provider, text: &str, template: &str, callback_url: &str) -> Vec<u8> {
    let call = provider.call(&Outbound {
        attempt_id: our_id("att_01K4T9Q3M7Y2"),
        to: &Phone::from_stored("+447700900123", "GB", 2).unwrap(),
        code: &Code::parse("012345").unwrap(),
        text,
        template: &Template { name: template.to_owned(), language: "en".to_owned() },
        callback_url,
        life_s: 300,
    });
    call.body.to_vec()
}

proptest::proptest! {
    /// Whatever stands in a text, it is the value of its place and nothing more.
    #[test]
    fn a_text_never_breaks_out_of_its_place(text in "\\PC*|[\"\\\\&=%+{}\u{0}-\u{20}]*") {
        let url = "https://otp.example.org/webhooks/main";
        let sent: serde_json::Value = serde_json::from_slice(&body(&*adapter("json"), "", &text, url)).unwrap();
        proptest::prop_assert_eq!(&sent["template"]["name"], text.as_str());
        proptest::prop_assert_eq!(&sent["template"]["vars"], &serde_json::json!(["012345"]));
        proptest::prop_assert_eq!(sent.as_object().unwrap().len(), 5);
        let form = String::from_utf8(body(&*adapter("form"), &text, "", url)).unwrap();
        proptest::prop_assert_eq!(form.split('&').count(), 5);
        proptest::prop_assert_eq!(query::single(&form, "text"), Some(text));
        proptest::prop_assert_eq!(query::single(&form, "to"), Some("+447700900123".to_owned()));
    }
}

#[test]
fn a_body_that_a_value_could_break_is_refused() {
    let parse = |text: &str, escape| Body::parse(text, escape).map(|_| ());
    for right in [
        r#"{"to": "{to}", "text": "{text}", "ttl": {life_s}, "n": {to_digits}}"#,
        r#"["{code}", "pay {text} {text}"]"#,
        r#"{"a": {"b": {}}, "c": "{code}"}"#,
    ] {
        assert_eq!(parse(right, Escape::Json), Ok(()), "{right}");
    }
    for wrong in [
        r#"{"code": {code}}"#,
        r#"{"to": {to}}"#,
        r#"{"text": {text}}"#,
        r#"{"text": "\{text}"}"#,
        r#"{"id": {attempt_id}}"#,
        r#"{"text": "{text}""#,
        r#"{'text': '{text}'}"#,
        "to={to}",
        "",
    ] {
        assert_eq!(parse(wrong, Escape::Json), Err(PatternError::NotJson), "{wrong}");
    }
    for (right, escape) in [("to={to}&text={text}", Escape::Percent), ("a=%20b&{code}=+x", Escape::Percent)] {
        assert_eq!(parse(right, escape), Ok(()), "{right}");
    }
    for wrong in ["to", "to={to}&", "=x", "to={to} &a=b", "a=%zz", "a=b\nc=d", "a=é", ""] {
        assert_eq!(parse(wrong, Escape::Percent), Err(PatternError::NotForm), "{wrong}");
    }
    for (wrong, place) in [("a={number}", "number"), ("a={provider_message_id}", "provider_message_id")] {
        assert_eq!(parse(wrong, Escape::Percent), Err(PatternError::UnknownPlace(place.to_owned())));
    }
    for place in ["code", "text", "password", "callback_url"] {
        let address = format!("https://a.example/{{{place}}}");
        let refused = Pattern::parse(&address, Place::OF_AN_ADDRESS);
        assert_eq!(refused, Err(PatternError::UnknownPlace(place.to_owned())), "an address is written to logs");
    }
}

#[test]
fn a_pointer_finds_what_it_points_at_and_nothing_else() {
    let body = r#"{"a":{"b":[10,{"c/d":"x","m~n":7}]},"":"empty","t":true,"f":1.5,"a":{"b":[11,{"c/d":"y"}]}}"#;
    let raw: &RawValue = serde_json::from_str(body).unwrap();
    let text = |pointer: &str| Pointer::parse(pointer).unwrap().text(raw);
    for (pointer, value) in [("/a/b/0", "11"), ("/a/b/1/c~1d", "y"), ("/", "empty")] {
        assert_eq!(text(pointer).as_deref(), Some(value), "{pointer}");
    }
    for pointer in ["/a", "/a/b/1/m~0n", "/a/b/01", "/a/b/-", "/a/b/2", "/a/b/+1", "/t", "/f", "/x/y", "/a/b/0/0"] {
        assert_eq!(text(pointer), None, "{pointer}");
    }
    assert_eq!(Pointer::parse("/t").unwrap().word(raw).as_deref(), Some("true"));
    assert_eq!(["", "a", "/a~2", "/a~", "#/a"].map(Pointer::parse), [const { None }; 5]);
}

#[test]
fn a_secret_address_is_handed_over_with_its_token() {
    for (url, expected) in [
        ("https://h/webhooks/a", "https://h/webhooks/a?token=token"),
        ("https://h/webhooks/a?region=eu", "https://h/webhooks/a?region=eu&token=token"),
    ] {
        let form = String::from_utf8(body(&*adapter("form"), "x", "", url)).unwrap();
        assert_eq!(query::single(&form, "dlr_url").as_deref(), Some(expected));
    }
}

#[test]
fn without_a_word_for_yes_a_2xx_with_an_id_is_one_unless_a_listed_code_stands_in_it() {
    let mut config = json_aggregator(&Keys::default());
    config.answer.accepted = None;
    let adapter = Http::new(config);
    let outcome = |status, body: &str| adapter.outcome(&Reply { status, retry_after: None, body: body.as_bytes() });
    let taken = SendOutcome::Accepted { provider_message_id: "1".to_owned(), held: false, ask_by: None };
    assert_eq!(outcome(201, r#"{"message":{"id":1}}"#), taken);
    assert_eq!(outcome(201, r#"{"message":{"id":1},"error":{"code":"E99"}}"#), taken);
    let refused = Failure::new("E40", ErrorClass::ConfigError);
    assert_eq!(
        outcome(201, r#"{"message":{"id":1},"error":{"code":"E40"}}"#),
        SendOutcome::Rejected { failure: refused, retry: Retry::Never }
    );
    assert!(matches!(outcome(201, "{}"), SendOutcome::Unknown { .. }));
    assert!(matches!(outcome(201, r#"{"message":{"id":true}}"#), SendOutcome::Unknown { .. }));
    assert!(matches!(outcome(302, r#"{"message":{"id":1}}"#), SendOutcome::Rejected { .. }));
}

#[test]
fn one_bad_event_blocks_none_of_the_others_and_keeps_its_own_bytes() {
    let id = our_id("att_01K4T9Q3M7Y2");
    let body = format!(
        r#"{{"events":[7, {{"id":"a"}}, {{"id":"","state":"SENT"}}, {{"state":"SENT","ref":"att"}}, {{"ref":"{id}","state":"SENT"}}]}}"#
    );
    let read = adapter("json").receipts(Verified::new(body.as_bytes(), None)).unwrap();
    let aside: Vec<_> = read.unreadable.iter().map(|(_, item)| String::from_utf8(item.clone()).unwrap()).collect();
    assert_eq!(aside, ["7", r#"{"id":"a"}"#, r#"{"id":"","state":"SENT"}"#, r#"{"state":"SENT","ref":"att"}"#]);
    assert_eq!((read.receipts.len(), read.receipts[0].attempt_id), (1, Some(id)));
    for body in ["{}", "[]", r#"{"events":{}}"#, "null", ""] {
        assert!(adapter("json").receipts(Verified::new(body.as_bytes(), None)).is_err(), "{body}");
    }
    assert!(adapter("form").receipts(Verified::new(b" \n", None)).is_err());
}

#[test]
fn what_is_not_described_is_neither_asked_nor_believed() {
    let mut config = json_aggregator(&Keys::default());
    (config.callback, config.ask) = (None, None);
    let adapter = Http::new(config);
    let callback = Callback { headers: &[], callback_url: "", query: "", body: b"{}", now: DateTime::UNIX_EPOCH };
    assert_eq!(adapter.verify(&callback).map(|_| ()), Err(Unverified::Missing));
    let about = Question { attempt_id: our_id("att_01K4T9Q3M7Y2"), provider_message_id: "1", ask_by: None };
    assert!(adapter.question(&about).is_none());
    let nothing = Abilities { deduplicates: true, echoes_attempt_id: false, calls_back: false, can_be_asked: false };
    assert_eq!(adapter.abilities(), nothing);
}
