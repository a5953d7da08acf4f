//! The rules of otpost, without IO: this crate does not wait, read a clock, draw a random number or use a database.
//!
//! - [`message`] and [`attempt`] describe a message and its sends. [`event`] lists what can happen to them.
//! - [`step::step`] decides what an event changes. It has an answer for every event in every state.
//! - [`routing`] chooses the steps of a message: which account sends, in which order.
//! - [`phone`] reads phone numbers. [`code`] holds a code, and [`code_keys`] seals and compares it.
//! - [`limits`] counts the messages and the wrong codes of a number, an address, a country.
//! - [`health`] judges an account by its receipts. [`memory`] keeps what is known about a number.
//!
//! The modules are in reading order: each names only those above it. The crate depends on no other crate of otpost.

pub mod words;
pub mod field_code;
pub mod code;
pub mod typed;
pub mod masked;
pub mod phone;
pub mod app_id;
pub mod ids;
pub mod channel;
pub mod secret;
pub mod price;
pub mod prices;
pub mod code_keys;
pub mod language;
pub mod sms;
pub mod text;
pub mod receipt;
pub mod route;
pub mod texts;
pub mod attempt;
pub mod message;
pub mod health;
pub mod memory;
pub mod status_query;
pub mod limits;
pub mod pumping;
pub mod spraying;
pub mod event;
pub mod step;
pub mod routing;
pub mod queueing;
pub mod network;
pub mod key_scope;
pub mod audit;
