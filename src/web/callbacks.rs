//! `GET` and `POST /webhooks/{account}`: providers' callbacks. 2xx is answered only after every receipt is durable.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::operations::Operation;
use crate::providers::Handshake;
use crate::services::callbacks::take_callback::NotTaken;
use crate::telemetry;
use crate::web::api::Api;
use crate::web::body;
use crate::web::problem::ApiError;
use crate::web::server::connection::Connection;

pub async fn handshake(
    account: web::Path<String>,
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    match api.callbacks.handshake(&account, request.query_string()).ok_or(ApiError::NoAccount)? {
        Handshake::Answer(challenge) => {
            Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(challenge))
        }
        Handshake::Refused => Err(ApiError::Handshake),
        Handshake::Malformed => Err(ApiError::NotJson("the query holds no challenge".to_owned())),
        // The account's provider has none.
        Handshake::None => Err(ApiError::Method { allowed: Operation::ReceiveWebhook.method().as_str().to_owned() }),
    }
}

pub async fn receive(
    account: web::Path<String>,
    api: web::Data<Api>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    body::told_length(&request, body::CALLBACK_LIMIT)?;
    let headers: Vec<(String, Vec<u8>)> =
        request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    // A refusal that does not depend on the body comes before the body is read.
    if let Err(refused) = api.callbacks.may_be_theirs(&account, &headers, request.query_string()) {
        return Err(refuse(&account, &refused));
    }
    let body = body::read(&request, payload, &api.bodies, body::CALLBACK_LIMIT).await?;
    let (callbacks, name, query) = (api.clone(), account.clone(), request.query_string().to_owned());
    let taken = api.run(async move { callbacks.callbacks.run(&name, &headers, &query, &body).await }).await?;
    match taken {
        Ok(_) => {
            request.conn_data::<Arc<Connection>>().into_iter().for_each(|connection| connection.is_known_good());
            Ok(HttpResponse::Ok().finish())
        }
        Err(refused) => Err(refuse(&account, &refused)),
    }
}

fn refuse(account: &str, refused: &NotTaken) -> ApiError {
    match refused {
        NotTaken::NoAccount => ApiError::NoAccount,
        NotTaken::Unverified(reason) => {
            if telemetry::may_tell("callbacks that are not believed") {
                tracing::warn!(account, %reason, "a callback is not believed");
            }
            ApiError::Signature
        }
        NotTaken::UnderWay => ApiError::Unavailable,
        // Whatever the reason: it is not durable, so the provider has to repeat it.
        NotTaken::NotDurable(_) => {
            if telemetry::may_tell("callbacks that were not taken") {
                tracing::error!(account, error = %telemetry::chain(refused), "a callback was not taken");
            }
            ApiError::Unavailable
        }
    }
}
