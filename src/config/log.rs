//! The program's log on stderr.

use tracing_subscriber::EnvFilter;

use crate::domain::words;
use otpost_settings::section::Section;

/// Libraries log at `info` what matters only to their authors.
const DEFAULT_FILTER: &str = "info,sqlx=warn,actix_server=warn";

#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    pub format: LogFormat,
    /// In the syntax of `RUST_LOG`: `info`, `info,otpost=debug`.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

words! {
    LogFormat { Auto = "auto", Text = "text", Json = "json" }
}

impl LogSettings {
    pub(super) fn read(section: Section<'_>) -> Self {
        let format = section.word("format", LogFormat::ALL).unwrap_or(LogFormat::Auto);
        let allowed = "must be a level, or levels of modules, such as info or info,otpost=debug";
        let filter = section.parsed("filter", allowed, |text| EnvFilter::try_new(text).ok().map(|_| text.to_owned()));
        section.finish();
        Self { format, filter: filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned()) }
    }
}
