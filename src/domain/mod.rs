//! The rules, without IO: nothing here waits, reads a clock, draws a random number or knows a database.

pub mod phone;
pub mod ids;
pub mod channel;
pub mod secret;
pub mod code;
pub mod receipt;
