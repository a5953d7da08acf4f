//! What keeps the service itself in order: its loops, and the removal of old rows.

pub mod loops;
pub mod forget;
pub mod forget_number;
