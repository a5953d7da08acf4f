//! The HTTP edge: parses into domain types, calls one service, and converts its answer to JSON.

pub mod api;
mod hints;
mod metadata;
pub mod problem;
pub mod bodies;
pub mod body;
pub mod auth;
pub mod messages;
pub mod channels;
pub mod checks;
pub mod callbacks;
pub mod health;
pub mod docs;
pub mod routes;
pub mod server;
