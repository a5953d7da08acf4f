//! The two ways a code can travel.

use serde::Deserialize;

use crate::domain::words::words;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Whatsapp,
    Sms,
}

words! {
    Channel { Whatsapp = "whatsapp", Sms = "sms" }
}
