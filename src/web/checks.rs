//! `POST /v1/messages/{id}/check`, `/resend` and `/cancel`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::domain::event::{Effect, Event, Verdict};
use crate::domain::ids::MessageId;
use crate::domain::message::Outcome;
use crate::domain::typed;
use crate::services::message_view;
use crate::services::randomness;
use crate::services::transitions::{Command, Done, Record};
use crate::store::messages;
use crate::web::api::Api;
use crate::web::auth::{App, Id};
use crate::web::body;
use crate::web::messages::channel;
use crate::web::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    code: zeroize::Zeroizing<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Resend {
    channel: Option<String>,
}

pub async fn check(
    App(app): App,
    Id(id): Id,
    api: web::Data<Api>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let body = body::read(&request, payload, &api.bodies, body::API_LIMIT).await?;
    let code = body::parse::<Check>(&body)?.code;
    // What is no code is told so, and is not counted as a try.
    let code = typed::parse(&code).map_err(|e| Problem::field("code", e.to_string()))?;
    let Effect::Checked(checked) = apply(&api, app, id, Event::Check { code }).await? else {
        return Err(Problem::Internal);
    };
    let (outcome, reason) = match checked.verdict {
        Verdict::Right => (Outcome::Verified, None),
        Verdict::AlreadyUsed => (Outcome::Verified, Some("already_used")),
        Verdict::Wrong if checked.tries_left == 0 => (Outcome::Exhausted, Some("wrong_code")),
        Verdict::Wrong => (Outcome::Pending, Some("wrong_code")),
        Verdict::Expired => (Outcome::Expired, Some("expired")),
        Verdict::Exhausted => (Outcome::Exhausted, Some("too_many_tries")),
        Verdict::Cancelled => (Outcome::Cancelled, Some("cancelled")),
    };
    let mut answer = json!({
        "valid": checked.verdict == Verdict::Right,
        "outcome": outcome,
        "tries_left": checked.tries_left,
    });
    if let Some(reason) = reason {
        answer["reason"] = reason.into();
    }
    Ok(HttpResponse::Ok().json(answer))
}

pub async fn resend(
    App(app): App,
    Id(id): Id,
    api: web::Data<Api>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let body = body::read(&request, payload, &api.bodies, body::API_LIMIT).await?;
    let wish: Resend = if body.is_empty() { Resend::default() } else { body::parse(&body)? };
    let channel = channel(wish.channel.as_deref())?;
    match apply(&api, app.clone(), id, Event::Resend { channel }).await? {
        Effect::Planned { .. } => show(&api, &app, id, HttpResponse::Accepted()).await,
        Effect::Refused(refusal) => Err(Problem::Refused(refusal)),
        _ => Err(Problem::Internal),
    }
}

pub async fn cancel(App(app): App, Id(id): Id, api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    match apply(&api, app.clone(), id, Event::Cancel).await? {
        Effect::Done | Effect::Ignored => show(&api, &app, id, HttpResponse::Ok()).await,
        Effect::Refused(refusal) => Err(Problem::Refused(refusal)),
        _ => Err(Problem::Internal),
    }
}

async fn apply(api: &web::Data<Api>, app: String, id: MessageId, event: Event) -> Result<Effect, Problem> {
    let at = api.clock.now();
    let record = Record::ByApp { app, check_id: randomness::id(at) };
    let (inner, command) = (api.clone(), Command { message: id, event, at, record });
    match api.run(async move { inner.ledger.apply_one(command).await }).await?? {
        Done::Effect(effect) => Ok(effect),
        Done::NotFound => Err(Problem::NoMessage),
        // Another instance, or this one a little later, may be able to.
        Done::Locked | Done::Unreadable => Err(Problem::Unavailable),
    }
}

async fn show(
    api: &web::Data<Api>,
    app: &str,
    id: MessageId,
    mut response: actix_web::HttpResponseBuilder,
) -> Result<HttpResponse, Problem> {
    let (inner, app) = (api.clone(), app.to_owned());
    let stored = api.run(async move { messages::find(&inner.pool, &app, id).await }).await?;
    let stored = stored?.ok_or(Problem::NoMessage)?;
    Ok(response.content_type("application/json").body(message_view::json(&stored)))
}
