//! What the simulator is told at its start. Everything has a default, and an unknown key is refused by its name.

use serde::{Deserialize, Serialize};

use crate::domain::channel::Channel;
use crate::simulator::laws::Laws;

/// Bearer token of the default Meta account. All credentials here are made up and open nothing.
pub const META_TOKEN: &str = "sim-meta-token";
/// App secret that signs the default Meta account's callbacks.
pub const META_APP_SECRET: &str = "sim-meta-app-secret";
/// Sender of the default Meta account, as it stands in the request's path.
pub const META_PHONE_NUMBER_ID: &str = "200300400500600";
/// `X-API-Key` of both default YCloud accounts.
pub const YCLOUD_KEY: &str = "sim-ycloud-key";
/// Endpoint secret that signs callbacks of `ycloud-wa`; the prefix belongs to the key.
pub const YCLOUD_WA_SECRET: &str = "whsec_sim_ycloud_wa";
/// Endpoint secret that signs callbacks of `ycloud-sms`.
pub const YCLOUD_SMS_SECRET: &str = "whsec_sim_ycloud_sms";
/// Bearer token of both default Cliqtel accounts; the number and the bar belong to it.
pub const CLIQTEL_KEY: &str = "17|sim-cliqtel-key";
/// Secret of both default Cliqtel accounts for the assumed header `X-Cliqtel-Signature`.
pub const CLIQTEL_SECRET: &str = "sim-cliqtel-secret";
/// `account_id` that the default `cliqtel-wa` wants to see.
pub const CLIQTEL_ACCOUNT_ID: u64 = 7;
/// `from_number_id` that the default `cliqtel-sms` takes in place of the sender's number.
pub const CLIQTEL_FROM_NUMBER_ID: u64 = 42;
/// API key of both default Infobip accounts.
pub const INFOBIP_KEY: &str = "sim-infobip-key";
/// User and password of the default Infobip accounts' subscriptions.
pub const INFOBIP_BASIC: &str = "otpost:sim-infobip-password";
/// API key of the default SleekFlow account.
pub const SLEEKFLOW_KEY: &str = "sim-sleekflow-key";
/// AccountSid of both default Twilio accounts; it stands in the request's path.
pub const TWILIO_ACCOUNT_SID: &str = "AC5100000000000000000000000000c0de";
/// Auth token of both: it signs callbacks, and `twilio-wa` sends with it.
pub const TWILIO_AUTH_TOKEN: &str = "sim-twilio-auth-token";
/// API key with which `twilio-sms` sends.
pub const TWILIO_API_KEY_SID: &str = "SK5100000000000000000000000000c0de";
/// Its secret.
pub const TWILIO_API_KEY_SECRET: &str = "sim-twilio-api-key-secret";
/// API key of both default Vonage accounts, which their callbacks name.
pub const VONAGE_API_KEY: &str = "5ca1ab1e";
/// With it `vonage-sms` sends.
pub const VONAGE_API_SECRET: &str = "sim-vonage-api-secret";
/// Application with which `vonage-wa` sends.
pub const VONAGE_APPLICATION_ID: &str = "00000000-0000-4000-8000-000000005100";
/// Its private key.
pub const VONAGE_PRIVATE_KEY: &str = include_str!("vonage-private-key.pem");
/// Signs callbacks of both default Vonage accounts.
pub const VONAGE_SIGNATURE_SECRET: &str = "sim-vonage-signature-secret";
/// `dev_key:dev_secret` of the default `engagelab-wa`; the key tells which of its accounts sends.
pub const ENGAGELAB_WA_KEY: &str = "sim-engagelab-wa:sim-engagelab-secret";
/// `dev_key:dev_secret` of the default `engagelab-sms`.
pub const ENGAGELAB_SMS_KEY: &str = "sim-engagelab-sms:sim-engagelab-secret";
/// `dev_key:dev_secret` of the default `engagelab-wa-plain`.
pub const ENGAGELAB_PLAIN_WA_KEY: &str = "sim-engagelab-wa-plain:sim-engagelab-secret";
/// `dev_key:dev_secret` of the default `engagelab-sms-plain`.
pub const ENGAGELAB_PLAIN_SMS_KEY: &str = "sim-engagelab-sms-plain:sim-engagelab-secret";
/// User name in `X-CALLBACK-ID` of those that send it.
pub const ENGAGELAB_USERNAME: &str = "sim-engagelab-hook";
/// Secret that signs callbacks of the same.
pub const ENGAGELAB_CALLBACK_SECRET: &str = "sim-engagelab-callback-secret";
/// `Authorization` of the same callbacks.
pub const ENGAGELAB_AUTHORIZATION: &str = "Bearer sim-engagelab-authorization";
/// `X-Api-Key` of the default `http-wa`.
pub const HTTP_KEY: &str = "sim-http-key";
/// User and password of the default `http-sms`.
pub const HTTP_LOGIN: (&str, &str) = ("sim-http-user", "sim-http-password");
/// Secret that signs callbacks of `http-wa`.
pub const HTTP_SECRET: &str = "sim-http-callback-secret";
/// Sender's number of every default account.
pub const SENDER: &str = "+12025550199";

