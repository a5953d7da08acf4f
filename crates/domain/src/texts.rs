//! The SMS texts of all languages, and the last line for autofill.

pub mod shipped;

use zeroize::Zeroizing;

use crate::code::Code;
use crate::language::{self, Language};
use crate::route::Platform;
use crate::text::SmsText;
use crate::texts::shipped::SHIPPED;

/// A text and its language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub language: Language,
    pub sms: SmsText,
}

impl AsRef<Language> for Text {
    fn as_ref(&self) -> &Language {
        &self.language
    }
}

/// What is added at the end of an SMS for the platform on which the code is awaited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Autofill {
    /// Host of the website or of the associated domain: `example.com`.
    pub web_host: Option<String>,
    /// The Android app's 11 characters.
    pub android_hash: Option<String>,
}

impl Autofill {
    /// Websites and iOS: a line `@example.com #493817` with nothing before the `@`; the phone offers the code on that
    /// domain only. Android apps: the hash by which the SMS Retriever finds the app. Both must be at the end of the
    /// text, so the platform decides which is added. Sources: WICG, "Origin-bound one-time codes delivered via SMS";
    /// Apple, "Domain-bound codes"; Google, "Perform SMS Verification on a Server".
    fn last_line(&self, platform: Option<Platform>, code: &Code) -> Option<Zeroizing<String>> {
        match platform? {
            Platform::Web | Platform::Ios => {
                let host = self.web_host.as_deref()?;
                Some(Zeroizing::new(["@", host, " #", code.digits()].concat()))
            }
            Platform::Android => self.android_hash.clone().map(Zeroizing::new),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// Never empty; the first is the default.
    texts: Vec<Text>,
    pub autofill: Autofill,
}

impl Texts {
    /// `others`: each in a different language, none in that of `default`.
    pub fn new(default: Text, others: impl IntoIterator<Item = Text>, autofill: Autofill) -> Self {
        Self { texts: [default].into_iter().chain(others).collect(), autofill }
    }

    /// The shipped texts, English first.
    pub fn shipped(brand: Option<&str>) -> Self {
        let mut texts = SHIPPED.iter().map(|text| Text {
            language: Language::parse(text.tag).expect("a shipped text has a language"),
            sms: SmsText::new(text.sms, brand.unwrap_or(text.unbranded)).expect("a shipped text is a text"),
        });
        let default = texts.next().expect("there are shipped texts");
        Self::new(default, texts, Autofill::default())
    }

    pub fn default_language(&self) -> &Language {
        &self.texts[0].language
    }

    /// The default first.
    pub fn iter(&self) -> impl Iterator<Item = &Text> {
        self.texts.iter()
    }

    /// `language`: the message's language tag; empty when it has none. `country`: the recipient's.
    pub fn choose(&self, language: &str, country: &str) -> &Text {
        let asked = Some(language).filter(|tag| !tag.is_empty());
        language::choose(asked, country, &self.texts, &self.texts[0])
    }

    /// The same, but only among the languages that `allowed` accepts; `None` when there is none.
    pub fn choose_among(&self, language: &str, country: &str, allowed: impl Fn(&Language) -> bool) -> Option<&Text> {
        let asked = Some(language).filter(|tag| !tag.is_empty());
        let some: Vec<&Text> = self.texts.iter().filter(|text| allowed(&text.language)).collect();
        let default = some.first()?;
        Some(*language::choose(asked, country, &some, default))
    }

    /// The whole SMS. `life_s`: remaining life of the message, in seconds.
    pub fn render(&self, text: &Text, platform: Option<Platform>, code: &Code, life_s: i64) -> Zeroizing<String> {
        let last_line = self.autofill.last_line(platform, code);
        text.sms.render(code, life_s, last_line.as_deref().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use unicode_bidi::{BidiInfo, Level};

    use super::*;
    use crate::sms::{self, RETRIEVER_BYTES};

    fn code() -> Code {
        Code::parse("493817").unwrap()
    }

    fn texts(brand: Option<&str>) -> Texts {
        let autofill =
            Autofill { web_host: Some("example.com".to_owned()), android_hash: Some("FA+9qCX9VSu".to_owned()) };
        Texts { autofill, ..Texts::shipped(brand) }
    }

    #[test]
    fn every_shipped_text_is_one_part_and_says_code_brand_and_minutes() {
        for brand in [None, Some("Example")] {
            let texts = texts(brand);
            for text in texts.iter() {
                let rendered = texts.render(text, None, &code(), 600);
                assert!(rendered.starts_with("493817 ") && rendered.contains("10"), "{rendered:?}");
                assert!(brand.is_none_or(|brand| rendered.contains(brand)), "{rendered:?}");
                assert!(!rendered.contains(['{', '}']) && !rendered.contains("  "), "{rendered:?}");
                assert_eq!(sms::weigh(&rendered).segments, 1, "{rendered:?}");
            }
        }
    }

    #[test]
    fn the_last_line_is_the_platforms() {
        let texts = texts(Some("Example"));
        for text in texts.iter() {
            let render = |platform| texts.render(text, platform, &code(), 600);
            let plain = render(None);
            for (platform, last) in [
                (Platform::Web, "@example.com #493817"),
                (Platform::Ios, "@example.com #493817"),
                (Platform::Android, "FA+9qCX9VSu"),
            ] {
                assert_eq!(*render(Some(platform)), format!("{}\n{last}", *plain));
            }
            let with_hash = render(Some(Platform::Android));
            assert!(sms::retriever_bytes(&with_hash) <= RETRIEVER_BYTES, "{with_hash:?}");
        }
        let bare = Texts::shipped(None);
        for platform in [Platform::Web, Platform::Ios, Platform::Android] {
            let english = bare.choose("en", "US");
            assert_eq!(bare.render(english, Some(platform), &code(), 600), bare.render(english, None, &code(), 600));
        }
    }

    /// The text in the visual order from left to right, by Unicode Annex 9, in a paragraph of its own direction.
    fn as_shown(text: &str) -> (bool, String) {
        let info = BidiInfo::new(text, None);
        let line = &info.paragraphs[0];
        (line.level == Level::rtl(), info.reorder_line(line, line.range.clone()).into_owned())
    }

    /// Reading from the right: the code, then Arabic, then the brand, then the minutes.
    #[test]
    fn right_to_left_the_code_is_whole_and_comes_first() {
        let texts = texts(Some("Example"));
        for text in texts.iter().filter(|text| text.language.is_right_to_left()) {
            for platform in [None, Some(Platform::Web), Some(Platform::Android)] {
                let rendered = texts.render(text, platform, &code(), 600);
                let (is_rtl, shown) = as_shown(&rendered);
                assert!(is_rtl, "{rendered:?}");
                let shown = shown.trim_end();
                assert!(shown.ends_with(" 493817"), "{shown:?}");
                let (minutes, brand) = (shown.find("10").unwrap(), shown.find("Example").unwrap());
                assert!(minutes < brand, "{shown:?}");
            }
        }
        // What the word order avoids: the brand would pull the code into its own direction.
        let (_, shown) = as_shown("رمز Example: 493817");
        assert!(shown.starts_with("Example: 493817"), "{shown:?}");
    }

    #[test]
    fn a_message_without_a_language_is_told_in_its_countrys() {
        let texts = texts(None);
        let chosen = |language, country| texts.choose(language, country).language.to_string();
        assert_eq!((chosen("", "ID"), chosen("", "JP"), chosen("ar", "ID")), ("id".into(), "en".into(), "ar".into()));
    }
}
