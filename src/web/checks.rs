//! `POST /v1/messages/{id}/check`, `/resend` and `/cancel`.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::checks::CheckAnswer;
use crate::api::requests::{CheckRequest, ResendRequest};
use crate::api::words::CheckReason;
use crate::domain::event::Verdict;
use crate::domain::field_code::FieldCode;
use crate::domain::message::Outcome;
use crate::domain::typed;
use crate::services::messages::message_view;
use crate::web::api::Api;
use crate::web::auth::{App, Id};
use crate::web::body;
use crate::web::messages::{channel, idempotency_key};
use crate::web::problem::ApiError;

pub async fn check(
    App(app): App,
    Id(id): Id,
    api: web::Data<Api>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let caller = idempotency_key(&request)?;
    let body = body::read(&request, payload, &api.bodies, body::API_LIMIT).await?;
    let code = body::parse::<CheckRequest>(&body)?.code;
    // A text that is not a code is refused, and not counted as a try.
    let code = typed::parse(&code).map_err(|e| ApiError::field("code", FieldCode::CodeNotDigits, e.to_string()))?;
    let messages = api.messages.clone();
    let checked = api.run(async move { messages.check_code(&app, id, code, caller).await }).await??;
    let reason = match checked.verdict {
        Verdict::Right | Verdict::RightAgain => None,
        Verdict::AlreadyUsed => Some(CheckReason::AlreadyUsed),
        Verdict::Wrong => Some(CheckReason::WrongCode),
        Verdict::Expired => Some(CheckReason::Expired),
        Verdict::Exhausted => Some(CheckReason::TooManyTries),
        Verdict::Cancelled => Some(CheckReason::Cancelled),
        Verdict::Superseded => Some(CheckReason::Superseded),
    };
    // An outcome that only a newer version knows looks like a cancelled message.
    let outcome = if checked.outcome == Outcome::Other { Outcome::Cancelled } else { checked.outcome };
    let valid = matches!(checked.verdict, Verdict::Right | Verdict::RightAgain);
    let tries_left = checked.tries_left;
    Ok(HttpResponse::Ok().json(CheckAnswer { valid, outcome, tries_left, reason }))
}

pub async fn resend(
    App(app): App,
    Id(id): Id,
    api: web::Data<Api>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let body = body::read(&request, payload, &api.bodies, body::API_LIMIT).await?;
    let wish: ResendRequest = if body.is_empty() { ResendRequest::default() } else { body::parse(&body)? };
    let channel = channel(wish.channel.as_deref())?;
    let messages = api.messages.clone();
    let stored = api.run(async move { messages.resend(&app, id, channel).await }).await??;
    Ok(HttpResponse::Accepted().content_type("application/json").body(message_view::json(&stored)))
}

pub async fn cancel(App(app): App, Id(id): Id, api: web::Data<Api>) -> Result<HttpResponse, ApiError> {
    let messages = api.messages.clone();
    let stored = api.run(async move { messages.cancel(&app, id).await }).await??;
    Ok(HttpResponse::Ok().content_type("application/json").body(message_view::json(&stored)))
}