/// The wire formats it speaks. Two accounts may wear the same face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Face {
    Meta,
    YcloudWhatsapp,
    YcloudSms,
    CliqtelWhatsapp,
    CliqtelSms,
    InfobipWhatsapp,
    InfobipSms,
    SleekflowWhatsapp,
    TwilioWhatsapp,
    TwilioSms,
    VonageWhatsapp,
    VonageSms,
    EngagelabWhatsapp,
    EngagelabSms,
    HttpWhatsapp,
    HttpSms,
    EngagelabPlainWhatsapp,
    EngagelabPlainSms,
}

impl Face {
    pub const COUNT: usize = 18;

    pub fn channel(self) -> Channel {
        match self {
            Self::Meta | Self::YcloudWhatsapp | Self::CliqtelWhatsapp => Channel::Whatsapp,
            Self::InfobipWhatsapp | Self::SleekflowWhatsapp => Channel::Whatsapp,
            Self::TwilioWhatsapp | Self::VonageWhatsapp => Channel::Whatsapp,
            Self::YcloudSms | Self::CliqtelSms | Self::InfobipSms => Channel::Sms,
            Self::TwilioSms | Self::VonageSms => Channel::Sms,
            Self::EngagelabWhatsapp | Self::EngagelabPlainWhatsapp | Self::HttpWhatsapp => Channel::Whatsapp,
            Self::EngagelabSms | Self::EngagelabPlainSms | Self::HttpSms => Channel::Sms,
        }
    }

    /// SleekFlow tells nothing by itself: it has to be asked.
    pub fn calls_back(self) -> bool {
        self != Self::SleekflowWhatsapp
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimConfig {
    /// Same seed, same requests per number: same run.
    pub seed: u64,
    pub time: SimTime,
    pub accounts: Vec<SimAccount>,
    pub laws: Laws,
    pub retries: Retries,
    pub batching: Batching,
    /// Fate 0004: from the SMS's arrival here to the late WhatsApp on the handset. Milliseconds of its clock.
    pub late_after_ms: u64,
    /// Fate 0009: after so long, by the wall clock, a hanging connection is closed without an answer. Milliseconds.
    pub hang_limit_ms: u64,
    /// Callbacks being posted at the same time, over all accounts.
    pub in_flight: usize,
    /// Threads that answer requests.
    pub workers: usize,
    /// Requests kept for reading back. Beyond it the oldest are forgotten; the totals per phone stay.
    pub keep: usize,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            time: SimTime::default(),
            accounts: SimAccount::defaults(),
            laws: Laws::default(),
            retries: Retries::default(),
            batching: Batching::default(),
            late_after_ms: 3_000,
            hang_limit_ms: 120_000,
            in_flight: 64,
            workers: 2,
            keep: 1_000_000,
        }
    }
}

impl SimConfig {
    /// # Errors
    /// Names the key that is unknown or has a wrong value.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// For tests: a clock that only [`advance`](crate::simulator::Simulator::advance) moves.
    pub fn manual(seed: u64) -> Self {
        Self { seed, time: SimTime::Manual { start_unix_ms: None }, ..Self::default() }
    }
}

/// Which clock fires the callbacks and stands in them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "clock", rename_all = "lowercase", deny_unknown_fields)]
pub enum SimTime {
    /// The wall clock, `speed` times as fast from the start on.
    Real { speed: f64 },
    /// Stands still until a test advances it. Starts at the wall clock's time unless told. Answers come at once.
    Manual { start_unix_ms: Option<u64> },
}

impl Default for SimTime {
    fn default() -> Self {
        Self::Real { speed: 1.0 }
    }
}

