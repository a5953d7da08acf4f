//! What providers report: callbacks, answers to status queries, and dead letters that are read again.

pub mod take_callback;
pub mod apply_receipts;
pub mod status_queries;
pub mod replay;
