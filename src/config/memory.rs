//! Whether and how long the memory of a number is kept.

use chrono::TimeDelta;

use otpost_settings::section::Section;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemorySettings {
    /// `None`: nothing is remembered or used. Else 1 h to 30 days.
    pub remember_for: Option<TimeDelta>,
    /// What the messages of one app show about a number is used for all apps.
    pub shared: bool,
}

/// WhatsApp fails for temporary reasons too, and its error 131026 does not tell them apart. So a day is long enough.
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
