//! Countries and calling codes, from the library's metadata.

use std::collections::BTreeMap;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberType, Region};

/// A calling code and the countries that use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallingCode {
    /// Digits only: `44`.
    pub digits: String,
    /// ISO 3166-1 alpha-2, the largest first.
    pub countries: Vec<String>,
}

impl CallingCode {
    /// Sorts `some` of its countries by their number of areas, most first: Canada before Anguilla.
    pub fn largest_first(&self, some: &mut [&str]) {
        let example = |country: &str| {
            let region = country.parse::<Region>().ok()?;
            PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, PhoneNumberType::Mobile).ok()
        };
        let length = self.countries.first().and_then(|country| example(country));
        let Some(length) = length.map(|number| number.get_national_significant_number().len()) else { return };
        let rest = length.saturating_sub(3);
        let mut areas: BTreeMap<String, usize> = BTreeMap::new();
        for area in 100..1000 {
            let text = format!("+{}{area}{}", self.digits, &"2345678901234"[..rest.min(13)]);
            let region = PhoneNumber::parse(text, None).ok().and_then(|number| number.get_region_code());
            if let Some(region) = region {
                *areas.entry(region.to_string()).or_default() += 1;
            }
        }
        some.sort_by_key(|country| std::cmp::Reverse(areas.get(*country).copied().unwrap_or_default()));
    }
}

/// Every calling code of at least one country.
pub fn calling_codes() -> impl Iterator<Item = CallingCode> {
    PHONE_NUMBER_UTIL.get_supported_calling_codes().filter_map(|code| {
        let regions = PHONE_NUMBER_UTIL.get_regions_for_country_calling_code(code)?;
        let countries: Vec<String> = regions.filter_map(of_region).map(|c| letters(&c).to_owned()).collect();
        (!countries.is_empty()).then(|| CallingCode { digits: code.to_string(), countries })
    })
}

/// The country of a number. If the number is in no known range: the largest country with its calling code. `None` for
/// numbers of no country.
pub(super) fn country(number: &PhoneNumber) -> Option<[u8; 2]> {
    let main = || PHONE_NUMBER_UTIL.get_region_for_country_code(number.country_code);
    of_region(number.get_region_code().or_else(main)?)
}

fn of_region(region: Region) -> Option<[u8; 2]> {
    let country = <[u8; 2]>::try_from(region.to_string().as_bytes()).ok()?;
    country.iter().all(u8::is_ascii_uppercase).then_some(country)
}

fn letters(country: &[u8; 2]) -> &str {
    std::str::from_utf8(country).unwrap_or_default()
}

/// Whether it is the ISO 3166-1 alpha-2 code of a country that has numbers.
pub fn is_country(text: &str) -> bool {
    countries().any(|country| country == text)
}

/// Every country that has numbers, by its ISO 3166-1 alpha-2 code.
pub fn countries() -> impl Iterator<Item = String> {
    PHONE_NUMBER_UTIL.get_supported_regions().map(|region| region.to_string())
}

/// Converts the beginning of a number, `+` and 1 to 15 digits, to today's form: Mexico's without the former 1,
/// Argentina's with the 9 of mobile numbers, Brazil's with the ninth digit, others without the zero of national calls.
pub fn canonical_prefix(prefix: &str) -> String {
    let Some(rest) = prefix.strip_prefix('+') else { return prefix.to_owned() };
    if let Some(national) = rest.strip_prefix("521") {
        return format!("+52{national}");
    }
    if let Some(national) = rest.strip_prefix("54").filter(|national| !national.is_empty()) {
        let national = national.trim_start_matches('0').trim_start_matches('9');
        return format!("+549{national}");
    }
    if let Some((area, number)) = rest.strip_prefix("55").and_then(|national| national.split_at_checked(2))
        && number.starts_with(['6', '8'])
    {
        return format!("+55{area}9{number}");
    }
    let of_code = |code: &CallingCode| rest.strip_prefix(code.digits.as_str()).map(|rest| (code.digits.clone(), rest));
    match calling_codes().find_map(|code| of_code(&code).filter(|(_, rest)| rest.starts_with('0'))) {
        Some((code, national)) if code.parse().is_ok_and(drops_zero) => {
            format!("+{code}{}", national.trim_start_matches('0'))
        }
        _ => prefix.to_owned(),
    }
}

/// Whether national calls use a zero that international ones drop: whether the library removes it from an example.
pub(super) fn drops_zero(code: i32) -> bool {
    let Some(region) = PHONE_NUMBER_UTIL.get_region_for_country_code(code) else { return false };
    let example = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, PhoneNumberType::Mobile);
    let Ok(example) = example else { return false };
    let national = example.get_national_significant_number();
    let with_zero = PhoneNumber::parse(format!("+{code}0{national}"), None);
    with_zero.is_ok_and(|number| number.get_national_significant_number() == national)
}
