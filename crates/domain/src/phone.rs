//! A recipient's number: read as people write it, normalised, checked against the numbering plans, printed masked.

mod forms;
mod plans;
mod text;

use std::collections::BTreeSet;
use std::fmt;

use rlibphonenumber::{NumberLengthType, PhoneNumber, PhoneNumberType};

use crate::field_code::FieldCode;
use crate::words;

pub use self::plans::{CallingCode, calling_codes, canonical_prefix, countries, is_country};

/// An E.164 number (`+` and 7 to 15 digits) in the one form that its country uses today, so that two spellings of a
/// number are one recipient.
///
/// `Display` and `Debug` print it masked (calling code and the last two digits). The whole number is available only
/// through [`Phone::e164`], for adapters and the store.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone {
    e164: String,
    calling_code_len: u8,
    country: [u8; 2],
}

/// Type of a number under its country's numbering plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// Also numbers that may be either, as in North America, where the number does not tell.
    Mobile,
    FixedLine,
    Voip,
    TollFree,
    PremiumRate,
    SharedCost,
    /// Numbers that follow a person and bill the caller, such as +44 70.
    Personal,
    Pager,
    Voicemail,
    /// A single company number for all its sites (UAN).
    Company,
}

words! {
    Line {
        Mobile = "mobile",
        FixedLine = "fixed_line",
        Voip = "voip",
        TollFree = "toll_free",
        PremiumRate = "premium_rate",
        SharedCost = "shared_cost",
        Personal = "personal",
        Pager = "pager",
        Voicemail = "voicemail",
        Company = "company",
    }
}

impl Line {
    /// Whether a call or message to it can cost more than to a phone; fraudsters profit from such numbers.
    pub fn is_costly(self) -> bool {
        matches!(self, Self::PremiumRate | Self::SharedCost | Self::Personal)
    }

    fn words(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::FixedLine => "fixed-line",
            Self::Voip => "VoIP",
            Self::TollFree => "toll-free",
            Self::PremiumRate => "premium-rate",
            Self::SharedCost => "shared-cost",
            Self::Personal => "personal (follow-me)",
            Self::Pager => "pager",
            Self::Voicemail => "voicemail",
            Self::Company => "company (UAN)",
        }
    }
}

/// A number as it was read, before it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    pub phone: Phone,
    /// `None`: possible by its length, but in no range that the metadata list. The metadata may lag behind the
    /// numbering plan.
    pub line: Option<Line>,
    /// It was written in a form that its country no longer uses, or with a superfluous prefix.
    pub rewritten: bool,
}

/// Which numbers are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberRules {
    /// Whether numbers are accepted that are possible but in no known range.
    pub unknown: Unknown,
    pub kinds: BTreeSet<Line>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    Accept,
    Refuse,
}

words! {
    Unknown { Accept = "accept", Refuse = "refuse" }
}

impl Default for NumberRules {
    fn default() -> Self {
        Self { unknown: Unknown::Accept, kinds: BTreeSet::from([Line::Mobile]) }
    }
}

impl NumberRules {
    /// # Errors
    /// [`PhoneError::Unknown`] and [`PhoneError::Kind`].
    pub fn check(&self, number: &Number) -> Result<(), PhoneError> {
        match number.line {
            None if self.unknown == Unknown::Refuse => Err(PhoneError::Unknown),
            Some(line) if !self.kinds.contains(&line) => Err(PhoneError::Kind(line)),
            _ => Ok(()),
        }
    }
}

/// Why a number is refused. The texts are returned to the app that sent it; none repeats the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    #[error("must be in E.164 form: `+`, the country's calling code and the number, digits only")]
    NotE164,
    #[error("is not a number that exists under its country's numbering plan: too long, too short or of no country")]
    NotValid,
    #[error("is in no range of its country's numbering plan that is known here")]
    Unknown,
    #[error("is a {} number; no codes are sent to those", .0.words())]
    Kind(Line),
    #[error("belongs to no single country; codes are sent to numbers of a country only")]
    NoCountry,
}

impl PhoneError {
    pub fn code(self) -> FieldCode {
        match self {
            Self::NotE164 => FieldCode::NumberNotE164,
            Self::NotValid => FieldCode::NumberNotValid,
            Self::Unknown => FieldCode::NumberUnknown,
            Self::NoCountry => FieldCode::NumberWithoutCountry,
            Self::Kind(line) => match line {
                Line::Mobile => FieldCode::NumberMobile,
                Line::FixedLine => FieldCode::NumberFixedLine,
                Line::Voip => FieldCode::NumberVoip,
                Line::TollFree => FieldCode::NumberTollFree,
                Line::PremiumRate => FieldCode::NumberPremiumRate,
                Line::SharedCost => FieldCode::NumberSharedCost,
                Line::Personal => FieldCode::NumberPersonal,
                Line::Pager => FieldCode::NumberPager,
                Line::Voicemail => FieldCode::NumberVoicemail,
                Line::Company => FieldCode::NumberCompany,
            },
        }
    }
}

