//! `GET` and `POST /webhooks/{account}`: providers' callbacks. 2xx is said when every receipt is durable, and not before.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::providers::Handshake;
use crate::services::take_callback::NotTaken;
use crate::telemetry;
use crate::web::api::Api;
use crate::web::body;
use crate::web::problem::Problem;
use crate::web::server::Connection;

pub async fn handshake(
    account: web::Path<String>,
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    match api.callbacks.handshake(&account, request.query_string()).ok_or(Problem::NoAccount)? {
        Handshake::Answer(challenge) => {
            Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(challenge))
        }
        Handshake::Refused => Err(Problem::Handshake),
        Handshake::Malformed => Err(Problem::NotJson("the query holds no challenge".to_owned())),
        Handshake::None => Err(Problem::Method),
    }
}

pub async fn receive(
    account: web::Path<String>,
    api: web::Data<Api>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let length = request.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > body::CALLBACK_LIMIT as u64) {
        return Err(Problem::TooLarge(body::CALLBACK_LIMIT));
    }
    let body = body::read(payload, body::CALLBACK_LIMIT).await?;
    let headers: Vec<(String, Vec<u8>)> =
        request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    match api.callbacks.run(&account, &headers, request.query_string(), &body).await {
        Ok(_) => {
            request.conn_data::<Arc<Connection>>().into_iter().for_each(|connection| connection.is_known_good());
            Ok(HttpResponse::Ok().finish())
        }
        Err(NotTaken::NoAccount) => Err(Problem::NoAccount),
        Err(NotTaken::Unverified(reason)) => {
            tracing::warn!(account = account.as_str(), %reason, "a callback is not believed");
            Err(Problem::Signature)
        }
        // Whatever the reason: it is not durable, and the provider keeps it until it is.
        Err(error @ NotTaken::NotDurable(_)) => {
            tracing::error!(account = account.as_str(), error = %telemetry::chain(&error), "a callback was not taken");
            Err(Problem::Unavailable)
        }
    }
}
