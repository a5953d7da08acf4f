//! Takes the next step of a message's route now.

use crate::domain::app_id::AppId;
use crate::domain::channel::Channel;
use crate::domain::event::{Effect, Refusal};
use crate::domain::ids::MessageId;
use crate::services::ledger::command::AppRequest;
use crate::services::messages::find::FindError;
use crate::services::messages::{ChangeError, Messages};
use crate::store::stored::StoredMessage;
use tracing::field;

#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("no attempt was planned: {0:?}")]
    Refused(Refusal),
    /// The attempt is planned all the same.
    #[error(transparent)]
    Find(#[from] FindError),
}

impl Messages {
    /// Plans the next attempt, with the same code; after the last step one more SMS. Returns the message after that.
    ///
    /// # Errors
    /// [`ResendError`].
    #[tracing::instrument(name = "message.resend", skip_all, fields(app = %app, message_id = %id, channel = channel.map(field::display)))]
    pub async fn resend(
        &self,
        app: &AppId,
        id: MessageId,
        channel: Option<Channel>,
    ) -> Result<StoredMessage, ResendError> {
        match self.change(app, id, AppRequest::Resend { channel }).await? {
            Effect::Planned { .. } => Ok(self.find(app, id).await?),
            Effect::Refused(refusal) => Err(ResendError::Refused(refusal)),
            other => Err(ChangeError::Unexpected(other).into()),
        }
    }
}
