//! The ordered list of steps of a message; fixed when the message is accepted.

use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::price::Price;

/// Limits of `replace_after`, in seconds.
pub const REPLACE_AFTER_S: std::ops::RangeInclusive<i16> = 15..=60;

/// Default `replace_after`, in seconds.
pub const DEFAULT_REPLACE_AFTER_S: i16 = 30;

/// A message must live at least this many seconds longer than its longest `replace_after`, so that the replacement is
/// useful.
pub const LIFE_AFTER_REPLACEMENT_S: i32 = 90;

/// Minimum remaining life for which another attempt is worth its price, in seconds.
pub const MIN_LIFE_S: i64 = 45;

/// One step: a channel through an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub channel: Channel,
    pub account: String,
    /// A standby: it takes over from the previous step if that step's account failed (open breaker, refusal, error of
    /// the provider). It is skipped after a person's silence or unreachability, because another account would not help.
    #[serde(default, skip_serializing_if = "is_false")]
    pub standby: bool,
    /// What the account charges for the recipient's country, if known.
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

/// Where the person reads the code. It decides what is added at the end of an SMS for autofill, and which button of a
/// WhatsApp template can work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Web,
    Android,
    Ios,
}

impl Platform {
    /// Reads common labels of apps: `iOS`, `iPhone OS 17.4`, `Android 14`, `mobile web`, a browser's `User-Agent`.
    /// `None` for anything else, which is not an error.
    pub fn of_label(label: &str) -> Option<Self> {
        let label = label.to_lowercase();
        let words: Vec<&str> = label.split(|c: char| !c.is_alphanumeric()).collect();
        let begins = |beginnings: &[&str]| words.iter().any(|word| beginnings.iter().any(|one| word.starts_with(one)));
        let is_one = |known: &[&str]| words.iter().any(|word| known.contains(word));
        if is_one(&["web", "website", "browser", "pwa", "mweb", "mozilla", "chrome", "safari", "firefox", "desktop"]) {
            Some(Self::Web)
        } else if begins(&["android"]) {
            Some(Self::Android)
        } else if is_one(&["ios"]) || begins(&["iphone", "ipad", "ipod"]) || begins_with_digits(&words, "ios") {
            Some(Self::Ios)
        } else {
            None
        }
    }
}

/// `ios17`
fn begins_with_digits(words: &[&str], name: &str) -> bool {
    let version = words.iter().filter_map(|word| word.strip_prefix(name));
    version.into_iter().any(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

/// Never empty: [`Route::new`] checks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    steps: Vec<Step>,
    /// Time from the provider's acceptance to the replacement, in seconds; the same for every step that has one after
    /// it.
    pub replace_after_s: i16,
    /// The rule that chose the route, in words that the timeline shows.
    pub why: String,
    /// Language of the texts: a tag such as `pt-BR`. Empty: the default of the account or the settings.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// Whether a standby may take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// The account was at fault, or a person asks for another message and nothing else is left.
    May,
    /// The person did not react, or cannot be reached on this channel.
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
    /// `valid_for_s`: life of the message, in seconds.
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

    /// The last step on this channel; a standby only if there is no other.
    pub fn last_on(&self, channel: Channel) -> Option<(i16, &Step)> {
        let fits = |step: &&Step| step.channel == channel;
        let own = self.steps.iter().rposition(|step| fits(&step) && !step.standby);
        let found = own.or_else(|| self.steps.iter().rposition(|step| fits(&step)))?;
        Some((i16::try_from(found).ok()?, &self.steps[found]))
    }

    /// The first step after `index`, on `channel` if one is named; a standby only if `stand_in` allows it.
    pub fn next_after(&self, index: i16, channel: Option<Channel>, stand_in: StandIn) -> Option<(i16, &Step)> {
        let from = usize::try_from(index).ok()? + 1;
        let fits =
            |step: &Step| channel.is_none_or(|c| c == step.channel) && (stand_in == StandIn::May || !step.standby);
        let found = self.steps.iter().enumerate().skip(from).find(|(_, step)| fits(step));
        found.and_then(|(i, step)| Some((i16::try_from(i).ok()?, step)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_known_by_what_apps_call_them() {
        for (label, platform) in [
            ("ios", Some(Platform::Ios)),
            ("iOS", Some(Platform::Ios)),
            ("iOS 17.4", Some(Platform::Ios)),
            ("ios17", Some(Platform::Ios)),
            ("iPhone", Some(Platform::Ios)),
            ("iPhone OS", Some(Platform::Ios)),
            ("iPadOS", Some(Platform::Ios)),
            ("android", Some(Platform::Android)),
            ("Android 14", Some(Platform::Android)),
            ("ANDROID_APP", Some(Platform::Android)),
            ("web", Some(Platform::Web)),
            ("Mobile Web", Some(Platform::Web)),
            ("browser", Some(Platform::Web)),
            ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/120.0", Some(Platform::Web)),
            ("", None),
            ("kiosk", None),
            ("windows", None),
            ("🤖", None),
        ] {
            assert_eq!(Platform::of_label(label), platform, "{label}");
        }
    }
}
