//! What several features' tests share.

pub(crate) mod app;
pub(crate) mod balancer;
pub(crate) mod database;
pub(crate) mod instance;
pub(crate) mod front;
pub(crate) mod node;
pub(crate) mod proxy;
pub(crate) mod schema;
pub(crate) mod invariants;
pub(crate) mod program;
pub(crate) mod tools;
