//! API keys of apps, and the keys that codes are kept under.

pub mod app_keys;
pub mod code_keys;
