//! `/healthz` and `/readyz`.

use std::time::Duration;

use actix_web::{HttpResponse, web};

use crate::api::health::{Health, Readiness};
use crate::telemetry;
use crate::web::api::Api;

/// A loop that has not completed a round for this long is stalled.
const STALLED: Duration = Duration::from_secs(5);

/// Whether the process can answer. It never queries the database: an outage of the database must not restart the
/// instances.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// Whether traffic should come here: not stopping, the database answers, and each loop runs.
pub async fn readyz(api: web::Data<Api>) -> HttpResponse {
    let mut reasons = Vec::new();
    if api.is_stopping() {
        reasons.push("stopping".to_owned());
    }
    if api.messages.database_is_away() {
        reasons.push("the database does not answer".to_owned());
    }
    reasons.extend(api.ticks.stalled(STALLED).into_iter().map(|name| format!("the {name} loop is stalled")));
    let is_ready = reasons.is_empty();
    let status = if is_ready { "ready" } else { "not ready" }.to_owned();
    let mut response = if is_ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(Readiness { status, reasons })
}

/// Counters and gauges of this process, as Prometheus reads them.
pub async fn metrics() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(telemetry::metrics_text())
}
