//! Maps addresses to handlers: `api::operations` has the table of operations, and each has its handler here.

use actix_web::{HttpResponse, Route, guard, web};

use crate::api::operations::{Method, Operation};
use crate::web::problem::ApiError;
use crate::web::{callbacks, channels, checks, docs, health, messages};

pub fn configure(config: &mut web::ServiceConfig) {
    for path in Operation::paths() {
        let operations = Operation::at(path);
        let mut resource = web::resource(patterns(path));
        for operation in operations {
            resource = resource.route(route(operation));
        }
        config.service(resource.default_service(web::to(move || method_not_allowed(path))));
    }
    config.default_service(web::to(no_route));
}

/// A callback's address may end with a slash, because some consoles and proxies add one.
fn patterns(path: &'static str) -> Vec<String> {
    let mut patterns = vec![path.to_owned()];
    if path.starts_with("/webhooks/") {
        patterns.push(format!("{path}/"));
    }
    patterns
}

fn route(operation: Operation) -> Route {
    let route = match operation.method() {
        // The same answer without its body, for load balancers and monitors (RFC 9110, section 9.3.2).
        Method::Get if operation.answers_head() => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
        Method::Get => web::get(),
        Method::Post => web::post(),
    };
    match operation {
        Operation::SendMessage => route.to(messages::create),
        Operation::ListMessages => route.to(messages::list),
        Operation::GetMessage => route.to(messages::get),
        Operation::GetTimeline => route.to(messages::timeline),
        Operation::CheckCode => route.to(checks::check),
        Operation::ResendMessage => route.to(checks::resend),
        Operation::CancelMessage => route.to(checks::cancel),
        Operation::OfferChannels => route.to(channels::offer),
        Operation::HandshakeWebhook => route.to(callbacks::handshake),
        Operation::ReceiveWebhook => route.to(callbacks::receive),
        Operation::GetHealth => route.to(health::healthz),
        Operation::GetReadiness => route.to(health::readyz),
        Operation::GetMetrics => route.to(health::metrics),
        Operation::GetOpenApi => route.to(docs::document),
        Operation::GetDocs => route.to(docs::page),
    }
}

/// Whether a proxy in front may interpret this path, as it was sent, as another one than we do: it has empty, `.` or
/// `..` segments, or an encoded slash. nginx and Caddy read `/v1/messages/..%2f..%2fwebhooks%2fx` as `/webhooks/x`,
/// which they let in from outside, and pass it on unchanged. None of our addresses looks like that.
pub fn is_ambiguous(path: &str) -> bool {
    let path = path.to_ascii_lowercase().replace("%2e", ".");
    let mut segments = path.split('/').skip(1).peekable();
    let mut odd = path.contains('\\') || path.contains("%2f") || path.contains("%5c");
    while let Some(segment) = segments.next() {
        odd |= matches!(segment, "." | "..") || segment.is_empty() && segments.peek().is_some();
    }
    odd
}

async fn no_route() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NoRoute)
}

async fn method_not_allowed(path: &'static str) -> Result<HttpResponse, ApiError> {
    Err(ApiError::Method { allowed: Operation::allowed(path) })
}

#[cfg(test)]
mod tests {
    use super::is_ambiguous;

    #[test]
    fn a_path_that_a_proxy_may_read_otherwise_is_none_of_ours() {
        let odd = [
            "/v1/messages/..%2f..%2fwebhooks%2fx/check",
            "/v1/messages/%2E%2e/%2e./webhooks/x",
            "/v1/messages/.%2e%2F../webhooks/x",
            "/metrics%2f..%2fwebhooks/x",
            "//webhooks/x",
            "/webhooks//x",
            "/v1/./messages",
            "/v1/messages/..",
            "/v1/messages/..\\..\\webhooks",
            "/v1/messages/..%5c..%5Cwebhooks",
        ];
        assert!(odd.into_iter().all(is_ambiguous));
        let plain = [
            "/",
            "/webhooks/whatsapp-main",
            "/webhooks/whatsapp-main/",
            "/v1/messages/01a21a05-6fd3-7028-b0ff-345139de3d00/check",
            "/v1/messages/..x",
            "/v1/messages/%252f",
            "/v1/messages/%20",
        ];
        assert!(!plain.into_iter().any(is_ambiguous));
    }
}
