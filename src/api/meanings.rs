//! Schemas of the words that answers are made of, with the meaning of each.

use serde_json::Value;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Documents closed sets of words: a type per set, used as the `value_type` of fields that hold one of its words. A variant
/// without a meaning does not compile.
macro_rules! meanings {
    ($($(#[doc = $about:literal])* $name:ident of $($words:ident)::+ { $($variant:ident: $meaning:literal,)* })*) => {$(
        $(#[doc = $about])*
        pub(super) struct $name;

        impl $name {
            /// Each word with its meaning.
            pub(super) const MEANINGS: &[(&str, &str)] = {
                use $($words)::+ as Words;
                const fn each_has_one(word: Words) { match word { $(Words::$variant => (),)* } }
                let _ = each_has_one;
                &[$((Words::$variant.as_str(), $meaning)),*]
            };
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                of_words(concat!($($about, "\n"),*), Self::MEANINGS)
            }
        }

        impl ToSchema for $name {}
    )*};
}

/// The schema of a closed set of words, each with its meaning.
pub(super) fn of_words(about: &str, words: &[(&str, &str)]) -> RefOr<Schema> {
    let list: String = words.iter().map(|(word, meaning)| format!("\n- `{word}`: {meaning}")).collect();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words.iter().map(|(word, _)| Value::from(*word))))
        .description(Some(format!("{}\n{list}", about.trim())))
        .into()
}

meanings! {
    /// Delivery state of a message or an attempt. It only rises, in the order of this list, in whatever order receipts arrive. A
    /// failed message that is resent stays `failed` until it is delivered; its `outcome` is `pending` while an attempt is under
    /// way.
    State of crate::domain::attempt::State {
        Accepted: "stored; no receipt has arrived yet",
        Sent: "a receipt says that it is on its way",
        Failed: "every attempt so far failed; only `delivered` goes beyond",
        Delivered: "it is on the handset, or the right code was checked",
    }

    /// How the message ended for the person. All except `pending` and `failed` are final. A resend or a late delivery turns
    /// `failed` back into `pending` until the code expires.
    Outcome of crate::domain::message::Outcome {
        Pending: "under way, or waiting for the code",
        Verified: "the right code was checked",
        Expired: "its lifetime ended first",
        Exhausted: "too many wrong codes were checked",
        Cancelled: "the app cancelled it",
        Superseded: "a newer message of the same number and purpose took its place",
        Failed: "every step of the route failed and nothing is under way",
        Other: "an outcome of a newer version of the service; final",
    }

    /// The channel of a code.
    Channel of crate::domain::channel::Channel {
        Whatsapp: "a WhatsApp message",
        Sms: "a text message",
    }

    /// State of the request to the provider.
    SendState of crate::domain::attempt::SendState {
        Planned: "waiting to be sent",
        InFlight: "the request is under way",
        Accepted: "the provider accepted it",
        Rejected: "it was not sent, and will not be",
        Unknown: "the request was interrupted: it may have been sent",
    }

    /// Why this attempt was made.
    Reason of crate::domain::attempt::Reason {
        First: "the first attempt",
        Failed: "the previous attempt failed",
        Silent: "the previous attempt was not delivered in time",
        Requested: "the app asked for a resend",
        Other: "a reason of a newer version of the service",
    }

    /// The timer that starts the next step of the route unless the attempt is delivered first.
    Timer of crate::domain::attempt::Timer {
        None: "no timer, because no step follows",
        Armed: "running until `replace_at`",
        Fired: "the deadline passed, and the next attempt was planned",
        Disarmed: "stopped before the deadline: delivered, failed, verified, cancelled or expired",
    }

    /// Why no attempt follows.
    Why of crate::domain::attempt::Why {
        Failed: "the attempt failed",
        Delivered: "the message is delivered",
        Verified: "the right code was checked",
        Cancelled: "the app cancelled the message",
        Expired: "the message expired",
        Exhausted: "too many wrong codes were checked",
        Superseded: "a newer message took its place",
        Requested: "the app asked for the next attempt first",
        TooLate: "the message expires too soon for another attempt",
        RouteEnd: "the route has no step left",
        Replaced: "it was already replaced",
        NobodyTells: "the provider sends no receipts, so there is nothing to wait for",
        Other: "a reason of a newer version of the service",
    }

    /// Class of a provider's error.
    ErrorClass of crate::domain::receipt::ErrorClass {
        RecipientUnreachable: "this person cannot be reached on this channel",
        Retryable: "a temporary fault of the provider",
        RateLimited: "a limit of the provider",
        ConfigError: "account, sender, template, credit or request is wrong: an operator must act",
        Expired: "it expired before it was delivered",
        Other: "a class of a newer version of the service",
    }

    /// Why a code is not valid.
    CheckReason of crate::api::words::CheckReason {
        WrongCode: "the code is wrong; `tries_left` says how many more wrong codes are accepted",
        AlreadyUsed: "the right code was already checked; it is valid once",
        Expired: "the message has expired",
        TooManyTries: "too many wrong codes were checked; this one was not compared",
        Cancelled: "the app cancelled the message",
        Superseded: "a newer message of the same number and purpose took its place: its code is the one that counts",
        Other: "a reason of a newer version of the service",
    }

    /// What a limit counts.
    Counter of crate::domain::limits::Counter {
        Number: "messages to a number, or wrong codes for it",
        Ip: "messages that an address asked for; of IPv6, its network of 64 bits",
        Device: "messages that a device asked for",
        Prefix: "messages to numbers that differ in their last four digits",
        Country: "messages to a country",
        App: "messages of an app",
    }

    /// What becomes of an older message of the same number and purpose.
    OnNewer of crate::domain::limits::OnNewer {
        Supersede: "it ends, and what has not left of it is not sent",
        Reuse: "it is the answer, and nothing is sent anew",
        Keep: "it stays valid",
    }

    /// Kind of event.
    EventKind of crate::api::words::EventKind {
        Accepted: "the message was stored and its route chosen",
        Check: "a code was checked",
        Planned: "an attempt was planned",
        Request: "a request was sent to the provider",
        Answer: "the provider responded, or the request failed",
        TimerArmed: "the timer of an attempt started",
        Question: "the provider was queried for the status of an attempt",
        Receipt: "a delivery receipt arrived",
        TimerFired: "the deadline passed without a delivery",
        TimerDisarmed: "the timer was stopped before its deadline",
        CountedDelivered: "the attempt counts as delivered, because its provider sends no receipts",
        NotReplaced: "no replacement follows, with the reason",
        Wasted: "a replacement turned out to be unnecessary",
        Settled: "the message's outcome became final",
        Other: "an event of a newer version of the service",
    }

    /// Why a field is not valid. The meaning of a code never changes.
    FieldCode of crate::domain::field_code::FieldCode {
        Missing: "the field is required",
        UnknownField: "there is no such field; `reason` lists the known ones",
        Duplicate: "the field comes twice",
        WrongType: "the value has the wrong JSON type",
        OutOfRange: "a number or a time outside its bounds",
        UnknownValue: "not one of the allowed values, such as a `purpose` that is not in the settings",
        NotValid: "anything else",
        NumberNotE164: "cannot be read as a number with `+` and calling code: ask for it again",
        NumberNotValid: "too long, too short, or no country has its calling code: a typing error",
        NumberUnknown: "in no known range, and `numbers.unknown` is `refuse`",
        NumberWithoutCountry: "a satellite or international number",
        NumberMobile: "the settings take no mobile numbers",
        NumberFixedLine: "a landline: ask for a mobile number",
        NumberVoip: "a number of internet telephony",
        NumberTollFree: "free for the caller",
        NumberPremiumRate: "costs more than a usual message",
        NumberSharedCost: "the caller shares the cost",
        NumberPersonal: "follows a person at the caller's cost, such as +44 70",
        NumberPager: "a pager",
        NumberVoicemail: "a mailbox",
        NumberCompany: "one number of a company for all its sites",
        CountryNotServed: "no account sends to the number's country",
        ChannelNotServed: "no account sends to the number on the channel that was asked for",
        CodeNotDigits: "a code of other than 4 to 10 digits",
        CodeLengthConflict: "`code_length` is not that of the `code` beside it",
        ValidForTooShort: "`valid_for_s` leaves no time for a replacement",
        TextNotValid: "a text that is too long or has control characters",
        MetadataNotObject: "`metadata` is no JSON object",
        MetadataTooLong: "`metadata` is over 4096 bytes",
        MetadataTooDeep: "`metadata` is over 32 levels deep",
        MetadataHasNul: "`metadata` has the character U+0000",
        IdempotencyKeyNotValid: "the header `Idempotency-Key` is empty, too long or not ASCII",
    }
}

