//! Numbers with a fixed code, to which nothing is sent.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use otpost_settings::section::Section;

use crate::domain::code::Code;
use crate::domain::limits::TestNumber;
use crate::domain::phone::Phone;

const UNTIL: &str = "must be a date such as \"2027-01-31\"";

/// By E.164. Each has an end, because a forgotten one is a way in.
pub(super) fn read(section: &Section<'_>) -> BTreeMap<String, TestNumber> {
    let mut numbers = BTreeMap::new();
    for (_, child) in section.children() {
        let number = child.text("number").and_then(|text| match Phone::read(&text) {
            Ok(number) => Some(number.phone.e164().to_owned()),
            Err(error) => {
                child.complain("number", error.to_string(), "must be such as \"+628123450099\"");
                None
            }
        });
        let number = child.required("number", number, "must be such as \"+628123450099\"");
        let allowed = "must be 4 to 10 digits, given directly, as env:NAME or as file:/path";
        let code = child.secret("code").and_then(|code| match Code::parse(code.expose()) {
            Ok(code) => Some(code),
            Err(_) => {
                child.complain("code", "is no code", allowed);
                None
            }
        });
        let code = child.required("code", code, allowed);
        let until = child.parsed("until", UNTIL, |text| text.parse::<NaiveDate>().ok());
        let until = child.required("until", until, UNTIL);
        if let (Some(number), Some(code), Some(until)) = (number, code, until)
            && numbers.insert(number, TestNumber { code, until }).is_some()
        {
            child.complain("number", "stands twice", "must stand once");
        }
        child.finish();
    }
    numbers
}
