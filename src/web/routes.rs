//! Which address is answered by what.

use actix_web::web;

use crate::web::problem::Problem;
use crate::web::{callbacks, channels, checks, health, messages};

pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/v1/messages")
                .get(messages::list)
                .post(messages::create)
                .default_service(web::to(method_not_allowed)),
        )
        .service(web::resource("/v1/messages/{id}").get(messages::get).default_service(web::to(method_not_allowed)))
        .service(
            web::resource("/v1/messages/{id}/timeline")
                .get(messages::timeline)
                .default_service(web::to(method_not_allowed)),
        )
        .service(
            web::resource("/v1/messages/{id}/check").post(checks::check).default_service(web::to(method_not_allowed)),
        )
        .service(
            web::resource("/v1/messages/{id}/resend").post(checks::resend).default_service(web::to(method_not_allowed)),
        )
        .service(
            web::resource("/v1/messages/{id}/cancel").post(checks::cancel).default_service(web::to(method_not_allowed)),
        )
        .service(web::resource("/v1/channels").post(channels::offer).default_service(web::to(method_not_allowed)))
        .service(
            web::resource("/webhooks/{account}")
                .get(callbacks::handshake)
                .post(callbacks::receive)
                .default_service(web::to(method_not_allowed)),
        )
        .service(web::resource("/healthz").get(health::healthz))
        .service(web::resource("/readyz").get(health::readyz))
        .service(web::resource("/metrics").get(health::metrics))
        .default_service(web::to(no_route));
}

async fn no_route() -> Result<actix_web::HttpResponse, Problem> {
    Err(Problem::NoRoute)
}

async fn method_not_allowed() -> Result<actix_web::HttpResponse, Problem> {
    Err(Problem::Method)
}
