//! The languages in which businesses usually send text messages, by country.

/// The most usual first. `country`: ISO 3166-1 alpha-2, upper case. Empty for an unknown country.
pub(super) fn usual(country: &str) -> &'static [&'static str] {
    let row = USUAL.iter().find(|(_, countries)| countries.split(' ').any(|one| one == country));
    row.map_or(&[], |(languages, _)| languages)
}

/// Countries whose first language it is. `base`: without script and region.
pub(super) fn speaking(base: &str) -> Vec<String> {
    let is_first = |languages: &[&str]| languages.first().is_some_and(|tag| tag.split('-').next() == Some(base));
    let rows = USUAL.iter().filter(|(languages, _)| is_first(languages));
    rows.flat_map(|(_, countries)| countries.split(' ')).map(str::to_owned).collect()
}

/// Includes languages without a shipped text, so that a text added by an operator is also found by country.
///
/// India lists English before Hindi: every phone displays it and businesses write in it, while Hindi is the first
/// language of fewer than half and unreadable to many in the south and east. An app that wants Hindi asks for it with a
/// locale.
const USUAL: &[(&[&str], &str)] = &[
    (
        &["en"],
        "AC AG AI AQ AS AU BB BM BS BW BZ CC CK CX DM FJ FK FM GB GD GG GH GI GM GS GU GY HM IE IM IO JE JM KI KN KY LC \
         LR LS MH MP MS MW NA NF NG NR NU NZ PG PN PW SB SH SL SS SZ TA TC TK TO TT TV UG UM US VC VG VI WS ZA ZM ZW",
    ),
    (&["en", "hi"], "IN"),
    (&["en", "fil"], "PH"),
    (&["en", "fr"], "CA MU SC VU"),
    (&["en", "mt"], "MT"),
    (&["en", "nl"], "SX"),
    (&["en", "sw"], "KE"),
    (&["en", "zh"], "SG"),
    (&["sw", "en"], "TZ"),
    (&["rw", "en", "fr"], "RW"),
    (&["ur", "en"], "PK"),
    (&["si", "ta", "en"], "LK"),
    (&["dv", "en"], "MV"),
    (&["so", "ar", "en"], "SO"),
    (&["ti", "ar", "en"], "ER"),
    (&["id"], "ID"),
    (&["ms", "en", "zh"], "MY"),
    (&["ms", "en"], "BN"),
    (&["pt-BR"], "BR"),
    (&["pt-PT"], "AO CV GW MZ PT ST TL"),
    (&["es"], "AR BO CL CO CR CU DO EC ES GT HN MX NI PA PE PY SV UY VE"),
    (&["es", "en"], "PR"),
    (&["es", "fr"], "GQ"),
    (&["ca", "es", "fr"], "AD"),
    (&["ar"], "AE BH EG EH IQ JO KW LY OM PS QA SA SD SY YE"),
    (&["ar", "fr"], "DZ KM LB MA MR TN"),
    (&["fr", "ar"], "DJ TD"),
    (&["fr"], "BF BJ BL CD CF CG CI FR GA GF GN GP MC MF ML MQ NC NE PF PM RE SN TF TG WF YT"),
    (&["fr", "de"], "LU"),
    (&["fr", "en"], "CM"),
    (&["ht", "fr"], "HT"),
    (&["mg", "fr"], "MG"),
    (&["rn", "fr"], "BI"),
    (&["zh-Hans"], "CN"),
    (&["zh-Hant"], "TW"),
    (&["zh-Hant", "en"], "HK"),
    (&["zh-Hant", "pt"], "MO"),
    (&["de"], "AT DE LI"),
    (&["de", "fr", "it"], "CH"),
    (&["nl"], "NL SR"),
    (&["nl", "fr", "de"], "BE"),
    (&["nl", "pap"], "AW BQ CW"),
    (&["it"], "IT SM VA"),
    (&["sv"], "AX SE"),
    (&["nb", "no"], "NO SJ"),
    (&["da"], "DK"),
    (&["fo", "da"], "FO"),
    (&["kl", "da"], "GL"),
    (&["fi", "sv"], "FI"),
    (&["is"], "IS"),
    (&["et"], "EE"),
    (&["lv"], "LV"),
    (&["lt"], "LT"),
    (&["pl"], "PL"),
    (&["cs"], "CZ"),
    (&["sk"], "SK"),
    (&["hu"], "HU"),
    (&["ro"], "MD RO"),
    (&["bg"], "BG"),
    (&["sl"], "SI"),
    (&["hr"], "HR"),
    (&["bs"], "BA"),
    (&["sr"], "ME RS"),
    (&["mk"], "MK"),
    (&["sq"], "AL XK"),
    (&["el"], "GR"),
    (&["el", "tr"], "CY"),
    (&["tr"], "TR"),
    (&["uk"], "UA"),
    (&["ru"], "RU"),
    (&["ru", "be"], "BY"),
    (&["kk", "ru"], "KZ"),
    (&["ky", "ru"], "KG"),
    (&["uz", "ru"], "UZ"),
    (&["tg", "ru"], "TJ"),
    (&["tk", "ru"], "TM"),
    (&["hy"], "AM"),
    (&["az"], "AZ"),
    (&["ka"], "GE"),
    (&["he"], "IL"),
    (&["fa"], "IR"),
    (&["fa", "ps"], "AF"),
    (&["bn"], "BD"),
    (&["ne"], "NP"),
    (&["dz"], "BT"),
    (&["my"], "MM"),
    (&["th"], "TH"),
    (&["lo"], "LA"),
    (&["km"], "KH"),
    (&["vi"], "VN"),
    (&["ja"], "JP"),
    (&["ko"], "KP KR"),
    (&["mn"], "MN"),
    (&["am"], "ET"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rlibphonenumber::PHONE_NUMBER_UTIL;

    use super::*;
    use crate::language::Language;

    #[test]
    fn every_country_with_numbers_has_its_languages_once() {
        let listed: Vec<&str> = USUAL.iter().flat_map(|(_, countries)| countries.split(' ')).collect();
        let once: BTreeSet<&str> = listed.iter().copied().collect();
        assert_eq!(once.len(), listed.len(), "a country is listed twice");
        let known = PHONE_NUMBER_UTIL.get_supported_regions().map(|region| region.to_string());
        let missing: Vec<String> = known.filter(|region| !once.contains(region.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
        for tag in USUAL.iter().flat_map(|(languages, _)| *languages) {
            assert_eq!(Language::parse(tag).unwrap().to_string(), **tag);
        }
    }
}
