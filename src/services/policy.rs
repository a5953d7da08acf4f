//! What the settings decide about new messages; swapped as a whole when they are read again.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

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

/// The policy that counts now. Cheap to clone; all clones see the same.
#[derive(Clone)]
pub struct Policies(Arc<RwLock<Arc<Policy>>>);

impl Policies {
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }

    /// Stays as it is for whoever holds it.
    pub fn now(&self) -> Arc<Policy> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn replace(&self, policy: Policy) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}
