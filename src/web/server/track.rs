//! Wraps each request: reports its step to the connection, and adds what every answer needs.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{ConnectionType, header};
use actix_web::web::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};

use crate::web::problem::ApiError;
use crate::web::routes;
use crate::web::server::connection::Connection;
use crate::web::server::headers;

/// Also answered on connections without a regular place.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];
/// Maximum number of bytes of an unread body that are discarded if they have already arrived.
const LEFT_OVER: usize = 64 * 1024;
/// Number of checks whether they have arrived.
const LOOKS: usize = 3;

/// What is known about a request before its handler runs.
pub(super) struct Tracked {
    connection: Option<Arc<Connection>>,
    body: Option<Body>,
}

impl Tracked {
    pub(super) fn begin(request: &mut ServiceRequest) -> Self {
        let connection = request.conn_data::<Arc<Connection>>().cloned();
        let mut body = None;
        if let Some(connection) = &connection {
            let has_body = has_body(request);
            connection.request_begins(has_body);
            if has_body {
                let whole = Body::new(request.take_payload(), Arc::clone(connection));
                request.set_payload(Payload::Stream { payload: Box::pin(whole.clone()) });
                body = Some(whole);
            }
        }
        Self { connection, body }
    }

    /// The answer to give at once if this connection has no regular place, or if the path does not exist.
    pub(super) fn refusal(&self, request: &ServiceRequest) -> Option<ApiError> {
        if routes::is_ambiguous(request.uri().path()) {
            return Some(ApiError::NoRoute);
        }
        let is_extra = self.connection.as_ref().is_some_and(|connection| connection.is_extra);
        (is_extra && !HEALTH.contains(&request.path())).then_some(ApiError::Overloaded)
    }

    /// `stopping`: clients should use another instance for their next request.
    pub(super) async fn end(self, response: ServiceResponse<BoxBody>, stopping: bool) -> ServiceResponse<Answer> {
        let Self { connection, body } = self;
        let mut response = response;
        headers::put(response.headers_mut());
        if let Some(connection) = &connection {
            let unread = match body {
                Some(body) => body.left_unread().await,
                None => false,
            };
            if unread || stopping || connection.is_extra || connection.is_closing() {
                response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
            }
            connection.answer_begins(unread);
        }
        response.map_body(|_, body| Answer { body, connection })
    }
}

fn has_body(request: &ServiceRequest) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    request.headers().contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length.trim() != "0")
}

/// A request's body; it tells its connection when more of it is wanted. Clones share one state.
#[derive(Clone)]
struct Body {
    payload: Rc<RefCell<Payload>>,
    ended: Rc<Cell<bool>>,
    connection: Arc<Connection>,
}

impl Body {
    fn new(payload: Payload, connection: Arc<Connection>) -> Self {
        Self { payload: Rc::new(RefCell::new(payload)), ended: Rc::default(), connection }
    }

    /// Whether bytes of the body are still to come. Bytes that have arrived are discarded.
    async fn left_unread(mut self) -> bool {
        let mut bytes = 0;
        for _ in 0..LOOKS {
            while !self.ended.get() && bytes <= LEFT_OVER {
                match self.next().now_or_never() {
                    Some(Some(Ok(chunk))) => bytes += chunk.len(),
                    _ => break,
                }
            }
            if self.ended.get() || bytes > LEFT_OVER {
                break;
            }
            // When the answer is given at once, actix has not read the bytes after the head.
            tokio::task::yield_now().await;
        }
        !self.ended.get()
    }
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended.get() {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut *self.payload.borrow_mut()).poll_next(cx);
        match &polled {
            Poll::Pending => self.connection.wants_body(true),
            Poll::Ready(Some(Ok(_))) => self.connection.wants_body(false),
            Poll::Ready(Some(Err(_)) | None) => {
                self.ended.set(true);
                self.connection.body_ended();
            }
        }
        polled
    }
}

/// An answer's body; it tells its connection when all of it was taken.
pub(super) struct Answer {
    body: BoxBody,
    connection: Option<Arc<Connection>>,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.answer_written();
        }
    }
}
