//! Settings under which every account talks to the simulator: for the demo, the tests and the benchmarks.

mod described;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::config::{
    AccountSettings, CodeSettings, DatabaseSettings, HealthSettings, LogFormat, LogSettings, MemorySettings,
    ProviderSettings, Purpose, RouteSettings, SendingSettings, ServerSettings, Settings, UnknownPolicy, Way, loopback,
};
use crate::domain::channel::Channel;
use crate::domain::language::Language;
use crate::domain::price::Price;
use crate::domain::secret::Secret;
use crate::domain::texts::Texts;
use crate::providers::Template;
use crate::providers::client::ClientSettings;
use crate::providers::cliqtel::{CliqtelSender, CliqtelSmsConfig, CliqtelWhatsappConfig};
use crate::providers::engagelab::{self, CallbackId, EngagelabConfig, Parameter, Product, Value};
use crate::providers::infobip::{InfobipProof, InfobipSmsConfig, InfobipWhatsappConfig};
use crate::providers::meta::MetaConfig;
use crate::providers::sleekflow::{ChannelType, SleekflowConfig};
use crate::providers::templates::{AccountTemplate, Templates};
use crate::providers::twilio::{TwilioApiKey, TwilioConfig, TwilioSender};
use crate::providers::vonage::jwt::PrivateKey;
use crate::providers::vonage::{self, VonageAuth, VonageConfig};
use crate::providers::ycloud::{DEFAULT_TOLERANCE_S, YcloudSmsConfig, YcloudWhatsappConfig};
use crate::simulator as sim;

/// Accounts of the simulator, by the names under which it has them.
pub const ACCOUNTS: [&str; 18] = [
    "meta-main",
    "ycloud-wa",
    "ycloud-sms",
    "cliqtel-wa",
    "cliqtel-sms",
    "infobip-wa",
    "infobip-sms",
    "sleekflow-wa",
    "twilio-wa",
    "twilio-sms",
    "vonage-wa",
    "vonage-sms",
    "engagelab-wa",
    "engagelab-sms",
    "engagelab-wa-plain",
    "engagelab-sms-plain",
    "http-wa",
    "http-sms",
];

/// The route unless a test wants another: Meta's WhatsApp, then YCloud's SMS.
pub const STEPS: [&str; 2] = ["meta-main", "ycloud-sms"];

