//! The simulator's aggregator, described as settings would.

use std::collections::BTreeMap;

use crate::config::ProviderSettings;
use crate::domain::channel::Channel;
use crate::domain::receipt::{ErrorClass, Status};
use crate::domain::secret::Secret;
use crate::providers::basic;
use crate::providers::http::{
    Algorithm, AnswerShape, AskShape, Body, CallbackShape, Codes, Content, Encoding, Escape, Field, HttpConfig,
    Meaning, Pattern, Place, Pointer, Proof, Signature, Statuses,
};
use crate::simulator as sim;

/// In the callback address of `http-sms`.
pub const TOKEN: &str = "sim-http-callback-token";

const WHATSAPP_BODY: &str = r#"{"recipient": {"msisdn": "{to_digits}"},
    "template": {"name": "{template}", "lang": "{language}", "vars": ["{code}"]},
    "ref": "{attempt_id}", "callback": "{callback_url}", "ttl": {life_s}}"#;

const SMS_BODY: &str = "to={to_digits}&text={text}&dlr_url={callback_url}";

pub fn whatsapp(url: &str) -> ProviderSettings {
    let field = |text: &str| Some(Field::Json(pointer(text)));
    let statuses = statuses(&[
        ("QUEUED", None),
        ("SENT", Some(Status::Sent)),
        ("DELIVERED", Some(Status::Delivered)),
        ("SEEN", Some(Status::Read)),
        ("FAILED", Some(Status::Failed)),
    ]);
    let messages = format!("{url}/http/v3/messages");
    let question = format!("{messages}/{{provider_message_id}}");
    ProviderSettings::Http(Box::new(HttpConfig {
        channel: Channel::Whatsapp,
        base_url: url.to_owned(),
        url: address(&messages, Place::OF_AN_ADDRESS),
        body: body(WHATSAPP_BODY, Escape::Json),
        headers: vec![("x-api-key".into(), Secret::new(sim::HTTP_KEY))],
        login: None,
        answer: AnswerShape {
            id: pointer("/message/id"),
            accepted: Some((pointer("/status"), "queued".to_owned())),
            error_code: Some(pointer("/error/code")),
        },
        codes: codes(),
        callback: Some(CallbackShape {
            proof: Proof::Signature(Signature {
                header: "X-Agg-Signature".to_owned(),
                prefix: String::new(),
                algorithm: Algorithm::Sha512,
                encoding: Encoding::Base64,
                secrets: vec![Secret::new(sim::HTTP_SECRET)],
            }),
            content: Content::Json { list: Some(pointer("/events")) },
            id: field("/id"),
            attempt_id: field("/ref"),
            status: Field::Json(pointer("/state")),
            statuses: statuses.clone(),
            time: field("/at"),
            error_code: field("/error"),
        }),
        ask: Some(AskShape {
            url: address(&question, Place::OF_A_QUESTION),
            status: pointer("/message/state"),
            statuses,
            time: None,
            error_code: None,
        }),
        deduplicates: false,
    }))
}

pub fn sms(url: &str) -> ProviderSettings {
    let field = |name: &str| Some(Field::Form(name.to_owned()));
    let statuses = statuses(&[
        ("ACCEPTD", None),
        ("ENROUTE", Some(Status::Sent)),
        ("DELIVRD", Some(Status::Delivered)),
        ("UNDELIV", Some(Status::Failed)),
    ]);
    let (user, password) = sim::HTTP_LOGIN;
    let question = format!("{url}/http/status?msgid={{provider_message_id}}");
    ProviderSettings::Http(Box::new(HttpConfig {
        channel: Channel::Sms,
        base_url: url.to_owned(),
        url: address(&format!("{url}/http/send"), Place::OF_AN_ADDRESS),
        body: body(SMS_BODY, Escape::Percent),
        headers: vec![("authorization".into(), basic::authorization(user, &Secret::new(password)))],
        login: None,
        answer: AnswerShape {
            id: pointer("/msgid"),
            accepted: Some((pointer("/result"), "E00".to_owned())),
            error_code: Some(pointer("/result")),
        },
        codes: codes(),
        callback: Some(CallbackShape {
            proof: Proof::Token(Secret::new(TOKEN)),
            content: Content::Form,
            id: field("msgid"),
            attempt_id: None,
            status: Field::Form("stat".to_owned()),
            statuses: statuses.clone(),
            time: field("time"),
            error_code: field("err"),
        }),
        ask: Some(AskShape {
            url: address(&question, Place::OF_A_QUESTION),
            status: pointer("/stat"),
            statuses,
            time: None,
            error_code: None,
        }),
        deduplicates: false,
    }))
}

fn codes() -> Codes {
    let unreachable = Meaning::of(ErrorClass::RecipientUnreachable);
    let rows = [
        ("E10", Meaning::of(ErrorClass::ConfigError)),
        ("E20", Meaning { number_is_bad: true, ..unreachable }),
        ("E21", unreachable),
        ("E30", Meaning::of(ErrorClass::RateLimited)),
        ("E41", Meaning::of(ErrorClass::ConfigError)),
        ("E42", Meaning::of(ErrorClass::ConfigError)),
        ("E50", Meaning { definite: false, ..Meaning::of(ErrorClass::Retryable) }),
        ("E51", Meaning::of(ErrorClass::Retryable)),
    ];
    Codes(rows.into_iter().map(|(code, meaning)| (code.to_owned(), meaning)).collect())
}

fn statuses(rows: &[(&str, Option<Status>)]) -> Statuses {
    Statuses(rows.iter().map(|(word, status)| ((*word).to_owned(), *status)).collect::<BTreeMap<_, _>>())
}

fn address(text: &str, places: &[Place]) -> Pattern {
    Pattern::parse(text, places).expect("its places are known")
}

fn body(text: &str, escape: Escape) -> Body {
    Body::parse(text, escape).expect("it was tried out")
}

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).expect("it begins with a slash")
}
