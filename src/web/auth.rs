//! Which app sends a request.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};

use crate::domain::app_id::AppId;
use crate::web::api::Api;
use crate::web::problem::ApiError;
use crate::web::server::connection::Connection;

/// The app whose key is in `Authorization: Bearer`. A handler with this argument refuses all other requests.
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
        Box::pin(async move {
            let (Some(key), Some(api)) = (key, api) else { return Err(ApiError::Unauthorized) };
            let keys = api.app_keys.clone();
            let app = api.run(async move { keys.app_of(&key).await }).await??.ok_or(ApiError::Unauthorized)?;
            connection.iter().for_each(|connection| connection.is_known_good());
            Ok(App(app))
        })
    }
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
