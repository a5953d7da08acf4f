//! What several features' tests share.

pub mod database;
