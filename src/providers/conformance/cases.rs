//! The providers that the suite runs over, and how much of each it is known to run.

use serde_json::Value;

use crate::domain::channel::Channel;
use crate::domain::secret::Secret;
use crate::providers::cliqtel::{CliqtelSender, CliqtelSms, CliqtelSmsConfig, CliqtelWhatsapp, CliqtelWhatsappConfig};
use crate::providers::infobip::{
    Algorithm, BodySignature, Encoding, InfobipProof, InfobipSms, InfobipSmsConfig, InfobipWhatsapp,
    InfobipWhatsappConfig,
};
use crate::providers::meta::{Meta, MetaConfig};
use crate::providers::signature::{FixedHeader, HmacCheck, Scheme};
use crate::providers::sleekflow::{ChannelType, Sleekflow, SleekflowConfig};
use crate::providers::twilio::{Twilio, TwilioConfig, TwilioSender};
use crate::providers::vonage::{Vonage, VonageAuth, VonageConfig};
use crate::providers::ycloud::{YcloudSms, YcloudSmsConfig, YcloudWhatsapp, YcloudWhatsappConfig};
use crate::providers::{Provider, engagelab, http};

/// A provider and how much of it the suite is known to run, so that nothing is skipped silently.
pub struct Case {
    pub name: &'static str,
    /// The adapter of this name in the manifest, with these keys.
    pub adapter: fn(&str, &Keys) -> Box<dyn Provider>,
    /// Approved template of the request fixtures: name and language.
    pub template: (&'static str, &'static str),
    /// The adapters that its signature vectors are for.
    pub signing: &'static [&'static str],
    pub runs: Runs,
}

pub const CASES: &[Case] = &[
    Case {
        name: "meta",
        adapter: meta,
        template: ("login_code", "en_US"),
        signing: &["whatsapp"],
        runs: Runs {
            requests: 1,
            answers: 19,
            told: 0,
            callbacks: 18,
            receipts: 18,
            codes: 73,
            verdicts: 1268,
            signatures: 21,
            handshakes: 8,
            tokens: 0,
        },
    },
    Case {
        name: "ycloud",
        adapter: ycloud,
        template: ("login_code", "en_US"),
        signing: &["whatsapp", "sms"],
        runs: Runs {
            requests: 2,
            answers: 17,
            told: 0,
            callbacks: 12,
            receipts: 14,
            codes: 35,
            verdicts: 974,
            signatures: 48,
            handshakes: 0,
            tokens: 0,
        },
    },
    Case {
        name: "cliqtel",
        adapter: cliqtel,
        template: ("login_otp", "en"),
        // An SMS of theirs is proven by its address alone.
        signing: &["whatsapp"],
        runs: Runs {
            requests: 3,
            answers: 12,
            told: 0,
            callbacks: 11,
            receipts: 14,
            codes: 10,
            verdicts: 2224,
            signatures: 14,
            handshakes: 0,
            tokens: 5,
        },
    },
    Case {
        name: "infobip",
        adapter: infobip,
        template: ("otp_code_en", "en"),
        signing: &["whatsapp", "sms"],
        runs: Runs {
            requests: 2,
            answers: 12,
            told: 5,
            callbacks: 17,
            receipts: 18,
            codes: 128,
            verdicts: 4918,
            signatures: 26,
            handshakes: 0,
            tokens: 0,
        },
    },
    Case {
        name: "sleekflow",
        adapter: sleekflow,
        template: ("otp_code_en", "en"),
        signing: &["whatsapp"],
        runs: Runs {
            requests: 2,
            answers: 4,
            told: 8,
            callbacks: 6,
            receipts: 5,
            codes: 41,
            verdicts: 1575,
            signatures: 8,
            handshakes: 0,
            tokens: 0,
        },
    },
    Case {
        name: "twilio",
        adapter: twilio,
        template: ("HX00000000000000000000000000000003", ""),
        signing: &["whatsapp", "sms"],
        runs: Runs {
            requests: 4,
            answers: 15,
            told: 1,
            callbacks: 19,
            receipts: 17,
            codes: 85,
            verdicts: 2440,
            signatures: 44,
            handshakes: 0,
            tokens: 0,
        },
    },
    Case {
        name: "vonage",
        adapter: vonage,
        template: ("00000000_0000_0000_0000_000000000003:otp_code_en", "en"),
        signing: &["whatsapp", "sms"],
        runs: Runs {
            requests: 2,
            answers: 12,
            told: 0,
            callbacks: 13,
            receipts: 12,
            codes: 50,
            verdicts: 2302,
            signatures: 32,
            handshakes: 0,
            tokens: 0,
        },
    },
    Case {
        name: "engagelab",
        adapter: engagelab::tests::for_suite,
        template: ("otp-default", "en"),
        // Those of the plain WhatsApp product are proven by their address.
        signing: &["whatsapp", "sms", "sms-plain"],
        runs: Runs {
            requests: 4,
            answers: 45,
            told: 0,
            callbacks: 43,
            receipts: 28,
            codes: 28,
            verdicts: 2068,
            signatures: 54,
            handshakes: 0,
            tokens: 0,
        },
    },
    Case {
        name: "http",
        adapter: http::tests::for_suite,
        template: ("login_code", "en"),
        signing: &["json"],
        runs: Runs {
            requests: 4,
            answers: 14,
            told: 4,
            callbacks: 14,
            receipts: 15,
            codes: 12,
            verdicts: 1923,
            signatures: 34,
            handshakes: 0,
            tokens: 0,
        },
    },
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    pub requests: usize,
    pub answers: usize,
    /// Answers to questions.
    pub told: usize,
    pub callbacks: usize,
    pub receipts: usize,
    /// Rows of `codes.json`.
    pub codes: usize,
    /// Answers and callbacks made of those rows.
    pub verdicts: usize,
    pub signatures: usize,
    pub handshakes: usize,
    pub tokens: usize,
}

