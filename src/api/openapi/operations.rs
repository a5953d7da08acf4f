//! What each operation takes and answers.

use std::collections::BTreeMap;

use utoipa::IntoParams;
use utoipa::openapi::path::{Operation as Described, OperationBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Required};

use crate::api::examples;
use crate::api::openapi::parts::{self, JSON, answer, body, json, json_of_many, text_header};
use crate::api::openapi::{KEY, Tag};
use crate::api::operations::Operation;
use crate::api::problems::Kind;
use crate::api::queries::{ListQuery, TimelineQuery, WaitQuery};
use crate::domain::limits::LimitRule;

pub(super) fn describe(operation: Operation) -> Described {
    let (tag, summary, description) = words(operation);
    let mut described = OperationBuilder::new()
        .operation_id(Some(operation.as_str()))
        .tag(tag.name())
        .summary(Some(summary))
        .description(Some(description));
    described = answers(operation, takes(operation, described));
    let mut by_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in problems(operation) {
        by_status.entry(kind.about().status).or_default().push(kind);
    }
    for (status, kinds) in by_status {
        described = described.response(status.to_string(), parts::refusal(&kinds));
    }
    if operation.needs_key() {
        described = described.security(SecurityRequirement::new(KEY, [] as [&str; 0]));
    }
    described.build()
}

/// Tag, title and description.
fn words(operation: Operation) -> (Tag, &'static str, &'static str) {
    match operation {
        Operation::SendMessage => (
            Tag::Messages,
            "Send a code",
            "Stores a message and sends its code along the configured route. The response comes as soon as the message is stored, before anything is sent. No response contains the code: the person enters it, and `check` tells whether it is right.",
        ),
        Operation::ListMessages => (Tag::Messages, "List messages", "The app's messages, newest first."),
        Operation::GetMessage => (
            Tag::Messages,
            "Get a message",
            "The message as it is now; with `wait_for`, as soon as it has come that far.",
        ),
        Operation::GetTimeline => (
            Tag::Messages,
            "Get a timeline",
            "All events of a message: the chosen route with the reason, each request, receipt, timer and check, and the reasons for what was not done.",
        ),
        Operation::CheckCode => (
            Tag::Messages,
            "Check a code",
            "Checks the code that a person entered. A right code settles the message, is valid once, and stops everything still to be sent. The status is 200 for a wrong code, too: see `valid`.",
        ),
        Operation::ResendMessage => (
            Tag::Messages,
            "Send the code again",
            "Starts the next step of the route at once, with the same code. After the last step, one more SMS is sent. The response is the message with its new attempt.",
        ),
        Operation::CancelMessage => (
            Tag::Messages,
            "Cancel a message",
            "Nothing more is sent, and the code is no longer valid. Can be repeated. The body is ignored.",
        ),
        Operation::OfferChannels => (
            Tag::Channels,
            "Offer channels for a number",
            "The channels that reach a number, in the order of preference. A POST, so that the number is in no URL and no access log. Nothing is sent or stored.",
        ),
        Operation::HandshakeWebhook => (
            Tag::Webhooks,
            "Answer a provider's handshake",
            "Some providers send this request before their first callback. The verify token in the query must be the account's; the response is the challenge.",
        ),
        Operation::ReceiveWebhook => (
            Tag::Webhooks,
            "Take a provider's callback",
            "Body, headers and signature are in the provider's format. The status is 200 only after every receipt is durable. On any other status the provider repeats the callback, which is harmless.",
        ),
        Operation::GetHealth => (
            Tag::Service,
            "Is the process alive?",
            "Does not query the database: its outage is no reason to restart the service.",
        ),
        Operation::GetReadiness => (
            Tag::Service,
            "Should traffic come here?",
            "Ready means that the database responds, every loop runs, and the service is not stopping. For load balancers.",
        ),
        Operation::GetMetrics => {
            (Tag::Service, "Metrics", "Counters and gauges of this process in Prometheus text format.")
        }
        Operation::GetOpenApi => (Tag::Service, "OpenAPI document", "This document."),
        Operation::GetDocs => (Tag::Service, "Documentation page", "This document as HTML."),
    }
}

