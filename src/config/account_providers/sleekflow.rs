//! SleekFlow's settings.

use super::{base_url, from_number, secret, token};
use crate::config::section::Section;
use crate::domain::secret::Secret;
use crate::providers::sleekflow::{ChannelType, DEFAULT_BASE_URL, SleekflowConfig};

pub(super) fn read(section: &Section<'_>) -> Option<SleekflowConfig> {
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

/// The current one, then the previous one; neither, where no flow posts to us.
fn hook_secrets(section: &Section<'_>) -> Option<Vec<Secret>> {
    let previous = section.secret("hook_secret_previous");
    if section.text("hook_secret").is_none() && previous.is_none() {
        return Some(Vec::new());
    }
    Some([token(section, "hook_secret")?].into_iter().chain(previous).collect())
}

/// Of 360dialog only.
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
        // Or nobody knows whether it belongs here.
        Some(ChannelType::CloudApi) | None => Some(String::new()),
    }
}
