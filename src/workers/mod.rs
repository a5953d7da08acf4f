//! The loops that call services. Each takes no input but the database, so the path after a restart is the path always
//! taken: find what is due, do it, sleep until the nearest deadline, a wake-up or the tick, whichever is first.

pub mod supervise;
pub mod sender;
pub mod deadlines;
pub mod janitor;
pub mod matcher;
pub mod pulse;
