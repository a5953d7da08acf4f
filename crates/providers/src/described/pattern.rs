//! Texts of the settings with placeholders, which are filled for each message.

use std::fmt;

use zeroize::Zeroizing;

use super::optional;
use super::place::Place;
use crate::{Outbound, StatusQuery, json, query};
use otpost_domain::ids::AttemptId;
use otpost_domain::secret::Secret;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("has a placeholder {{{0}}} that is not allowed here")]
    UnknownPlace(String),
    #[error("is not JSON once its placeholders are filled")]
    NotJson,
    #[error("is not a form once its placeholders are filled")]
    NotForm,
}

/// How a value is escaped, so that it cannot break out of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Inside a JSON string, or as a number.
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
pub struct Pattern {
    parts: Vec<Part>,
    /// For a message without India's ids, if there are placeholders for them.
    without_dlt: Option<Vec<Part>>,
}

/// Prints only the placeholders: the text between them may contain a key.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places =
            self.parts.iter().filter_map(|part| if let Part::Place(place) = part { Some(place) } else { None });
        f.debug_list().entries(places).finish()
    }
}

impl Pattern {
    /// `{name}` is a placeholder if the name consists of `a-z` and `_`; any other brace is plain text.
    ///
    /// # Errors
    /// See [`PatternError::UnknownPlace`].
    pub fn parse(text: &str, allowed: &[Place]) -> Result<Self, PatternError> {
        let without_dlt = optional::without_dlt(text).map(|text| Self::parts(&text, allowed)).transpose()?;
        Ok(Self { parts: Self::parts(text, allowed)?, without_dlt })
    }

    fn parts(text: &str, allowed: &[Place]) -> Result<Vec<Part>, PatternError> {
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
        Ok(parts)
    }

    pub fn has(&self, place: Place) -> bool {
        self.parts.contains(&Part::Place(place))
    }

    fn fill(&self, escape: Escape, values: &Values<'_>, filled: &mut Vec<u8>) {
        let parts = self.without_dlt.as_ref().filter(|_| values.dlt_entity_id.is_empty()).unwrap_or(&self.parts);
        for part in parts {
            match (part, escape) {
                (Part::Fixed(text), _) => filled.extend_from_slice(text.as_bytes()),
                (Part::Place(place), Escape::Percent) => query::encode_into(filled, values.of(*place)),
                (Part::Place(place), Escape::Json) => {
                    let start = filled.len();
                    serde_json::to_writer(&mut *filled, values.of(*place)).expect("text always serializes");
                    // The pattern contains its quotes.
                    filled.remove(start);
                    filled.pop();
                }
            }
        }
    }

    /// Filled as an address.
    pub fn address(&self, values: &Values<'_>) -> String {
        let mut filled = Vec::new();
        self.fill(Escape::Percent, values, &mut filled);
        String::from_utf8_lossy(&filled).into_owned()
    }
}

/// The name in `{name}` at the start of `text`.
fn name_in(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.split_once('}')?.0;
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    fits.then_some(name)
}

/// A body with placeholders, known to be valid whatever fills them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pattern: Pattern,
    escape: Escape,
}

impl Body {
    /// # Errors
    /// When, filled with the worst values, it is not JSON or not a form, or contains an unknown placeholder.
    pub fn parse(text: &str, escape: Escape) -> Result<Self, PatternError> {
        let body = Self { pattern: Pattern::parse(text, Place::OF_A_MESSAGE)?, escape };
        let (worst, abroad) = (Values::worst(), Values { dlt_entity_id: "", ..Values::worst() });
        for filled in [body.fill(&worst), body.fill(&abroad)] {
            match escape {
                // A text outside of quotes, or after a single backslash, is not JSON.
                Escape::Json if serde_json::from_slice::<serde::de::IgnoredAny>(&filled).is_err() => {
                    return Err(PatternError::NotJson);
                }
                Escape::Percent if !is_form(&filled) => return Err(PatternError::NotForm),
                _ => {}
            }
        }
        Ok(body)
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

/// The values of the placeholders.
pub struct Values<'a> {
    to: &'a str,
    code: &'a str,
    text: &'a str,
    template: &'a str,
    language: &'a str,
    attempt_id: String,
    callback_url: &'a str,
    life_s: String,
    sender: &'a str,
    /// Empty for other countries than India.
    dlt_entity_id: &'a str,
    dlt_template_id: &'a str,
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
    sender: "",
    dlt_entity_id: "",
    dlt_template_id: "",
    user: "",
    password: "",
    provider_message_id: "",
};

impl<'a> Values<'a> {
    /// `callback_url`: with its token, if it has one. `sender`: the account's own.
    pub fn of_message(
        message: &'a Outbound<'_>,
        callback_url: &'a str,
        sender: Option<&'a str>,
        login: Option<&'a (String, Secret)>,
    ) -> Self {
        Self {
            to: message.to.e164(),
            code: message.code.digits(),
            text: message.text,
            template: &message.template.name,
            language: &message.template.language,
            attempt_id: message.attempt_id.to_string(),
            callback_url,
            life_s: message.life_s.to_string(),
            sender: message.sender.or(sender).unwrap_or_default(),
            dlt_entity_id: message.dlt.map_or("", |ids| ids.entity_id),
            dlt_template_id: message.dlt.map_or("", |ids| ids.template_id),
            user: login.map_or("", |(user, _)| user),
            password: login.map_or("", |(_, password)| password.expose()),
            ..NOTHING
        }
    }

    pub fn of_question(about: &StatusQuery<'a>) -> Self {
        let attempt_id: AttemptId = about.attempt_id;
        Self { attempt_id: attempt_id.to_string(), provider_message_id: about.provider_message_id, ..NOTHING }
    }

    /// Texts that break out of an unescaped field, and texts in the place of numbers outside of quotes.
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
            sender: TEXT,
            dlt_entity_id: TEXT,
            dlt_template_id: TEXT,
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
            Place::Sender => self.sender,
            Place::DltEntityId => self.dlt_entity_id,
            Place::DltTemplateId => self.dlt_template_id,
            Place::User => self.user,
            Place::Password => self.password,
            Place::ProviderMessageId => self.provider_message_id,
        }
    }
}
