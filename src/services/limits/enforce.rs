//! What follows from a limit that is reached.

use crate::domain::limits::{LimitHit, Mode};
use crate::telemetry::names;

/// Counts the limit that is reached, by the metric of the mode. Only `enforce` refuses.
///
/// # Errors
/// The limit that refuses.
pub fn enforce(hit: Option<LimitHit>, mode: Mode) -> Result<(), LimitHit> {
    let Some(hit) = hit else { return Ok(()) };
    let (name, result) = match mode {
        Mode::Off => return Ok(()),
        Mode::Record => (names::RATE_RECORDED, Ok(())),
        Mode::Enforce => (names::RATE_LIMITED, Err(hit)),
    };
    metrics::counter!(name, "limit" => hit.rule.as_str()).increment(1);
    result
}
