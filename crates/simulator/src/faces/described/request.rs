//! Send requests.

use serde_json::Value;

use crate::engine::account::SimAccount;
use crate::engine::face::Request;
use crate::engine::seen::Dlt;
use crate::wire::template::{self, Fault};
use crate::wire::{code_in, e164_of, is_web_address};

pub(super) fn read_whatsapp(account: &SimAccount, body: &[u8]) -> Result<Request, Fault> {
    let body = template::parse(body)?;
    let object = template::object(&body, "body", &["recipient", "template", "ref", "callback", "ttl"])?;
    let part = |key: &str| object.get(key).ok_or_else(|| Fault::Missing(key.into()));
    let recipient = template::object(part("recipient")?, "recipient", &["msisdn"])?;
    let to = number(template::text(recipient, "msisdn")?)?;
    let sent = template::object(part("template")?, "template", &["name", "lang", "vars"])?;
    let full_name = format!("{}/{}", template::text(sent, "name")?, template::text(sent, "lang")?);
    if !account.templates.is_empty() && !account.templates.contains(&full_name) {
        return Err(Fault::NoTemplate(full_name));
    }
    let vars = sent.get("vars").and_then(Value::as_array).ok_or_else(|| Fault::Missing("vars".into()))?;
    let [Value::String(code)] = &vars[..] else { return Err(Fault::Count("template")) };
    if !part("ttl")?.as_u64().is_some_and(|seconds| (1..=86_400).contains(&seconds)) {
        return Err(Fault::Wrong("ttl".into()));
    }
    let callback_url = address(template::optional(object, "callback")?)?;
    Ok(Request {
        to,
        code: Some(code.clone()),
        text: None,
        template: Some(template::text(sent, "name")?.to_owned()),
        reference: Some(template::text(object, "ref")?.to_owned()),
        callback_url,
        ..Request::default()
    })
}

pub(super) fn read_sms(body: &[u8]) -> Result<Request, Fault> {
    let mut fields = [const { None }; 6];
    let names = ["to", "text", "dlr_url", "from", "pe_id", "te_id"];
    for (name, value) in form(body)? {
        let place = names.iter().position(|known| *known == name).ok_or(Fault::Unknown(name))?;
        if fields[place].replace(value).is_some() {
            return Err(Fault::Wrong(names[place].into()));
        }
    }
    // An empty field is not a sender and not an id.
    if let Some(empty) = (3..6).find(|no| fields[*no].as_deref() == Some("")) {
        return Err(Fault::Wrong(names[empty].into()));
    }
    let [to, text, dlr_url, sender, entity_id, template_id] = fields;
    let dlt = entity_id.zip(template_id).map(|(entity_id, template_id)| Dlt { entity_id, template_id });
    let to = number(&to.ok_or_else(|| Fault::Missing("to".into()))?)?;
    let text = text.filter(|text| !text.is_empty()).ok_or_else(|| Fault::Missing("text".into()))?;
    let callback_url = address(dlr_url.as_deref())?;
    let code = code_in(&text);
    Ok(Request { to, code, text: Some(text), sender, dlt, callback_url, ..Request::default() })
}

/// Fields in the order of their appearance.
fn form(body: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let url = std::str::from_utf8(body).ok().and_then(|text| reqwest::Url::parse(&format!("x:?{text}")).ok());
    let url = url.ok_or(Fault::NotJson)?;
    Ok(url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
}

/// Digits with the calling code and without a `+`.
fn number(msisdn: &str) -> Result<String, Fault> {
    e164_of(msisdn).ok_or_else(|| Fault::Wrong("to".into()))
}

fn address(url: Option<&str>) -> Result<Option<String>, Fault> {
    match url {
        Some(url) if !is_web_address(url) => Err(Fault::Wrong("callback".into())),
        url => Ok(url.map(str::to_owned)),
    }
}