/// `replace_after_s`: 15 to 60.
pub fn settings(data_dir: &Path, listen: SocketAddr, simulator_url: &str, replace_after_s: i16) -> Settings {
    let url = simulator_url;
    let secret = |text: &str| Secret::new(text);
    let account = |channel, provider: ProviderSettings| AccountSettings {
        channel,
        templates: login_code(&provider, channel),
        provider,
        per_second: 2000.0,
        concurrency: 256,
        price: Some(Price {
            micros: if channel == Channel::Sms { 40_000 } else { 20_000 },
            currency: "USD".to_owned(),
        }),
        countries: None,
        on_unknown: if channel == Channel::Sms { UnknownPolicy::Resend } else { UnknownPolicy::GiveUp },
    };
    let accounts = BTreeMap::from([
        (
            "meta-main".to_owned(),
            account(
                Channel::Whatsapp,
                ProviderSettings::Meta(MetaConfig {
                    base_url: format!("{url}/meta"),
                    version: "v25.0".to_owned(),
                    phone_number_id: sim::META_PHONE_NUMBER_ID.to_owned(),
                    access_token: secret(sim::META_TOKEN),
                    app_secrets: vec![secret(sim::META_APP_SECRET)],
                    verify_token: secret("sim-verify-token"),
                }),
            ),
        ),
        (
            "ycloud-wa".to_owned(),
            account(
                Channel::Whatsapp,
                ProviderSettings::YcloudWhatsapp(YcloudWhatsappConfig {
                    base_url: format!("{url}/ycloud"),
                    api_key: secret(sim::YCLOUD_KEY),
                    from: sim::SENDER.to_owned(),
                    webhook_secrets: vec![secret(sim::YCLOUD_WA_SECRET)],
                    tolerance_s: DEFAULT_TOLERANCE_S,
                }),
            ),
        ),
        (
            "ycloud-sms".to_owned(),
            account(
                Channel::Sms,
                ProviderSettings::YcloudSms(YcloudSmsConfig {
                    base_url: format!("{url}/ycloud"),
                    api_key: secret(sim::YCLOUD_KEY),
                    sender_id: None,
                    webhook_secrets: vec![secret(sim::YCLOUD_SMS_SECRET)],
                    tolerance_s: DEFAULT_TOLERANCE_S,
                }),
            ),
        ),
        (
            "cliqtel-wa".to_owned(),
            account(
                Channel::Whatsapp,
                ProviderSettings::CliqtelWhatsapp(CliqtelWhatsappConfig {
                    base_url: format!("{url}/cliqtel"),
                    api_key: secret(sim::CLIQTEL_KEY),
                    account_id: sim::CLIQTEL_ACCOUNT_ID,
                    callback_token: secret(CLIQTEL_TOKEN),
                    signature: None,
                }),
            ),
        ),
        (
            "cliqtel-sms".to_owned(),
            account(
                Channel::Sms,
                ProviderSettings::CliqtelSms(CliqtelSmsConfig {
                    base_url: format!("{url}/cliqtel"),
                    api_key: secret(sim::CLIQTEL_KEY),
                    sender: CliqtelSender::NumberId(sim::CLIQTEL_FROM_NUMBER_ID),
                    callback_secret: secret("sim-cliqtel-callback-secret"),
                }),
            ),
        ),
        (
            "infobip-wa".to_owned(),
            account(
                Channel::Whatsapp,
                ProviderSettings::InfobipWhatsapp(InfobipWhatsappConfig {
                    base_url: format!("{url}/infobip"),
                    api_key: secret(sim::INFOBIP_KEY),
                    from: sim::SENDER.to_owned(),
                    // Each message names its address.
                    proof: InfobipProof {
                        token: Some(secret("sim-infobip-callback-token")),
                        ..InfobipProof::default()
                    },
                }),
            ),
        ),
        (
            "infobip-sms".to_owned(),
            account(
                Channel::Sms,
                ProviderSettings::InfobipSms(InfobipSmsConfig {
                    base_url: format!("{url}/infobip"),
                    api_key: secret(sim::INFOBIP_KEY),
                    sender: "Example".to_owned(),
                    // As a subscription would.
                    proof: InfobipProof { basic: Some(secret(sim::INFOBIP_BASIC)), ..InfobipProof::default() },
                }),
            ),
        ),
        (
            "sleekflow-wa".to_owned(),
            account(
                Channel::Whatsapp,
                ProviderSettings::Sleekflow(SleekflowConfig {
                    base_url: format!("{url}/sleekflow"),
                    api_key: secret(sim::SLEEKFLOW_KEY),
                    channel_type: ChannelType::CloudApi,
                    from: sim::SENDER.to_owned(),
                    template_namespace: String::new(),
                    hook_secrets: vec![secret("sim-sleekflow-hook-secret")],
                }),
            ),
        ),
        ("twilio-wa".to_owned(), account(Channel::Whatsapp, ProviderSettings::TwilioWhatsapp(twilio(url, false)))),
        ("twilio-sms".to_owned(), account(Channel::Sms, ProviderSettings::TwilioSms(twilio(url, true)))),
        ("vonage-wa".to_owned(), account(Channel::Whatsapp, ProviderSettings::VonageWhatsapp(vonage(url, true)))),
        ("vonage-sms".to_owned(), account(Channel::Sms, ProviderSettings::VonageSms(vonage(url, false)))),
        ("engagelab-wa".to_owned(), account(Channel::Whatsapp, engagelab(url, Channel::Whatsapp))),
        ("engagelab-sms".to_owned(), {
            let template = Template { name: "login-sms".to_owned(), language: "default".to_owned() };
            let english = Language::parse("en").expect("a language");
            let templates = Templates::new(vec![AccountTemplate::new(english, template)]);
            AccountSettings { templates, ..account(Channel::Sms, engagelab(url, Channel::Sms)) }
        }),
        ("engagelab-wa-plain".to_owned(), account(Channel::Whatsapp, engagelab_plain_whatsapp(url))),
        ("engagelab-sms-plain".to_owned(), {
            let template = Template { name: "login-sms".to_owned(), language: String::new() };
            let english = Language::parse("en").expect("a language");
            let templates = Templates::new(vec![AccountTemplate::new(english, template)]);
            AccountSettings { templates, ..account(Channel::Sms, engagelab_plain_sms(url)) }
        }),
        ("http-wa".to_owned(), account(Channel::Whatsapp, described::whatsapp(url))),
        ("http-sms".to_owned(), account(Channel::Sms, described::sms(url))),
    ]);
    let purpose = |valid_for_s, code_length| Purpose { valid_for_s, code_length, replace_after_s };
    Settings {
        data_dir: data_dir.to_owned(),
        server: ServerSettings {
            listen,
            public_url: format!("http://{listen}"),
            workers: 2,
            trusted_proxies: loopback(),
            max_connections: None,
            max_connections_per_address: None,
            linger: Duration::from_secs(5),
        },
        database: DatabaseSettings { url: None, connections: 16, ledger_connections: 8 },
        codes: CodeSettings { keys: None, max_tries: 5 },
        text: Texts::shipped(Some("Example")),
        purposes: BTreeMap::from([
            ("login".to_owned(), purpose(300, 6)),
            ("payment".to_owned(), purpose(600, 8)),
            ("signup".to_owned(), purpose(600, 6)),
            ("reset".to_owned(), purpose(600, 6)),
            ("other".to_owned(), purpose(300, 6)),
        ]),
        route: RouteSettings { replace_after_s, way: Way::listed(STEPS) },
        routes: BTreeMap::new(),
        pools: BTreeMap::new(),
        prices: Vec::new(),
        accounts,
        sending: SendingSettings {
            client: ClientSettings { pool_per_host: 256, ..ClientSettings::default() },
            lease: Duration::from_secs(20),
            resend_after: Duration::from_secs(5),
            breaker_failures: 8,
            breaker_open: Duration::from_secs(30),
        },
        health: HealthSettings::default(),
        memory: MemorySettings::default(),
        log: LogSettings { format: LogFormat::Auto, filter: "warn".to_owned() },
        degraded: Vec::new(),
        warnings: Vec::new(),
    }
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

/// The template of an account as its provider names it.
fn login_code(provider: &ProviderSettings, channel: Channel) -> Templates {
    match (provider.name(), channel) {
        (_, Channel::Sms) => Templates::default(),
        // The sid implies the language, which is not sent.
        ("twilio", _) => {
            let name = "HX5100000000000000000000000000c0de".to_owned();
            let english = Language::parse("en").expect("a language");
            Templates::new(vec![AccountTemplate::new(english, Template { name, language: String::new() })])
        }
        ("vonage", _) => templates(&[("00000000_0000_0000_0000_000000005100:login_code", "en_US")]),
        _ => templates(&[("login_code", "en_US")]),
    }
}

fn twilio(url: &str, with_api_key: bool) -> TwilioConfig {
    let api_key =
        TwilioApiKey { sid: sim::TWILIO_API_KEY_SID.to_owned(), secret: Secret::new(sim::TWILIO_API_KEY_SECRET) };
    TwilioConfig {
        base_url: format!("{url}/twilio"),
        account_sid: sim::TWILIO_ACCOUNT_SID.to_owned(),
        auth_token: Secret::new(sim::TWILIO_AUTH_TOKEN),
        auth_token_previous: None,
        api_key: with_api_key.then_some(api_key),
        sender: TwilioSender::From(sim::SENDER.to_owned()),
        discard_content: false,
    }
}

fn vonage(url: &str, with_private_key: bool) -> VonageConfig {
    let auth = if with_private_key {
        let key = PrivateKey::from_pem(sim::VONAGE_PRIVATE_KEY).expect("the simulator's key is right");
        VonageAuth::Application { id: sim::VONAGE_APPLICATION_ID.to_owned(), key }
    } else {
        VonageAuth::ApiSecret(Secret::new(sim::VONAGE_API_SECRET))
    };
    VonageConfig {
        base_url: format!("{url}/vonage"),
        api_key: sim::VONAGE_API_KEY.to_owned(),
        auth,
        from: sim::SENDER.to_owned(),
        signature_secrets: vec![Secret::new(sim::VONAGE_SIGNATURE_SECRET)],
        tolerance_s: vonage::DEFAULT_TOLERANCE_S,
    }
}

/// The token in the callback address of the WhatsApp account at Cliqtel.
const CLIQTEL_TOKEN: &str = "sim-cliqtel-callback-token";

/// The OTP product; the SMS account asks for the header `Authorization` as well.
fn engagelab(url: &str, channel: Channel) -> ProviderSettings {
    let (key, authorization) = match channel {
        Channel::Whatsapp => (sim::ENGAGELAB_WA_KEY, None),
        Channel::Sms => (sim::ENGAGELAB_SMS_KEY, Some(Secret::new(sim::ENGAGELAB_AUTHORIZATION))),
    };
    let params = vec![Parameter { name: "brand".to_owned(), value: Value::Fixed("Example".to_owned()) }];
    let product = Product::Otp { params, callbacks: CallbackId { authorization, ..engagelab_callbacks() } };
    engagelab_account(format!("{url}/engagelab"), key, channel, product)
}

fn engagelab_plain_whatsapp(url: &str) -> ProviderSettings {
    let from = sim::SENDER.to_owned();
    let product = Product::Whatsapp { from, callback_token: Secret::new(ENGAGELAB_TOKEN) };
    engagelab_account(format!("{url}/engagelab-wa"), sim::ENGAGELAB_PLAIN_WA_KEY, Channel::Whatsapp, product)
}

fn engagelab_plain_sms(url: &str) -> ProviderSettings {
    let params = vec![Parameter { name: "content".to_owned(), value: Value::Text }];
    let product = Product::Sms { params, callbacks: engagelab_callbacks() };
    engagelab_account(format!("{url}/engagelab-sms"), sim::ENGAGELAB_PLAIN_SMS_KEY, Channel::Sms, product)
}

fn engagelab_callbacks() -> CallbackId {
    CallbackId {
        username: sim::ENGAGELAB_USERNAME.to_owned(),
        secrets: vec![Secret::new(sim::ENGAGELAB_CALLBACK_SECRET)],
        authorization: None,
        tolerance_s: engagelab::DEFAULT_TOLERANCE_S,
    }
}

/// `key`: user name, colon and password.
fn engagelab_account(base_url: String, key: &str, channel: Channel, product: Product) -> ProviderSettings {
    let (dev_key, dev_secret) = key.split_once(':').expect("the simulator's key is a pair");
    let (dev_key, dev_secret) = (dev_key.to_owned(), Secret::new(dev_secret));
    ProviderSettings::Engagelab(EngagelabConfig { base_url, dev_key, dev_secret, channel, product })
}

/// The token in the callback address of EngageLab's plain WhatsApp product.
const ENGAGELAB_TOKEN: &str = "sim-engagelab-callback-token";

/// Where the simulator is to post an account's callbacks, when the service is reached at `public_url`.
pub fn callback_url(public_url: &str, account: &str) -> String {
    let query = match account {
        "cliqtel-wa" => format!("?token={CLIQTEL_TOKEN}"),
        "engagelab-wa-plain" => format!("?token={ENGAGELAB_TOKEN}"),
        "http-sms" => format!("?token={}", described::TOKEN),
        _ => String::new(),
    };
    format!("{public_url}/webhooks/{account}{query}")
}
