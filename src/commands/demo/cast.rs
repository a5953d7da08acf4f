//! The twelve phones: what WhatsApp does with each, and what each should have received in the end.

use crate::domain::attempt::State;
use crate::domain::message::Outcome;

/// What the person does once the code has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Person {
    /// Never enters it.
    Leaves,
    Types,
    /// Enters a wrong one first.
    Mistypes,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    /// The simulator goes by its last four digits.
    pub number: &'static str,
    /// What WhatsApp does.
    pub words: &'static str,
    pub person: Person,
    /// Expected number of messages on the handset, by channel.
    pub whatsapp: usize,
    pub sms: usize,
    /// Expected final state of the message.
    pub state: State,
}

impl Fate {
    pub(super) fn digits(&self) -> &'static str {
        &self.number[self.number.len() - 4..]
    }

    pub(super) fn outcome(&self) -> Outcome {
        match self.person {
            Person::Leaves if self.state == State::Failed => Outcome::Failed,
            Person::Leaves => Outcome::Pending,
            Person::Types | Person::Mistypes => Outcome::Verified,
        }
    }
}

const fn fate(
    number: &'static str,
    words: &'static str,
    (whatsapp, sms): (usize, usize),
    state: State,
    person: Person,
) -> Fate {
    Fate { number, words, person, whatsapp, sms, state }
}

use Person::{Leaves, Mistypes, Types};
use State::{Delivered, Failed};

pub(super) const FATES: [Fate; 12] = [
    fate("+628123450001", "delivers, is read", (1, 0), Delivered, Types),
    fate("+5511961230002", "fails with 131026", (0, 1), Delivered, Types),
    fate("+628123450003", "stays silent", (0, 1), Delivered, Types),
    fate("+919876540004", "comes after the SMS", (1, 1), Delivered, Leaves),
    fate("+12025550005", "fails, and SMS too", (0, 0), Failed, Leaves),
    fate("+2348031230006", "shuffles receipts", (1, 0), Delivered, Leaves),
    fate("+525512340007", "reports too early", (1, 0), Delivered, Mistypes),
    fate("+4915123450008", "answers 500 twice", (1, 0), Delivered, Leaves),
    fate("+447400120009", "never answers", (0, 1), Delivered, Types),
    fate("+27821230010", "answers 429", (0, 1), Delivered, Leaves),
    fate("+34612340011", "fails, then delivers", (1, 1), Delivered, Leaves),
    fate("+639171230012", "skips `sent`", (1, 0), Delivered, Types),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phone::Phone;

    #[test]
    fn every_number_can_receive_and_has_its_fate() {
        for (place, fate) in FATES.iter().enumerate() {
            assert_eq!(fate.digits(), format!("{:04}", place + 1));
            let phone = Phone::parse(fate.number).unwrap_or_else(|e| panic!("{}: {e}", fate.number));
            assert_eq!(phone.e164(), fate.number);
        }
    }
}
