//! What several features' tests share.

pub mod app;
pub mod balancer;
pub mod database;
pub mod node;
pub mod proxy;
pub mod invariants;
pub mod program;
