//! Whether and how long it is remembered which channel works for a number.

use chrono::TimeDelta;

use crate::config::section::Section;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemorySettings {
    /// `None`: nothing is remembered, and nothing remembered is used. Else 1 h to 30 days.
    pub remember_for: Option<TimeDelta>,
    /// What the messages of one app teach about a number is used for those of every app.
    pub shared: bool,
}

/// WhatsApp fails for passing reasons too (Meta says so of 131026), so a day is long enough.
const REMEMBER_FOR: TimeDelta = TimeDelta::hours(24);

impl Default for MemorySettings {
    fn default() -> Self {
        Self { remember_for: Some(REMEMBER_FOR), shared: false }
    }
}

impl MemorySettings {
    pub(super) fn read(section: Section<'_>) -> Self {
        let remember_for = section.integer("remember_for_h", 1..=720, "hours").map_or(REMEMBER_FOR, TimeDelta::hours);
        let is_used = section.word("use", &["on", "off"]) != Some("off");
        let shared = section.word("shared", &["yes", "no"]) == Some("yes");
        section.finish();
        Self { remember_for: is_used.then_some(remember_for), shared }
    }
}
