//! What several providers share with WhatsApp itself: its error codes and its authentication templates.

pub(crate) mod errors;
pub(crate) mod template;
