//! Reads the settings of an account at SleekFlow.

use otpost_domain::channel::Channel;
use otpost_domain::language::Language;
use otpost_domain::secret::Secret;
use otpost_settings::section::Section;

use super::{ChannelType, DEFAULT_BASE_URL, Sleekflow, SleekflowConfig};
use crate::configured::{Configured, Kind, Limits, Read};
use crate::settings::templates::{self, Naming};
use crate::settings::{base_url, from_number, secret, token};

pub static KIND: Kind = Kind {
    name: "sleekflow",
    title: "SleekFlow",
    why_no_sms: Some("otpost does not send through SleekFlow"),
    limits,
    sender_form: None,
    is_described: false,
    read,
    #[cfg(test)]
    case: &super::tests::CASE,
};

/// The limit depends on the plan and is not published: a cautious guess.
fn limits(_: Channel) -> Limits {
    Limits { per_second: 5.0, concurrency: 8 }
}

fn read(section: &Section<'_>, _: Channel, language: &Language) -> Read {
    let config = config(section);
    let provider =
        config.map(|config| Configured::new(&KIND, &config.base_url.clone(), config, |c| Box::new(Sleekflow::new(c))));
    Read { provider, templates: templates::read(section, &Naming::WHATSAPP, language) }
}

fn config(section: &Section<'_>) -> Option<SleekflowConfig> {
    let base_url = base_url(section, DEFAULT_BASE_URL);
    let api_key = secret(section, "api_key");
    let channel_type = match section.text("channel_type") {
        Some(_) => section.word("channel_type", ChannelType::ALL),
        None => Some(ChannelType::CloudApi),
    };
    let from = from_number(section);
    let template_namespace = template_namespace(section, channel_type);
    let hook_secrets = hook_secrets(section);
    Some(SleekflowConfig {
        base_url,
        api_key: api_key?,
        channel_type: channel_type?,
        from: from?,
        template_namespace: template_namespace?,
        hook_secrets: hook_secrets?,
    })
}

/// The current one, then the previous one; neither if no flow posts to us.
fn hook_secrets(section: &Section<'_>) -> Option<Vec<Secret>> {
    let previous = section.secret("hook_secret_previous");
    if section.text("hook_secret").is_none() && previous.is_none() {
        return Some(Vec::new());
    }
    Some([token(section, "hook_secret")?].into_iter().chain(previous).collect())
}

/// Only for 360dialog.
fn template_namespace(section: &Section<'_>, channel_type: Option<ChannelType>) -> Option<String> {
    let allowed = "must be the template's namespace as 360dialog shows it: letters, digits, _ and -";
    let namespace = section.parsed("template_namespace", allowed, |s| {
        let fits = (1..=128).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        fits.then(|| s.to_owned())
    });
    match channel_type {
        Some(ChannelType::Dialog360) => section.required("template_namespace", namespace, allowed),
        Some(ChannelType::CloudApi) if namespace.is_some() => {
            section.complain("template_namespace", "is given for the Cloud API, which has none", "leave it out");
            None
        }
        // Or it is unknown whether it belongs here.
        Some(ChannelType::CloudApi) | None => Some(String::new()),
    }
}
