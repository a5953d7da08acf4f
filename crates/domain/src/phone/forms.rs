//! Former and incorrect forms of numbers, and their current form.
//!
//! A form is converted only if the library does not know the number as written and knows the converted one as a mobile
//! number (except Argentina and Gabon, see there). So a correct number is never changed into somebody else's.

use rlibphonenumber::{NumberLengthType, PhoneNumber};

use super::plans::drops_zero;
use super::{Line, line};

const MEXICO: i32 = 52;
const ARGENTINA: i32 = 54;
const BRAZIL: i32 = 55;
const VIETNAM: i32 = 84;
const IVORY_COAST: i32 = 225;
const BENIN: i32 = 229;
const MAURITIUS: i32 = 230;
const CAMEROON: i32 = 237;
const GABON: i32 = 241;
/// Countries that dialled 8 before a national number, or still do.
const TRUNK_8: &[i32] = &[7, 370, 371, 372, 373, 374, 375, 380, 992, 993, 994, 995, 996, 998];

/// Vietnam's mobile prefixes of 11 digits and what they became in 2018.
/// Source: Ministry of Information and Communications, decision 798/QD-BTTTT.
const VIETNAM_2018: &[(&str, &str)] = &[
    ("120", "70"),
    ("121", "79"),
    ("122", "77"),
    ("126", "76"),
    ("128", "78"),
    ("123", "83"),
    ("124", "84"),
    ("125", "85"),
    ("127", "81"),
    ("129", "82"),
    ("162", "32"),
    ("163", "33"),
    ("164", "34"),
    ("165", "35"),
    ("166", "36"),
    ("167", "37"),
    ("168", "38"),
    ("169", "39"),
    ("186", "56"),
    ("188", "58"),
    ("199", "59"),
];

/// The number in the form that its country uses today; unchanged if no rule applies.
pub(super) fn of_today(number: PhoneNumber) -> PhoneNumber {
    let known = line(&number);
    let keeps = match number.country_code {
        ARGENTINA => known == Some(Line::Mobile),
        GABON => false,
        _ => known.is_some(),
    };
    if keeps {
        return number;
    }
    let national = number.get_national_significant_number();
    let former = former(number.country_code, &national);
    let clumsy = clumsy(number.country_code, &national).filter(|_| known.is_none());
    let candidates: Vec<PhoneNumber> =
        former.into_iter().chain(clumsy).filter_map(|text| PhoneNumber::parse(text, None).ok()).collect();
    if let Some(mobile) = candidates.into_iter().find(|one| line(one) == Some(Line::Mobile)) {
        return mobile;
    }
    if known.is_some() {
        return number;
    }
    // In no known range either way: remove the superfluous prefix, so that both spellings are one recipient.
    let bare = without_trunk(&number, &national).or_else(|| mexico_1(number.country_code, &national));
    let bare = bare.and_then(|text| PhoneNumber::parse(text, None).ok());
    bare.filter(|bare| bare.is_possible_with_reason() == Ok(NumberLengthType::IsPossible)).unwrap_or(number)
}

/// Whether the number is in a former form.
pub(super) fn is_former(number: PhoneNumber) -> bool {
    line(&of_today(number)).is_some()
}

/// The current form of a number whose country renumbered.
fn former(code: i32, national: &str) -> Option<String> {
    let is = |length: usize| national.len() == length;
    let starts = |digits: &[u8]| national.bytes().next().is_some_and(|first| digits.contains(&first));
    let with = |national: String| Some(format!("+{code}{national}"));
    match code {
        // Mobile numbers have had no 1 since August 2019; WhatsApp still writes it. 044, 045 and 01 were prefixes of
        // national calls.
        MEXICO => mexico_1(code, national),
        // From abroad a mobile number has a 9 before its area code, at home a 15 after it; people leave out either.
        // Whoever waits for a code means a mobile phone, and the digits of mobile and fixed lines are the same. So this
        // form alone is also applied to a number that is known as a fixed line.
        ARGENTINA => match national.strip_prefix('9') {
            Some(rest) if is(13) => with(rest.to_owned()),
            _ if is(12) && national.starts_with("15") => with(format!("9{}", &national[2..])),
            _ if is(10) => with(format!("9{national}")),
            _ => None,
        },
        // Mobile numbers got a ninth digit, a 9, by 2016; WhatsApp writes many without it.
        BRAZIL if is(10) && matches!(national.as_bytes()[2], b'6'..=b'9') => {
            with(format!("{}9{}", &national[..2], &national[2..]))
        }
        VIETNAM if is(10) => {
            let (old, new) = VIETNAM_2018.iter().find(|(old, _)| national.starts_with(old))?;
            with(format!("{new}{}", &national[old.len()..]))
        }
        // Ten digits since 31 January 2021: two digits of the operator were put in front; before, the second digit
        // named the operator (Moov 1 to 3, MTN 4 to 6, Orange 7 to 9). Source: ARTCI, new numbering plan.
        IVORY_COAST if is(8) && !starts(b"23") => {
            let operator = match national.as_bytes()[1] {
                b'1'..=b'3' => "01",
                b'4'..=b'6' => "05",
                b'7'..=b'9' => "07",
                _ => return None,
            };
            with(format!("{operator}{national}"))
        }
        // Ten digits since 30 November 2024: 01 was put in front of all. Source: ARCEP Benin.
        BENIN if is(8) => with(format!("01{national}")),
        // Eight digits since 2013: 5 was put in front.
        MAURITIUS if is(7) => with(format!("5{national}")),
        // Since June 2019 two digits name the operator; the library still knows the former zero, and the form without
        // it. Source: ARCEP Gabon, new numbering plan.
        GABON => {
            let rest = national.strip_prefix('0').unwrap_or(national);
            let operator = [("2", "62"), ("4", "74"), ("5", "65"), ("6", "66"), ("7", "77")];
            let (old, new) = operator.iter().find(|(old, _)| rest.len() == 7 && rest.starts_with(old))?;
            with(format!("{new}{}", &rest[old.len()..]))
        }
        // Nine digits since 2014: 6 was put in front.
        CAMEROON if is(8) && starts(b"56789") => with(format!("6{national}")),
        _ => None,
    }
}

fn mexico_1(code: i32, national: &str) -> Option<String> {
    let mut rest = ["1", "01", "02", "044", "045"].iter().filter_map(|prefix| national.strip_prefix(prefix));
    rest.find(|rest| rest.len() == 10).filter(|_| code == MEXICO).map(|rest| format!("+{code}{rest}"))
}

/// A prefix of national calls, or the calling code twice.
fn clumsy(code: i32, national: &str) -> impl Iterator<Item = String> {
    let zeros = national.trim_start_matches('0');
    let trunk = (zeros.len() < national.len()).then_some(zeros);
    let eight = national.strip_prefix('8').filter(|_| TRUNK_8.contains(&code));
    let twice = zeros.strip_prefix(&code.to_string());
    [trunk, eight, twice].into_iter().flatten().map(move |rest| format!("+{code}{rest}"))
}

/// Without the zero of national calls, if the country has one.
fn without_trunk(number: &PhoneNumber, national: &str) -> Option<String> {
    let rest = national.strip_prefix('0').filter(|_| drops_zero(number.country_code))?;
    Some(format!("+{}{rest}", number.country_code))
}