/// One account at one provider. What a face does not need is ignored by it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimAccount {
    pub name: String,
    pub face: Face,
    /// Bearer token or API key that requests must carry; of Basic authentication the name, a colon and the password. Vonage
    /// with a private key: the application's id.
    pub credential: String,
    /// Where callbacks go. None go anywhere while it is not set (a message may name its own).
    #[serde(default)]
    pub callback_url: Option<String>,
    /// Signs callbacks. Without one: no signature header, which the real Meta and YCloud never do. Infobip: user and
    /// password of its subscription, with a colon between them.
    #[serde(default)]
    pub callback_secret: Option<String>,
    /// What one accepted message costs, in millionths of `currency`.
    #[serde(default)]
    pub price_micros: u64,
    #[serde(default = "dollars")]
    pub currency: String,
    /// The sender's number. YCloud, Infobip and SleekFlow WhatsApp, Cliqtel SMS, Twilio and Vonage refuse another.
    #[serde(default = "sender")]
    pub sender: String,
    /// Meta: id of the sender, in the path. Twilio: the AccountSid, in the path and in callbacks.
    #[serde(default = "phone_number_id")]
    pub phone_number_id: String,
    /// Meta and YCloud: id of the WhatsApp business account. Vonage: the account's API key, which callbacks name.
    #[serde(default = "business_id")]
    pub business_id: String,
    /// Cliqtel WhatsApp: the only `account_id` taken. Cliqtel SMS: the only `from_number_id` taken.
    #[serde(default = "account_id")]
    pub account_id: u64,
    /// WhatsApp templates that exist, as `name/language`. Empty: every template exists.
    #[serde(default)]
    pub templates: Vec<String>,
    #[serde(default)]
    pub mode: Mode,
}

fn dollars() -> String {
    "USD".into()
}
fn sender() -> String {
    SENDER.into()
}
fn phone_number_id() -> String {
    META_PHONE_NUMBER_ID.into()
}
fn business_id() -> String {
    "100200300400500".into()
}
fn account_id() -> u64 {
    CLIQTEL_ACCOUNT_ID
}

impl SimAccount {
    pub fn new(name: &str, face: Face, credential: &str, callback_secret: &str, price_micros: u64) -> Self {
        Self {
            name: name.into(),
            face,
            credential: credential.into(),
            callback_url: None,
            callback_secret: Some(callback_secret.into()),
            price_micros,
            currency: dollars(),
            sender: sender(),
            phone_number_id: phone_number_id(),
            business_id: business_id(),
            account_id: account_id(),
            templates: Vec::new(),
            mode: Mode::Up,
        }
    }

    fn at_twilio(name: &str, face: Face, (user, password): (&str, &str), price_micros: u64) -> Self {
        let credential = format!("{user}:{password}");
        let phone_number_id = TWILIO_ACCOUNT_SID.into();
        Self { phone_number_id, ..Self::new(name, face, &credential, TWILIO_AUTH_TOKEN, price_micros) }
    }

    fn at_vonage(name: &str, face: Face, credential: &str, price_micros: u64) -> Self {
        let business_id = VONAGE_API_KEY.into();
        Self { business_id, ..Self::new(name, face, credential, VONAGE_SIGNATURE_SECRET, price_micros) }
    }

