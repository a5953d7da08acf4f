use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use serde_json::{Value, json};

use super::*;
use crate::bench::*;
use crate::wire::shapes::Wrong::*;
use crate::wire::shapes::*;
use crate::{Fate, GivenFate};

const PATH: &str = "/vonage/v1/messages";

fn sms() -> Value {
    json!({"message_type": "text", "channel": "sms", "to": "628123450001", "from": "12025550199", "ttl": 300,
        "text": "493817 is your code.", "client_ref": "ref-v", "webhook_version": "v1"})
}

fn whatsapp(url: &str) -> Value {
    let mut template = template("493817", json!("0"));
    template["language"]["policy"] = json!("deterministic");
    json!({"message_type": "custom", "channel": "whatsapp", "to": "628123450001", "from": "12025550199",
        "custom": {"type": "template", "template": template},
        "client_ref": "ref-v", "webhook_url": format!("{url}/own")})
}

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

fn bearer(header: &Value, claims: &Value) -> String {
    let der = PrivatePkcs8KeyDer::from_pem_slice(PRIVATE_KEY.as_bytes()).unwrap();
    let key = KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let signed = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn claims(iat: i64) -> Value {
    json!({"application_id": APPLICATION_ID, "iat": iat, "exp": iat + 900,
        "jti": "00000000-0000-4000-8000-0000000000d1"})
}

fn token(bench: &Bench) -> String {
    bearer(&json!({"alg": "RS256"}), &claims(bench.sim.now().timestamp()))
}

fn basic() -> String {
    let pair = format!("{API_KEY}:{API_SECRET}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

#[tokio::test]
async fn a_message_of_vonage_is_told_with_a_token_over_its_body() {
    let bench = Bench::manual();
    let iat = bench.sim.now().timestamp();
    let token = bearer(&json!({"alg": "RS256"}), &claims(iat));
    let to = whatsapp(&bench.receiver.url);
    let (status, body) = bench.post(PATH, ("Authorization", &token), &to).await.unwrap();
    assert_eq!(status, 202);
    bench.advance(600).await;
    let got = bench.receiver.take();
    let words: Vec<Value> = got.iter().map(|one| one.json()["status"].clone()).collect();
    assert_eq!(words, ["submitted", "delivered", "read"]);
    let mut jtis = Vec::new();
    for one in &got {
        let event = one.json();
        assert_eq!((&event["message_uuid"], &event["client_ref"]), (&body["message_uuid"], &json!("ref-v")));
        let token = one.header("authorization");
        let decoded = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&decoded).unwrap();
        let jti = claims["jti"].as_str().unwrap();
        let ours = signature::Claims {
            iat: claims["iat"].as_i64().unwrap(),
            jti,
            api_key: API_KEY,
            application_id: APPLICATION_ID,
        };
        assert_eq!(token, signature::of(SIGNATURE_SECRET, &ours, &one.body));
        jtis.push(jti.to_owned());
    }
    jtis.dedup();
    assert_eq!(jtis.len(), 3);
}

#[tokio::test]
async fn a_failure_is_told_with_vonages_own_code() {
    let bench = Bench::manual();
    let both = GivenFate { whatsapp: Some(Fate::Failed), sms: Some(Fate::Failed) };
    bench.sim.set_fate("+628123450001", both);
    bench.sim.set_callback("vonage-sms", Some(&format!("{}/own", bench.receiver.url))).unwrap();
    let token = bearer(&json!({"alg": "RS256"}), &claims(bench.sim.now().timestamp()));
    for (authorization, body, code) in [(&token, whatsapp(&bench.receiver.url), 1300), (&basic(), sms(), 1180)] {
        assert_eq!(bench.post(PATH, ("Authorization", authorization), &body).await.unwrap().0, 202);
        bench.advance(600).await;
        let error = bench.receiver.take()[0].json()["error"].clone();
        assert!([json!(code), json!(code.to_string())].contains(&error["title"]), "{error}");
        assert!(error["type"].as_str().unwrap().ends_with(&format!("#{code}")), "{error}");
    }
}

#[tokio::test]
async fn only_a_token_of_the_applications_key_opens_it() {
    let bench = Bench::manual();
    let now = bench.sim.now().timestamp();
    let changed = |key: &str, value: Value| {
        let mut claims = claims(now);
        claims[key] = value;
        claims
    };
    let rs256 = json!({"alg": "RS256"});
    let right = bearer(&rs256, &claims(now));
    for token in [
        bearer(&json!({"alg": "none"}), &claims(now)),
        bearer(&rs256, &claims(now - 901)),
        bearer(&rs256, &changed("exp", json!(now + 86_401))),
        bearer(&rs256, &changed("jti", json!("1"))),
        bearer(&rs256, &changed("application_id", json!("another"))),
        right[..right.len() - 4].to_owned(),
        basic(),
        "Bearer x".to_owned(),
    ] {
        let url = &bench.receiver.url;
        let (status, body) = bench.post(PATH, ("Authorization", &token), &whatsapp(url)).await.unwrap();
        assert_eq!((status, &body["title"]), (401, &json!("Unauthorized")), "{token}");
    }
}

#[tokio::test]
async fn what_vonage_would_refuse_is_refused_as_a_problem() {
    let bench = Bench::manual();
    let token = bearer(&json!({"alg": "RS256"}), &claims(bench.sim.now().timestamp()));
    let url = bench.receiver.url.clone();
    let changes: [(bool, &str, Value, u32); 10] = [
        (false, "to", json!("+628123450001"), 1150),
        (false, "from", json!("Someone"), 1150),
        (false, "ttl", json!(19), 1150),
        (false, "text", json!("x".repeat(1001)), 1150),
        (false, "client_ref", json!("x".repeat(101)), 1150),
        (false, "webhook_url", json!("/own"), 1150),
        (false, "webhook_version", json!("v0.1"), 1150),
        (false, "extra", json!(1), 1150),
        (true, "custom", json!({"type": "text"}), 1150),
        (true, "whatsapp", json!({"policy": "deterministic", "locale": "en"}), 1150),
    ];
    for (is_whatsapp, key, value, code) in changes {
        let (mut body, authorization) = if is_whatsapp { (whatsapp(&url), token.clone()) } else { (sms(), basic()) };
        body[key] = value;
        let (status, answer) = bench.post(PATH, ("Authorization", &authorization), &body).await.unwrap();
        let problem = format!("https://developer.vonage.com/api-errors/messages#{code}");
        assert_eq!((status, &answer["type"]), (422, &json!(problem)), "{key}");
        assert!(answer["invalid_parameters"][0]["name"].is_string(), "{answer}");
    }
    assert_eq!(bench.post(PATH, ("Authorization", &basic()), &sms()).await.unwrap().0, 202);
}

fn right() -> Right {
    Right {
        account: "vonage-wa",
        path: "/vonage/v1/messages",
        header: ("Authorization", token),
        body: json!({"message_type": "custom", "channel": "whatsapp", "to": "628123450001", "from": "12025550199",
            "custom": {"type": "template", "template": right_template(json!("0"), true)}}),
        at: "/custom/template",
        error: |answer| text_of(&answer["type"]).rsplit('#').next().unwrap().to_owned(),
        words: |_| (422, "1022"),
    }
}

#[tokio::test]
async fn a_template_is_refused_in_every_other_shape() {
    let policy = vec![(("/language/policy", None), Absent)];
    assert_eq!(every_wrong_shape_is_refused(right(), [of_template(), policy].concat()).await, 48);
    // Its general template message has no button, and what is not a template is not one.
    let general = json!({"name": "ns:login_code", "parameters": ["493817"]});
    let bench = Bench::manual();
    let token = token(&bench);
    for (changes, code) in [
        (json!({"message_type": "template", "template": general, "custom": null}), 1150),
        (json!({"message_type": "template"}), 1022),
        (json!({"message_type": "text"}), 1150),
        (json!({"custom": {"type": "text", "template": {}}}), 1150),
        (json!({"custom": {"template": {}}}), 1150),
        (json!({"custom": null}), 1150),
    ] {
        let mut body = right().body;
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        let (status, answer) = bench.post("/vonage/v1/messages", ("Authorization", &token), &body).await.unwrap();
        assert_eq!((status, (right().error)(&answer)), (422, code.to_string()), "{changes}");
    }
}
