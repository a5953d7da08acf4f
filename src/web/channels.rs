//! `POST /v1/channels`: which channels to offer for a number, before a code is sent.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::channels::Channels;
use crate::api::requests::ChannelsRequest;
use crate::domain::field_code::FieldCode;
use crate::services::routing::choose_route::Whom;
use crate::web::api::Api;
use crate::web::auth::App;
use crate::web::body;
use crate::web::hints;
use crate::web::problem::ApiError;

/// A POST, so that the number is in no URL and in no access log.
pub async fn offer(
    App(app): App,
    api: web::Data<Api>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let body = body::read(&request, payload, &api.bodies, body::API_LIMIT).await?;
    let wish = body::parse::<ChannelsRequest>(&body)?;
    let policy = api.accept.policy.get();
    let to = policy.number(&wish.to).map_err(ApiError::number)?.phone;
    let purpose = hints::given(wish.purpose).unwrap_or_else(|| "login".to_owned());
    policy.purpose(&purpose).map_err(|reason| ApiError::field("purpose", FieldCode::UnknownValue, reason))?;
    let (inner, number) = (api.clone(), to.clone());
    let channels = api.run(async move {
        let whom = Whom { app: &app, to: &number, purpose: &purpose, channel: None };
        inner.accept.choose.offer(&policy, whom, inner.clock.now()).await
    });
    let channels = channels.await?;
    Ok(HttpResponse::Ok().json(Channels { to: to.masked(), country: to.country().to_owned(), channels }))
}
