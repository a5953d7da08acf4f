//! The two channels for a code.

use crate::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    Whatsapp,
    Sms,
}

words! {
    Channel { Whatsapp = "whatsapp", Sms = "sms" }
}
