//! Request and answer bodies.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::engine::account::SimAccount;
use crate::engine::callback::Facts;
use crate::engine::face::{Reply, Request, Trouble};
use crate::engine::plan::Status;
use crate::engine::seen::SeenMessage;
use crate::wire::template::{self, Fault, Shape};
use crate::wire::whatsapp::title;
use crate::wire::{digits, e164_of, known, rfc3339};

pub(super) fn read(account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
    read_or_fault(account, body).map_err(|fault| refuse(&fault))
}

fn read_or_fault(account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let known = ["channel", "from", "to", "messageType", "extendedMessage", "analyticTags"];
    let object = template::object(&body, "body", &known)?;
    template::exactly(object, "from", digits(&account.sender))?;
    template::exactly(object, "messageType", "template")?;
    let to = e164_of(template::text(object, "to")?).ok_or_else(|| Fault::Wrong("to".into()))?;
    let channel = template::text(object, "channel")?;
    let (name_of_it, namespace) = match channel {
        "whatsappcloudapi" => ("WhatsappCloudApiTemplateMessageObject", None),
        "whatsapp360dialog" => ("whatsapp360DialogTemplateMessage", Some("templateNamespace")),
        _ => return Err(Fault::Wrong("channel".into())),
    };
    let extended = template::child(object, "extendedMessage", &[name_of_it])?;
    let mut known = vec!["templateName", "language", "components"];
    known.extend(namespace);
    let message = template::child(extended, name_of_it, &known)?;
    if let Some(namespace) = namespace {
        template::text(message, namespace)?;
    }
    let name = template::text(message, "templateName")?;
    let name = template::existing_name(name, template::text(message, "language")?, &account.templates)?;
    let code = template::code_in_components(message, Shape::INTEGER)?;
    Ok(Request {
        to,
        code: Some(code),
        text: None,
        template: Some(name),
        reference: None,
        callback_url: None,
        body: json!(channel),
        ..Request::default()
    })
}

fn refuse(fault: &Fault) -> Reply {
    error(
        400,
        &match fault {
            Fault::NotJson => "The body is not JSON".to_owned(),
            Fault::Missing(key) => format!("{key} is missing"),
            Fault::Unknown(key) => format!("{key} is not known"),
            Fault::Wrong(key) => format!("{key} is not valid"),
            Fault::Count(place) => format!("{place} takes one parameter"),
            Fault::TooLong => "A code has at most 15 characters".to_owned(),
            Fault::Spaces => "A code has no line breaks, tabs or many spaces".to_owned(),
            Fault::Disagree => "Body and button carry different codes".to_owned(),
            Fault::NoTemplate(_) => "Template not found".to_owned(),
        },
    )
}

pub(super) fn trouble(trouble: Trouble) -> Reply {
    match trouble {
        Trouble::Unauthorized => error(401, "Unauthorized"),
        Trouble::Outage => error(503, "Service unavailable"),
        Trouble::ServerError => error(500, "Internal server error"),
        Trouble::RateLimited => error(429, "API call limit reached"),
        Trouble::Rejected(code) => error(400, title(code)),
        Trouble::NoSuchMessage => error(404, "Conversation not found"),
    }
}

fn error(http: u16, message: &str) -> Reply {
    let body = json!({"code": http, "message": message}).to_string();
    Reply { http, body, retry_after_s: None, reason: message.to_owned() }
}

/// Each number has one conversation, whose id contains the number: a UUID made of its digits.
fn conversation_of(to: &str) -> String {
    let number: u64 = digits(to).parse().unwrap_or_default();
    format!("00000000-0000-4000-{:04x}-{:012x}", 0x8000 | (number >> 48), number & LOW_BITS)
}

const LOW_BITS: u64 = (1 << 48) - 1;

/// The number of a conversation.
pub(super) fn number_of(conversation: &str) -> Option<String> {
    let (high, low) = conversation.strip_prefix("00000000-0000-4000-")?.split_once('-')?;
    let (high, low) = (u64::from_str_radix(high, 16).ok()?, u64::from_str_radix(low, 16).ok()?);
    let number = format!("+{}", ((high & 0x0fff) << 48) | low);
    (conversation_of(&number) == conversation).then_some(number)
}

pub(super) fn accepted(account: &SimAccount, request: &Request, facts: &Facts) -> (u16, String) {
    let code = request.code.as_deref().unwrap_or_default();
    let id = facts.provider_id.as_str();
    let mut message = object(account, id, &facts.to, code, facts.accepted_at, facts.accepted_at);
    message["channel"] = request.body.clone();
    message["status"] = json!("Sending");
    (200, message.to_string())
}

/// In the format of the list.
pub(super) fn message(account: &SimAccount, seen: &SeenMessage, now: DateTime<Utc>) -> Value {
    let updated_at = seen.truth.iter().filter(|(at, _)| *at <= now).map(|(at, _)| *at).max();
    let (id, code) = (seen.provider_id.as_deref().unwrap_or_default(), seen.code.as_deref().unwrap_or_default());
    let mut message = object(account, id, &seen.to, code, seen.received_at, updated_at.unwrap_or(seen.received_at));
    message["status"] = json!(match known(seen, now) {
        None => "Sending",
        Some(Status::Sent) => "Sent",
        Some(Status::Delivered) => "Received",
        Some(Status::Read) => "Read",
        Some(Status::Failed(_)) => "Failed",
    });
    if let Some(Status::Failed(code)) = known(seen, now) {
        message["channelStatusMessage"] = json!(title(code));
        message["metadata"] = json!({"errors": [{"code": code, "message": title(code)}]});
    }
    message
}

/// It contains the code, as the real one does.
fn object(
    account: &SimAccount,
    id: &str,
    to: &str,
    code: &str,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
) -> Value {
    json!({
        "id": id.parse::<u64>().unwrap_or_default(),
        "companyId": "00000000-0000-4000-8000-000000000011",
        "conversationId": conversation_of(to),
        "messageUniqueID": null,
        "channel": "whatsappcloudapi",
        "channelName": account.name,
        "channelIdentityId": digits(&account.sender),
        "messageType": "template",
        "messageContent": format!("{code} is your verification code."),
        "deliveryType": "Normal",
        "channelStatusMessage": null,
        "isSentFromSleekflow": false,
        "isSandbox": false,
        "createdAt": rfc3339(created_at),
        "updatedAt": rfc3339(updated_at),
        "timestamp": created_at.timestamp(),
        "uploadedFiles": [],
        "metadata": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_leads_back_to_its_number() {
        for number in ["+1234567", "+628123450001", "+999999999999999"] {
            let conversation = conversation_of(number);
            assert_eq!(conversation.len(), 36, "{conversation}");
            assert_eq!(number_of(&conversation).as_deref(), Some(number));
        }
        for other in ["", "x", "00000000-0000-4000-8000-", "00000000-0000-4000-8000-zz", "00000000-0000-4000-8000-1"] {
            assert_eq!(number_of(other), None, "{other}");
        }
    }
}
