//! Why a field of a request is refused, as a code for programs.

use crate::words;

/// Stable: a code is never renamed or given another meaning. The API's documentation explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldCode {
    // Any field.
    Missing,
    UnknownField,
    Duplicate,
    WrongType,
    OutOfRange,
    UnknownValue,
    NotValid,
    // Phone numbers.
    NumberNotE164,
    NumberNotValid,
    NumberUnknown,
    NumberWithoutCountry,
    NumberMobile,
    NumberFixedLine,
    NumberVoip,
    NumberTollFree,
    NumberPremiumRate,
    NumberSharedCost,
    NumberPersonal,
    NumberPager,
    NumberVoicemail,
    NumberCompany,
    CountryNotServed,
    // Other fields.
    ChannelNotServed,
    CodeNotDigits,
    CodeLengthConflict,
    ValidForTooShort,
    TextNotValid,
    MetadataNotObject,
    MetadataTooLong,
    MetadataTooDeep,
    MetadataHasNul,
    IdempotencyKeyNotValid,
}

words! {
    FieldCode {
        Missing = "missing",
        UnknownField = "unknown_field",
        Duplicate = "duplicate",
        WrongType = "wrong_type",
        OutOfRange = "out_of_range",
        UnknownValue = "unknown_value",
        NotValid = "not_valid",
        NumberNotE164 = "number_not_e164",
        NumberNotValid = "number_not_valid",
        NumberUnknown = "number_unknown",
        NumberWithoutCountry = "number_without_country",
        NumberMobile = "number_mobile",
        NumberFixedLine = "number_fixed_line",
        NumberVoip = "number_voip",
        NumberTollFree = "number_toll_free",
        NumberPremiumRate = "number_premium_rate",
        NumberSharedCost = "number_shared_cost",
        NumberPersonal = "number_personal",
        NumberPager = "number_pager",
        NumberVoicemail = "number_voicemail",
        NumberCompany = "number_company",
        CountryNotServed = "country_not_served",
        ChannelNotServed = "channel_not_served",
        CodeNotDigits = "code_not_digits",
        CodeLengthConflict = "code_length_conflict",
        ValidForTooShort = "valid_for_too_short",
        TextNotValid = "text_not_valid",
        MetadataNotObject = "metadata_not_object",
        MetadataTooLong = "metadata_too_long",
        MetadataTooDeep = "metadata_too_deep",
        MetadataHasNul = "metadata_has_nul",
        IdempotencyKeyNotValid = "idempotency_key_not_valid",
    }
}
