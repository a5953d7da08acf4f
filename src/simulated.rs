//! Simulator settings: every account talks to the simulator. The demo, the tests and the benchmarks run under them.
//!
//! Each face of the simulator says what a service's settings must say of its default account. The whole is read as a
//! settings file is.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::config::Settings;
use crate::domain::channel::Channel;
use crate::domain::language::Language;
use crate::providers::Template;
use crate::providers::templates::{AccountTemplate, Templates};
use crate::simulator::{DefaultAccount, default_accounts};

/// What differs from the defaults beside accounts and route. Tests run many services on one machine.
const COMMON: &str = r#"
data_dir = "/nonexistent"

[server]
workers = 2

[text]
brand = "Example"

[sending]
pool_per_host = 256

[log]
filter = "warn"
"#;

/// `listen`: address of the service. `replace_after_s`: 15 to 60.
///
/// # Panics
/// When a face's default account is no account: its settings or its name are wrong.
pub fn settings(data_dir: &Path, listen: SocketAddr, simulator_url: &str, replace_after_s: i16) -> Settings {
    let mut settings = match Settings::from_toml(&text(simulator_url, replace_after_s)) {
        Ok(settings) => settings,
        Err(errors) => panic!("the simulator's default accounts are no settings: {errors}"),
    };
    data_dir.clone_into(&mut settings.data_dir);
    settings.server.listen = listen;
    settings.server.public_url = format!("http://{listen}");
    // Credentials that open nothing, on one machine: there is nothing to warn of.
    settings.warnings.clear();
    settings.degraded.clear();
    settings
}

fn text(simulator_url: &str, replace_after_s: i16) -> String {
    let [first, second] = steps();
    let mut text =
        format!("{COMMON}\n[route]\nsteps = [\"{first}\", \"{second}\"]\nreplace_after_s = {replace_after_s}\n");
    for account in default_accounts(simulator_url) {
        let price = match account.channel {
            Channel::Whatsapp => "0.02 USD",
            Channel::Sms => "0.04 USD",
        };
        let DefaultAccount { name, channel, settings, .. } = account;
        let channel = channel.as_str();
        write!(
            text,
            "\n[accounts.{name}]\nchannel = \"{channel}\"\nper_second = 2000\nconcurrency = 256\nprice = \"{price}\"\n{settings}\n"
        )
        .expect("writing into a String cannot fail");
    }
    text
}

/// Names of the simulator's default accounts, which are those of the settings.
pub fn accounts() -> Vec<String> {
    default_accounts("").into_iter().map(|account| account.name).collect()
}

/// The route unless a test wants another: the first WhatsApp account, then the first SMS account.
///
/// # Panics
/// When the simulator has no account on one of the channels.
pub fn steps() -> [String; 2] {
    let accounts = default_accounts("");
    [Channel::Whatsapp, Channel::Sms].map(|channel| {
        let first = accounts.iter().find(|account| account.channel == channel);
        first.expect("the simulator has both channels").name.clone()
    })
}

/// Where the simulator is to post an account's callbacks, when the service is reached at `public_url`.
pub fn callback_url(public_url: &str, account: &str) -> String {
    let accounts = default_accounts("");
    let query = accounts.iter().find(|one| one.name == account).map_or("", |one| one.callback_query);
    format!("{public_url}/webhooks/{account}{query}")
}

/// Templates by name and the provider's spelling of their language; the first is the default.
///
/// # Panics
/// When one is no language.
pub fn templates(templates: &[(&str, &str)]) -> Templates {
    let one = |&(name, language): &(&str, &str)| {
        let template = Template { name: name.to_owned(), language: language.to_owned() };
        AccountTemplate::new(Language::parse(language).expect("a language"), template)
    };
    Templates::new(templates.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_account_is_one_of_the_settings() {
        let settings = settings(Path::new("/x"), ([127, 0, 0, 1], 1).into(), "http://127.0.0.1:2", 15);
        let names: Vec<String> = settings.accounts.keys().cloned().collect();
        let mut expected = accounts();
        expected.sort();
        assert_eq!(names, expected);
        assert_eq!(settings.route.options.steps, steps());
        assert_eq!(settings.route.replace_after_s, 15);
    }
}