impl Phone {
    /// Reads a number as people, phone books and WhatsApp write it: digits of any script, spaces, dashes, brackets,
    /// invisible marks, a `tel:` prefix, an extension at the end, `00` for `+`, a trunk prefix such as (0), and the
    /// former forms of countries that changed theirs. The calling code is required, because it cannot be guessed.
    ///
    /// # Errors
    /// [`PhoneError::NotE164`], [`PhoneError::NotValid`] and [`PhoneError::NoCountry`]; see [`NumberRules::check`] for
    /// the others.
    pub fn read(input: &str) -> Result<Number, PhoneError> {
        let digits = text::digits(input).ok_or(PhoneError::NotE164)?;
        let parsed = PhoneNumber::parse(format!("+{digits}"), None).map_err(|_| PhoneError::NotValid)?;
        let number = forms::of_today(parsed);
        let line = line(&number);
        if line.is_none() && number.is_possible_with_reason() != Ok(NumberLengthType::IsPossible) {
            return Err(PhoneError::NotValid);
        }
        let e164 = number.to_string();
        if !(8..=16).contains(&e164.len()) {
            return Err(PhoneError::NotValid);
        }
        let country = plans::country(&number).ok_or(PhoneError::NoCountry)?;
        let calling_code_len = number.country_code.to_string().len() as u8;
        let rewritten = e164[1..] != digits;
        Ok(Number { phone: Self { e164, calling_code_len, country }, line, rewritten })
    }

    /// Reads a number and checks it under the default rules.
    ///
    /// # Errors
    /// Says why the number is refused; see [`PhoneError`].
    pub fn parse(input: &str) -> Result<Self, PhoneError> {
        let number = Self::read(input)?;
        NumberRules::default().check(&number)?;
        Ok(number.phone)
    }

    /// A number that sends, such as an account's. Non-digits are removed; otherwise it stays as written, because the
    /// provider knows it in that form. `None` unless it has a `+` and a calling code.
    pub fn sender(input: &str) -> Option<String> {
        let digits = text::digits(input).filter(|digits| digits.len() <= 15)?;
        let parsed = PhoneNumber::parse(format!("+{digits}"), None).ok()?;
        let known = line(&parsed).is_some() || parsed.is_possible_with_reason().is_ok() || forms::is_former(parsed);
        known.then(|| format!("+{digits}"))
    }

    /// A number that [`Phone::read`] returned earlier, as the database stores it. `None` when it cannot be one.
    pub fn from_stored(e164: &str, country: &str, calling_code_len: i16) -> Option<Self> {
        let rest = e164.strip_prefix('+')?;
        let country = <[u8; 2]>::try_from(country.as_bytes()).ok()?;
        let calling_code_len = u8::try_from(calling_code_len).ok().filter(|n| (1..=3).contains(n))?;
        let plausible = (7..=15).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_digit())
            && country.iter().all(u8::is_ascii_uppercase);
        plausible.then(|| Self { e164: e164.to_owned(), calling_code_len, country })
    }

    /// The whole number. For adapters and the store only; never for a log, an error or an answer.
    pub fn e164(&self) -> &str {
        &self.e164
    }

    /// ISO 3166-1 alpha-2, upper case.
    pub fn country(&self) -> &str {
        std::str::from_utf8(&self.country).expect("checked to be two ASCII letters when it was made")
    }

    /// The country's calling code, digits only: `62`.
    pub fn calling_code(&self) -> &str {
        &self.e164[1..=usize::from(self.calling_code_len)]
    }

    /// The number without its last four digits, as fraudsters rent numbers: in ranges.
    pub fn prefix(&self) -> &str {
        &self.e164[..self.e164.len() - 4]
    }

    /// `+62 … 42`: calling code and last two digits.
    pub fn masked(&self) -> String {
        format!("+{} … {}", self.calling_code(), &self.e164[self.e164.len() - 2..])
    }
}

/// Its type by the metadata; `None` when they do not list it.
fn line(number: &PhoneNumber) -> Option<Line> {
    if !number.is_valid() {
        return None;
    }
    match number.get_type() {
        PhoneNumberType::Mobile | PhoneNumberType::FixedLineOrMobile => Some(Line::Mobile),
        PhoneNumberType::FixedLine => Some(Line::FixedLine),
        PhoneNumberType::TollFree => Some(Line::TollFree),
        PhoneNumberType::PremiumRate => Some(Line::PremiumRate),
        PhoneNumberType::SharedCost => Some(Line::SharedCost),
        PhoneNumberType::VoIP => Some(Line::Voip),
        PhoneNumberType::PersonalNumber => Some(Line::Personal),
        PhoneNumberType::Pager => Some(Line::Pager),
        PhoneNumberType::UAN => Some(Line::Company),
        PhoneNumberType::VoiceMail => Some(Line::Voicemail),
        PhoneNumberType::Unknown => None,
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({})", self.masked())
    }
}

#[cfg(test)]
mod tests;
