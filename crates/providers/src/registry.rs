//! All providers: one row each. Only this file and a provider's own folder name it.

use crate::configured::Kind;

#[path = "meta/mod.rs"]
pub mod meta;
#[path = "ycloud/mod.rs"]
pub mod ycloud;
#[path = "cliqtel/mod.rs"]
pub mod cliqtel;
#[path = "infobip/mod.rs"]
pub mod infobip;
#[path = "sleekflow/mod.rs"]
pub mod sleekflow;
#[path = "twilio/mod.rs"]
pub mod twilio;
#[path = "vonage/mod.rs"]
pub mod vonage;
#[path = "engagelab/mod.rs"]
pub mod engagelab;
#[path = "described/mod.rs"]
pub mod described;

/// In the order of error messages and pages.
pub static KINDS: &[&Kind] = &[
    &meta::KIND,
    &ycloud::KIND,
    &cliqtel::KIND,
    &infobip::KIND,
    &sleekflow::KIND,
    &twilio::KIND,
    &vonage::KIND,
    &engagelab::KIND,
    &described::KIND,
];

/// By its name in the settings.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}
