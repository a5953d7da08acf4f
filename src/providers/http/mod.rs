//! A provider that the settings alone describe: one POST to send, one shape of answer, one of callback.
//!
//! What is described is checked and compiled when the settings are read; nothing here can fail for a bad description.

mod pattern;
mod proof;
mod shape;
#[cfg(test)]
pub(in crate::providers) mod tests;

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::domain::channel::Channel;
use crate::domain::ids::AttemptId;
use crate::domain::receipt::{DeliveryReceipt, Status};
use crate::domain::secret::Secret;
use crate::providers::json;
pub use crate::providers::replies::Meaning;
use crate::providers::replies::{self, Pause, is_success};
use crate::providers::{
    Abilities, Call, Callback, Handshake, Method, Outbound, Provider, Question, Receipts, Reply, SendOutcome,
    Unreadable, Unverified, Verified, query,
};

use self::pattern::Values;
pub use self::pattern::{Body, Escape, Pattern, PatternError, Place};
pub use self::proof::{Algorithm, Encoding, Proof, Signature};
pub use self::shape::{Codes, Field, Item, Pointer, Statuses};

#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    pub channel: Channel,
    /// Scheme and host of `url`, for finding out where it leads.
    pub base_url: String,
    pub url: Pattern,
    pub body: Body,
    /// Of every request, `Authorization` included. The names live as long as the program.
    pub headers: Vec<(Cow<'static, str>, Secret)>,
    /// For `{user}` and `{password}` of the body.
    pub login: Option<(String, Secret)>,
    pub answer: AnswerShape,
    pub codes: Codes,
    /// `None`: it posts no callbacks.
    pub callback: Option<CallbackShape>,
    /// `None`: it cannot be asked.
    pub ask: Option<AskShape>,
    /// A repeat with the same attempt id is not sent a second time.
    pub deduplicates: bool,
}

/// The JSON that answers a send.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerShape {
    /// Their id of the message.
    pub id: Pointer,
    /// Where it says whether it took the message, and what says so. Without it any 2xx with an id does.
    pub accepted: Option<(Pointer, String)>,
    pub error_code: Option<Pointer>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CallbackShape {
    pub proof: Proof,
    pub content: Content,
    /// Their id of the message, ours, or both.
    pub id: Option<Field>,
    pub attempt_id: Option<Field>,
    pub status: Field,
    pub statuses: Statuses,
    /// ISO 8601 or Unix seconds.
    pub time: Option<Field>,
    pub error_code: Option<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Form,
    /// One receipt, or a list of them at this place.
    Json {
        list: Option<Pointer>,
    },
}

/// A GET, with the headers of a send.
#[derive(Clone, Debug, PartialEq)]
pub struct AskShape {
    pub url: Pattern,
    pub status: Pointer,
    pub statuses: Statuses,
    pub time: Option<Pointer>,
    pub error_code: Option<Pointer>,
}

pub struct Http(HttpConfig);

impl Http {
    pub fn new(config: HttpConfig) -> Self {
        Self(config)
    }

    /// With its token, where that is the proof.
    fn callback_url(&self, callback_url: &str) -> String {
        match self.0.callback.as_ref().map(|shape| &shape.proof) {
            Some(Proof::Token(token)) => {
                let joint = if callback_url.contains('?') { '&' } else { '?' };
                format!("{callback_url}{joint}token={}", query::encode(token.expose()))
            }
            _ => callback_url.to_owned(),
        }
    }

    fn request(&self, method: Method, url: String, body: zeroize::Zeroizing<Vec<u8>>) -> Call {
        let HttpConfig { headers, body: shape, .. } = &self.0;
        Call { method, url, content_type: shape.content_type(), headers: headers.clone(), body }
    }

    fn read_item(&self, shape: &CallbackShape, item: Item<'_>, receipts: &mut Receipts) {
        let text = |field: &Option<Field>| item.text(field.as_ref()?);
        let Some(word) = item.text(&shape.status) else {
            return receipts.put_aside("callback: no status where one should be", item.bytes());
        };
        let status = match shape.statuses.0.get(&word) {
            Some(Some(status)) => *status,
            Some(None) => return,
            None => return receipts.note_unknown(&word),
        };
        let attempt_id = text(&shape.attempt_id).and_then(|id| AttemptId::parse(&id));
        let provider_message_id = match text(&shape.id) {
            // Our own id is enough.
            None if attempt_id.is_some() => String::new(),
            id => match id.and_then(|id| json::provider_message_id(&id)) {
                Some(id) => id,
                None => return receipts.put_aside("callback: no id that can be kept", item.bytes()),
            },
        };
        let failure =
            (status == Status::Failed).then(|| self.0.codes.failure(self.0.channel, &word, text(&shape.error_code)));
        let provider_at = text(&shape.time).and_then(|at| instant(&at));
        receipts.receipts.push(DeliveryReceipt { status, attempt_id, provider_message_id, provider_at, failure });
    }
}

