//! What the settings decide about new messages. It is replaced as a whole when they are read anew; a message that is under
//! way keeps the route that it was accepted with.

use std::collections::BTreeMap;

use crate::domain::language::Languages;
use crate::domain::routing::Routing;
use crate::domain::texts::Texts;

/// What a purpose decides where the request does not.
#[derive(Clone, Debug)]
pub struct PurposeDefaults {
    pub valid_for_s: i32,
    pub code_length: u8,
    pub replace_after_s: i16,
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub purposes: BTreeMap<String, PurposeDefaults>,
    pub routing: Routing,
    /// In which there is a text or a template.
    pub languages: Languages,
    pub texts: Texts,
    /// Wrong codes before a message is exhausted.
    pub max_tries: i16,
}

impl Policy {
    /// # Errors
    /// Says which purposes there are.
    pub fn purpose(&self, name: &str) -> Result<&PurposeDefaults, String> {
        self.purposes.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.purposes.keys().map(String::as_str).collect();
            format!("is not known; there are {}", known.join(", "))
        })
    }
}
