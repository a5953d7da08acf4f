//! Sends answers to the client.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use futures_util::stream;

use crate::engine::face::Reply;
use crate::engine::world::World;

/// Waits this long by the simulator's clock; returns at once with a manual clock.
pub(crate) async fn wait(world: &World, length: Duration) {
    if let Some(length) = world.clock.on_the_wall(length).filter(|length| !length.is_zero()) {
        tokio::time::sleep(length).await;
    }
}

pub(crate) fn answer(reply: Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if let Some(seconds) = reply.retry_after_s {
        response.insert_header(("Retry-After", seconds.to_string()));
    }
    response.content_type("application/json").body(reply.body)
}

/// Closes the connection without any byte of an answer: a body that fails at once makes actix drop the connection
/// before it writes the head.
pub(crate) fn break_off() -> HttpResponse {
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    HttpResponse::Ok().streaming(stream::iter([Err::<Bytes, _>(broken)]))
}
