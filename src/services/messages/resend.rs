//! Takes the next step of a message's route now.

use crate::domain::app_id::AppId;
use crate::domain::channel::Channel;
use crate::domain::event::{Effect, Refusal};
use crate::domain::ids::MessageId;
use crate::domain::limits::sends::Sending;
use crate::services::ledger::command::AppRequest;
use crate::services::limits::admission::{AdmissionError, Asked};
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
    #[error(transparent)]
    Admission(#[from] AdmissionError),
}

impl Messages {
    /// Plans the next attempt if the limits of its number allow it, with the same code; after the last step one more SMS. Returns the message after that.
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
        let stored = self.find(app, id).await?;
        // What is refused anyway is not counted.
        let mut trial = stored.message.clone();
        if let Effect::Refused(refusal) = trial.resend(channel, self.clock.now()) {
            return Err(ResendError::Refused(refusal));
        }
        let client = stored.labels.client.as_ref();
        let asked = Asked {
            app,
            to: &stored.recipient,
            purpose: &stored.labels.purpose,
            what: Sending::Again,
            ip: client.and_then(|client| client.get("ip")?.as_str()?.parse().ok()),
            device: client.and_then(|client| client.get("device")?.as_str()),
        };
        self.admission.send_again(&asked, id).await?;
        match self.change(app, id, AppRequest::Resend { channel }).await? {
            Effect::Planned { .. } => Ok(self.find(app, id).await?),
            Effect::Refused(refusal) => Err(ResendError::Refused(refusal)),
            other => Err(ChangeError::Unexpected(other).into()),
        }
    }
}
