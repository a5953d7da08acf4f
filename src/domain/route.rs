//! The ordered list of steps a message may take; frozen when it is accepted.

use serde::{Deserialize, Serialize};

use crate::domain::channel::Channel;

/// Shortest and longest `replace_after`, in seconds.
pub const REPLACE_AFTER_S: std::ops::RangeInclusive<i16> = 15..=60;

/// `replace_after` where nobody says otherwise, in seconds.
pub const DEFAULT_REPLACE_AFTER_S: i16 = 30;

/// A message must live this much longer than its longest `replace_after`, in seconds, so that the replacement is of use.
pub const LIFE_AFTER_REPLACEMENT_S: i32 = 90;

/// Shortest remaining life in which another attempt is still worth its price, in seconds.
pub const MIN_LIFE_S: i64 = 45;

/// One step: a channel through an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub channel: Channel,
    pub account: String,
}

/// Never empty: [`Route::new`] sees to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    steps: Vec<Step>,
    /// From the provider's acceptance to the replacement, in seconds; the same for every step that has one behind it.
    pub replace_after_s: i16,
    /// Which rule chose it, in words that the timeline shows.
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("a route needs at least one step")]
    Empty,
    #[error("must be {} to {} seconds", REPLACE_AFTER_S.start(), REPLACE_AFTER_S.end())]
    ReplaceAfter,
    #[error(
        "must be at least `replace_after_s` and {LIFE_AFTER_REPLACEMENT_S} seconds more, so that a replacement can still be used"
    )]
    ValidTooShort,
}

impl Route {
    /// `valid_for_s`: how long the message lives, in seconds.
    ///
    /// # Errors
    /// See [`RouteError`].
    pub fn new(
        steps: Vec<Step>,
        replace_after_s: i16,
        valid_for_s: i32,
        why: impl Into<String>,
    ) -> Result<Self, RouteError> {
        if steps.is_empty() {
            return Err(RouteError::Empty);
        }
        if !REPLACE_AFTER_S.contains(&replace_after_s) {
            return Err(RouteError::ReplaceAfter);
        }
        if valid_for_s < i32::from(replace_after_s) + LIFE_AFTER_REPLACEMENT_S {
            return Err(RouteError::ValidTooShort);
        }
        Ok(Self { steps, replace_after_s, why: why.into() })
    }

    pub fn step(&self, index: i16) -> Option<&Step> {
        self.steps.get(usize::try_from(index).ok()?)
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The first step after `index`, on `channel` when one is named.
    pub fn next_after(&self, index: i16, channel: Option<Channel>) -> Option<(i16, &Step)> {
        let from = usize::try_from(index).ok()? + 1;
        let found =
            self.steps.iter().enumerate().skip(from).find(|(_, step)| channel.is_none_or(|c| c == step.channel));
        found.and_then(|(i, step)| Some((i16::try_from(i).ok()?, step)))
    }
}
