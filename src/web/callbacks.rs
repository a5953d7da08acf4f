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
    body::told_length(&request, body::CALLBACK_LIMIT)?;
    let headers: Vec<(String, Vec<u8>)> =
        request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    // What needs no body to be refused is refused before it is read.
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

fn refuse(account: &str, refused: &NotTaken) -> Problem {
    match refused {
        NotTaken::NoAccount => Problem::NoAccount,
        NotTaken::Unverified(reason) => {
            if telemetry::may_tell("callbacks that are not believed") {
                tracing::warn!(account, %reason, "a callback is not believed");
            }
            Problem::Signature
        }
        NotTaken::UnderWay => Problem::Unavailable,
        // Whatever the reason: it is not durable, and the provider keeps it until it is.
        NotTaken::NotDurable(_) => {
            if telemetry::may_tell("callbacks that were not taken") {
                tracing::error!(account, error = %telemetry::chain(refused), "a callback was not taken");
            }
            Problem::Unavailable
        }
    }
}
