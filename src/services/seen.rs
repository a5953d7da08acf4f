//! Names that providers send only once, so that a callback cannot be replayed.
//!
//! In memory and of this process: a replay that reaches another instance, or comes after a restart, applies receipts that
//! are applied already, which changes nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::providers::Once;

/// Most names kept. Beyond it those that are over go, and then all: a replay is harmless, memory without a bound is not.
const MOST: usize = 100_000;

/// By account and name, until when they count.
type Names = HashMap<(String, String), DateTime<Utc>>;

/// Cheap to clone; all clones share the names.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Names>>);

impl Seen {
    pub fn has(&self, account: &str, once: &Once, now: DateTime<Utc>) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(&(account.to_owned(), once.name.clone())).is_some_and(|until| now <= *until)
    }

    pub fn note(&self, account: &str, once: Once, now: DateTime<Utc>) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MOST {
            names.retain(|_, until| now <= *until);
            if names.len() >= MOST {
                names.clear();
            }
        }
        names.insert((account.to_owned(), once.name), once.until);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_name_counts_once_for_its_account_until_it_is_over() {
        let now = DateTime::from_timestamp(1_789_034_400, 0).unwrap();
        let once = Once { name: "n1".to_owned(), until: now + TimeDelta::seconds(300) };
        let seen = Seen::default();
        assert!(!seen.has("a", &once, now));
        seen.note("a", once.clone(), now);
        assert!(seen.has("a", &once, now) && !seen.has("b", &once, now));
        assert!(!seen.has("a", &once, now + TimeDelta::seconds(301)));
    }
}
