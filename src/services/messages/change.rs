//! Passes an app's change of a message to the ledger.

use crate::domain::app_id::AppId;
use crate::domain::event::Effect;
use crate::domain::ids::MessageId;
use crate::services::ledger::command::{AppRequest, Command, Done, RecordedEvent};
use crate::services::ledger::group_commit::LedgerError;
use crate::services::messages::Messages;

/// Why a message could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("this app has no such message")]
    NoMessage,
    /// Another transaction holds it, or a newer version wrote it. The same request may work later.
    #[error("the message cannot be changed just now")]
    NotNow,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The rule returned an effect that does not belong to the event.
    #[error("an event had an unexpected effect: {0:?}")]
    Unexpected(Effect),
}

impl Messages {
    /// Durable when it returns.
    pub(super) async fn change(&self, app: &AppId, id: MessageId, request: AppRequest) -> Result<Effect, ChangeError> {
        let at = self.clock.now();
        let event = RecordedEvent::ByApp { app: app.clone(), request };
        match self.ledger.apply_one(Command { message: id, event, at }).await? {
            Done::Effect(effect) => Ok(effect),
            Done::NotFound => Err(ChangeError::NoMessage),
            Done::Locked | Done::Unreadable => Err(ChangeError::NotNow),
        }
    }
}
