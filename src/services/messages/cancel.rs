//! Cancels a message.

use crate::domain::app_id::AppId;
use crate::domain::event::{Effect, Refusal};
use crate::domain::ids::MessageId;
use crate::services::ledger::command::AppRequest;
use crate::services::messages::find::FindError;
use crate::services::messages::{ChangeError, Messages};
use crate::store::stored::StoredMessage;

#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("the message is settled: {0:?}")]
    Refused(Refusal),
    /// The message is cancelled all the same.
    #[error(transparent)]
    Find(#[from] FindError),
}

impl Messages {
    /// Nothing more is sent, and the code is no longer valid. Repeating is safe. Returns the message after that.
    ///
    /// # Errors
    /// [`CancelError`].
    #[tracing::instrument(name = "message.cancel", skip_all, fields(app = %app, message_id = %id))]
    pub async fn cancel(&self, app: &AppId, id: MessageId) -> Result<StoredMessage, CancelError> {
        match self.change(app, id, AppRequest::Cancel).await? {
            Effect::Done | Effect::Ignored => Ok(self.find(app, id).await?),
            Effect::Refused(refusal) => Err(CancelError::Refused(refusal)),
            other => Err(ChangeError::Unexpected(other).into()),
        }
    }
}
