//! The text of an SMS, in one language.

use zeroize::Zeroizing;

use crate::code::Code;

/// A text with the placeholders `{code}`, `{brand}` and `{minutes}`; `{code}` must occur exactly once.
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

    /// Whether the pattern contains the brand.
    pub fn names_brand(pattern: &str) -> bool {
        pattern.contains("{brand}")
    }

    /// `life_s`: remaining life of the message, in seconds; shown in whole minutes, at least one. `last_line` is
    /// appended below the text and may contain the code as well.
    pub fn render(&self, code: &Code, life_s: i64, last_line: Option<&str>) -> Zeroizing<String> {
        let minutes = ((life_s + 30) / 60).max(1).to_string();
        let (before, after) = self.pattern.split_once("{code}").unwrap_or((&self.pattern, ""));
        let fill = |part: &str| part.replace("{minutes}", &minutes).replace("{brand}", &self.brand);
        let (before, after) = (fill(before), fill(after));
        let last_line = last_line.unwrap_or_default();
        // Allocated in full at once: a growing text would leave the code behind in memory.
        let length = before.len() + code.digits().len() + after.len() + 1 + last_line.len();
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(&before);
        text.push_str(code.digits());
        text.push_str(&after);
        if !last_line.is_empty() {
            text.push('\n');
            text.push_str(last_line);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: &str = "{code} is your {brand} code. It expires in {minutes} min.";

    #[test]
    fn a_text_tells_brand_code_and_minutes_left() {
        let text = SmsText::new(ENGLISH, "Example").unwrap();
        let code = Code::parse("493817").unwrap();
        assert_eq!(*text.render(&code, 285, None), "493817 is your Example code. It expires in 5 min.");
        assert_eq!(*text.render(&code, 3, None), "493817 is your Example code. It expires in 1 min.");
        let with_line = text.render(&code, 285, Some("@example.com #493817"));
        assert_eq!(*with_line, "493817 is your Example code. It expires in 5 min.\n@example.com #493817");
    }

    #[test]
    fn a_brand_is_taken_as_it_is() {
        let text = SmsText::new(ENGLISH, "{minutes} {code}").unwrap();
        let rendered = text.render(&Code::parse("493817").unwrap(), 60, None);
        assert_eq!(*rendered, "493817 is your {minutes} {code} code. It expires in 1 min.");
    }

    #[test]
    fn a_text_without_its_code_is_refused() {
        assert_eq!(SmsText::new("hello", "x"), Err(SmsTextError::Code));
        assert_eq!(SmsText::new("{code} {code}", "x"), Err(SmsTextError::Code));
        assert_eq!(SmsText::new("{code} {name}", "x"), Err(SmsTextError::UnknownPlace("name".into())));
    }
}
