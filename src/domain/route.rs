//! The ordered list of steps a message may take; frozen when it is accepted.

use serde::{Deserialize, Serialize};

use crate::domain::channel::Channel;
use crate::domain::price::Price;

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
    /// It stands in for the step before it when that one's account could not do it (an open breaker, a refusal, an error
    /// of the provider). A person's silence or unreachability passes it by: another account would not help.
    #[serde(default, skip_serializing_if = "is_false")]
    pub standby: bool,
    /// What the account charges for the recipient's country, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

impl Step {
    pub fn new(channel: Channel, account: impl Into<String>) -> Self {
        Self { channel, account: account.into(), standby: false, price: None }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Where the person reads the code: it decides what autofill looks for at the end of an SMS, and which of a WhatsApp
/// template's buttons can work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Web,
    Android,
    Ios,
}

impl std::str::FromStr for Platform {
    type Err = ();

    /// In any case: apps write `iOS` and `Android`.
    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "web" => Ok(Self::Web),
            "android" => Ok(Self::Android),
            "ios" => Ok(Self::Ios),
            _ => Err(()),
        }
    }
}

/// Never empty: [`Route::new`] sees to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    steps: Vec<Step>,
    /// From the provider's acceptance to the replacement, in seconds; the same for every step that has one behind it.
    pub replace_after_s: i16,
    /// Which rule chose it, in words that the timeline shows.
    pub why: String,
    /// Language of the texts: a tag such as `pt-BR`. Empty: the account's or the settings' default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// Whether a standby may take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// It was the account's fault, or a person asks for another message and nothing else is left.
    May,
    /// Nobody answered, or the person cannot be reached on this channel.
    MayNot,
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
        Ok(Self { steps, replace_after_s, why: why.into(), language: String::new(), platform: None })
    }

    pub fn step(&self, index: i16) -> Option<&Step> {
        self.steps.get(usize::try_from(index).ok()?)
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The first step after `index`, on `channel` when one is named, and a standby only when one may stand in.
    pub fn next_after(&self, index: i16, channel: Option<Channel>, stand_in: StandIn) -> Option<(i16, &Step)> {
        let from = usize::try_from(index).ok()? + 1;
        let fits =
            |step: &Step| channel.is_none_or(|c| c == step.channel) && (stand_in == StandIn::May || !step.standby);
        let found = self.steps.iter().enumerate().skip(from).find(|(_, step)| fits(step));
        found.and_then(|(i, step)| Some((i16::try_from(i).ok()?, step)))
    }
}
