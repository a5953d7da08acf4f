//! Checks a person's code against a message.

use crate::domain::app_id::AppId;
use crate::domain::code::Code;
use crate::domain::event::{Checked, Effect};
use crate::domain::ids::MessageId;
use crate::domain::limits::LimitHit;
use crate::services::ledger::command::AppRequest;
use crate::services::messages::{ChangeError, Messages};
use crate::services::randomness;

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// No try was counted.
    #[error("this instance lacks the key of the code")]
    KeyMissing,
    /// The number has had too many wrong codes. No try was counted.
    #[error("too many wrong codes")]
    TooManyTries(LimitHit),
}

impl Messages {
    /// `caller`: the caller's name for this check. A repeat under the same name gets the same answer for a few seconds.
    ///
    /// Counts the try before it compares the code, under the message's lock. A right code settles the message and
    /// withdraws unsent attempts.
    ///
    /// # Errors
    /// [`CheckError`]; no try was counted then, unless the answer to the commit was lost.
    #[tracing::instrument(name = "code.check", skip_all, fields(app = %app, message_id = %id))]
    pub async fn check_code(
        &self,
        app: &AppId,
        id: MessageId,
        code: Code,
        caller: Option<String>,
    ) -> Result<Checked, CheckError> {
        let check_id = randomness::id(self.clock.now());
        match self.change(app, id, AppRequest::Check { check_id, code, caller }).await? {
            Effect::Checked(checked) => Ok(checked),
            Effect::KeyMissing => Err(CheckError::KeyMissing),
            Effect::TooManyTries(hit) => Err(CheckError::TooManyTries(hit)),
            other => Err(ChangeError::Unexpected(other).into()),
        }
    }
}
