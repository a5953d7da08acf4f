//! What the program says on stderr.

use crate::domain::words::words;

#[derive(Clone, Debug)]
pub struct LogSettings {
    pub format: LogFormat,
    /// In the words of `RUST_LOG`: `info`, `info,otpost=debug`.
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
