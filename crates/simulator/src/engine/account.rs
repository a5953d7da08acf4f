//! One account at one provider, as in the simulator's settings.

use serde::{Deserialize, Serialize};

/// Sender number of every default account.
pub const SENDER: &str = "+12025550199";
/// Additional senders of the default SMS accounts: India's and Britain's.
pub const SENDERS: [&str; 2] = ["EXMPLE", "+447400123456"];

/// One account at one provider. A face ignores the fields that it does not need.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimAccount {
    pub name: String,
    /// Name of a face, as in the table in README.md. Two accounts may have the same.
    pub face: String,
    /// The credential that requests must contain: a bearer token, an API key, the name and the password of Basic
    /// authentication with a colon between them, or the id for which a token is signed.
    pub credential: String,
    /// Address for callbacks. `None`: none are sent, unless a message names its own address.
    #[serde(default)]
    pub callback_url: Option<String>,
    /// Signs callbacks, or is contained in them. `None`: callbacks have no proof.
    #[serde(default)]
    pub callback_secret: Option<String>,
    /// Price of one accepted message, in millionths of `currency`.
    #[serde(default)]
    pub price_micros: u64,
    #[serde(default = "dollars")]
    pub currency: String,
    /// The sender number. Most faces refuse a request with another one.
    #[serde(default = "sender")]
    pub sender: String,
    /// Additional senders for SMS, each a name or a number with its `+`.
    #[serde(default)]
    pub senders: Vec<String>,
    /// Id in the request's path: that of the sender or of the account.
    #[serde(default = "phone_number_id")]
    pub phone_number_id: String,
    /// Id of the business, which answers and callbacks contain.
    #[serde(default = "business_id")]
    pub business_id: String,
    /// The only numeric id of the sending account or number that a request may contain.
    #[serde(default = "account_id")]
    pub account_id: u64,
    /// Existing WhatsApp templates, as `name/language`. Empty: every template exists.
    #[serde(default)]
    pub templates: Vec<String>,
    #[serde(default)]
    pub mode: Mode,
}

fn dollars() -> String {
    "USD".into()
}
fn sender() -> String {
    SENDER.into()
}
fn phone_number_id() -> String {
    "200300400500600".into()
}
fn business_id() -> String {
    "100200300400500".into()
}
fn account_id() -> u64 {
    7
}

impl SimAccount {
    /// Without additional senders, and with a price of zero.
    pub fn new(name: &str, face: &str, credential: &str) -> Self {
        Self {
            name: name.into(),
            face: face.into(),
            credential: credential.into(),
            callback_url: None,
            callback_secret: None,
            price_micros: 0,
            currency: dollars(),
            sender: sender(),
            senders: Vec::new(),
            phone_number_id: phone_number_id(),
            business_id: business_id(),
            account_id: account_id(),
            templates: Vec::new(),
            mode: Mode::Up,
        }
    }

    /// Accepts `from` without the prefix of the wire format.
    pub(crate) fn has_sender(&self, from: &str) -> bool {
        from == self.sender || self.senders.iter().any(|sender| sender == from)
    }
}

/// Mode of a whole account. It can be changed while the simulator runs, and overrides every fate and law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    #[default]
    Up,
    /// Answers 503 in the provider's format; nothing is sent.
    Outage,
    /// Closes the connection without an answer; nothing is sent.
    Refuse,
    /// Sends, but posts no callbacks: those due meanwhile are lost.
    Silence,
    /// Answers and statuses take this many times as long.
    Slow(f64),
}
