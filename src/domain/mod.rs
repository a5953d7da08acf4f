//! The rules, without IO: nothing here waits, reads a clock, draws a random number or knows a database.

pub mod words;
pub mod phone;
pub mod ids;
pub mod channel;
pub mod secret;
pub mod price;
pub mod prices;
pub mod code;
pub mod typed;
pub mod code_keys;
pub mod language;
pub mod sms;
pub mod text;
pub mod receipt;
pub mod route;
pub mod texts;
pub mod attempt;
pub mod health;
pub mod memory;
pub mod message;
pub mod asking;
pub mod event;
pub mod step;
pub mod routing;
pub mod queueing;
pub mod network;