pub struct Keys {
    pub secret: String,
    pub verify_token: String,
    pub tolerance_s: u32,
    pub scheme: Option<Scheme>,
    /// The whole vector, for what only one provider has.
    pub vector: Value,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            secret: "secret".to_owned(),
            verify_token: "token".to_owned(),
            tolerance_s: 21_600,
            scheme: None,
            vector: Value::Null,
        }
    }
}

fn meta(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    assert_eq!(adapter, "whatsapp");
    Box::new(Meta::new(MetaConfig {
        base_url: "https://provider.test/".to_owned(),
        version: "{version}".to_owned(),
        phone_number_id: "{phone_number_id}".to_owned(),
        access_token: Secret::new("k"),
        app_secrets: vec![Secret::new(&*keys.secret), Secret::new("previous")],
        verify_token: Secret::new(&*keys.verify_token),
    }))
}

fn ycloud(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let (base_url, api_key) = ("https://provider.test".to_owned(), Secret::new("k"));
    let webhook_secrets = vec![Secret::new("current"), Secret::new(&*keys.secret)];
    let tolerance_s = keys.tolerance_s;
    match adapter {
        "whatsapp" => Box::new(YcloudWhatsapp::new(YcloudWhatsappConfig {
            base_url,
            api_key,
            from: "+12025550199".to_owned(),
            webhook_secrets,
            tolerance_s,
        })),
        "sms" => Box::new(YcloudSms::new(YcloudSmsConfig {
            base_url,
            api_key,
            sender_id: Some("EXAMPLE".to_owned()),
            webhook_secrets,
            tolerance_s,
        })),
        other => panic!("{other}"),
    }
}

fn cliqtel(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let (base_url, api_key) = ("https://provider.test".to_owned(), Secret::new("17|k"));
    let sender = match adapter {
        "sms" => CliqtelSender::From("+12025550199".to_owned()),
        "sms-number" => CliqtelSender::NumberId(42),
        "whatsapp" => {
            let signature = keys.scheme.clone().map(|scheme| HmacCheck {
                header: "X-Cliqtel-Signature".to_owned(),
                prefix: "sha256=".to_owned(),
                scheme,
                secrets: vec![Secret::new(&*keys.secret)],
            });
            let callback_token = Secret::new(&*keys.verify_token);
            return Box::new(CliqtelWhatsapp::new(CliqtelWhatsappConfig {
                base_url,
                api_key,
                account_id: 7,
                callback_token,
                signature,
            }));
        }
        other => panic!("{other}"),
    };
    let callback_secret = Secret::new(&*keys.secret);
    Box::new(CliqtelSms::new(CliqtelSmsConfig { base_url, api_key, sender, callback_secret }))
}