/// Parameters and body.
fn takes(operation: Operation, described: OperationBuilder) -> OperationBuilder {
    let query = || None;
    match operation {
        Operation::SendMessage => described
            .parameter(parts::request_header(
                "Idempotency-Key",
                "Makes the request safe to repeat for 24 hours: the same key with the same bytes gets the first response; with other bytes it is an error. 1 to 200 visible ASCII characters.",
                parts::text().min_length(Some(1)).max_length(Some(200)).pattern(Some("^[!-~]+$")),
            ))
            .request_body(Some(body("The code to send.", Required::True, &examples::message_request()))),
        Operation::ListMessages => described.parameters(Some(ListQuery::into_params(query))),
        Operation::GetMessage => {
            let tag = "An `ETag` of an earlier response, or several separated by commas: 304 while the message is unchanged.";
            let described = described.parameter(parts::id()).parameters(Some(WaitQuery::into_params(query)));
            described.parameter(parts::request_header("If-None-Match", tag, parts::text()))
        }
        Operation::GetTimeline => {
            described.parameter(parts::id()).parameters(Some(TimelineQuery::into_params(query)))
        }
        Operation::CheckCode => described
            .parameter(parts::id())
            .parameter(parts::request_header(
                "Idempotency-Key",
                "A name for this check. The same key with the same right code gets the same response for 10 seconds, so that a lost response does no harm. 1 to 200 visible ASCII characters.",
                parts::text().min_length(Some(1)).max_length(Some(200)).pattern(Some("^[!-~]+$")),
            ))
            .request_body(Some(body("The code that the person entered.", Required::True, &examples::check_request()))),
        Operation::ResendMessage => described
            .parameter(parts::id())
            .request_body(Some(body("Optional.", Required::False, &examples::resend_request()))),
        Operation::CancelMessage => described.parameter(parts::id()),
        Operation::OfferChannels => {
            described.request_body(Some(body("The number.", Required::True, &examples::channels_request())))
        }
        Operation::HandshakeWebhook => described.parameter(parts::account()),
        Operation::ReceiveWebhook => {
            let any = || ContentBuilder::new().build();
            let body = RequestBodyBuilder::new()
                .description(Some("Whatever the provider sends, at most 4 MiB."))
                .content(JSON, any())
                .content("application/x-www-form-urlencoded", any());
            described.parameter(parts::account()).request_body(Some(body.build()))
        }
        Operation::GetHealth
        | Operation::GetReadiness
        | Operation::GetMetrics
        | Operation::GetOpenApi
        | Operation::GetDocs => described,
    }
}

/// Successful answers.
fn answers(operation: Operation, described: OperationBuilder) -> OperationBuilder {
    let plain = |content_type: &str, description: &str| {
        answer(description).content(content_type, ContentBuilder::new().schema(Some(parts::text())).build())
    };
    let tag = || text_header("Changes when the message changes.");
    match operation {
        Operation::SendMessage => described.response(
            "202",
            answer("The message is stored and will be sent.")
                .header("Location", text_header("Path of the message."))
                .header(
                    "Idempotent-Replayed",
                    text_header("`true` when this is the response to an earlier request with the same key."),
                )
                .content(JSON, json(&examples::accepted())),
        ),
        Operation::ListMessages => {
            described.response("200", answer("A page of messages.").content(JSON, json(&examples::list())))
        }
        Operation::GetMessage => described
            .response("200", answer("The message.").header("ETag", tag()).content(JSON, json(&examples::message())))
            .response("304", answer("The message is unchanged. No body.").header("ETag", tag())),
        Operation::GetTimeline => {
            described.response("200", answer("A page of events.").content(JSON, json(&examples::timeline())))
        }
        Operation::CheckCode => {
            let both = [("right", examples::right()), ("wrong", examples::wrong())];
            described.response("200", answer("The code was checked.").content(JSON, json_of_many(&both)))
        }
        Operation::ResendMessage => {
            described.response("202", answer("The next attempt is planned.").content(JSON, json(&examples::resent())))
        }
        Operation::CancelMessage => {
            described.response("200", answer("The message is cancelled.").content(JSON, json(&examples::cancelled())))
        }
        Operation::OfferChannels => {
            described.response("200", answer("The channels.").content(JSON, json(&examples::channels())))
        }
        Operation::HandshakeWebhook => described.response("200", plain("text/plain", "The challenge.")),
        Operation::ReceiveWebhook => described.response("200", answer("Every receipt is durable. No body.")),
        Operation::GetHealth => {
            described.response("200", answer("The process is alive.").content(JSON, json(&examples::health())))
        }
        Operation::GetReadiness => described
            .response("200", answer("Ready.").content(JSON, json(&examples::ready())))
            .response("503", answer("Not ready.").content(JSON, json(&examples::not_ready()))),
        Operation::GetMetrics => described.response("200", plain("text/plain", "The metrics.")),
        Operation::GetOpenApi => {
            let any = ContentBuilder::new().build();
            described.response("200", answer("The document.").content(JSON, any))
        }
        Operation::GetDocs => described.response("200", plain("text/html", "The page.")),
    }
}

