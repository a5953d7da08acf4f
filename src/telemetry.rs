//! What the program tells its operator.

use std::error::Error;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// At its finest level the phone number library logs whole numbers. Whatever the settings say, that is not taken.
const NO_NUMBERS: &str = "rlibphonenumber=off";

/// Sends the log to stderr. Does nothing when one is set up already, as in tests.
///
/// # Errors
/// When `filter` is no filter.
pub fn start(format: LogFormat, filter: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(filter)?.add_directive(NO_NUMBERS.parse()?);
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let _ = if json { builder.json().flatten_event(true).finish().try_init() } else { builder.finish().try_init() };
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
