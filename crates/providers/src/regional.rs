//! What differs by country for an SMS account: the sender, and India's registration.
//!
//! India's networks accept an SMS only if its sender, its text and the company are registered on their ledger (DLT),
//! and silently drop one without the ids of both. Sources: TRAI, "Telecom Commercial Communications Customer Preference
//! Regulations, 2018", and the pages of two providers on India: "India SMS features and restrictions", "India DLT
//! registration" (read 2026-11-26).

use std::collections::BTreeMap;

use otpost_domain::language::Language;
use otpost_domain::phone::Phone;
use otpost_domain::texts::{Text, Texts};

/// Of one account. Empty for WhatsApp.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regional {
    /// By country, ISO 3166-1 alpha-2: a name, a number or whatever else the provider accepts as a sender.
    pub senders: BTreeMap<String, String>,
    pub dlt: DltSettings,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DltSettings {
    #[default]
    NotTold,
    /// The provider adds the ids itself, or uses another way.
    NotNeeded,
    Registered(Dlt),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dlt {
    /// Id of the company: "principal entity id".
    pub entity_id: String,
    /// Id of each registered text, by its language: "content template id". Never empty.
    pub templates: BTreeMap<Language, String>,
}

/// The ids that one SMS to India carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DltIds<'a> {
    pub entity_id: &'a str,
    /// Id of the text that is sent.
    pub template_id: &'a str,
}

const INDIA: &str = "IN";
const INDIAS_CALLING_CODE: &str = "91";

impl Regional {
    /// `None`: the account's own.
    pub fn sender(&self, to: &Phone) -> Option<&str> {
        self.senders.get(country(to)).map(String::as_str)
    }

    /// The text of an SMS and, for India, the ids under which that text is registered. For India only a registered text
    /// is sent, in the language nearest to the requested one. `language`: the message's language tag; empty when it has
    /// none.
    pub fn text<'a>(&'a self, texts: &'a Texts, language: &str, to: &Phone) -> (&'a Text, Option<DltIds<'a>>) {
        let usual = || (texts.choose(language, to.country()), None);
        let DltSettings::Registered(dlt) = &self.dlt else { return usual() };
        if country(to) != INDIA {
            return usual();
        }
        let registered = |one: &Language| dlt.templates.contains_key(one);
        let Some(text) = texts.choose_among(language, INDIA, registered) else { return usual() };
        let ids = dlt.templates.get(&text.language).map(|id| DltIds { entity_id: &dlt.entity_id, template_id: id });
        (text, ids)
    }
}

/// Numbers that the metadata do not know have a country by the calling code alone.
fn country(to: &Phone) -> &str {
    if to.calling_code() == INDIAS_CALLING_CODE { INDIA } else { to.country() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(e164: &str, country: &str) -> Phone {
        Phone::from_stored(e164, country, 2).unwrap()
    }

    fn language(tag: &str) -> Language {
        Language::parse(tag).unwrap()
    }

    fn registered(templates: &[(&str, &str)]) -> Regional {
        let templates = templates.iter().map(|(tag, id)| (language(tag), (*id).to_owned())).collect();
        let dlt = DltSettings::Registered(Dlt { entity_id: "1101".to_owned(), templates });
        let senders = [("IN", "EXMPLE"), ("GB", "+447400123456")];
        let senders = senders.into_iter().map(|(country, sender)| (country.to_owned(), sender.to_owned())).collect();
        Regional { senders, dlt }
    }

    #[test]
    fn india_is_sent_a_registered_text_with_its_ids_and_nobody_else_is() {
        let texts = Texts::shipped(Some("Example"));
        let both = registered(&[("en", "1107"), ("hi", "1108")]);
        let hindi = registered(&[("hi", "1108")]);
        let spanish = registered(&[("es", "1109")]);
        let india = phone("+919876543210", "IN");
        for (regional, asked, chosen, template_id) in [
            (&both, "en", "en", "1107"),
            (&both, "en-IN", "en", "1107"),
            (&both, "hi-IN", "hi", "1108"),
            // Not registered: the usual language of the country.
            (&both, "de", "en", "1107"),
            (&both, "", "en", "1107"),
            (&hindi, "en", "hi", "1108"),
            (&spanish, "en", "es", "1109"),
        ] {
            let (text, ids) = regional.text(&texts, asked, &india);
            let wanted = Some(DltIds { entity_id: "1101", template_id });
            assert_eq!((text.language.to_string().as_str(), ids), (chosen, wanted), "{asked}");
        }
        for (e164, country) in [("+447400123456", "GB"), ("+9779841234567", "NP"), ("+14155550100", "US")] {
            let (text, ids) = both.text(&texts, "de", &phone(e164, country));
            assert_eq!((text.language.to_string().as_str(), ids), ("de", None), "{e164}");
        }
        let settings = [DltSettings::NotTold, DltSettings::NotNeeded];
        for dlt in settings.map(|dlt| Regional { dlt, ..Regional::default() }) {
            assert_eq!(dlt.text(&texts, "de", &india).1, None);
        }
    }

    #[test]
    fn a_country_has_its_sender_and_the_others_have_the_accounts_own() {
        let regional = registered(&[("en", "1107")]);
        for (e164, country, sender) in [
            ("+919876543210", "IN", Some("EXMPLE")),
            // As for a number that is in no metadata.
            ("+919876543210", "ZZ", Some("EXMPLE")),
            ("+447400123456", "GB", Some("+447400123456")),
            ("+447797123456", "JE", None),
            ("+628123450001", "ID", None),
        ] {
            assert_eq!(regional.sender(&phone(e164, country)), sender, "{e164} {country}");
        }
    }
}
