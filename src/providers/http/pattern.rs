//! Texts of the settings with places in them, which are filled for each message.

use std::fmt;

use zeroize::Zeroizing;

use crate::domain::ids::AttemptId;
use crate::domain::secret::Secret;
use crate::domain::words::words;
use crate::providers::{Outbound, Question, json, query};

/// What can stand in `{}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    To,
    /// MSISDN: the number without its `+`.
    ToDigits,
    Code,
    /// Of an SMS, code included.
    Text,
    Template,
    Language,
    AttemptId,
    CallbackUrl,
    LifeS,
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
        User = "user",
        Password = "password",
        ProviderMessageId = "provider_message_id",
    }
}

impl Place {
    /// In a body.
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
        Self::User,
        Self::Password,
    ];
    /// In an address, which ends up in the logs of every server on the way: no code and no password.
    pub const OF_AN_ADDRESS: &'static [Self] =
        &[Self::To, Self::ToDigits, Self::Template, Self::Language, Self::AttemptId, Self::LifeS];
    pub const OF_A_QUESTION: &'static [Self] = &[Self::ProviderMessageId, Self::AttemptId];
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("has a place {{{0}}} that is not known here")]
    UnknownPlace(String),
    #[error("is no JSON once its places are filled")]
    NotJson,
    #[error("is no form once its places are filled")]
    NotForm,
}

/// How a value is written, so that it cannot end its place before its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Inside of a JSON string, or a number by itself.
    Json,
    /// In an address or in a form.
    Percent,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Fixed(String),
    Place(Place),
}

#[derive(Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

/// Prints the places alone: somebody may have written a key between them.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.0.iter().filter_map(|part| if let Part::Place(place) = part { Some(place) } else { None });
        f.debug_list().entries(places).finish()
    }
}

impl Pattern {
    /// `{name}` is a place when the name is of `a-z` and `_`; any other brace stands for itself.
    ///
    /// # Errors
    /// See [`PatternError::UnknownPlace`].
    pub fn parse(text: &str, allowed: &[Place]) -> Result<Self, PatternError> {
        let (mut parts, mut fixed, mut rest) = (Vec::new(), String::new(), text);
        while let Some(start) = rest.find('{') {
            let (before, behind) = rest.split_at(start);
            fixed.push_str(before);
            let Some(name) = name_in(behind) else {
                fixed.push('{');
                rest = &behind[1..];
                continue;
            };
            let place = name.parse().ok().filter(|place| allowed.contains(place));
            let place = place.ok_or_else(|| PatternError::UnknownPlace(name.to_owned()))?;
            parts.push(Part::Fixed(std::mem::take(&mut fixed)));
            parts.push(Part::Place(place));
            rest = &behind[name.len() + 2..];
        }
        fixed.push_str(rest);
        parts.push(Part::Fixed(fixed));
        Ok(Self(parts))
    }

    pub fn has(&self, place: Place) -> bool {
        self.0.contains(&Part::Place(place))
    }

    fn fill(&self, escape: Escape, values: &Values<'_>, filled: &mut Vec<u8>) {
        for part in &self.0 {
            match (part, escape) {
                (Part::Fixed(text), _) => filled.extend_from_slice(text.as_bytes()),
                (Part::Place(place), Escape::Percent) => query::encode_into(filled, values.of(*place)),
                (Part::Place(place), Escape::Json) => {
                    let start = filled.len();
                    serde_json::to_writer(&mut *filled, values.of(*place)).expect("text always serializes");
                    // Its quotes stand in the pattern.
                    filled.remove(start);
                    filled.pop();
                }
            }
        }
    }

    /// As an address.
    pub fn address(&self, values: &Values<'_>) -> String {
        let mut filled = Vec::new();
        self.fill(Escape::Percent, values, &mut filled);
        String::from_utf8_lossy(&filled).into_owned()
    }
}

/// Of `{name}` at the start of `text`.
fn name_in(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.split_once('}')?.0;
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    fits.then_some(name)
}

/// A body with places, known to be right whatever fills them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pattern: Pattern,
    escape: Escape,
}