fn instant(text: &str) -> Option<chrono::DateTime<chrono::Utc>> {
    json::iso_instant(text).or_else(|| json::unix_instant(text))
}

impl Provider for Http {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let callback_url = self.callback_url(message.callback_url);
        let values = Values::of_message(message, &callback_url, self.0.login.as_ref());
        self.request(Method::Post, self.0.url.address(&values), self.0.body.fill(&values))
    }

    /// A code of the table decides, unless they say that they took it; then their word and an id; then the HTTP status.
    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        let Ok(answer) = json::read::<&RawValue>(reply.body, "answer") else {
            return replies::by_status(None, reply);
        };
        let AnswerShape { id, accepted, error_code } = &self.0.answer;
        let says_so = accepted.as_ref().map(|(place, word)| place.word(answer).as_ref() == Some(word));
        let code = error_code.as_ref().and_then(|place| place.text(answer));
        let took_it = is_success(reply) && says_so.unwrap_or(true);
        let meaning = code.as_deref().and_then(|code| self.0.codes.known(code));
        if !took_it || (says_so.is_none() && meaning.is_some()) {
            return match code {
                Some(code) => replies::by_code(&code, meaning, Pause::NONE, reply),
                None => replies::by_status(None, reply),
            };
        }
        match id.text(answer).and_then(|id| json::provider_message_id(&id)) {
            Some(provider_message_id) => SendOutcome::Accepted { provider_message_id, held: false, ask_by: None },
            None => replies::unknown(None, reply),
        }
    }

    fn question(&self, about: &Question<'_>) -> Option<Call> {
        let url = self.0.ask.as_ref()?.url.address(&Values::of_question(about));
        Some(self.request(Method::Get, url, zeroize::Zeroizing::default()))
    }

    fn told(&self, about: &Question<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        let mut receipts = Receipts::default();
        let Some(ask) = &self.0.ask else { return Ok(receipts) };
        replies::answered(reply)?;
        let answer = json::read::<&RawValue>(reply.body, "answer")?;
        let text = |place: &Option<Pointer>| place.as_ref()?.text(answer);
        let Some(word) = ask.status.text(answer) else {
            return Err(Unreadable { reason: "answer: no status where one should be".to_owned() });
        };
        match ask.statuses.0.get(&word) {
            Some(Some(status)) => receipts.receipts.push(DeliveryReceipt {
                status: *status,
                attempt_id: Some(about.attempt_id),
                provider_message_id: about.provider_message_id.to_owned(),
                provider_at: text(&ask.time).and_then(|at| instant(&at)),
                failure: (*status == Status::Failed)
                    .then(|| self.0.codes.failure(self.0.channel, &word, text(&ask.error_code))),
            }),
            Some(None) => {}
            None => receipts.note_unknown(&word),
        }
        Ok(receipts)
    }

    fn handshake(&self, _query: &str) -> Handshake {
        Handshake::None
    }

    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        self.0.callback.as_ref().ok_or(Unverified::Missing)?.proof.verify(callback)?;
        Ok(Verified::new(callback.body, None))
    }

    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        let mut receipts = Receipts::default();
        let Some(shape) = &self.0.callback else { return Ok(receipts) };
        let unreadable = |reason: &str| Unreadable { reason: reason.to_owned() };
        match &shape.content {
            Content::Form => {
                let form = std::str::from_utf8(callback.body()).map_err(|_| unreadable("callback: not UTF-8"))?;
                let form = form.trim();
                if form.is_empty() {
                    return Err(unreadable("callback: empty"));
                }
                self.read_item(shape, Item::Form(form), &mut receipts);
            }
            Content::Json { list } => {
                let body = json::read::<&RawValue>(callback.body(), "callback")?;
                let items = match list {
                    Some(list) => {
                        let found = json::lenient::<Vec<&RawValue>>(list.find(body));
                        found.ok_or_else(|| unreadable("callback: no list where one should be"))?
                    }
                    None => vec![body],
                };
                for item in items {
                    self.read_item(shape, Item::Json(item), &mut receipts);
                }
            }
        }
        Ok(receipts)
    }

    fn abilities(&self) -> Abilities {
        let HttpConfig { callback, ask, deduplicates, .. } = &self.0;
        Abilities {
            deduplicates: *deduplicates,
            echoes_attempt_id: callback.as_ref().is_some_and(|shape| shape.attempt_id.is_some()),
            calls_back: callback.is_some(),
            can_be_asked: ask.is_some(),
        }
    }
}
