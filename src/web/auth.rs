//! Which app sends a request.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::{Method, header};
use actix_web::{FromRequest, HttpRequest, web};

use crate::api::operations::Operation;
use crate::domain::app_id::AppId;
use crate::web::api::Api;
use crate::web::hints;
use crate::web::problem::ApiError;
use crate::web::server::connection::Connection;

/// The app whose key is in `Authorization: Bearer`. A handler with this argument refuses all other requests, and keys that may not
/// do what is asked for.
pub struct App(pub AppId);

impl FromRequest for App {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let key = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let key = key.and_then(|v| v.strip_prefix("Bearer ").or_else(|| v.strip_prefix("bearer ")));
        let key = key.map(|k| k.trim().to_owned());
        let api = request.app_data::<web::Data<Api>>().cloned();
        let connection = request.conn_data::<Arc<Connection>>().cloned();
        let scope = operation(request).and_then(Operation::scope);
        let address = client_address(request, api.as_ref().map(|api| &***api));
        Box::pin(async move {
            let (Some(key), Some(api)) = (key, api) else { return Err(ApiError::Unauthorized) };
            let keys = api.app_keys.clone();
            let holder = api.run(async move { keys.holder_of(&key).await }).await??.ok_or(ApiError::Unauthorized)?;
            if let Some(scope) = scope {
                holder.rights.check(scope, address).map_err(ApiError::Denied)?;
            }
            let app = holder.app;
            connection.iter().for_each(|connection| connection.is_known_good());
            Ok(App(app))
        })
    }
}

/// The operation that is asked for.
fn operation(request: &HttpRequest) -> Option<Operation> {
    let pattern = request.match_pattern()?;
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    Operation::at(&pattern).find(|operation| operation.method().as_str() == method.as_str())
}

/// The address from which the request comes: behind a trusted proxy, the last one that no such proxy has. What stands before it is
/// what the client claims. `None` if it cannot be read.
fn client_address(request: &HttpRequest, api: Option<&Api>) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let is_proxy = |address: IpAddr| api.is_some_and(|api| api.trusted_proxies.iter().any(|one| one.contains(address)));
    if !is_proxy(peer) {
        return Some(peer);
    }
    let lines = request.headers().get_all("X-Forwarded-For").map(|line| line.to_str().unwrap_or_default());
    let named: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
    for one in named.into_iter().rev() {
        let address = hints::ip(one)?;
        if !is_proxy(address) {
            return Some(address);
        }
    }
    Some(peer)
}

/// The message id in the path. A text that cannot be one of our ids is answered as not found.
pub struct Id(pub crate::domain::ids::MessageId);

impl FromRequest for Id {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id").and_then(crate::domain::ids::MessageId::parse);
        ready(id.map(Id).ok_or(ApiError::NoMessage))
    }
}
