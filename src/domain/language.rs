//! Languages of texts and templates, and which of those that there are a person gets.

mod countries;

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
    /// Takes hyphens and underscores, in any case. Names that older systems still send are understood: Java calls
    /// Indonesian `in` and Hebrew `iw`.
    ///
    /// # Errors
    /// When it is not a language with at most a script and a region.
    pub fn parse(tag: &str) -> Result<Self, LanguageError> {
        match Self::read(tag) {
            Some((language, "")) if !tag.ends_with(['-', '_']) => Ok(language),
            _ => Err(LanguageError),
        }
    }

    /// Of a locale as devices send it, of which more may follow: `de-CH-1996`, `en-US-u-hc-h12`. `None` when it names no
    /// language.
    pub fn of_locale(locale: &str) -> Option<Self> {
        Self::read(locale).map(|(language, _)| language)
    }

    /// The language, and what stands behind it.
    fn read(text: &str) -> Option<(Self, &str)> {
        let letters = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_alphabetic());
        let (base, mut rest) = split(text);
        if !letters(base, 2) && !letters(base, 3) {
            return None;
        }
        let base = match base.to_ascii_lowercase().as_str() {
            "in" => "id".to_owned(),
            "iw" => "he".to_owned(),
            other => other.to_owned(),
        };
        let mut script = None;
        let (part, behind) = split(rest);
        if letters(part, 4) {
            script = Some(format!("{}{}", part[..1].to_ascii_uppercase(), part[1..].to_ascii_lowercase()));
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

    /// As Meta and those who follow it write it: `pt_BR`.
    pub fn with_underscore(&self) -> String {
        self.to_string().replace('-', "_")
    }

    /// The one that is written from right to left wants a look of its own at its texts.
    pub fn is_right_to_left(&self) -> bool {
        matches!(self.base.as_str(), "ar" | "dv" | "fa" | "he" | "ps" | "ug" | "ur" | "yi")
    }

    /// Chinese is written in two scripts, and the region says which where the tag does not.
    fn script(&self) -> Option<&str> {
        match (self.script.as_deref(), self.base.as_str(), self.region.as_deref()) {
            (None, "zh", Some("TW" | "HK" | "MO")) => Some("Hant"),
            (None, "zh", _) => Some("Hans"),
            (script, ..) => script,
        }
    }

    /// How far `have` is from what is wanted; less is nearer. `None`: it is another language.
    pub fn distance(&self, have: &Self) -> Option<u8> {
        let same_script = self.script() == have.script();
        let is_plain = have.script.is_none() && have.region.is_none();
        match () {
            () if self.base != have.base => None,
            () if self == have => Some(0),
            () if same_script && have.region.is_none() => Some(1),
            // `pt` is content with `pt-BR`, and so is `pt-PT`.
            () if same_script => Some(2),
            () if is_plain => Some(3),
            () => None,
        }
    }
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

/// Something in a language, for somebody who asked for `asked` (a locale; one that makes no sense is passed over) and has
/// a number of `country` (ISO 3166-1 alpha-2): in the language asked for or nearest to it, else in the first of the
/// country's usual languages that there is, else `default`.
pub fn choose<'a, T: AsRef<Language>>(asked: Option<&str>, country: &str, available: &'a [T], default: &'a T) -> &'a T {
    let nearest = |wanted: &Language| {
        let near = available.iter().filter_map(|one| Some((wanted.distance(one.as_ref())?, one)));
        near.min_by_key(|(distance, _)| *distance).map(|(_, one)| one)
    };
    let usual = || countries::usual(country).iter().filter_map(|tag| nearest(&Language::of_locale(tag)?)).next();
    asked.and_then(Language::of_locale).and_then(|asked| nearest(&asked)).or_else(usual).unwrap_or(default)
}

/// The languages that messages can come in.
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
        assert_eq!(Language::of_locale("de-CH-1996").unwrap().to_string(), "de-CH");
        assert_eq!(Language::of_locale("en-US-u-hc-h12").unwrap().to_string(), "en-US");
        assert_eq!(Language::of_locale("klingon"), None);
    }

    #[test]
    fn the_person_gets_what_they_asked_for_else_what_their_country_speaks_else_the_default() {
        let shipped = languages("en id pt-BR es hi ar zh fr de nl");
        for (asked, country, chosen) in [
            // Asked for, exactly or nearly.
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
            // Not to be had, or not a language: the country's.
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
        // Simplified characters are no use to who asks for traditional ones, while there is another language of theirs.
        let few = languages("en zh-Hans");
        assert_eq!(choose(Some("zh-TW"), "TW", &few, &few[0]).to_string(), "en");
    }
}
