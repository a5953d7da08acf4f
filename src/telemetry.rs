//! Log and metrics for the operator.

pub mod names;
mod capped;

use std::error::Error;
use std::fs::File;
use std::io::IsTerminal;
use std::sync::{LazyLock, Mutex};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

pub use self::capped::{may_tell, tell_left_out};

/// At its finest level the phone number library logs whole numbers. This overrides the settings.
const NO_NUMBERS: &str = "rlibphonenumber=off";
/// It writes a line for each unreadable request, as often as anybody sends one.
const NO_STRANGERS: &str = "actix_http=off";

fn levels(filter: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    Ok(filter.add_directive(NO_NUMBERS.parse()?).add_directive(NO_STRANGERS.parse()?))
}

/// Sends the log to stderr: as JSON or as text; if `json` is `None`, as text to a terminal and as JSON elsewhere. Does
/// nothing if a log is set up already, as in tests.
///
/// # Errors
/// When `filter` is not a filter.
pub fn start(json: Option<bool>, filter: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = levels(filter)?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    let json = json.unwrap_or(!terminal);
    let _ = if json { builder.json().flatten_event(true).finish().try_init() } else { builder.finish().try_init() };
    Ok(())
}

/// Sends the log to a file, as text, for a command that draws on the terminal.
///
/// # Errors
/// When `filter` is not a filter.
pub fn start_in_file(file: File, filter: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = levels(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Mutex::new(file)).with_ansi(false);
    let _ = builder.finish().try_init();
    Ok(())
}

/// An error with all its causes on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The recorder of this process. Created on first use.
static METRICS: LazyLock<Option<PrometheusHandle>> = LazyLock::new(|| {
    let handle = PrometheusBuilder::new().install_recorder().ok()?;
    names::describe();
    names::begin_at_zero();
    Some(handle)
});

/// Starts to count. Earlier counts are lost. Repeating is harmless.
pub fn start_metrics() {
    LazyLock::force(&METRICS);
}

/// The metrics as Prometheus reads them.
pub fn metrics_text() -> String {
    METRICS.as_ref().map(PrometheusHandle::render).unwrap_or_default()
}
