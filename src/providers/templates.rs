//! Which of an account's approved templates a message is sent with.

use crate::domain::language::{self, Language};
use crate::domain::route::Platform;
use crate::domain::words::words;
use crate::providers::Template;

/// What the person taps under the message. The request to the provider is the same for all: only the template knows.
/// Source: Meta, "Authentication templates".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Button {
    /// Puts the code on the clipboard.
    #[default]
    CopyCode,
    /// Hands the code to the Android app; elsewhere, and without the app's handshake, it copies.
    OneTap,
    /// The Android app is handed the code without a tap.
    ZeroTap,
}

words! {
    Button { CopyCode = "copy_code", OneTap = "one_tap", ZeroTap = "zero_tap" }
}

/// An account's template in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountTemplate {
    pub language: Language,
    pub template: Template,
    /// Of `template`.
    pub button: Button,
    /// For codes that are awaited in an Android app.
    pub android: Option<Template>,
    /// The templates' `message_send_ttl_seconds` at the provider, 30 to 900: what is not delivered by then is dropped
    /// without a word. `None`: not told; at Meta it is 600 where nothing else was asked for.
    pub lifetime_s: Option<u16>,
}

impl AccountTemplate {
    /// `language`: the template's.
    pub fn new(language: Language, template: Template) -> Self {
        Self { language, template, button: Button::default(), android: None, lifetime_s: None }
    }
}

impl AsRef<Language> for AccountTemplate {
    fn as_ref(&self) -> &Language {
        &self.language
    }
}

/// The templates of an account; none for SMS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates(Vec<AccountTemplate>);

static NONE: Template = Template { name: String::new(), language: String::new() };

impl Templates {
    /// The first stands in for languages without one.
    pub fn new(templates: Vec<AccountTemplate>) -> Self {
        Self(templates)
    }

    /// The default first.
    pub fn iter(&self) -> impl Iterator<Item = &AccountTemplate> {
        self.0.iter()
    }

    /// `language`: a message's, as a tag; empty when it has none. `country`: the recipient's. An empty template for SMS.
    pub fn choose(&self, language: &str, country: &str, platform: Option<Platform>) -> &Template {
        let Some(default) = self.0.first() else { return &NONE };
        let asked = Some(language).filter(|tag| !tag.is_empty());
        let chosen = language::choose(asked, country, &self.0, default);
        let for_app = chosen.android.as_ref().filter(|_| platform == Some(Platform::Android));
        for_app.unwrap_or(&chosen.template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(name: &str, language: &str) -> AccountTemplate {
        let template = Template { name: name.to_owned(), language: language.to_owned() };
        AccountTemplate::new(Language::parse(language).unwrap(), template)
    }

    #[test]
    fn the_language_chooses_then_the_country_then_the_first_and_android_has_its_own() {
        let mut indonesian = template("kode_login", "id");
        indonesian.android = Some(Template { name: "kode_satu_ketuk".to_owned(), language: "id".to_owned() });
        let templates = Templates::new(vec![template("login_code", "en_US"), indonesian, template("codigo", "pt_BR")]);
        for (language, country, platform, name) in [
            ("id", "US", None, "kode_login"),
            ("id", "US", Some(Platform::Android), "kode_satu_ketuk"),
            ("id", "US", Some(Platform::Ios), "kode_login"),
            ("pt", "US", Some(Platform::Android), "codigo"),
            ("pt-PT", "US", None, "codigo"),
            ("en-GB", "ID", None, "login_code"),
            ("ja", "ID", None, "kode_login"),
            ("", "BR", None, "codigo"),
            ("ja", "JP", None, "login_code"),
            ("", "", None, "login_code"),
        ] {
            assert_eq!(templates.choose(language, country, platform).name, name, "{language} {country}");
        }
        assert_eq!(*Templates::default().choose("id", "ID", None), NONE);
    }
}