/// Words that a query takes where the answer's set has more.
macro_rules! query_words {
    ($($(#[doc = $about:literal])* $name:ident [$(($word:literal, $meaning:literal)),* $(,)?])*) => {$(
        $(#[doc = $about])*
        pub(super) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                of_words(concat!($($about, "\n"),*), &[$(($word, $meaning)),*])
            }
        }

        impl ToSchema for $name {}
    )*};
}

query_words! {
    /// The channel that is asked for.
    ChannelWish [("auto", "the configured route"), ("whatsapp", "WhatsApp first"), ("sms", "SMS first")]

    /// The condition that a GET waits for.
    WaitFor [
        ("sent", "a receipt says that it is on its way"),
        ("delivered", "it is delivered, or settled"),
        ("settled", "its outcome is no longer `pending`"),
    ]
}

/// An amount with two to six decimals and its ISO 4217 currency.
pub(super) struct Price;

impl PartialSchema for Price {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r"^[0-9]+\.[0-9]{2,6} [A-Z]{3}$"))
            .description(Some("An amount with two to six decimals and its ISO 4217 currency."))
            .examples(["0.04 USD"])
            .into()
    }
}

impl ToSchema for Price {}

/// A text or an array of texts.
pub(super) struct Locales;

impl PartialSchema for Locales {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String).build();
        AnyOfBuilder::new()
            .item(text())
            .item(ArrayBuilder::new().items(text()))
            .description(Some("A locale, or several in the order of preference."))
            .examples(["pt-BR"])
            .into()
    }
}

impl ToSchema for Locales {}
