//! The table of all problems. It stands here and nowhere else: the server's answers, the OpenAPI document and docs/problems.md are
//! made from it.

use crate::api::problems::{Problem, WrongField};
use crate::domain::attempt::Why;
use crate::domain::field_code::FieldCode;
use crate::domain::key_scope::Denied;
use crate::domain::limits::LimitRule;
use crate::domain::message::Outcome;

/// A type of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    InvalidField,
    NotJson,
    TooLarge,
    TooSlow,
    Unauthorized,
    NotAllowed,
    NoSuchMessage,
    NoSuchAccount,
    NoSuchAddress,
    MethodNotAllowed,
    BadSignature,
    BadHandshake,
    IdempotencyKeyReused,
    TooMuchWaiting,
    Limit(LimitRule),
    Settled,
    NoNextAttempt,
    Unavailable,
    CodeKeyMissing,
    Overloaded,
    TooManyWaiting,
    Internal,
}

/// Description of a type of problem.
pub struct About {
    /// Last part of `type`. Stable.
    pub name: &'static str,
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// When it occurs.
    pub when: &'static str,
    /// What the client should do.
    pub remedy: &'static str,
}

const fn about(
    name: &'static str,
    title: &'static str,
    status: u16,
    when: &'static str,
    remedy: &'static str,
) -> About {
    About { name, title, status, when, remedy }
}

const LATER: &str = "Try again after `Retry-After` seconds, or change the limit in the settings; `limit` names it.";

/// The problem of each limit.
const fn about_limit(rule: LimitRule) -> About {
    let (name, title, when) = match rule {
        LimitRule::NumberSpacing => (
            "limit-number-spacing",
            "Too soon after the last message",
            "The number got a message of this purpose a moment ago. Nothing was stored.",
        ),
        LimitRule::NumberPerHour => (
            "limit-number-per-hour",
            "Too many messages to this number",
            "The number has had as many messages in the last hour as the settings allow. Nothing was stored.",
        ),
        LimitRule::NumberPerDay => (
            "limit-number-per-day",
            "Too many messages to this number",
            "The number has had as many messages in the last 24 hours as the settings allow. Nothing was stored.",
        ),
        LimitRule::IpPerHour => (
            "limit-ip-per-hour",
            "Too many messages for this address",
            "The address in `client.ip` has asked for as many messages within an hour as the settings allow. Nothing was stored.",
        ),
        LimitRule::DevicePerHour => (
            "limit-device-per-hour",
            "Too many messages for this device",
            "The device in `client.device` has asked for as many messages within an hour as the settings allow. Nothing was stored.",
        ),
        LimitRule::PrefixPerHour => (
            "limit-prefix-per-hour",
            "Too many messages to numbers of this range",
            "Numbers that differ in their last four digits have had as many messages within an hour as the settings allow. Nothing was stored.",
        ),
        LimitRule::CountryPerHour => (
            "limit-country-per-hour",
            "Too many messages to this country",
            "The number's country has had as many messages within an hour as the settings allow. Nothing was stored.",
        ),
        LimitRule::AppPerHour => (
            "limit-app-per-hour",
            "Too many messages of this app",
            "The app has sent as many messages within an hour as the settings allow. Nothing was stored.",
        ),
        LimitRule::TriesPerHour => (
            "limit-tries-per-hour",
            "Too many wrong codes for this number",
            "Over all messages of the number, as many wrong codes were checked within an hour as the settings allow. The code was not compared and the try not counted. Whoever has the newest code still has two tries.",
        ),
        LimitRule::StrictTries => (
            "limit-strict-tries",
            "Too many wrong codes while somebody guesses",
            "Somebody guesses codes over many numbers of the app, so a code has fewer tries for a while. This code was not compared and the try not counted.",
        ),
        LimitRule::StrictIpPerHour => (
            "limit-strict-ip-per-hour",
            "Too many messages for this address while somebody guesses",
            "Somebody guesses codes over many numbers of the app, so an address has fewer messages for a while. Nothing was stored.",
        ),
    };
    about(name, title, 429, when, LATER)
}

const SCOPE_MISSING: &str = "scope_missing";
const ADDRESS_NOT_ALLOWED: &str = "address_not_allowed";

/// The `code` of [`Kind::NotAllowed`].
pub const fn denied_code(denied: Denied) -> &'static str {
    match denied {
        Denied::Scope(_) => SCOPE_MISSING,
        Denied::Address => ADDRESS_NOT_ALLOWED,
    }
}

