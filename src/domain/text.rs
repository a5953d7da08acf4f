//! The text of an SMS.

use crate::domain::code::Code;

/// A text with the places `{code}`, `{brand}` and `{minutes}`; `{code}` must stand in it exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsText {
    pattern: String,
    brand: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmsTextError {
    #[error("must contain {{code}} exactly once")]
    Code,
    #[error("has a place {{{0}}} that is not known; there are {{code}}, {{brand}} and {{minutes}}")]
    UnknownPlace(String),
}

impl SmsText {
    pub const DEFAULT: &str = "{code} is your {brand} code. It expires in {minutes} min.";

    /// # Errors
    /// See [`SmsTextError`].
    pub fn new(pattern: &str, brand: &str) -> Result<Self, SmsTextError> {
        if pattern.matches("{code}").count() != 1 {
            return Err(SmsTextError::Code);
        }
        for place in pattern.split('{').skip(1) {
            let name = place.split('}').next().unwrap_or(place);
            if !matches!(name, "code" | "brand" | "minutes") {
                return Err(SmsTextError::UnknownPlace(name.to_owned()));
            }
        }
        Ok(Self { pattern: pattern.to_owned(), brand: brand.to_owned() })
    }

    /// `life_s`: what is left of the message's life, in seconds; told in whole minutes, at least one.
    pub fn render(&self, code: &Code, life_s: i64) -> zeroize::Zeroizing<String> {
        let minutes = ((life_s + 30) / 60).max(1).to_string();
        let text = self.pattern.replace("{brand}", &self.brand).replace("{minutes}", &minutes);
        zeroize::Zeroizing::new(text.replace("{code}", code.digits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_tells_brand_code_and_minutes_left() {
        let text = SmsText::new(SmsText::DEFAULT, "Example").unwrap();
        let code = Code::parse("493817").unwrap();
        assert_eq!(*text.render(&code, 285), "493817 is your Example code. It expires in 5 min.");
        assert_eq!(*text.render(&code, 3), "493817 is your Example code. It expires in 1 min.");
    }

    #[test]
    fn a_text_without_its_code_is_refused() {
        assert_eq!(SmsText::new("hello", "x"), Err(SmsTextError::Code));
        assert_eq!(SmsText::new("{code} {code}", "x"), Err(SmsTextError::Code));
        assert_eq!(SmsText::new("{code} {name}", "x"), Err(SmsTextError::UnknownPlace("name".into())));
    }
}
