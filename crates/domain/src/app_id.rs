//! The name of an app.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The app that a key, a message or a row belongs to: 1 to 63 lower-case letters, digits and hyphens, the first not a
/// hyphen. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name for an app: 1 to 63 lower-case letters, digits and hyphens")]
pub struct NotAnApp(String);

impl AppId {
    /// A name as a row has it. Table `apps` admits no other names than [`FromStr`] does.
    pub fn stored(name: &str) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppId {
    type Err = NotAnApp;

    fn from_str(name: &str) -> Result<Self, NotAnApp> {
        let is_known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=63).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(is_known) {
            Ok(Self(name.into()))
        } else {
            Err(NotAnApp(name.to_owned()))
        }
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl serde::Serialize for AppId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_has_a_short_plain_name() {
        let longest = "a".repeat(63);
        for name in ["shop", "s", "9-lives", "shop-", longest.as_str()] {
            assert_eq!(name.parse::<AppId>().map(|app| app.to_string()).as_deref(), Ok(name));
        }
        let too_long = "a".repeat(64);
        for name in ["", "-shop", "Shop", "shop_1", "shop 1", "sh\u{f6}p", too_long.as_str()] {
            assert!(name.parse::<AppId>().is_err(), "{name}");
        }
    }
}