/// Without a vector the proof is the token in the address.
fn infobip(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let (base_url, api_key) = ("https://provider.test".to_owned(), Secret::new("k"));
    let proof = infobip_proof(keys);
    match adapter {
        "whatsapp" => Box::new(InfobipWhatsapp::new(InfobipWhatsappConfig {
            base_url,
            api_key,
            from: "+12025550100".to_owned(),
            proof,
        })),
        "sms" => Box::new(InfobipSms::new(InfobipSmsConfig { base_url, api_key, sender: "Example".to_owned(), proof })),
        other => panic!("{other}"),
    }
}

fn infobip_proof(keys: &Keys) -> InfobipProof {
    let vector = |key: &str| keys.vector[key].as_str().unwrap_or_else(|| panic!("{key}")).to_owned();
    let secret = Secret::new(&*keys.secret);
    match keys.vector["scheme"].as_str() {
        None => InfobipProof { token: Some(Secret::new(&*keys.verify_token)), ..InfobipProof::default() },
        Some("basic") => InfobipProof { basic: Some(secret), ..InfobipProof::default() },
        Some("static-header") => {
            let header = FixedHeader { name: vector("header_name"), secrets: vec![secret] };
            InfobipProof { header: Some(header), ..InfobipProof::default() }
        }
        Some("hmac") => {
            let algorithm = if vector("algorithm") == "HMAC_SHA_512" { Algorithm::Sha512 } else { Algorithm::Sha256 };
            assert_eq!(vector("encoding"), "hex");
            let secrets = vec![Secret::new("current"), secret];
            let header = vector("header_name");
            let signature = BodySignature { header, algorithm, encoding: Encoding::Hex, secrets };
            InfobipProof { signature: Some(signature), ..InfobipProof::default() }
        }
        Some(other) => panic!("{other}"),
    }
}

fn sleekflow(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let channel_type = match adapter {
        "whatsapp" => ChannelType::CloudApi,
        "whatsapp-360dialog" => ChannelType::Dialog360,
        other => panic!("{other}"),
    };
    Box::new(Sleekflow::new(SleekflowConfig {
        base_url: "https://provider.test/".to_owned(),
        api_key: Secret::new("k"),
        channel_type,
        from: "+85230000100".to_owned(),
        template_namespace: "00000000_0000_0000_0000_000000000003".to_owned(),
        hook_secrets: vec![Secret::new(&*keys.secret)],
    }))
}

fn twilio(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let from = |number: &str| TwilioSender::From(number.to_owned());
    let (channel, sender) = match adapter {
        "sms" | "sms-discarding" => (Channel::Sms, from("+12025550110")),
        "whatsapp" => (Channel::Whatsapp, from("+12025550100")),
        "whatsapp-service" => {
            (Channel::Whatsapp, TwilioSender::MessagingService("MG00000000000000000000000000000002".to_owned()))
        }
        other => panic!("{other}"),
    };
    // Unless it signs, it is the key.
    let auth_token = if keys.vector.is_null() { Secret::new("k") } else { Secret::new("current") };
    Box::new(Twilio::new(
        channel,
        TwilioConfig {
            base_url: "https://provider.test/".to_owned(),
            account_sid: "AC00000000000000000000000000000001".to_owned(),
            auth_token,
            auth_token_previous: Some(Secret::new(&*keys.secret)),
            api_key: None,
            sender,
            discard_content: adapter == "sms-discarding",
        },
    ))
}

fn vonage(adapter: &str, keys: &Keys) -> Box<dyn Provider> {
    let (channel, from) = match adapter {
        "sms" => (Channel::Sms, "Example"),
        "whatsapp" => (Channel::Whatsapp, "+12025550100"),
        other => panic!("{other}"),
    };
    let api_key = keys.vector["expect_api_key"].as_str().unwrap_or("abcd0001");
    Box::new(Vonage::new(
        channel,
        VonageConfig {
            base_url: "https://provider.test/".to_owned(),
            api_key: api_key.to_owned(),
            auth: VonageAuth::ApiSecret(Secret::new("k")),
            from: from.to_owned(),
            signature_secrets: vec![Secret::new("current"), Secret::new(&*keys.secret)],
            tolerance_s: keys.tolerance_s,
        },
    ))
}
