//! Finds one message.

use crate::domain::app_id::AppId;
use crate::domain::ids::MessageId;
use crate::services::database_error::DatabaseError;
use crate::services::messages::Messages;
use crate::store::messages;
use crate::store::stored::StoredMessage;

#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("this app has no such message")]
    NoMessage,
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Messages {
    /// The message with its attempts, as they are now.
    ///
    /// # Errors
    /// [`FindError`].
    #[tracing::instrument(name = "message.find", skip_all, fields(app = %app, message_id = %id))]
    pub async fn find(&self, app: &AppId, id: MessageId) -> Result<StoredMessage, FindError> {
        let found = messages::find(&self.pool, app, id).await.map_err(DatabaseError::from)?;
        found.ok_or(FindError::NoMessage)
    }
}
