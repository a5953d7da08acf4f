//! Locales as devices, browsers, Java and POSIX write them. They are hints: unusable parts are ignored.

use super::Language;

/// Maximum length of a text, in bytes.
const LONGEST: usize = 1024;
/// Maximum number of languages kept from one list.
const MOST: usize = 8;
/// Maximum length of a tag that is kept unchanged, in bytes.
const LONGEST_TAG: usize = 35;

/// The languages that a locale or a list of locales asks for, most wanted first. Accepts BCP 47 tags, Java's
/// (`zh_TW_#Hant`), POSIX's (`pt_BR.UTF-8@euro`, `pt_BR:pt`) and `Accept-Language` with its weights (RFC 9110, 12.5.4).
pub fn preferences(text: &str) -> Vec<Language> {
    let text = shortened(text);
    let mut wanted: Vec<(f32, Language)> = Vec::new();
    for entry in text.split([',', ':', '|', '\n']) {
        let mut parts = entry.split(';').map(str::trim);
        let weight =
            |part: &str| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))?.trim().parse::<f32>().ok();
        let Some(language) = parts.next().and_then(Language::of_locale) else { continue };
        let weight = parts.find_map(weight).unwrap_or(1.0);
        if weight > 0.0 && wanted.iter().all(|(_, other)| *other != language) {
            wanted.push((weight, language));
        }
    }
    wanted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    wanted.into_iter().take(MOST).map(|(_, language)| language).collect()
}

/// The stored form of a locale: a plain tag unchanged, otherwise the languages found in it. `None` when there is none.
pub fn kept(text: &str) -> Option<String> {
    let text = text.trim();
    let wanted = preferences(text);
    if wanted.is_empty() {
        return None;
    }
    let is_plain =
        text.len() <= LONGEST_TAG && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if is_plain {
        return Some(text.to_owned());
    }
    Some(wanted.iter().map(Language::to_string).collect::<Vec<_>>().join(","))
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl Language {
    /// Reads one locale, which may have further parts: `de-CH-1996`, `en-US-u-hc-h12`, `sr_RS@latin`. `None` when it
    /// names no language.
    pub fn of_locale(locale: &str) -> Option<Self> {
        let text = locale.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '[' | ']'));
        let (text, modifier) = text.split_once('@').unwrap_or((text, ""));
        let text = text.split(['.', ' ']).next()?;
        let mut parts = text.split(['-', '_', '#']).filter(|part| !part.is_empty());
        let letters = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_alphabetic());
        let base = parts.next().filter(|part| letters(part, 2) || letters(part, 3))?;
        let base = super::today(&base.to_ascii_lowercase()).to_owned();
        if matches!(base.as_str(), "und" | "mul" | "mis" | "zxx") {
            return None;
        }
        let mut language = Self { base, script: None, region: None };
        // A single letter begins an extension.
        for part in parts.take_while(|part| part.len() > 1) {
            if letters(part, 4) && language.script.is_none() {
                language.script = Some(super::capitalized(part));
            } else if language.region.is_none()
                && (letters(part, 2) || part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit()))
            {
                language.region = Some(part.to_ascii_uppercase());
            } else if language.base == "zh" && part.eq_ignore_ascii_case("chs") {
                language.script = Some("Hans".to_owned());
            } else if language.base == "zh" && part.eq_ignore_ascii_case("cht") {
                language.script = Some("Hant".to_owned());
            }
        }
        if language.script.is_none() {
            language.script = match modifier.to_ascii_lowercase().as_str() {
                "latin" => Some("Latn".to_owned()),
                "cyrillic" => Some("Cyrl".to_owned()),
                _ => None,
            };
        }
        Some(language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_of_every_system_are_understood() {
        for (text, wanted) in [
            ("en", "en"),
            ("de-CH-1996", "de-CH"),
            ("en-US-u-hc-h12", "en-US"),
            ("zh_TW_#Hant", "zh-Hant-TW"),
            ("sr__#Latn", "sr-Latn"),
            ("zh_HK_#Hant-u-nu-latn", "zh-Hant-HK"),
            ("zh-Hant_TW", "zh-Hant-TW"),
            ("zh-cmn-Hans-CN", "zh-Hans-CN"),
            ("zh-CHT", "zh-Hant"),
            ("pt_BR.UTF-8@euro", "pt-BR"),
            ("pt_BR.utf8", "pt-BR"),
            ("sr_RS@latin", "sr-Latn-RS"),
            ("de@collation=phonebook", "de"),
            ("en_US_POSIX", "en-US"),
            ("pt_BR:pt:en", "pt-BR,pt,en"),
            ("pt-BR,pt;q=0.9,en;q=0.8", "pt-BR,pt,en"),
            ("en;q=0.5, id ; q=0.9, *;q=0.1", "id,en"),
            ("fr;q=0,de", "de"),
            ("fr;q=x,de", "fr,de"),
            ("[\"id\",\"en\"]", "id,en"),
            (" pt-BR ", "pt-BR"),
            ("\"pt-BR\"", "pt-BR"),
            ("en-USA", "en"),
            ("en-", "en"),
            ("eng", "en"),
            ("tl-PH", "fil-PH"),
            ("xx,klingon,id", "xx,id"),
            ("en,en,en-GB", "en,en-GB"),
        ] {
            let found: Vec<String> = preferences(text).iter().map(Language::to_string).collect();
            assert_eq!(found.join(","), wanted, "{text}");
        }
    }

    #[test]
    fn rubbish_is_no_language_and_no_trouble() {
        let long = "klingon-".repeat(10_000);
        for text in [
            "",
            " ",
            "C",
            "C.UTF-8",
            "POSIX",
            "root",
            "und",
            "*",
            "klingon",
            "12",
            "null",
            "en\u{0}",
            "日本",
            "🇧🇷",
            "undefined",
            "%s",
            ";;;",
            ",,,",
            "q=1",
            long.as_str(),
            &"日".repeat(1000),
        ] {
            assert!(preferences(text).is_empty(), "{text}");
            assert_eq!(kept(text), None);
        }
    }

    #[test]
    fn what_is_kept_is_short_and_says_the_same() {
        for text in ["pt_BR", "zh_TW_#Hant", "pt-BR,pt;q=0.9,en;q=0.8", &"en,id,fr,de,".repeat(500)] {
            let kept = kept(text).unwrap();
            assert!(kept.len() < 100, "{kept}");
            assert_eq!(preferences(&kept), preferences(text), "{text}");
        }
        assert_eq!(kept("pt_BR").as_deref(), Some("pt_BR"));
        assert_eq!(kept("zh_TW_#Hant").as_deref(), Some("zh-Hant-TW"));
    }
}