impl Body {
    /// # Errors
    /// When, filled with the worst values, it is no JSON or no form, or names a place that does not exist.
    pub fn parse(text: &str, escape: Escape) -> Result<Self, PatternError> {
        let body = Self { pattern: Pattern::parse(text, Place::OF_A_MESSAGE)?, escape };
        let worst = body.fill(&Values::worst());
        match escape {
            // A text outside of quotes, or behind a lone backslash, is no JSON.
            Escape::Json if serde_json::from_slice::<serde::de::IgnoredAny>(&worst).is_err() => {
                Err(PatternError::NotJson)
            }
            Escape::Percent if !is_form(&worst) => Err(PatternError::NotForm),
            _ => Ok(body),
        }
    }

    pub fn has(&self, place: Place) -> bool {
        self.pattern.has(place)
    }

    pub fn content_type(&self) -> &'static str {
        match self.escape {
            Escape::Json => "application/json",
            Escape::Percent => "application/x-www-form-urlencoded",
        }
    }

    pub fn fill(&self, values: &Values<'_>) -> Zeroizing<Vec<u8>> {
        let mut filled = Zeroizing::new(Vec::with_capacity(json::BODY_CAPACITY));
        self.pattern.fill(self.escape, values, &mut filled);
        filled
    }
}

fn is_form(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let is_pair = |pair: &str| {
        let Some((name, value)) = pair.split_once('=') else { return false };
        !name.is_empty() && query::decode(name).is_some() && query::decode(value).is_some()
    };
    text.bytes().all(|b| b.is_ascii_graphic()) && text.split('&').all(is_pair)
}

/// What the places stand for.
pub struct Values<'a> {
    to: &'a str,
    code: &'a str,
    text: &'a str,
    template: &'a str,
    language: &'a str,
    attempt_id: String,
    callback_url: &'a str,
    life_s: String,
    user: &'a str,
    password: &'a str,
    provider_message_id: &'a str,
}

const NOTHING: Values<'static> = Values {
    to: "",
    code: "",
    text: "",
    template: "",
    language: "",
    attempt_id: String::new(),
    callback_url: "",
    life_s: String::new(),
    user: "",
    password: "",
    provider_message_id: "",
};

impl<'a> Values<'a> {
    /// `callback_url`: with its token, when it has one.
    pub fn of_message(message: &'a Outbound<'_>, callback_url: &'a str, login: Option<&'a (String, Secret)>) -> Self {
        Self {
            to: message.to.e164(),
            code: message.code.digits(),
            text: message.text,
            template: &message.template.name,
            language: &message.template.language,
            attempt_id: message.attempt_id.to_string(),
            callback_url,
            life_s: message.life_s.to_string(),
            user: login.map_or("", |(user, _)| user),
            password: login.map_or("", |(_, password)| password.expose()),
            ..NOTHING
        }
    }

    pub fn of_question(about: &Question<'a>) -> Self {
        let attempt_id: AttemptId = about.attempt_id;
        Self { attempt_id: attempt_id.to_string(), provider_message_id: about.provider_message_id, ..NOTHING }
    }

    /// Texts that break out of whatever does not hold them; numbers that are none outside of quotes.
    fn worst() -> Self {
        const TEXT: &str = "a\"b\\c\n\u{7f}&d=e%f+g{}é";
        Self {
            to: "+447700900123",
            code: "012345",
            text: TEXT,
            template: TEXT,
            language: TEXT,
            attempt_id: "01900000-0000-7000-8000-000000000001".to_owned(),
            callback_url: TEXT,
            life_s: "300".to_owned(),
            user: TEXT,
            password: TEXT,
            ..NOTHING
        }
    }

    fn of(&self, place: Place) -> &str {
        match place {
            Place::To => self.to,
            Place::ToDigits => self.to.trim_start_matches('+'),
            Place::Code => self.code,
            Place::Text => self.text,
            Place::Template => self.template,
            Place::Language => self.language,
            Place::AttemptId => &self.attempt_id,
            Place::CallbackUrl => self.callback_url,
            Place::LifeS => &self.life_s,
            Place::User => self.user,
            Place::Password => self.password,
            Place::ProviderMessageId => self.provider_message_id,
        }
    }
}
