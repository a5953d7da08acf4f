//! Reads the settings of an account at Infobip.

use otpost_domain::channel::Channel;
use otpost_domain::language::Language;
use otpost_domain::secret::Secret;
use otpost_settings::address;
use otpost_settings::section::Section;

use super::{
    Algorithm, BodySignature, Encoding, InfobipProof, InfobipSms, InfobipSmsConfig, InfobipWhatsapp,
    InfobipWhatsappConfig,
};
use crate::configured::{Configured, Kind, Limits, Read};
use crate::settings::templates::{self, Naming};
use crate::settings::{ADDRESS, HEADER, from_number, header_name, secret, secrets, sender, token};
use crate::signature::FixedHeader;
use crate::templates::Templates;

pub static KIND: Kind = Kind {
    name: "infobip",
    title: "Infobip",
    why_no_sms: None,
    limits,
    sender_form: None,
    is_described: false,
    read,
    #[cfg(test)]
    case: &super::tests::CASE,
};

/// Infobip has no limit for sending ("Rate limits and throttling"); the networks' 429 set it. On WhatsApp each number
/// has WhatsApp's limit.
fn limits(channel: Channel) -> Limits {
    match channel {
        Channel::Whatsapp => Limits { per_second: 80.0, concurrency: 64 },
        Channel::Sms => Limits { per_second: 200.0, concurrency: 64 },
    }
}

fn read(section: &Section<'_>, channel: Channel, language: &Language) -> Read {
    match channel {
        Channel::Whatsapp => Read {
            provider: whatsapp(section).map(|config| {
                Configured::new(&KIND, &config.base_url.clone(), config, |c| Box::new(InfobipWhatsapp::new(c)))
            }),
            templates: templates::read(section, &Naming::WHATSAPP, language),
        },
        Channel::Sms => {
            let provider = sms(section).map(|config| {
                let provider =
                    Configured::new(&KIND, &config.base_url.clone(), config, |c| Box::new(InfobipSms::new(c)));
                provider.takes_sender(true).takes_dlt(true)
            });
            Read { provider, templates: Some(Templates::default()) }
        }
    }
}

fn whatsapp(section: &Section<'_>) -> Option<InfobipWhatsappConfig> {
    let (base_url, api_key) = (own_base_url(section), secret(section, "api_key"));
    let from = from_number(section);
    let proof = proof(section);
    Some(InfobipWhatsappConfig { base_url: base_url?, api_key: api_key?, from: from?, proof: proof? })
}

fn sms(section: &Section<'_>) -> Option<InfobipSmsConfig> {
    let (base_url, api_key) = (own_base_url(section), secret(section, "api_key"));
    let allowed = "must be 1 to 20 characters";
    let sender = section.required("sender", section.parsed("sender", allowed, sender), allowed);
    let proof = proof(section);
    Some(InfobipSmsConfig { base_url: base_url?, api_key: api_key?, sender: sender?, proof: proof? })
}

/// Each account has its own address, so there is no default.
fn own_base_url(section: &Section<'_>) -> Option<String> {
    section.required("base_url", section.parsed("base_url", ADDRESS, address::provider), ADDRESS)
}

/// Every given proof must be valid, and at least one must be given.
fn proof(section: &Section<'_>) -> Option<InfobipProof> {
    let is_token_given = section.text("callback_token").is_some();
    let token = if is_token_given { token(section, "callback_token").map(Some) } else { Some(None) };
    let (basic, header, signature) =
        (section.section("basic"), section.section("header"), section.section("signature"));
    if !is_token_given && ![&basic, &header, &signature].iter().any(|child| child.is_given()) {
        let allowed = "must be at least 16 characters that nobody can guess, or give [basic], [header] or [signature]";
        section.complain("callback_token", "is missing", allowed);
        return None;
    }
    let basic = optional(basic, credentials);
    let header = optional(header, fixed_header);
    let signature = optional(signature, body_signature);
    Some(InfobipProof { token: token?, basic: basic?, header: header?, signature: signature? })
}

/// `Some(None)`: not given. `None`: given and wrong.
fn optional<T>(section: Section<'_>, read: impl FnOnce(Section<'_>) -> Option<T>) -> Option<Option<T>> {
    if section.is_given() { read(section).map(Some) } else { Some(None) }
}

fn credentials(section: Section<'_>) -> Option<Secret> {
    let allowed = "must be the user, without a colon";
    let user = section.parsed("user", allowed, |s| (!s.is_empty() && !s.contains(':')).then(|| s.to_owned()));
    let user = section.required("user", user, allowed);
    let password = token(&section, "password");
    section.finish();
    Some(Secret::new(format!("{}:{}", user?, password?.expose())))
}

fn fixed_header(section: Section<'_>) -> Option<FixedHeader> {
    let name = section.required("name", section.parsed("name", HEADER, header_name), HEADER);
    let current = token(&section, "secret");
    let previous = section.secret("secret_previous");
    section.finish();
    Some(FixedHeader { name: name?, secrets: [current?].into_iter().chain(previous).collect() })
}

fn body_signature(section: Section<'_>) -> Option<BodySignature> {
    let header = section.required("header", section.parsed("header", HEADER, header_name), HEADER);
    let algorithm = section.word("algorithm", Algorithm::ALL).unwrap_or(Algorithm::Sha256);
    let encoding = section.word("encoding", Encoding::ALL).unwrap_or(Encoding::Hex);
    let secrets = secrets(&section, "secret", "secret_previous");
    section.finish();
    Some(BodySignature { header: header?, algorithm, encoding, secrets: secrets? })
}
