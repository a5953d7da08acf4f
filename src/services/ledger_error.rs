//! Why something could not be written.

use std::sync::Arc;

use crate::store::StoreError;

#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// More work waits than can be done; try again in a second.
    #[error("too much is waiting to be written")]
    Busy,
    /// A message stayed locked for longer than a change takes; try again in a second.
    #[error("a message is locked by another transaction")]
    Locked,
    #[error("cannot write")]
    Store(#[source] Arc<StoreError>),
}

impl LedgerError {
    /// Whether the same commands may work later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Busy | Self::Locked => true,
            Self::Store(error) => matches!(**error, StoreError::Unavailable(_)),
        }
    }
}

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}
