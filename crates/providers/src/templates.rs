//! Chooses which of an account's approved templates a message uses.

use crate::Template;
use otpost_domain::language::{self, Language};
use otpost_domain::route::Platform;
use otpost_domain::words;

/// The template's button. The request to the provider is the same for all of them: only the template differs. Source:
/// WhatsApp Business Platform, "Authentication templates".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Button {
    /// Copies the code to the clipboard.
    #[default]
    CopyCode,
    /// Passes the code to the Android app; elsewhere, and without the app's handshake, it copies.
    OneTap,
    /// Passes the code to the Android app without a tap.
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
    /// The button of `template`.
    pub button: Button,
    /// For codes that are awaited in an Android app.
    pub android: Option<Template>,
    /// The templates' `message_send_ttl_seconds` at the provider, 30 to 900: what is not delivered by then is silently
    /// dropped. `None`: unknown; WhatsApp's default is 600.
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
    /// The first is used for languages without one.
    pub fn new(templates: Vec<AccountTemplate>) -> Self {
        Self(templates)
    }

    /// The default first.
    pub fn iter(&self) -> impl Iterator<Item = &AccountTemplate> {
        self.0.iter()
    }

    /// `language`: the message's language tag; empty when it has none. `country`: the recipient's. An empty template
    /// for SMS.
    pub fn choose(&self, language: &str, country: &str, platform: Option<Platform>) -> &Template {
        self.choose_among(language, country, platform, |_| true).unwrap_or(&NONE)
    }

    /// The nearest of those that `may_be_sent`; `None` when there is none.
    pub fn choose_among(
        &self,
        language: &str,
        country: &str,
        platform: Option<Platform>,
        may_be_sent: impl Fn(&Template) -> bool,
    ) -> Option<&Template> {
        let asked = Some(language).filter(|tag| !tag.is_empty());
        let mut left: Vec<&AccountTemplate> = self.0.iter().collect();
        while let Some(default) = left.first() {
            let chosen = *language::choose(asked, country, &left, default);
            let for_app = chosen.android.as_ref().filter(|_| platform == Some(Platform::Android));
            if let Some(template) = for_app.into_iter().chain([&chosen.template]).find(|one| may_be_sent(one)) {
                return Some(template);
            }
            left.retain(|one| !std::ptr::eq(*one, chosen));
        }
        None
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

        let android = Some(Platform::Android);
        let without = |closed: &[&str]| {
            let chosen = templates.choose_among("id", "ID", android, |one| !closed.contains(&one.name.as_str()));
            chosen.map(|one| one.name.as_str())
        };
        assert_eq!(without(&["codigo"]), Some("kode_satu_ketuk"));
        assert_eq!(without(&["kode_satu_ketuk"]), Some("kode_login"));
        assert_eq!(without(&["kode_satu_ketuk", "kode_login"]), Some("login_code"));
        assert_eq!(without(&["kode_satu_ketuk", "kode_login", "login_code"]), Some("codigo"));
        assert_eq!(without(&["kode_satu_ketuk", "kode_login", "login_code", "codigo"]), None);
    }
}
