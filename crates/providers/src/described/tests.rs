use chrono::DateTime;

use super::*;
use crate::conformance::{Case, Keys, Runs, our_id};
use crate::{Retry, Template};
use otpost_domain::channel::Channel;
use otpost_domain::code::Code;
use otpost_domain::phone::Phone;
use otpost_domain::receipt::{ErrorClass, Failure};
use otpost_domain::secret::Secret;

pub(crate) static CASE: Case = Case {
    name: "described",
    adapter: for_suite,
    template: ("login_code", "en"),
    signing: &["json"],
    accepted: None,
    proofs: &[("X-Agg-Signature", "sha256=80084a092d4e038789b65a5db25332217fed7d52699f191b2e7b148a5bf5dafc")],
    is_whatsapp_itself: false,
    runs: Runs {
        requests: 9,
        answers: 14,
        told: 4,
        callbacks: 14,
        receipts: 15,
        codes: 12,
        verdicts: 1923,
        signatures: 34,
        handshakes: 0,
        tokens: 0,
    },
};

/// The adapters of the conformance suite: what `fixtures/README.md` describes.
fn for_suite(name: &str, keys: &Keys) -> Box<dyn Provider> {
    match name {
        "json" => Box::new(Described::new(json_aggregator(keys))),
        "form" => Box::new(Described::new(form_aggregator())),
        "form-india" => {
            let body = "to={to_digits}&text={text}&from={sender}&pe={dlt_entity_id}&te={dlt_template_id}";
            Box::new(Described::new(with_india(body, Escape::Percent)))
        }
        "json-india" => {
            let body = r#"{"to": "{to}", "text": "{text}", "from": "{sender}", "ttl": {life_s},
                "india": {"entity": "{dlt_entity_id}", "template": "{dlt_template_id}"}}"#;
            Box::new(Described::new(with_india(body, Escape::Json)))
        }
        other => panic!("{other}"),
    }
}

fn with_india(body: &str, escape: Escape) -> DescribedConfig {
    DescribedConfig {
        url: Pattern::parse("https://provider.test/send?pe={dlt_entity_id}", Place::OF_AN_ADDRESS).unwrap(),
        body: Body::parse(body, escape).unwrap(),
        headers: vec![("X-Api-Key".into(), Secret::new("k"))],
        sender: Some("Example".to_owned()),
        ..form_aggregator()
    }
}

fn json_aggregator(keys: &Keys) -> DescribedConfig {
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
    DescribedConfig {
        channel: Channel::Whatsapp,
        base_url: "https://provider.test".to_owned(),
        url: Pattern::parse("https://provider.test/v3/messages", Place::OF_AN_ADDRESS).unwrap(),
        body: Body::parse(body, Escape::Json).unwrap(),
        headers: vec![("X-Api-Key".into(), Secret::new("k"))],
        sender: None,
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
            kind: None,
        }),
        ask: Some(QueryShape {
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

fn form_aggregator() -> DescribedConfig {
    let field = |name: &str| Some(Field::Form(name.to_owned()));
    let body = "user={user}&password={password}&to={to}&text={text}&dlr_url={callback_url}";
    DescribedConfig {
        channel: Channel::Sms,
        base_url: "https://provider.test".to_owned(),
        url: Pattern::parse("https://provider.test/send?ref={attempt_id}", Place::OF_AN_ADDRESS).unwrap(),
        body: Body::parse(body, Escape::Percent).unwrap(),
        headers: vec![("X-Request-Key".into(), Secret::new("k"))],
        sender: None,
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
            kind: None,
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
        ("E10", ConfigError, true),
        ("E20", RecipientUnreachable, true),
        ("E21", RecipientUnreachable, true),
        ("E30", RateLimited, true),
        ("E40", ConfigError, true),
        ("E50", Retryable, false),
        ("E51", Retryable, true),
        ("E60", Expired, true),
        ("BARRED", RecipientUnreachable, true),
    ];
    let meaning =
        |(code, class, definite): (&str, ErrorClass, _)| (code.to_owned(), Meaning { definite, ..Meaning::of(class) });
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
        sender: None,
        dlt: None,
        callback_url,
        life_s: 300,
    });
    call.body.to_vec()
}

proptest::proptest! {
    /// Any text is the value of its placeholder and nothing more.
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
    for (pointer, value) in [("/a/b/0", "11"), ("/a/b/1/c~1d", "y"), ("/", "empty"), ("/f", "1.5")] {
        assert_eq!(text(pointer).as_deref(), Some(value), "{pointer}");
    }
    for pointer in ["/a", "/a/b/1/m~0n", "/a/b/01", "/a/b/-", "/a/b/2", "/a/b/+1", "/t", "", "/x/y", "/a/b/0/0"] {
        assert_eq!(text(pointer), None, "{pointer}");
    }
    assert_eq!(Pointer::parse("/t").unwrap().word(raw).as_deref(), Some("true"));
    assert_eq!(Pointer::parse("").unwrap().find(raw).unwrap().get(), body, "the whole document");
    assert_eq!(["a", "/a~2", "/a~", "#/a"].map(Pointer::parse), [const { None }; 4]);
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
    let adapter = Described::new(config);
    let outcome = |status, body: &str| adapter.outcome(&Reply { status, retry_after: None, body: body.as_bytes() });
    let taken = SendOutcome::Accepted { provider_message_id: "1".to_owned(), held: false, ask_by: None };
    assert_eq!(outcome(201, r#"{"message":{"id":1}}"#), taken);
    assert_eq!(outcome(201, r#"{"message":{"id":1},"error":{"code":"E99"}}"#), taken);
    let refused = Failure::new("E40", ErrorClass::ConfigError);
    assert_eq!(
        outcome(201, r#"{"message":{"id":1},"error":{"code":"E40"}}"#),
        SendOutcome::Rejected { failure: refused, retry: Retry::Never }
    );
    let nameless = replies::accepted(None);
    assert_eq!(outcome(201, "{}"), nameless);
    assert_eq!(outcome(201, r#"{"message":{"id":true}}"#), nameless);
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
    let adapter = Described::new(config);
    let callback = Callback { headers: &[], callback_url: "", query: "", body: b"{}", now: DateTime::UNIX_EPOCH };
    assert_eq!(adapter.verify(&callback).map(|_| ()), Err(Unverified::Missing));
    let about = StatusQuery { attempt_id: our_id("att_01K4T9Q3M7Y2"), provider_message_id: "1", ask_by: None };
    assert!(adapter.status_query(&about).is_none());
    let nothing = Abilities { deduplicates: true, echoes_attempt_id: false, calls_back: false, can_be_queried: false };
    assert_eq!(adapter.abilities(), nothing);
}
