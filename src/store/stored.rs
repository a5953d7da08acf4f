//! Messages as they are read: what the tables `messages` and `attempts` have in common.

use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::ids::MessageId;
use crate::domain::message::Message;
use crate::domain::phone::Phone;
use crate::store::StoreError;

/// A message with what its sender and its readers need in addition to the rules.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    pub message: Message,
    pub recipient: Phone,
    pub labels: Labels,
    pub code_length: i16,
}

/// A locked message, with what its sender needs. The metadata are not read.
#[derive(Clone, Debug)]
pub struct LockedMessage {
    pub message: Message,
    pub recipient: Phone,
}

/// A row of `messages` with its attempts.
pub trait WithAttempts {
    fn message(&self) -> &Message;
    fn message_mut(&mut self) -> &mut Message;
}

impl WithAttempts for StoredMessage {
    fn message(&self) -> &Message {
        &self.message
    }

    fn message_mut(&mut self) -> &mut Message {
        &mut self.message
    }
}

impl WithAttempts for LockedMessage {
    fn message(&self) -> &Message {
        &self.message
    }

    fn message_mut(&mut self) -> &mut Message {
        &mut self.message
    }
}

/// What the app attached to a message, kept as given.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    pub purpose: String,
    pub locale: Option<String>,
    pub reference: Option<String>,
    /// A JSON object, byte for byte as the app sent it.
    pub metadata: Option<Box<RawValue>>,
    pub client: Option<Value>,
}

/// Result of a look-up of messages by id.
#[derive(Debug)]
pub struct Found<M> {
    pub messages: Vec<M>,
    /// Messages whose row, or an attempt's, contains an unknown word: a newer version wrote it, or somebody by hand.
    pub unreadable: Vec<(MessageId, StoreError)>,
}

impl<M> Found<M> {
    pub(super) fn of(rows: impl IntoIterator<Item = (Uuid, Result<M, StoreError>)>) -> Self {
        let mut found = Self { messages: Vec::new(), unreadable: Vec::new() };
        for (uuid, row) in rows {
            match (row, MessageId::from_uuid(uuid)) {
                (Ok(message), _) => found.messages.push(message),
                (Err(error), Some(id)) => found.unreadable.push((id, error)),
                (Err(error), None) => tracing::error!(%error, "a message has an id that no message can have"),
            }
        }
        found
    }
}

pub(crate) fn message_id(uuid: Uuid) -> Result<MessageId, StoreError> {
    MessageId::from_uuid(uuid).ok_or_else(|| StoreError::Corrupt { what: format!("message_id {uuid}") })
}

/// The two columns of a list of keys.
pub(crate) fn keys(ids: &[MessageId]) -> (Vec<i16>, Vec<Uuid>) {
    ids.iter().map(|id| (id.bucket().as_i16(), id.uuid())).unzip()
}
