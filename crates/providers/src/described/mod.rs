//! A provider that is described by the settings: one POST to send, one shape of answer, one of callback.
//!
//! The description is checked and compiled when the settings are read; nothing here can fail because of a bad
//! description.

mod config;
mod fields;
mod callback_settings;
mod settings;
mod place;
mod optional;
mod pattern;
mod proof;
mod reader;
mod shape;
#[cfg(test)]
pub(crate) mod tests;

use serde_json::value::RawValue;

pub use self::settings::KIND;
use crate::json;
pub use crate::replies::Meaning;
use crate::replies::{self, Pause, is_success};
use crate::{
    Abilities, Call, Callback, Handshake, Method, Outbound, Provider, Receipts, Reply, SendOutcome, StatusQuery,
    Unreadable, Unverified, Verified, query,
};
use otpost_domain::receipt::{DeliveryReceipt, Status};

pub use self::config::{AnswerShape, CallbackShape, Content, DescribedConfig, QueryShape};
use self::pattern::Values;
pub use self::pattern::{Body, Escape, Pattern, PatternError};
pub use self::place::Place;
pub use self::proof::{Algorithm, Encoding, Proof, Signature};
use self::reader::Reader;
use self::shape::instant;
pub use self::shape::{Codes, Field, Pointer, Statuses};

pub struct Described(DescribedConfig);

impl Described {
    pub fn new(config: DescribedConfig) -> Self {
        Self(config)
    }

    /// With its token, if that is the proof.
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
        let DescribedConfig { headers, body: shape, .. } = &self.0;
        Call { method, url, content_type: shape.content_type(), headers: headers.clone(), body }
    }

    /// A code of the table decides, unless the answer says that the message was accepted; then the answer's word; then
    /// whether there is an id.
    fn decide(&self, answer: &RawValue, reply: &Reply<'_>) -> SendOutcome {
        let AnswerShape { id, accepted, error_code } = &self.0.answer;
        let code = error_code.as_ref().and_then(|place| place.text(answer));
        let meaning = code.as_deref().and_then(|code| self.0.codes.known(code));
        let refused = |code: Option<String>| match code {
            Some(code) => replies::by_code(&code, meaning, Pause::NONE, reply),
            None if is_success(reply) => replies::refused(None, reply),
            None => replies::by_status(None, reply),
        };
        if !is_success(reply) {
            return refused(code);
        }
        let word = accepted.as_ref().and_then(|(place, _)| place.word(answer));
        let yes = accepted.as_ref().map(|(_, yes)| yes);
        let id = id.text(answer).and_then(|id| json::provider_message_id(&id));
        let error = code.clone().filter(|code| !replies::is_no_error(code));
        match word {
            Some(word) if Some(&word) == yes => replies::accepted(id),
            // If yes is `true`, everything else is no.
            Some(word) if code.is_some() || yes.is_some_and(|yes| yes == "true") || replies::is_no(&word) => {
                refused(code)
            }
            Some(_) => replies::unknown(None, reply),
            None if meaning.is_some() || (error.is_some() && (accepted.is_some() || id.is_none())) => refused(code),
            None if id.is_none() && replies::says_no(answer) => refused(None),
            None => replies::accepted(id),
        }
    }
}

impl Provider for Described {
    fn call(&self, message: &Outbound<'_>) -> Call {
        let callback_url = self.callback_url(message.callback_url);
        let sender = self.0.sender.as_deref();
        let values = Values::of_message(message, &callback_url, sender, self.0.login.as_ref());
        self.request(Method::Post, self.0.url.address(&values), self.0.body.fill(&values))
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        replies::outcome_from_root(reply, |answer| self.decide(answer, reply))
    }

    fn status_query(&self, about: &StatusQuery<'_>) -> Option<Call> {
        let url = self.0.ask.as_ref()?.url.address(&Values::of_question(about));
        Some(self.request(Method::Get, url, zeroize::Zeroizing::default()))
    }

    fn status_answer(&self, about: &StatusQuery<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        let mut receipts = Receipts::default();
        let Some(ask) = &self.0.ask else { return Ok(receipts) };
        replies::answered(reply)?;
        let body = json::text(reply.body);
        let answer = json::read::<&RawValue>(&body, "answer")?;
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
        Reader { shape, codes: &self.0.codes, channel: self.0.channel }.read(callback.body(), &mut receipts)?;
        Ok(receipts)
    }

    fn abilities(&self) -> Abilities {
        let DescribedConfig { callback, ask, deduplicates, .. } = &self.0;
        Abilities {
            deduplicates: *deduplicates,
            echoes_attempt_id: callback.as_ref().is_some_and(|shape| shape.attempt_id.is_some()),
            calls_back: callback.is_some(),
            can_be_queried: ask.is_some(),
        }
    }
}