impl Kind {
    pub const ALL: [Self; 32] = [
        Self::InvalidField,
        Self::NotJson,
        Self::TooLarge,
        Self::TooSlow,
        Self::Unauthorized,
        Self::NotAllowed,
        Self::NoSuchMessage,
        Self::NoSuchAccount,
        Self::NoSuchAddress,
        Self::MethodNotAllowed,
        Self::BadSignature,
        Self::BadHandshake,
        Self::IdempotencyKeyReused,
        Self::TooMuchWaiting,
        Self::Limit(LimitRule::NumberSpacing),
        Self::Limit(LimitRule::NumberPerHour),
        Self::Limit(LimitRule::NumberPerDay),
        Self::Limit(LimitRule::IpPerHour),
        Self::Limit(LimitRule::DevicePerHour),
        Self::Limit(LimitRule::PrefixPerHour),
        Self::Limit(LimitRule::CountryPerHour),
        Self::Limit(LimitRule::AppPerHour),
        Self::Limit(LimitRule::TriesPerHour),
        Self::Limit(LimitRule::StrictTries),
        Self::Limit(LimitRule::StrictIpPerHour),
        Self::Settled,
        Self::NoNextAttempt,
        Self::Unavailable,
        Self::CodeKeyMissing,
        Self::Overloaded,
        Self::TooManyWaiting,
        Self::Internal,
    ];

    pub const fn about(self) -> About {
        match self {
            Self::InvalidField => about(
                "invalid-field",
                "A field is not valid",
                422,
                "A field of the body, a query parameter or a header is unknown, missing or not valid. Nothing was done.",
                "Correct the field in `errors`; its `code` is the reason.",
            ),
            Self::NotJson => about(
                "not-json",
                "The body is not the JSON that is expected",
                400,
                "The body is empty, incomplete or not a JSON object; for a webhook's handshake, the query has no challenge.",
                "Send one JSON object in UTF-8.",
            ),
            Self::TooLarge => about(
                "too-large",
                "The body is too large",
                413,
                "The body is longer than 64 KiB, or a callback longer than 4 MiB.",
                "Send less.",
            ),
            Self::TooSlow => about(
                "too-slow",
                "The body came too slowly",
                408,
                "The body did not arrive within 10 s of the head.",
                "Send it again.",
            ),
            Self::Unauthorized => about(
                "unauthorized",
                "An API key is needed",
                401,
                "`Authorization: Bearer` has no key, or an unknown or revoked one.",
                "Send a key that `otpost keys create` printed.",
            ),
            Self::NotAllowed => about(
                "not-allowed",
                "The key may not do this",
                403,
                "The key lacks the scope of this operation (`scope_missing`), or is used from an address that is not in its list (`address_not_allowed`).",
                "Use a key with the scope in `detail`; `otpost keys create --scope` makes one.",
            ),
            Self::NoSuchMessage => about(
                "no-such-message",
                "Not found",
                404,
                "The app of this key has no message with this id.",
                "Use the `id` of an answer to the same app.",
            ),
            Self::NoSuchAccount => about(
                "no-such-account",
                "Not found",
                404,
                "The account in the path is not in the settings.",
                "Correct the callback URL at the provider: it ends with the account's name.",
            ),
            Self::NoSuchAddress => about(
                "no-such-address",
                "Not found",
                404,
                "There is nothing at this path, or the path is ambiguous for proxies.",
                "Correct the path.",
            ),
            Self::MethodNotAllowed => about(
                "method-not-allowed",
                "Method not allowed",
                405,
                "The path does not have this method, or the account's provider has no handshake.",
                "Use a method from the header `Allow`.",
            ),
            Self::BadSignature => about(
                "bad-signature",
                "The callback is not believed",
                401,
                "The signature, token or password of a callback is missing or wrong. Nothing was stored.",
                "Compare the account's secrets with those at the provider.",
            ),
            Self::BadHandshake => about(
                "bad-handshake",
                "The handshake is refused",
                403,
                "The verify token of a handshake is missing or wrong.",
                "Compare the account's verify token with the one at the provider.",
            ),
            Self::IdempotencyKeyReused => about(
                "idempotency-key-reused",
                "The idempotency key was used before",
                422,
                "The same `Idempotency-Key` came with another body within 24 hours.",
                "Use a new key for a new request, and the same bytes for a repeat.",
            ),
            Self::TooMuchWaiting => about(
                "too-much-waiting",
                "Too much is waiting",
                429,
                "The accounts of the route have more waiting messages than they can send before this one expires. Nothing was stored.",
                "Try again after `Retry-After` seconds.",
            ),
            Self::Limit(rule) => about_limit(rule),
            Self::Settled => about(
                "settled",
                "The message is settled",
                409,
                "The outcome of the message is final; `code` contains it.",
                "Start a new message.",
            ),
            Self::NoNextAttempt => about(
                "no-next-attempt",
                "There is no next attempt",
                409,
                "The last attempt has not been sent yet (`still_sending`), the route has no step left (`route_end`), or the message expires too soon (`too_late`, `expired`).",
                "`still_sending`: try again shortly. Otherwise start a new message.",
            ),
            Self::Unavailable => about(
                "unavailable",
                "Not available",
                503,
                "The database does not respond, or the message is locked by another process.",
                "Try again after `Retry-After` seconds. With an `Idempotency-Key`, nothing is sent twice.",
            ),
            Self::CodeKeyMissing => about(
                "code-key-missing",
                "A code key is missing",
                503,
                "The code, or the stored body of the idempotency key, is protected by a code key that this instance does not have. Nothing was checked or counted.",
                "Try again. Operators: give every instance the same code keys.",
            ),
            Self::Overloaded => about(
                "overloaded",
                "Too many requests at once",
                503,
                "Too many request bodies are being received.",
                "Try again after `Retry-After` seconds.",
            ),
            Self::TooManyWaiting => about(
                "too-many-waiting",
                "Too many requests wait",
                429,
                "The app has too many requests held by `wait_for`.",
                "Wait until some end, or omit `wait_for`.",
            ),
            Self::Internal => about(
                "internal",
                "Internal error",
                500,
                "A fault of the service; its log has the cause.",
                "Try again once, then tell the operator.",
            ),
        }
    }

