//! The providers that the suite covers.

use crate::conformance::case::Case;
use crate::registry::KINDS;

/// In the order of the registry.
pub(crate) fn cases() -> impl Iterator<Item = &'static Case> {
    KINDS.iter().map(|kind| kind.case)
}
