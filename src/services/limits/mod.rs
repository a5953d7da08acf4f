//! Whether a message may be sent.

pub mod enforce;
pub mod spraying;
pub mod admission;
pub mod sms_guard;
