//! The only way in which a message changes: a group of commands, one transaction.

pub mod command;
pub mod quarantine;
pub mod log;
mod tries;
pub mod transitions;
pub mod group_commit;