    /// `type` of its documents.
    pub fn uri(self) -> String {
        format!("urn:otpost:problem:{}", self.about().name)
    }

    /// Whether its answers have `Retry-After`.
    pub const fn may_be_repeated(self) -> bool {
        matches!(self.about().status, 429 | 503)
    }

    /// Every `code` of its documents.
    pub fn codes(self) -> Vec<String> {
        match self {
            Self::InvalidField => FieldCode::ALL.iter().map(ToString::to_string).collect(),
            Self::Settled => {
                let settled = Outcome::ALL.iter().filter(|outcome| **outcome != Outcome::Pending);
                settled.map(|outcome| settled_code(*outcome)).collect()
            }
            Self::NoNextAttempt => {
                let whys = [Why::RouteEnd, Why::TooLate, Why::Expired].map(|why| why.to_string());
                [STILL_SENDING.to_owned()].into_iter().chain(whys).collect()
            }
            Self::NotAllowed => vec![SCOPE_MISSING.to_owned(), ADDRESS_NOT_ALLOWED.to_owned()],
            other => vec![other.only_code()],
        }
    }

    /// The `code` of a type that has one.
    pub fn only_code(self) -> String {
        self.about().name.replace('-', "_")
    }

    /// A document of this type.
    pub fn document(self, code: String, detail: String, errors: Vec<WrongField>) -> Problem {
        let About { title, status, .. } = self.about();
        Problem { kind: self.uri(), title: title.to_owned(), status, code, detail, errors, limit: None }
    }
}

/// `code` where the last attempt has not left yet.
pub const STILL_SENDING: &str = "still_sending";

/// `code` where the message is settled.
pub fn settled_code(outcome: Outcome) -> String {
    format!("settled_{outcome}")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::api::meanings;

    #[test]
    fn each_type_has_a_name_of_its_own_and_every_code_belongs_to_one() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in Kind::ALL {
            assert!(seen.insert(kind.uri()), "{kind:?}");
            assert!(kind.codes().into_iter().all(|code| seen.insert(code)), "{kind:?}");
        }
    }

    #[test]
    fn the_documented_codes_are_those_there_are() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/problems.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (head, rest) = page.split_once("## Types\n").unwrap();
        let (_, tail) = rest.split_once("\n## Hints refuse nothing").unwrap();
        let page_of_now = format!("{head}## Types\n\n{}\n## Hints refuse nothing{tail}", tables());
        if std::env::var_os("OTPOST_WRITE_DOCS").is_some() {
            std::fs::write(&path, &page_of_now).unwrap();
        } else {
            assert_eq!(page, page_of_now, "OTPOST_WRITE_DOCS=1 writes it anew");
        }
        let codes = meanings::FieldCode::MEANINGS.iter().map(|(code, _)| *code).collect::<Vec<_>>();
        assert_eq!(codes, FieldCode::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>());
    }

    /// What docs/problems.md has of the tables of this program.
    fn tables() -> String {
        let mut page = "| type | status | code | when | what to do |\n| --- | --- | --- | --- | --- |\n".to_owned();
        for kind in Kind::ALL {
            let About { name, status, when, remedy, .. } = kind.about();
            let codes = match kind {
                Kind::InvalidField => "see [Fields](#fields)".to_owned(),
                other => other.codes().iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", "),
            };
            writeln!(page, "| `{name}` | {status} | {codes} | {when} | {remedy} |").unwrap();
        }
        page.push_str("\n## Fields\n\n| code | what it says |\n| --- | --- |\n");
        for (code, meaning) in meanings::FieldCode::MEANINGS {
            writeln!(page, "| `{code}` | {meaning} |").unwrap();
        }
        page
    }
}
