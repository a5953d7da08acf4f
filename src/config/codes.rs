//! How codes are kept and how often one may be tried.

use crate::domain::code_keys::CodeKeys;

#[derive(Clone)]
pub struct CodeSettings {
    /// `None`: the program keeps one in its data directory. Never without a key beside a database of one's own, where
    /// several instances must share it.
    pub keys: Option<CodeKeys>,
    /// Wrong tries before a message is exhausted, 1 to 10.
    pub max_tries: i16,
}

impl std::fmt::Debug for CodeSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = if self.keys.is_some() { "[redacted]" } else { "none" };
        write!(f, "CodeSettings {{ keys: {keys}, max_tries: {} }}", self.max_tries)
    }
}
