//! Languages of texts and templates, and the choice of one for a person.

mod countries;
pub mod locale;

use std::fmt;

/// A language with its script and region where they matter: `en`, `pt-BR`, `zh-Hant`. Prints as a BCP 47 tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language {
    /// Lower case, 2 or 3 letters.
    base: String,
    /// `Hant`
    script: Option<String>,
    /// `BR`, or `419` as in `es-419`.
    region: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a language tag such as en, pt-BR or zh-Hant")]
pub struct LanguageError;

impl Language {
    /// Accepts hyphens and underscores in any case, and the former codes that older systems still send: Java writes
    /// Indonesian as `in` and Hebrew as `iw`.
    ///
    /// # Errors
    /// When it is not a language with at most a script and a region.
    pub fn parse(tag: &str) -> Result<Self, LanguageError> {
        match Self::read(tag) {
            Some((language, "")) if !tag.ends_with(['-', '_']) => Ok(language),
            _ => Err(LanguageError),
        }
    }

    /// The language, and the rest of the text after it.
    fn read(text: &str) -> Option<(Self, &str)> {
        let letters = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_alphabetic());
        let (base, mut rest) = split(text);
        if !letters(base, 2) && !letters(base, 3) {
            return None;
        }
        let base = today(&base.to_ascii_lowercase()).to_owned();
        let mut script = None;
        let (part, behind) = split(rest);
        if letters(part, 4) {
            script = Some(capitalized(part));
            rest = behind;
        }
        let mut region = None;
        let (part, behind) = split(rest);
        if letters(part, 2) || part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit()) {
            region = Some(part.to_ascii_uppercase());
            rest = behind;
        }
        Some((Self { base, script, region }, rest))
    }

    /// The form of WhatsApp templates: `pt_BR`.
    pub fn with_underscore(&self) -> String {
        self.to_string().replace('-', "_")
    }

    /// Whether it is written from right to left; such texts should be reviewed by eye.
    pub fn is_right_to_left(&self) -> bool {
        matches!(self.base.as_str(), "ar" | "dv" | "fa" | "he" | "ps" | "ug" | "ur" | "yi")
    }

    /// Chinese is written in two scripts; where the tag names none, the region decides.
    fn script(&self) -> Option<&str> {
        match (self.script.as_deref(), self.base.as_str(), self.region.as_deref()) {
            (None, "zh", Some("TW" | "HK" | "MO")) => Some("Hant"),
            (None, "zh", _) => Some("Hans"),
            (script, ..) => script,
        }
    }

    /// How far `have` is from the wanted language; less is nearer. `None`: another language.
    pub fn distance(&self, have: &Self) -> Option<u8> {
        let same_script = self.script() == have.script();
        let is_plain = have.script.is_none() && have.region.is_none();
        match () {
            () if self.base != have.base => None,
            () if self == have => Some(0),
            () if same_script && have.region.is_none() => Some(1),
            // `pt` accepts `pt-BR`, and so does `pt-PT`.
            () if same_script => Some(2),
            () if is_plain => Some(3),
            () => None,
        }
    }
}

/// The current code of a language, lower case, for a former code or one of the three-letter codes that Java uses (ISO
/// 639-2).
fn today(base: &str) -> &str {
    match base {
        "in" | "ind" => "id",
        "iw" | "heb" => "he",
        "ji" => "yi",
        "tl" | "tgl" => "fil",
        "eng" => "en",
        "por" => "pt",
        "spa" => "es",
        "hin" => "hi",
        "ara" => "ar",
        "zho" | "chi" | "cmn" => "zh",
        "fra" | "fre" => "fr",
        "deu" | "ger" => "de",
        "nld" | "dut" => "nl",
        other => other,
    }
}

/// The usual spelling of a script: `Hant`. `part`: ASCII.
fn capitalized(part: &str) -> String {
    format!("{}{}", part[..1].to_ascii_uppercase(), part[1..].to_ascii_lowercase())
}

/// The part before the first hyphen or underscore, and the rest.
fn split(text: &str) -> (&str, &str) {
    text.split_once(['-', '_']).unwrap_or((text, ""))
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [Some(&self.base), self.script.as_ref(), self.region.as_ref()];
        f.pad(&Vec::from_iter(parts.into_iter().flatten().map(String::as_str)).join("-"))
    }
}

impl AsRef<Language> for Language {
    fn as_ref(&self) -> &Language {
        self
    }
}

/// Chooses an item by language. `asked`: the requested locale or a list of them, see [`locale::preferences`].
/// `country`: the number's, ISO 3166-1 alpha-2. The result is the requested language or the nearest to it, else the
/// first of the country's usual languages that is available, else `default`.
pub fn choose<'a, T: AsRef<Language>>(asked: Option<&str>, country: &str, available: &'a [T], default: &'a T) -> &'a T {
    let nearest = |wanted: &Language| {
        let near = available.iter().filter_map(|one| Some((wanted.distance(one.as_ref())?, one)));
        near.min_by_key(|(distance, _)| *distance).map(|(_, one)| one)
    };
    let usual = || countries::usual(country).iter().filter_map(|tag| nearest(&Language::of_locale(tag)?)).next();
    let asked = asked.and_then(|asked| locale::preferences(asked).iter().find_map(nearest));
    asked.or_else(usual).unwrap_or(default)
}

