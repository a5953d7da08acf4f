//! One use case per file. Services ask the domain what follows, and have the store write it down.

pub mod breaker;
pub mod limiter;
pub mod watch;
pub mod transitions;
pub mod ledger;
