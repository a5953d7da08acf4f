//! Hints of a request: they improve the delivery of a code and never prevent it. The readable part of a hint is used;
//! the rest is dropped and counted. Every other field is applied or refused.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::requests::Client;
use crate::domain::language::locale;
use crate::domain::route::Platform;
use crate::telemetry::names;

/// Maximum length of a stored hint, in characters.
const LABEL: usize = 200;

/// `given`: any JSON. The readable part of the client that the app acts for; `None` when there is none.
pub(super) fn client(given: Option<&RawValue>) -> Option<Client> {
    let mut client = Client::default();
    let fields = match value(given) {
        Ok(Value::Object(fields)) => fields,
        Ok(Value::Null) => return None,
        Ok(_) | Err(()) => {
            dropped("client");
            return None;
        }
    };
    for (name, value) in &fields {
        match name.as_str() {
            "ip" => client.ip = text("client.ip", value, ip),
            "platform" => client.platform = text("client.platform", value, label),
            "device" => client.device = text("client.device", value, label),
            _ => dropped("client"),
        }
    }
    (client != Client::default()).then_some(client)
}

pub(super) fn known_platform(client: &Client) -> Option<Platform> {
    Platform::of_label(client.platform.as_deref()?)
}

/// `given`: any JSON. The stored form of a locale; a list of locales may be a text or an array.
pub(super) fn locale(given: Option<&RawValue>) -> Option<String> {
    let value = match value(given) {
        Ok(Value::Array(list)) => {
            let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            Value::String(texts.join(","))
        }
        Ok(value) => value,
        Err(()) => {
            dropped("locale");
            return None;
        }
    };
    text("locale", &value, locale::kept)
}

/// An optional text: an empty one counts as missing.
pub(super) fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

fn value(given: Option<&RawValue>) -> Result<Value, ()> {
    // The JSON may be valid as a whole and still contain a text that ends within a surrogate pair.
    given.map_or(Ok(Value::Null), |raw| serde_json::from_str(raw.get()).map_err(|_| ()))
}

/// Applies `read` to a text. `None` for an empty text; `None`, and counted, for an unreadable one.
fn text<T>(name: &'static str, value: &Value, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let found = match value {
        Value::Null => return None,
        Value::String(text) if text.trim().is_empty() => return None,
        Value::String(text) => read(text.trim()),
        _ => None,
    };
    if found.is_none() {
        dropped(name);
    }
    found
}

fn dropped(name: &'static str) {
    metrics::counter!(names::HINTS_DROPPED, "hint" => name).increment(1);
}

/// The beginning of a text, without control characters.
fn label(text: &str) -> Option<String> {
    let kept: String = text.chars().filter(|c| !c.is_control()).take(LABEL).collect();
    Some(kept.trim().to_owned()).filter(|kept| !kept.is_empty())
}

/// An address with or without a port, brackets, a zone or a prefix length; of a list, as in `X-Forwarded-For`, the
/// first.
pub(super) fn ip(text: &str) -> Option<IpAddr> {
    let first = text.split(',').next()?.trim().trim_matches('"');
    let (address, _) = first.split_once('/').unwrap_or((first, ""));
    let bare = address.parse::<IpAddr>().ok();
    let with_port = || address.parse::<SocketAddr>().ok().map(|address| address.ip());
    let inner = || {
        let inside = address.strip_prefix('[').map(|rest| rest.split(']').next().unwrap_or(rest)).unwrap_or(address);
        let (inside, _) = inside.split_once('%').unwrap_or((inside, ""));
        inside.parse::<IpAddr>().ok()
    };
    bare.or_else(with_port).or_else(inner).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> String {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        client(Some(&raw)).map_or("none".to_owned(), |client| serde_json::to_string(&client).unwrap())
    }

    #[test]
    fn an_address_is_read_as_proxies_and_phones_write_it() {
        for (given, read) in [
            ("192.0.2.7", Some("192.0.2.7")),
            ("192.0.2.7:51034", Some("192.0.2.7")),
            (" 192.0.2.7 ", Some("192.0.2.7")),
            ("192.0.2.7/32", Some("192.0.2.7")),
            ("192.0.2.7, 10.0.0.1", Some("192.0.2.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("\"[2001:db8::1]:4711\"", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("fe80::1%25en0", Some("fe80::1")),
            ("[fe80::1%eth0]:80", Some("fe80::1")),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("2001:DB8::1", Some("2001:db8::1")),
            ("999.1.1.1", None),
            ("unknown", None),
            ("localhost", None),
            ("192.0.2", None),
            ("_hidden", None),
            ("日本", None),
        ] {
            assert_eq!(ip(given).map(|ip| ip.to_string()).as_deref(), read, "{given}");
        }
    }

    #[test]
    fn of_a_client_what_can_be_read_is_kept() {
        let long = "x".repeat(300);
        for (json, kept) in [
            ("null", "none".to_owned()),
            ("{}", "none".to_owned()),
            ("\"ios\"", "none".to_owned()),
            ("[]", "none".to_owned()),
            ("7", "none".to_owned()),
            (r#"{"platform":""}"#, "none".to_owned()),
            (r#"{"ip":null,"platform":null,"device":null}"#, "none".to_owned()),
            (r#"{"ip":1}"#, "none".to_owned()),
            (r#"{"platform":"\ud800"}"#, "none".to_owned()),
            (r#"{"browser":"x"}"#, "none".to_owned()),
            (r#"{"ip":"","platform":"iOS"}"#, r#"{"platform":"iOS"}"#.to_owned()),
            (r#"{"ip":"192.0.2.7:51034","browser":{"a":[1]}}"#, r#"{"ip":"192.0.2.7"}"#.to_owned()),
            (r#"{"platform":"a\u0000b"}"#, r#"{"platform":"ab"}"#.to_owned()),
            (&format!(r#"{{"device":"{long}"}}"#), format!(r#"{{"device":"{}"}}"#, "x".repeat(200))),
            (r#"{"device":"a","device":"b"}"#, r#"{"device":"b"}"#.to_owned()),
        ] {
            assert_eq!(read(json), kept, "{json}");
        }
    }

    #[test]
    fn a_locale_may_be_anything() {
        let read = |json: &str| locale(Some(&RawValue::from_string(json.to_owned()).unwrap()));
        for (json, kept) in [
            ("null", None),
            ("\"\"", None),
            ("5", None),
            ("{}", None),
            ("true", None),
            ("\"klingon\"", None),
            ("\"\\ud800\"", None),
            ("\"pt_BR\"", Some("pt_BR")),
            ("\"zh_TW_#Hant\"", Some("zh-Hant-TW")),
            ("[\"pt-BR\", 7, \"en\"]", Some("pt-BR,en")),
        ] {
            assert_eq!(read(json).as_deref(), kept, "{json}");
        }
        assert_eq!(locale(None), None);
    }
}
