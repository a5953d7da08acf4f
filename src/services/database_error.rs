//! The error of a use case whose database access failed.

use crate::store::StoreError;

/// The cause is for the log; the caller learns only whether to try again.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DatabaseError(#[from] StoreError);

impl DatabaseError {
    /// Whether the same request may work later.
    pub fn may_pass(&self) -> bool {
        matches!(self.0, StoreError::Unavailable(_))
    }
}
