//! What is remembered about a number, so that the next code avoids a channel that did not work.

use crate::attempt::{Attempt, Reason, State};
use crate::channel::Channel;
use crate::message::{Message, Outcome};
use crate::receipt::ErrorClass;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// A provider said that the number cannot receive WhatsApp messages, and none was delivered since.
    pub not_on_whatsapp: bool,
    /// WhatsApp stayed silent, the SMS that replaced it was delivered, and no WhatsApp message was delivered since.
    pub answers_by_sms: bool,
}

/// What a change of a message shows about its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// It receives WhatsApp messages: everything remembered is cleared.
    OnWhatsapp,
    /// At least one of the two is set.
    OffWhatsapp(Memory),
}

impl Lesson {
    /// Combines two lessons of the same moment: a delivery outweighs any failure.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::OffWhatsapp(a), Self::OffWhatsapp(b)) => Self::OffWhatsapp(Memory {
                not_on_whatsapp: a.not_on_whatsapp || b.not_on_whatsapp,
                answers_by_sms: a.answers_by_sms || b.answers_by_sms,
            }),
            _ => Self::OnWhatsapp,
        }
    }
}

/// `is_accounts_silence`: whether the account of a WhatsApp attempt was silent for all its recipients when it accepted
/// that attempt. Such a silence shows nothing about the number.
pub fn lesson(before: &Message, after: &Message, is_accounts_silence: impl Fn(&Attempt) -> bool) -> Option<Lesson> {
    if after.is_test {
        return None;
    }
    let whatsapp = |a: &&Attempt| a.channel == Channel::Whatsapp;
    let reached = |a: &Attempt, state: State| {
        let old = before.attempt(a.attempt_no).map_or(State::Accepted, |old| old.state);
        a.state == state && old != state
    };
    if after.attempts.iter().filter(whatsapp).any(|a| a.state == State::Delivered) {
        let is_new = after.attempts.iter().filter(whatsapp).any(|a| reached(a, State::Delivered));
        return is_new.then_some(Lesson::OnWhatsapp);
    }
    let unreachable = |a: &Attempt| a.error_class == Some(ErrorClass::RecipientUnreachable);
    let not_on_whatsapp = after.attempts.iter().filter(whatsapp).any(|a| reached(a, State::Failed) && unreachable(a));

    // An app that chose the code can return it without any delivery.
    let verified = after.outcome == Outcome::Verified && before.outcome != Outcome::Verified && !after.code_given;
    let last_left = after.attempts.iter().rfind(|a| a.may_have_left()).map(|a| a.attempt_no);
    let arrived = |a: &Attempt| reached(a, State::Delivered) || (verified && last_left == Some(a.attempt_no));
    // An attempt that the person requested shows only that they did not want to wait.
    let stood_in = |a: &&Attempt| a.channel == Channel::Sms && matches!(a.reason, Reason::Failed | Reason::Silent);
    let sms = after.attempts.iter().filter(stood_in).find(|a| arrived(a));
    let answers_by_sms = sms.is_some_and(|sms| {
        let earlier = after.attempts.iter().filter(whatsapp).filter(|a| a.attempt_no < sms.attempt_no);
        earlier.into_iter().any(|a| did_not_reach(a) && !is_accounts_silence(a))
    });
    (not_on_whatsapp || answers_by_sms).then_some(Lesson::OffWhatsapp(Memory { not_on_whatsapp, answers_by_sms }))
}

/// Whether WhatsApp did not reach the number, as opposed to the account being unable to send.
fn did_not_reach(attempt: &Attempt) -> bool {
    match attempt.state {
        State::Accepted | State::Sent => attempt.accepted_at.is_some(),
        State::Failed => match attempt.error_class {
            Some(ErrorClass::RecipientUnreachable) => true,
            // An attempt that was withdrawn before it was sent is `expired` too.
            Some(ErrorClass::Expired) => attempt.accepted_at.is_some(),
            Some(ErrorClass::Retryable | ErrorClass::RateLimited | ErrorClass::ConfigError | ErrorClass::Other)
            | None => false,
        },
        State::Delivered => false,
    }
}

#[cfg(test)]
mod tests;