    /// One account per face, with the credentials above.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::new("meta-main", Face::Meta, META_TOKEN, META_APP_SECRET, 20_000),
            Self::new("ycloud-wa", Face::YcloudWhatsapp, YCLOUD_KEY, YCLOUD_WA_SECRET, 20_000),
            Self::new("ycloud-sms", Face::YcloudSms, YCLOUD_KEY, YCLOUD_SMS_SECRET, 40_000),
            Self::new("cliqtel-wa", Face::CliqtelWhatsapp, CLIQTEL_KEY, CLIQTEL_SECRET, 25_000),
            Self {
                account_id: CLIQTEL_FROM_NUMBER_ID,
                ..Self::new("cliqtel-sms", Face::CliqtelSms, CLIQTEL_KEY, CLIQTEL_SECRET, 45_000)
            },
            Self::new("infobip-wa", Face::InfobipWhatsapp, INFOBIP_KEY, INFOBIP_BASIC, 24_000),
            Self::new("infobip-sms", Face::InfobipSms, INFOBIP_KEY, INFOBIP_BASIC, 42_000),
            Self {
                callback_secret: None,
                ..Self::new("sleekflow-wa", Face::SleekflowWhatsapp, SLEEKFLOW_KEY, "", 26_000)
            },
            Self::at_twilio("twilio-wa", Face::TwilioWhatsapp, (TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN), 22_000),
            Self::at_twilio("twilio-sms", Face::TwilioSms, (TWILIO_API_KEY_SID, TWILIO_API_KEY_SECRET), 42_000),
            Self::at_vonage("vonage-wa", Face::VonageWhatsapp, VONAGE_APPLICATION_ID, 24_000),
            Self::at_vonage("vonage-sms", Face::VonageSms, &format!("{VONAGE_API_KEY}:{VONAGE_API_SECRET}"), 44_000),
            Self::new("engagelab-wa", Face::EngagelabWhatsapp, ENGAGELAB_WA_KEY, ENGAGELAB_CALLBACK_SECRET, 21_000),
            Self::new("engagelab-sms", Face::EngagelabSms, ENGAGELAB_SMS_KEY, ENGAGELAB_CALLBACK_SECRET, 42_000),
            Self {
                callback_secret: None,
                ..Self::new("engagelab-wa-plain", Face::EngagelabPlainWhatsapp, ENGAGELAB_PLAIN_WA_KEY, "", 21_000)
            },
            Self::new(
                "engagelab-sms-plain",
                Face::EngagelabPlainSms,
                ENGAGELAB_PLAIN_SMS_KEY,
                ENGAGELAB_CALLBACK_SECRET,
                42_000,
            ),
            Self::new("http-wa", Face::HttpWhatsapp, HTTP_KEY, HTTP_SECRET, 18_000),
            Self {
                callback_secret: None,
                ..Self::new("http-sms", Face::HttpSms, &format!("{}:{}", HTTP_LOGIN.0, HTTP_LOGIN.1), "", 30_000)
            },
        ]
    }
}

/// How a whole account fares, switchable while running. It goes before every fate and law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    #[default]
    Up,
    /// Answers 503 in the provider's words; nothing is sent.
    Outage,
    /// Closes the connection without an answer; nothing is sent.
    Refuse,
    /// Sends, but posts no callback: those due meanwhile are lost.
    Silence,
    /// Answers and statuses take so many times as long.
    Slow(f64),
}

/// What happens to a callback that is not answered 2xx. Providers go on for hours (YCloud) or days (Meta); this is
/// the same in short.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// Waits before the second, third, ... try, in milliseconds of its clock. Empty: no second try.
    pub after_ms: Vec<u64>,
    /// How long a receiver may take, by the wall clock. YCloud: 6 s.
    pub timeout_ms: u64,
}

impl Default for Retries {
    fn default() -> Self {
        Self { after_ms: vec![500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000], timeout_ms: 6_000 }
    }
}

/// Meta only: several statuses in one POST. Source: Meta, Webhooks, "up to 1000 updates per POST".
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batching {
    /// 1: every status alone.
    pub max: usize,
    /// How long the first status of a batch waits for others. Milliseconds of its clock.
    pub window_ms: u64,
}

impl Default for Batching {
    fn default() -> Self {
        Self { max: 1, window_ms: 100 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default_and_an_unknown_key_is_named() {
        let config = SimConfig::from_toml("").unwrap();
        assert_eq!(config.accounts.len(), Face::COUNT);
        let error = SimConfig::from_toml("sede = 3").unwrap_err().to_string();
        assert!(error.contains("sede"), "{error}");
    }

    #[test]
    fn laws_accounts_and_the_clock_can_be_written_in_toml() {
        let config = SimConfig::from_toml(
            r#"
            seed = 7
            time = { clock = "real", speed = 10.0 }
            laws.whatsapp = { failed = 0.1, delivered = { law = "lognormal", median_ms = 900, sigma = 0.5 } }
            [batching]
            max = 20
            [[accounts]]
            name = "second"
            face = "ycloud-sms"
            credential = "k"
            mode = { slow = 3.0 }
            "#,
        )
        .unwrap();
        assert_eq!((config.seed, config.time, config.batching.max), (7, SimTime::Real { speed: 10.0 }, 20));
        assert_eq!((config.accounts[0].face, config.accounts[0].mode), (Face::YcloudSms, Mode::Slow(3.0)));
        assert!((config.laws.whatsapp.failed - 0.1).abs() < f64::EPSILON);
    }
}
