//! The twelve phones: what WhatsApp does with each, and what each should have got in the end.

/// What the person does once the code has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// Never types it.
    Leaves,
    Types,
    /// Types a wrong one first.
    Mistypes,
}

#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// The simulator goes by its last four digits.
    pub number: &'static str,
    /// What WhatsApp does.
    pub words: &'static str,
    pub person: Person,
    /// How many messages the handset should have, by channel.
    pub whatsapp: usize,
    pub sms: usize,
    /// How far the message should have come.
    pub state: &'static str,
}

impl Fate {
    pub fn digits(&self) -> &'static str {
        &self.number[self.number.len() - 4..]
    }

    pub fn outcome(&self) -> &'static str {
        if self.person == Person::Leaves { "pending" } else { "verified" }
    }
}

const fn fate(
    number: &'static str,
    words: &'static str,
    (whatsapp, sms): (usize, usize),
    state: &'static str,
    person: Person,
) -> Fate {
    Fate { number, words, person, whatsapp, sms, state }
}

use Person::{Leaves, Mistypes, Types};

pub const FATES: [Fate; 12] = [
    fate("+628123450001", "delivers, is read", (1, 0), "delivered", Types),
    fate("+5511961230002", "fails with 131026", (0, 1), "delivered", Types),
    fate("+628123450003", "stays silent", (0, 1), "delivered", Types),
    fate("+919876540004", "comes after the SMS", (1, 1), "delivered", Leaves),
    fate("+12025550005", "fails, and SMS too", (0, 0), "failed", Leaves),
    fate("+2348031230006", "shuffles receipts", (1, 0), "delivered", Leaves),
    fate("+525512340007", "reports too early", (1, 0), "delivered", Mistypes),
    fate("+4915123450008", "answers 500 twice", (1, 0), "delivered", Leaves),
    fate("+447400120009", "never answers", (0, 1), "delivered", Types),
    fate("+27821230010", "answers 429", (0, 1), "delivered", Leaves),
    fate("+34612340011", "fails, then delivers", (1, 1), "delivered", Leaves),
    fate("+639171230012", "skips `sent`", (1, 0), "delivered", Types),
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
