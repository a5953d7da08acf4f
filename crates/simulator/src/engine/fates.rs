//! Fates: the last four digits of a number select what happens to it, as with test cards.

use std::collections::HashMap;

use otpost_domain::channel::Channel;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// According to the laws.
    ByLaw,
    /// Accepted, sent, delivered; not read.
    Delivered,
    /// 0001
    Read,
    /// 0002: accepted, then failed with 131026 (an SMS: undelivered).
    Failed,
    /// 0003: accepted and possibly sent, then nothing. The handset does not get it.
    Silent,
    /// 0004: reaches the handset a few seconds after an SMS with the same code was seen for the number.
    Late,
    /// 0006: every receipt at least twice, in a wrong order.
    Shuffled,
    /// 0007: the callbacks up to delivered are posted before the send is answered.
    CallbackFirst,
    /// 0008: two answers 500 for the same reference, then accepted.
    ServerErrorTwice,
    /// 0009: takes the request and never answers. The handset does not get it.
    Hangs,
    /// 0010: refused for its rate, every time.
    RateLimited,
    /// 0011: failed and then delivered. The handset gets it.
    Contradictory,
    /// 0012: delivered without sent.
    DeliveredOnly,
    /// Without digits: refused in the answer with 131026.
    Rejected,
    /// Without digits: the connection breaks, and the handset does not get it.
    ResetBefore,
    /// Without digits: the connection breaks, and the handset gets it.
    ResetAfter,
}

impl Fate {
    /// By the last four digits. The SMS is delivered whatever happened to WhatsApp, also if it is the first message to
    /// the number; only with 0005 do both fail.
    pub fn of_number(phone: &str, channel: Channel) -> Self {
        let whatsapp = match last_four(phone) {
            "0001" => Self::Read,
            "0002" => Self::Failed,
            "0003" => Self::Silent,
            "0004" => Self::Late,
            "0005" => return Self::Failed,
            "0006" => Self::Shuffled,
            "0007" => Self::CallbackFirst,
            "0008" => Self::ServerErrorTwice,
            "0009" => Self::Hangs,
            "0010" => Self::RateLimited,
            "0011" => Self::Contradictory,
            "0012" => Self::DeliveredOnly,
            _ => return Self::ByLaw,
        };
        match channel {
            Channel::Whatsapp => whatsapp,
            Channel::Sms => Self::Delivered,
        }
    }
}

fn last_four(phone: &str) -> &str {
    phone.len().checked_sub(4).and_then(|at| phone.get(at..)).unwrap_or("")
}

/// A fate set explicitly, per channel. A missing channel keeps the fate of the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GivenFate {
    pub whatsapp: Option<Fate>,
    pub sms: Option<Fate>,
}

/// Fates set explicitly, by whole number or by its end. For each channel the longest matching end counts.
#[derive(Debug, Default)]
pub(crate) struct GivenFates(HashMap<String, GivenFate>);

/// A number has at most a plus and 15 digits.
const LONGEST_END: usize = 16;

impl GivenFates {
    pub(crate) fn set(&mut self, end: &str, fate: GivenFate) {
        self.0.insert(end.to_owned(), fate);
    }

    pub(crate) fn remove(&mut self, end: &str) -> bool {
        self.0.remove(end).is_some()
    }

    pub(crate) fn all(&self) -> &HashMap<String, GivenFate> {
        &self.0
    }

    pub(crate) fn of(&self, phone: &str, channel: Channel) -> Fate {
        if !self.0.is_empty() {
            for length in (1..=LONGEST_END.min(phone.len())).rev() {
                let given = phone.get(phone.len() - length..).and_then(|end| self.0.get(end));
                let fate = given.and_then(|given| match channel {
                    Channel::Whatsapp => given.whatsapp,
                    Channel::Sms => given.sms,
                });
                if let Some(fate) = fate {
                    return fate;
                }
            }
        }
        Fate::of_number(phone, channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_four_digits_choose_the_fate_of_whatsapp_and_the_sms_arrives() {
        use Fate::*;
        for (digits, whatsapp, sms) in [
            ("0001", Read, Delivered),
            ("0002", Failed, Delivered),
            ("0003", Silent, Delivered),
            ("0004", Late, Delivered),
            ("0005", Failed, Failed),
            ("0006", Shuffled, Delivered),
            ("0007", CallbackFirst, Delivered),
            ("0008", ServerErrorTwice, Delivered),
            ("0009", Hangs, Delivered),
            ("0010", RateLimited, Delivered),
            ("0011", Contradictory, Delivered),
            ("0012", DeliveredOnly, Delivered),
            ("0013", ByLaw, ByLaw),
            ("0000", ByLaw, ByLaw),
            ("7777", ByLaw, ByLaw),
        ] {
            let phone = format!("+62812345{digits}");
            assert_eq!(Fate::of_number(&phone, Channel::Whatsapp), whatsapp, "{digits}");
            assert_eq!(Fate::of_number(&phone, Channel::Sms), sms, "{digits}");
        }
        assert_eq!(Fate::of_number("+1", Channel::Sms), ByLaw);
    }

    #[test]
    fn the_longest_given_end_counts_for_each_channel() {
        let mut given = GivenFates::default();
        given.set("77", GivenFate { whatsapp: Some(Fate::Silent), sms: Some(Fate::Failed) });
        given.set("+628123457777", GivenFate { whatsapp: Some(Fate::Hangs), sms: None });
        assert_eq!(given.of("+628123457777", Channel::Whatsapp), Fate::Hangs);
        assert_eq!(given.of("+628123457777", Channel::Sms), Fate::Failed);
        assert_eq!(given.of("+628123450077", Channel::Whatsapp), Fate::Silent);
        assert_eq!(given.of("+628123450002", Channel::Whatsapp), Fate::Failed);
        assert!(given.remove("77") && !given.remove("77"));
        assert_eq!(given.of("+628123450077", Channel::Whatsapp), Fate::ByLaw);
    }
}
