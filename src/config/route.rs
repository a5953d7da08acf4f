//! The order of the accounts that a message tries.

use std::collections::BTreeSet;

use crate::config::section::{Section, shown};
use crate::config::spelling;
use crate::domain::route::{DEFAULT_REPLACE_AFTER_S, REPLACE_AFTER_S};

#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// Names of accounts, each at most once. Empty only when there are no accounts.
    pub steps: Vec<String>,
    /// 15 to 60 seconds.
    pub replace_after_s: i16,
}

/// More are a sign of a mistake: a message has no time for them.
const MAX_STEPS: usize = 8;

const STEPS_ALLOWED: &str = "must be a list of 1 to 8 names of accounts, each at most once, in the order to try them";

impl RouteSettings {
    /// `accounts`: those that there are.
    pub(super) fn read(section: Section<'_>, accounts: &BTreeSet<String>) -> Self {
        let steps = section.list("steps", STEPS_ALLOWED);
        if !accounts.is_empty() {
            section.required("steps", steps.as_ref(), STEPS_ALLOWED);
        }
        let given = steps.is_some();
        let steps = steps.unwrap_or_default();
        if given && !(1..=MAX_STEPS).contains(&steps.len()) {
            section.complain("steps", format!("has {} entries", steps.len()), STEPS_ALLOWED);
        }
        for (i, step) in steps.iter().enumerate() {
            if !accounts.contains(step) {
                let meant = spelling::closest(step, accounts.iter().map(String::as_str));
                let allowed = match meant {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => format!(
                        "must be one of [accounts]: {}",
                        Vec::from_iter(accounts.iter().map(String::as_str)).join(", ")
                    ),
                };
                section.complain("steps", format!("names {}, which is no account", shown(step)), allowed);
            }
            if steps[..i].contains(step) {
                section.complain("steps", format!("names \"{step}\" twice"), STEPS_ALLOWED);
            }
        }
        let replace_after_s = section.integer("replace_after_s", REPLACE_AFTER_S, "seconds");
        section.finish();
        Self { steps, replace_after_s: replace_after_s.unwrap_or(DEFAULT_REPLACE_AFTER_S) }
    }
}
