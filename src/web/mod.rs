//! The HTTP edge: parses into domain types, calls one service, turns its answer into JSON.

pub mod api;
pub mod problem;
pub mod bodies;
pub mod body;
pub mod auth;
pub mod messages;
pub mod channels;
pub mod checks;
pub mod callbacks;
pub mod health;
pub mod routes;
pub mod server;