/// The countries where this language is the first of the usual ones, in no particular order.
pub fn spoken_first(language: &Language) -> Vec<String> {
    countries::speaking(&language.base)
}

/// The languages in which messages are available.
#[derive(Clone, Debug)]
pub struct Languages {
    pub available: Vec<Language>,
    pub default: Language,
}

impl Languages {
    /// See [`choose`].
    pub fn choose(&self, asked: Option<&str>, country: &str) -> &Language {
        choose(asked, country, &self.available, &self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(tags: &str) -> Vec<Language> {
        tags.split(' ').map(|tag| Language::parse(tag).unwrap()).collect()
    }

    #[test]
    fn tags_are_read_in_every_usual_spelling() {
        for (text, tag) in [
            ("en", "en"),
            ("pt-BR", "pt-BR"),
            ("pt_br", "pt-BR"),
            ("PT-br", "pt-BR"),
            ("zh-hant", "zh-Hant"),
            ("zh_Hant_TW", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("fil", "fil"),
            ("in_ID", "id-ID"),
            ("iw", "he"),
        ] {
            let language = Language::parse(text).unwrap();
            assert_eq!(language.to_string(), tag);
            assert_eq!(Language::parse(&language.with_underscore()), Ok(language));
        }
        for bad in ["", "e", "english", "en-", "en-USA", "en-US-x", "12", "pt.BR", "zh-Hant-TW-x", "-en", "日本"] {
            assert_eq!(Language::parse(bad), Err(LanguageError), "{bad}");
        }
    }

    #[test]
    fn the_person_gets_what_they_asked_for_else_what_their_country_speaks_else_the_default() {
        let shipped = languages("en id pt-BR es hi ar zh fr de nl");
        for (asked, country, chosen) in [
            // Requested, exactly or nearly.
            (Some("id"), "US", "id"),
            (Some("in-ID"), "US", "id"),
            (Some("pt-BR"), "US", "pt-BR"),
            (Some("pt_PT"), "US", "pt-BR"),
            (Some("pt"), "US", "pt-BR"),
            (Some("en-GB"), "DE", "en"),
            (Some("es-419"), "US", "es"),
            (Some("zh-Hans-CN"), "US", "zh"),
            (Some("zh-TW"), "US", "zh"),
            (Some("ar-EG-u-nu-latn"), "US", "ar"),
            (Some("ja,fr;q=0.5,de;q=0.7"), "US", "de"),
            (Some("zh_TW_#Hant"), "US", "zh"),
            // Not available, or not a language: the country's language.
            (Some("ja"), "ID", "id"),
            (Some("klingon"), "BR", "pt-BR"),
            (Some("12"), "MX", "es"),
            (None, "ID", "id"),
            (None, "BR", "pt-BR"),
            (None, "PT", "pt-BR"),
            (None, "AO", "pt-BR"),
            (None, "IN", "en"),
            (None, "SA", "ar"),
            (None, "EG", "ar"),
            (None, "MA", "ar"),
            (None, "CN", "zh"),
            (None, "HK", "zh"),
            (None, "TW", "zh"),
            (None, "SG", "en"),
            (None, "AT", "de"),
            (None, "CH", "de"),
            (None, "SN", "fr"),
            (None, "BE", "nl"),
            (None, "SR", "nl"),
            (None, "AR", "es"),
            (None, "NG", "en"),
            (None, "PH", "en"),
            // Neither: the default.
            (None, "JP", "en"),
            (Some("ja"), "JP", "en"),
            (None, "ZZ", "en"),
            (None, "", "en"),
        ] {
            assert_eq!(choose(asked, country, &shipped, &shipped[0]).to_string(), chosen, "{asked:?} {country}");
        }
    }

    #[test]
    fn what_an_operator_adds_is_found_by_locale_and_by_country() {
        let more = languages("en zh zh-Hant ja pt-PT pt-BR es-AR");
        for (asked, country, chosen) in [
            (Some("zh-TW"), "US", "zh-Hant"),
            (Some("zh-HK"), "US", "zh-Hant"),
            (Some("zh-Hant-HK"), "US", "zh-Hant"),
            (Some("zh-CN"), "US", "zh"),
            (Some("zh"), "US", "zh"),
            (None, "HK", "zh-Hant"),
            (None, "CN", "zh"),
            (None, "JP", "ja"),
            (None, "PT", "pt-PT"),
            (None, "BR", "pt-BR"),
            (Some("es-MX"), "US", "es-AR"),
        ] {
            assert_eq!(choose(asked, country, &more, &more[0]).to_string(), chosen, "{asked:?} {country}");
        }
        // Simplified characters do not serve a person who asked for traditional ones, while another of their languages
        // is available.
        let few = languages("en zh-Hans");
        assert_eq!(choose(Some("zh-TW"), "TW", &few, &few[0]).to_string(), "en");
    }
}
