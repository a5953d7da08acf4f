//! From a planned attempt to its end: sending, replacing, giving up, and what a dead process left behind.

pub mod dispatch;
pub mod under_way;
pub mod replace;
pub mod end_lives;
pub mod recover;
pub mod orphans;
