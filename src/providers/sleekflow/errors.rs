//! SleekFlow's errors. Codes are taken for Meta's, passed through: that is assumed, as nothing is published. None of them
//! condemns the number itself.

use crate::domain::receipt::ErrorClass::{ConfigError, Expired, RecipientUnreachable};
use crate::domain::receipt::Failure;
use crate::providers::meta;
use crate::providers::sleekflow::wire::Status;

/// Of a message with one of the statuses that mean failure.
pub fn failure(status: &Status, code: Option<String>) -> Failure {
    match (status, code) {
        (Status::OutOfCredit, _) => Failure::new("OutOfCredit", ConfigError),
        (Status::Deleted, _) => Failure::new("Deleted", Expired),
        (_, Some(code)) => {
            let class = meta::errors::lookup(&code).unwrap_or(ConfigError);
            Failure::new(code, class)
        }
        (Status::Undelivered, None) => Failure::new("Undelivered", RecipientUnreachable),
        (_, None) => Failure::new("Failed", RecipientUnreachable),
    }
}
