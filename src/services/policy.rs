//! What the settings decide about new messages. A reload replaces it as a whole; a message in progress keeps the route
//! with which it was accepted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::code::Code;
use crate::domain::language::Languages;
use crate::domain::limits::{LimitTable, Mode, OnNewer, TestNumber};
use crate::domain::phone::{Number, NumberRules, Phone, PhoneError};
use crate::domain::pumping::SmsRules;
use crate::domain::routing::Routing;
use crate::domain::texts::Texts;

/// Defaults of a purpose, used where the request sets nothing.
#[derive(Clone, Debug)]
pub struct PurposeDefaults {
    pub valid_for_s: i32,
    pub code_length: u8,
    pub replace_after_s: i16,
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub purposes: BTreeMap<String, PurposeDefaults>,
    pub routing: Routing,
    /// Languages of the texts and templates.
    pub languages: Languages,
    pub texts: Texts,
    pub numbers: NumberRules,
    /// Number of wrong codes after which a message is exhausted.
    pub max_tries: i16,
    /// By E.164.
    pub test_numbers: BTreeMap<String, TestNumber>,
    pub limits: LimitTable,
    pub sms_rules: SmsRules,
    /// Where the request sets nothing.
    pub on_newer: OnNewer,
}

impl Policy {
    /// The code of a test number.
    pub fn test_code(&self, to: &Phone, now: DateTime<Utc>) -> Option<&Code> {
        let test = self.test_numbers.get(to.e164())?;
        (now.date_naive() < test.until).then_some(&test.code)
    }

    /// Whether the sends of numbers are kept: for their limits, or to find older messages.
    pub fn counts_numbers(&self, on_newer: OnNewer) -> bool {
        self.limits.mode != Mode::Off || on_newer != OnNewer::Keep
    }

    /// Reads a number and checks it against the settings.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub fn number(&self, text: &str) -> Result<Number, PhoneError> {
        let number = Phone::read(text)?;
        self.numbers.check(&number)?;
        Ok(number)
    }

    /// # Errors
    /// Lists the existing purposes.
    pub fn purpose(&self, name: &str) -> Result<&PurposeDefaults, String> {
        self.purposes.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.purposes.keys().map(String::as_str).collect();
            format!("is not known; there are {}", known.join(", "))
        })
    }
}
