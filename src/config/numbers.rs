//! Which numbers are accepted.

use std::collections::BTreeSet;

use crate::domain::phone::{Line, NumberRules, Unknown};
use otpost_settings::section::{Section, shown};

pub(super) fn read(section: Section<'_>) -> NumberRules {
    let default = NumberRules::default();
    let unknown = section.word("unknown", Unknown::ALL).unwrap_or(default.unknown);
    let kinds = kinds(&section).unwrap_or(default.kinds);
    section.finish();
    NumberRules { unknown, kinds }
}

fn kinds(section: &Section<'_>) -> Option<BTreeSet<Line>> {
    let words: Vec<&str> = Line::ALL.iter().map(|line| line.as_str()).collect();
    let allowed = format!("must be a list with \"mobile\" in it, of {}", words.join(", "));
    let given = section.list("kinds", &allowed)?;
    let mut kinds = BTreeSet::new();
    for word in &given {
        match word.parse() {
            Ok(line) => {
                kinds.insert(line);
            }
            Err(()) => section.complain("kinds", format!("has {}", shown(word)), allowed.as_str()),
        }
    }
    if !kinds.contains(&Line::Mobile) {
        section.complain("kinds", "does not have \"mobile\"", allowed);
    }
    Some(kinds)
}
