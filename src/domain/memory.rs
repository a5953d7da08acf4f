//! What is remembered of a number, so that the next code does not wait for a channel that did not work.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// A provider said that the number cannot get WhatsApp messages, and none was delivered since.
    pub not_on_whatsapp: bool,
    /// WhatsApp stayed silent and the SMS behind it arrived, and no WhatsApp was delivered since.
    pub answers_by_sms: bool,
}
