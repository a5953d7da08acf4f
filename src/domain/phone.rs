//! A recipient's number: E.164, checked against the numbering plans, printed masked.

use std::fmt;

use rlibphonenumber::{PhoneNumber, PhoneNumberType};

/// A valid E.164 number (`+` and at most 15 digits) of a kind that can receive messages.
///
/// `Display` and `Debug` print it masked (calling code and the last two digits): the whole number leaves only
/// through [`Phone::e164`], for adapters and the store.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone {
    e164: String,
    calling_code_len: u8,
    country: [u8; 2],
}

/// Why a number is refused. The texts are shown to the app that sent it; none repeats the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    #[error("must be in E.164 form: `+`, the country's calling code and the number, digits only")]
    NotE164,
    #[error("is not a number that exists under its country's numbering plan")]
    NotValid,
    #[error("is a {0} number; codes are sent to mobile numbers only")]
    NotMobile(&'static str),
    #[error("belongs to no single country; codes are sent to numbers of a country only")]
    NoCountry,
}

impl Phone {
    /// Takes E.164 only: a leading `+` and digits. Spaces, hyphens, dots and parentheses between them are forgiven.
    ///
    /// # Errors
    /// Says why the number is refused; see [`PhoneError`].
    pub fn parse(input: &str) -> Result<Self, PhoneError> {
        let digits: String = input.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
        let rest = digits.strip_prefix('+').ok_or(PhoneError::NotE164)?;
        if !(7..=15).contains(&rest.len()) || !rest.bytes().all(|b| b.is_ascii_digit()) || rest.starts_with('0') {
            return Err(PhoneError::NotE164);
        }
        let number = PhoneNumber::parse(&digits, None).map_err(|_| PhoneError::NotValid)?;
        if !number.is_valid() {
            return Err(PhoneError::NotValid);
        }
        match number.get_type() {
            PhoneNumberType::Mobile | PhoneNumberType::FixedLineOrMobile | PhoneNumberType::PersonalNumber => {}
            PhoneNumberType::FixedLine => return Err(PhoneError::NotMobile("fixed-line")),
            PhoneNumberType::TollFree => return Err(PhoneError::NotMobile("toll-free")),
            PhoneNumberType::PremiumRate => return Err(PhoneError::NotMobile("premium-rate")),
            PhoneNumberType::SharedCost => return Err(PhoneError::NotMobile("shared-cost")),
            PhoneNumberType::Pager => return Err(PhoneError::NotMobile("pager")),
            PhoneNumberType::VoIP => return Err(PhoneError::NotMobile("VoIP")),
            _ => return Err(PhoneError::NotMobile("special-service")),
        }
        let region = number.get_region_code().ok_or(PhoneError::NoCountry)?;
        let country = <[u8; 2]>::try_from(region.to_string().as_bytes()).map_err(|_| PhoneError::NoCountry)?;
        if !country.iter().all(u8::is_ascii_uppercase) {
            return Err(PhoneError::NoCountry);
        }
        let e164 = number.to_string();
        let calling_code_len = number.country_code.to_string().len() as u8;
        Ok(Self { e164, calling_code_len, country })
    }

    /// A number that [`Phone::parse`] accepted earlier, as the database keeps it. `None` when it cannot have been one.
    pub fn from_stored(e164: &str, country: &str, calling_code_len: i16) -> Option<Self> {
        let rest = e164.strip_prefix('+')?;
        let country = <[u8; 2]>::try_from(country.as_bytes()).ok()?;
        let calling_code_len = u8::try_from(calling_code_len).ok().filter(|n| (1..=3).contains(n))?;
        let plausible = (7..=15).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_digit())
            && country.iter().all(u8::is_ascii_uppercase);
        plausible.then(|| Self { e164: e164.to_owned(), calling_code_len, country })
    }

    /// The whole number. For adapters and the store; never for a log, an error or an answer.
    pub fn e164(&self) -> &str {
        &self.e164
    }

    /// ISO 3166-1 alpha-2, upper case.
    pub fn country(&self) -> &str {
        std::str::from_utf8(&self.country).expect("checked to be two ASCII letters when it was made")
    }

    /// The country's calling code, digits only: `62`.
    pub fn calling_code(&self) -> &str {
        &self.e164[1..=usize::from(self.calling_code_len)]
    }

    /// `+62 … 42`: calling code and last two digits.
    pub fn masked(&self) -> String {
        format!("+{} … {}", self.calling_code(), &self.e164[self.e164.len() - 2..])
    }
}

/// Whether it is an ISO 3166-1 alpha-2 code of a country that has numbers.
pub fn is_country(text: &str) -> bool {
    countries().any(|country| country == text)
}

/// Every country that has numbers, by its ISO 3166-1 alpha-2 code.
pub fn countries() -> impl Iterator<Item = String> {
    rlibphonenumber::PHONE_NUMBER_UTIL.get_supported_regions().map(|region| region.to_string())
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({})", self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mobile_numbers_are_taken_and_printed_masked() {
        for (input, e164, country, masked) in [
            ("+628123450003", "+628123450003", "ID", "+62 … 03"),
            ("+62 812-345-0003", "+628123450003", "ID", "+62 … 03"),
            ("+5511961230002", "+5511961230002", "BR", "+55 … 02"),
            ("+12025550143", "+12025550143", "US", "+1 … 43"),
        ] {
            let phone = Phone::parse(input).unwrap();
            assert_eq!((phone.e164(), phone.country(), phone.masked().as_str()), (e164, country, masked));
            assert_eq!(format!("{phone} {phone:?}").matches(&e164[5..9]).count(), 0);
            let stored = Phone::from_stored(e164, country, phone.calling_code().len() as i16);
            assert_eq!(stored, Some(phone));
        }
    }

    #[test]
    fn what_cannot_receive_a_code_is_refused_with_its_reason() {
        for (input, error) in [
            ("", PhoneError::NotE164),
            ("08123450003", PhoneError::NotE164),
            ("+", PhoneError::NotE164),
            ("+62812345000x", PhoneError::NotE164),
            ("+0628123450003", PhoneError::NotE164),
            ("+6281234500031234567", PhoneError::NotE164),
            ("+6281", PhoneError::NotE164),
            ("+999123456789", PhoneError::NotValid),
            ("+12025550", PhoneError::NotValid),
            // Set aside for films by its regulator: nobody has it.
            ("+447700900123", PhoneError::NotValid),
            ("+442079460000", PhoneError::NotMobile("fixed-line")),
            ("+18005550199", PhoneError::NotMobile("toll-free")),
        ] {
            assert_eq!(Phone::parse(input), Err(error), "{input}");
        }
    }
}