/// Problems, in the order of the checks.
fn problems(operation: Operation) -> Vec<Kind> {
    const BODY: &[Kind] = &[Kind::TooLarge, Kind::TooSlow, Kind::Overloaded, Kind::NotJson, Kind::InvalidField];
    const OF_A_MESSAGE: &[Kind] = &[Kind::NoSuchAddress, Kind::NoSuchMessage];
    const DATABASE: &[Kind] = &[Kind::Unavailable, Kind::Internal];
    const SENDING: [Kind; 9] = [
        Kind::Limit(LimitRule::NumberSpacing),
        Kind::Limit(LimitRule::NumberPerHour),
        Kind::Limit(LimitRule::NumberPerDay),
        Kind::Limit(LimitRule::IpPerHour),
        Kind::Limit(LimitRule::StrictIpPerHour),
        Kind::Limit(LimitRule::DevicePerHour),
        Kind::Limit(LimitRule::PrefixPerHour),
        Kind::Limit(LimitRule::CountryPerHour),
        Kind::Limit(LimitRule::AppPerHour),
    ];
    let own: &[&[Kind]] = match operation {
        Operation::SendMessage => {
            &[BODY, &[Kind::IdempotencyKeyReused, Kind::TooMuchWaiting], &SENDING, &[Kind::CodeKeyMissing], DATABASE]
        }
        Operation::ListMessages => &[&[Kind::InvalidField], DATABASE],
        Operation::GetMessage => &[OF_A_MESSAGE, &[Kind::InvalidField, Kind::TooManyWaiting], DATABASE],
        Operation::GetTimeline => &[OF_A_MESSAGE, &[Kind::InvalidField], DATABASE],
        Operation::CheckCode => &[
            OF_A_MESSAGE,
            BODY,
            &[Kind::Limit(LimitRule::TriesPerHour), Kind::Limit(LimitRule::StrictTries), Kind::CodeKeyMissing],
            DATABASE,
        ],
        Operation::ResendMessage => &[OF_A_MESSAGE, BODY, &[Kind::Settled, Kind::NoNextAttempt], &SENDING, DATABASE],
        Operation::CancelMessage => &[OF_A_MESSAGE, &[Kind::Settled], DATABASE],
        Operation::OfferChannels => &[BODY, DATABASE],
        Operation::HandshakeWebhook => {
            &[&[Kind::NoSuchAddress, Kind::NoSuchAccount, Kind::BadHandshake, Kind::NotJson, Kind::MethodNotAllowed]]
        }
        Operation::ReceiveWebhook => &[
            &[Kind::NoSuchAddress, Kind::NoSuchAccount, Kind::BadSignature],
            &[Kind::TooLarge, Kind::TooSlow, Kind::Overloaded, Kind::NotJson],
            DATABASE,
        ],
        Operation::GetHealth
        | Operation::GetReadiness
        | Operation::GetMetrics
        | Operation::GetOpenApi
        | Operation::GetDocs => &[],
    };
    let key: &[Kind] = if operation.needs_key() { &[Kind::Unauthorized, Kind::NotAllowed] } else { &[] };
    [&[key], own].concat().concat()
}
