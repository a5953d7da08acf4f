//! Placeholders of a description.

use otpost_domain::words;

/// What `{}` may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    To,
    /// MSISDN: the number without its `+`.
    ToDigits,
    Code,
    /// Text of an SMS, including the code.
    Text,
    Template,
    Language,
    AttemptId,
    CallbackUrl,
    LifeS,
    /// The account's sender, or that of the recipient's country.
    Sender,
    /// Only for an SMS to India.
    DltEntityId,
    DltTemplateId,
    User,
    Password,
    ProviderMessageId,
}

words! {
    Place {
        To = "to",
        ToDigits = "to_digits",
        Code = "code",
        Text = "text",
        Template = "template",
        Language = "language",
        AttemptId = "attempt_id",
        CallbackUrl = "callback_url",
        LifeS = "life_s",
        Sender = "sender",
        DltEntityId = "dlt_entity_id",
        DltTemplateId = "dlt_template_id",
        User = "user",
        Password = "password",
        ProviderMessageId = "provider_message_id",
    }
}

impl Place {
    /// Allowed in a body.
    pub const OF_A_MESSAGE: &'static [Self] = &[
        Self::To,
        Self::ToDigits,
        Self::Code,
        Self::Text,
        Self::Template,
        Self::Language,
        Self::AttemptId,
        Self::CallbackUrl,
        Self::LifeS,
        Self::Sender,
        Self::DltEntityId,
        Self::DltTemplateId,
        Self::User,
        Self::Password,
    ];
    /// Allowed in an address, which appears in the logs of every server on the way: no code and no password.
    pub const OF_AN_ADDRESS: &'static [Self] = &[
        Self::To,
        Self::ToDigits,
        Self::Template,
        Self::Language,
        Self::AttemptId,
        Self::LifeS,
        Self::Sender,
        Self::DltEntityId,
        Self::DltTemplateId,
    ];
    /// Left out, with the name of their field, for every country except India.
    pub const OF_DLT: &'static [Self] = &[Self::DltEntityId, Self::DltTemplateId];
    /// Placeholders that are allowed outside of JSON quotes.
    pub const NUMBERS: &'static [Self] = &[Self::ToDigits, Self::LifeS];
    pub const OF_A_QUESTION: &'static [Self] = &[Self::ProviderMessageId, Self::AttemptId];
}
