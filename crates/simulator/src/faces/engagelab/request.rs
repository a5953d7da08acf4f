//! Send requests.

use otpost_domain::channel::Channel;
use serde_json::{Map, Value};

use crate::engine::account::SimAccount;
use crate::engine::face::Request;
use crate::wire::template::{self, Fault, Shape};
use crate::wire::{code_in, is_e164};

/// The OTP product.
pub(super) fn read(channel: Channel, account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let object = template::object(&body, "body", &["to", "code", "template"])?;
    let to = template::text(object, "to")?;
    if !is_e164(to) {
        return Err(Fault::Wrong("to".into()));
    }
    let code = template::text(object, "code")?;
    // Lengths that a template can have. Source: EngageLab OTP, "Templates", `verify_code_len`.
    if !(4..=10).contains(&code.len()) || !code.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(Fault::Wrong("code".into()));
    }
    let template = read_template(object, account)?;
    let text = (channel == Channel::Sms).then(|| format!("{code} is your verification code."));
    Ok(Request {
        to: to.to_owned(),
        code: Some(code.to_owned()),
        text,
        template: Some(template),
        reference: None,
        callback_url: None,
        ..Request::default()
    })
}

/// The plain WhatsApp product: WhatsApp's components, the language as text.
pub(super) fn read_whatsapp(account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let object = template::object(&body, "body", &["from", "to", "body", "request_id", "custom_args"])?;
    template::exactly(object, "from", &account.sender)?;
    let to = only_number(object)?;
    let inner = template::child(object, "body", &["type", "template"])?;
    template::exactly(inner, "type", "template")?;
    let sent = template::child(inner, "template", &["name", "language", "components"])?;
    let (name, language) = (template::text(sent, "name")?, template::text(sent, "language")?);
    let name = template::existing_name(name, language, &account.templates)?;
    let code = template::code_in_components(sent, Shape::INTEGER)?;
    Ok(Request { template: Some(name), ..plain(to, code, None, custom_args(object)?) })
}

/// The plain SMS product: one of its templates with variables. In reality the template decides which variable has the
/// code; here it is the first group of digits in any of them.
pub(super) fn read_sms(body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let object = template::object(&body, "body", &["to", "template", "custom_args"])?;
    let to = only_number(object)?;
    let sent = template::child(object, "template", &["id", "params"])?;
    let id = template::text(sent, "id")?.to_owned();
    let params = sent.get("params").and_then(Value::as_object).ok_or_else(|| Fault::Missing("params".into()))?;
    let text = params.values().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    let code = code_in(&text).ok_or_else(|| Fault::Wrong("params".into()))?;
    Ok(Request { template: Some(id), ..plain(to, code, Some(text), custom_args(object)?) })
}

fn plain(to: String, code: String, text: Option<String>, reference: Option<String>) -> Request {
    Request { to, code: Some(code), text, reference, ..Request::default() }
}

fn only_number(object: &Map<String, Value>) -> Result<String, Fault> {
    let to = template::only(object, "to")?.as_str().unwrap_or_default();
    if is_e164(to) { Ok(to.to_owned()) } else { Err(Fault::Wrong("to".into())) }
}

/// Returned in every row, unchanged.
fn custom_args(object: &Map<String, Value>) -> Result<Option<String>, Fault> {
    let Some(args) = object.get("custom_args") else { return Ok(None) };
    if args.is_object() { Ok(Some(args.to_string())) } else { Err(Fault::Wrong("custom_args".into())) }
}

fn read_template(object: &Map<String, Value>, account: &SimAccount) -> Result<String, Fault> {
    let template = object.get("template").ok_or_else(|| Fault::Missing("template".into()))?;
    let template = template::object(template, "template", &["id", "language", "params"])?;
    let id = template::text(template, "id")?;
    let language = template::optional(template, "language")?.unwrap_or("default");
    if let Some(params) = template.get("params") {
        let params = params.as_object().ok_or_else(|| Fault::Wrong("params".into()))?;
        if let Some((name, _)) = params.iter().find(|(_, value)| !value.is_string()) {
            return Err(Fault::Wrong(name.clone()));
        }
    }
    let full_name = format!("{id}/{language}");
    if !account.templates.is_empty() && !account.templates.contains(&full_name) {
        return Err(Fault::NoTemplate(full_name));
    }
    Ok(id.to_owned())
}
