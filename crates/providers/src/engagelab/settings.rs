//! Reads the settings of an account at EngageLab.

use otpost_domain::channel::Channel;
use otpost_domain::language::Language;
use otpost_domain::words;
use otpost_settings::section::Section;

use super::{CallbackId, DEFAULT_TOLERANCE_S, Engagelab, EngagelabConfig, Parameter, Product, Value};
use crate::configured::{Configured, Kind, Limits, Read};
use crate::settings::templates::{self, Naming, Written};
use crate::settings::{base_url, from_number, secret, secrets, token, tolerance_s};
use crate::templates::Templates;

pub static KIND: Kind = Kind {
    name: "engagelab",
    title: "EngageLab",
    why_no_sms: None,
    limits,
    sender_form: None,
    is_described: false,
    read,
    #[cfg(test)]
    case: &super::tests::CASE,
};

/// No limit is published: a cautious guess.
fn limits(_: Channel) -> Limits {
    Limits { per_second: 20.0, concurrency: 32 }
}

/// An SMS cannot name its sender, because its templates have theirs, nor the ids that India requires. Source:
/// EngageLab, "Send SMS" (read 2026-11-26).
fn read(section: &Section<'_>, channel: Channel, language: &Language) -> Read {
    let config = config(section, channel);
    let templates = templates(section, channel, config.as_ref().map(|config| &config.product), language);
    let provider =
        config.map(|config| Configured::new(&KIND, &config.base_url.clone(), config, |c| Box::new(Engagelab::new(c))));
    Read { provider, templates }
}

/// The product; each has its own keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProductName {
    Otp,
    Plain,
}

words! {
    ProductName { Otp = "otp", Plain = "plain" }
}

fn config(section: &Section<'_>, channel: Channel) -> Option<EngagelabConfig> {
    let product = section.word("product", ProductName::ALL).unwrap_or(ProductName::Otp);
    let dev_key = secret(section, "dev_key");
    let dev_secret = secret(section, "dev_secret");
    let (default_url, product) = match (product, channel) {
        (ProductName::Otp, _) => {
            let (params, callbacks) = (params(section), callbacks(section));
            (Product::OTP_BASE_URL, callbacks.map(|callbacks| Product::Otp { params, callbacks }))
        }
        (ProductName::Plain, Channel::Whatsapp) => {
            let (from, callback_token) = (from_number(section), token(section, "callback_token"));
            let whatsapp = from.zip(callback_token);
            let whatsapp = whatsapp.map(|(from, callback_token)| Product::Whatsapp { from, callback_token });
            (Product::WHATSAPP_BASE_URL, whatsapp)
        }
        (ProductName::Plain, Channel::Sms) => (Product::SMS_BASE_URL, plain_sms(section)),
    };
    let base_url = base_url(section, default_url);
    let dev_key = dev_key?.expose().to_owned();
    Some(EngagelabConfig { base_url, dev_key, dev_secret: dev_secret?, channel, product: product? })
}

fn plain_sms(section: &Section<'_>) -> Option<Product> {
    let (mut params, callbacks) = (params(section), callbacks(section));
    if params.is_empty() {
        params.push(Parameter { name: "code".to_owned(), value: Value::Code });
    }
    if !params.iter().any(|one| matches!(one.value, Value::Code | Value::Text)) {
        section.complain("params", "has no variable for the code", "must have one that is \"{code}\" or \"{text}\"");
        return None;
    }
    Some(Product::Sms { params, callbacks: callbacks? })
}

/// The proof in callbacks of the OTP and SMS products.
fn callbacks(section: &Section<'_>) -> Option<CallbackId> {
    let allowed = "must be the user name that you enter beside the callback address, without ;";
    let is_username = |text: &str| {
        let fits = (1..=128).contains(&text.len()) && !text.contains(|c: char| c == ';' || c.is_control());
        (fits && text.trim() == text).then(|| text.to_owned())
    };
    let username = section.parsed("callback_username", allowed, is_username);
    let username = section.required("callback_username", username, allowed);
    let secrets = secrets(section, "callback_secret", "callback_secret_previous");
    let authorization = section.secret("callback_authorization");
    let tolerance_s = tolerance_s(section, "signature_tolerance_s").unwrap_or(DEFAULT_TOLERANCE_S);
    Some(CallbackId { username: username?, secrets: secrets?, authorization, tolerance_s })
}

fn params(section: &Section<'_>) -> Vec<Parameter> {
    let params = section.section("params");
    let read = params.keys().into_iter().filter_map(|name| {
        let value = Value::parse(&params.text(&name)?);
        Some(Parameter { name, value })
    });
    let read = read.collect();
    params.finish();
    read
}

/// WhatsApp's templates for the plain WhatsApp product, else those created in EngageLab's console. An SMS has no
/// language there.
fn templates(
    section: &Section<'_>,
    channel: Channel,
    product: Option<&Product>,
    default: &Language,
) -> Option<Templates> {
    if matches!(product, Some(Product::Whatsapp { .. })) {
        return templates::read(section, &Naming::WHATSAPP, default);
    }
    let is_plain_sms = matches!(product, Some(Product::Sms { .. })) && channel == Channel::Sms;
    let naming = Naming {
        name: |text| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            ((1..=128).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
        },
        allowed: "must be the id of a template in the provider's console: letters, digits, -, _ and .",
        language: if is_plain_sms { Written::NotSent } else { Written::OrDefault },
    };
    templates::read(section, &naming, default)
}
