//! `/healthz` and `/readyz`.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::telemetry;
use crate::web::api::Api;

/// A loop that has not gone round for this long is stalled.
const STALLED: Duration = Duration::from_secs(5);

/// The process can answer. Never asks the database: its outage must not restart the fleet.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// Whether traffic should come here: not stopping, the database answers, each loop goes round.
pub async fn readyz(api: web::Data<Api>) -> HttpResponse {
    let mut reasons = Vec::new();
    if api.is_stopping() {
        reasons.push("stopping".to_owned());
    }
    if api.pool.is_away() {
        reasons.push("the database does not answer".to_owned());
    }
    reasons.extend(api.ticks.stalled(STALLED).into_iter().map(|name| format!("the {name} loop is stalled")));
    if reasons.is_empty() {
        HttpResponse::Ok().json(json!({ "status": "ready" }))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({ "status": "not ready", "reasons": reasons }))
    }
}

/// Counters and gauges of this process, as Prometheus reads them.
pub async fn metrics() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(telemetry::metrics_text())
}
