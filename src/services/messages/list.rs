//! Lists messages.

use crate::domain::app_id::AppId;
use crate::services::database_error::DatabaseError;
use crate::services::messages::Messages;
use crate::store::messages;

pub use crate::store::messages::{Filter, Page};

impl Messages {
    /// An app's messages, newest first, with their attempts: at most `limit`. See [`Page::next`] for a short page.
    ///
    /// # Errors
    /// When the database failed.
    #[tracing::instrument(name = "message.list", skip_all, fields(app = %app))]
    pub async fn list(&self, app: &AppId, filter: &Filter, limit: u16) -> Result<Page, DatabaseError> {
        Ok(messages::list(&self.pool, app, filter, i64::from(limit)).await?)
    }
}
