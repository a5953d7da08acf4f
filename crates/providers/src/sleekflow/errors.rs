//! SleekFlow's errors. Codes are assumed to be WhatsApp's, passed through, because nothing is published.

use super::wire::Status;
use crate::whatsapp;
use otpost_domain::receipt::ErrorClass::{ConfigError, Expired, RecipientUnreachable};
use otpost_domain::receipt::Failure;

/// Of a message with one of the statuses that mean failure.
pub(super) fn failure(status: &Status, code: Option<String>) -> Failure {
    match (status, code) {
        (Status::OutOfCredit, _) => Failure::new("OutOfCredit", ConfigError),
        (Status::Deleted, _) => Failure::new("Deleted", Expired),
        (_, Some(code)) => whatsapp::errors::failure(Some(code)),
        (Status::Undelivered, None) => Failure::new("Undelivered", RecipientUnreachable),
        (_, None) => Failure::new("Failed", RecipientUnreachable),
    }
}
