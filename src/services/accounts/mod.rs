//! The configured provider accounts as they are now: limits, breakers, health, what waits, and who shares them.

pub mod account;
pub mod breaker;
pub mod limiter;
pub mod instances;
pub mod backlog;
pub mod pulse;
pub mod take_pulse;
