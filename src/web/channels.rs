//! `POST /v1/channels`: which channels to offer for a number, before a code is sent.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::domain::phone::Phone;
use crate::services::choose_route::Whom;
use crate::web::api::Api;
use crate::web::auth::App;
use crate::web::body;
use crate::web::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    to: String,
    purpose: Option<String>,
}

/// A POST, so that the number stands in no address and in no access log.
pub async fn offer(
    App(app): App,
    api: web::Data<Api>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let body = body::read(&request, payload, &api.bodies, body::API_LIMIT).await?;
    let wish = body::parse::<Request>(&body)?;
    let to = Phone::parse(&wish.to).map_err(|e| Problem::field("to", e.to_string()))?;
    let purpose = wish.purpose.unwrap_or_else(|| "login".to_owned());
    let policy = api.accept.policy.get();
    policy.purpose(&purpose).map_err(|reason| Problem::field("purpose", reason))?;
    let (inner, number) = (api.clone(), to.clone());
    let channels = api.run(async move {
        let whom = Whom { app: &app, to: &number, purpose: &purpose, channel: None };
        inner.accept.choose.offer(&policy, whom, inner.clock.now()).await
    });
    let channels = channels.await?;
    Ok(HttpResponse::Ok().json(json!({ "to": to.masked(), "country": to.country(), "channels": channels })))
}
