//! One use case per file. Services ask the domain what follows, and have the store write it down.

pub mod randomness;
pub mod breaker;
pub mod limiter;
pub mod account;
pub mod watch;
pub mod pulse;
pub mod take_pulse;
pub mod memory;
pub mod transitions;
pub mod ledger;
pub mod intake;
pub mod message_view;
pub mod policy;
pub mod choose_route;
pub mod accept_message;
pub mod timeline;
pub mod dispatch;
pub mod apply_receipts;
pub mod seen;
pub mod take_callback;
pub mod ask;
pub mod replace;
pub mod end_lives;
pub mod recover;
pub mod app_keys;
pub mod replay;
