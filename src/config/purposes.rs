//! Purposes: how long a code lives and how long it is.

use std::collections::BTreeMap;

use crate::config::names::{NAME_ALLOWED, is_name};
use crate::domain::code::Code;
use crate::domain::route::{LIFE_AFTER_REPLACEMENT_S, REPLACE_AFTER_S};
use otpost_settings::section::Section;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// 120 to 600 seconds, and at least `replace_after_s` and 90 more.
    pub valid_for_s: i32,
    /// 4 to 10 digits.
    pub code_length: u8,
    /// 15 to 60 seconds; by default the route's.
    pub replace_after_s: i16,
}

/// The predefined purposes, with their seconds and digits.
const DEFAULTS: [(&str, i32, u8); 5] = [
    ("login", 300, Code::DEFAULT_LENGTH),
    ("signup", 600, Code::DEFAULT_LENGTH),
    ("payment", 600, 8),
    ("reset", 600, Code::DEFAULT_LENGTH),
    ("other", 300, Code::DEFAULT_LENGTH),
];

/// `replace_after_s`: the route's.
pub(super) fn read(section: &Section<'_>, replace_after_s: i16) -> BTreeMap<String, Purpose> {
    let default = |valid_for_s, code_length| Purpose { valid_for_s, code_length, replace_after_s };
    let mut purposes: BTreeMap<String, Purpose> =
        DEFAULTS.iter().map(|(name, valid, length)| ((*name).to_owned(), default(*valid, *length))).collect();
    for (name, child) in section.children() {
        if !is_name(&name) {
            child.complain_here("is no name of a purpose", NAME_ALLOWED);
        }
        let default = purposes.get(&name).copied().unwrap_or(default(300, Code::DEFAULT_LENGTH));
        purposes.insert(name, read_one(child, default));
    }
    purposes
}

fn read_one(section: Section<'_>, default: Purpose) -> Purpose {
    let purpose = Purpose {
        valid_for_s: section.integer("valid_for_s", 120..=600, "seconds").unwrap_or(default.valid_for_s),
        code_length: section
            .integer("code_length", Code::MIN_LENGTH..=Code::MAX_LENGTH, "digits")
            .unwrap_or(default.code_length),
        replace_after_s: section
            .integer("replace_after_s", REPLACE_AFTER_S, "seconds")
            .unwrap_or(default.replace_after_s),
    };
    let least = i32::from(purpose.replace_after_s) + LIFE_AFTER_REPLACEMENT_S;
    if purpose.valid_for_s < least {
        section.complain(
            "valid_for_s",
            format!("is {}, too short to use a replacement", purpose.valid_for_s),
            format!(
                "must be at least replace_after_s ({}) and {LIFE_AFTER_REPLACEMENT_S} more",
                purpose.replace_after_s
            ),
        );
    }
    section.finish();
    purpose
}
