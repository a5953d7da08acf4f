//! Which steps a message may take: what the rule needs to choose a route, and what is remembered of numbers.

pub mod choose_route;
pub mod memory;
