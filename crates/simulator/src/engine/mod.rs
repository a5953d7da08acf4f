//! What all providers have in common: numbers have fates, requests are planned, statuses are posted.
//!
//! The engine knows providers only as [`face::Face`]. Its files depend on each other in one direction, from the bottom
//! up in the order below.

pub(crate) mod draw;
pub(crate) mod fates;
pub(crate) mod laws;
pub(crate) mod clock;
pub(crate) mod plan;
pub(crate) mod account;
pub(crate) mod callback;
pub(crate) mod seen;
pub(crate) mod book;
pub(crate) mod face;
pub(crate) mod schedule;
pub(crate) mod retries;
pub(crate) mod stats;
pub(crate) mod world;
pub(crate) mod accounts;
pub(crate) mod answer;
pub(crate) mod receive;
pub(crate) mod accept;
pub(crate) mod send;
pub(crate) mod status;
pub(crate) mod poster;
pub(crate) mod control;
