//! The use cases, one per file. Services call the domain for decisions, and the store to persist them.

pub mod randomness;
pub mod swap;
pub mod database_error;
pub mod ledger_error;
pub mod grouped;
pub mod policy;
pub mod keys;
pub mod accounts;
pub mod routing;
pub mod ledger;
pub mod limits;
pub mod messages;
pub mod delivery;
pub mod callbacks;
pub mod upkeep;
