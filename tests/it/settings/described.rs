//! Providers that settings describe, and the examples of docs/providers.md.

use super::ok;
use otpost::providers::registry::described::DescribedConfig;

#[test]
fn a_described_provider_takes_headers_logins_and_lists_from_variables() {
    let text = r#"
        [route]
        steps = ["local"]
        [accounts.local]
        provider = "http"
        channel = "sms"
        url = "https://a.example/send?key=s3cret"
        content_type = "form"
        body = "to={to}&text={text}&key=s3cret"
        answer.id = "/id"
        callback = { attempt_id = "ref", status = "stat", token = "a-token-of-16-chars" }
        "#;
    let variables = [
        ("OTPOST_ACCOUNTS__LOCAL__HEADERS__X_API_KEY", "env:LOCAL_KEY"),
        ("OTPOST_ACCOUNTS__LOCAL__AUTH__USER", "ann"),
        ("OTPOST_ACCOUNTS__LOCAL__AUTH__PASSWORD", "s3cret"),
        ("OTPOST_ACCOUNTS__LOCAL__CODES__MAY_HAVE_LEFT", "E50, E51"),
        ("OTPOST_ACCOUNTS__LOCAL__CALLBACK__STATUSES__DELIVERED", "DELIVRD"),
        ("LOCAL_KEY", "s3cret-key"),
    ];
    let described = |more: &[(&str, &str)]| {
        let settings = ok(text, &[&variables, more].concat());
        let config: &DescribedConfig = settings.accounts["local"].provider.config().expect("a described provider");
        config.clone()
    };
    let config = described(&[]);
    let headers: Vec<_> = config.headers.iter().map(|(name, value)| (&**name, value.expose())).collect();
    assert_eq!(headers, [("authorization", "Basic YW5uOnMzY3JldA=="), ("x-api-key", "s3cret-key")]);
    assert!(config.login.is_none() && !config.codes.known("E51").unwrap().definite);
    assert!(!format!("{:?} {:?}", config.url, config.body).contains("s3cret"));

    let body = "to={to}&text={text}&user={user}&password={password}";
    let config = described(&[("OTPOST_ACCOUNTS__LOCAL__BODY", body)]);
    let (user, password) = config.login.as_ref().unwrap();
    assert_eq!((user.as_str(), password.expose(), config.headers.len()), ("ann", "s3cret", 1));
}

const SENDS: &str = r#"
    [route]
    steps = ["local"]
    [accounts.local]
    provider = "http"
    channel = "sms"
    price = "0.01 USD"
    url = "https://a.example/send"
    body = '{"to": "{to}", "text": "{text}"}'
    answer.id = "/id"
    "#;

#[test]
fn a_provider_without_delivery_reports_can_be_described_and_is_warned_of() {
    let settings = ok(&format!("{SENDS}\nreceipts = \"none\""), &[]);
    assert!(!settings.accounts["local"].provider.tells_delivery());
    let warned = settings.warnings.iter().filter(|warning| warning.contains("counts as delivered")).count();
    assert_eq!(warned, 1, "{:?}", settings.warnings);
}

#[test]
fn a_place_within_a_list_is_described_and_the_list_is_hinted_at() {
    let callback = |text: &str| {
        let more =
            format!("{SENDS}\ncallback.token = \"a-token-of-16-chars\"\ncallback.statuses.delivered = [\"1\"]\n{text}");
        ok(&more, &[])
    };
    let hints = |settings: &otpost::config::Settings| {
        settings.warnings.iter().filter(|warning| warning.contains("every entry is read")).cloned().collect::<Vec<_>>()
    };
    let whole = callback("callback.list = \"\"\ncallback.id = \"/id\"\ncallback.status = \"/s\"");
    assert!(hints(&whole).is_empty());
    let first = callback("callback.id = \"/r/0/id\"\ncallback.status = \"/r/0/s\"");
    assert!(hints(&first)[0].contains("list = \"/r\" and status = \"/s\""), "{:?}", hints(&first));
    let kinds = callback(
        "callback.id = \"/id\"\ncallback.status = \"/s\"\ncallback.kind = \"/type\"\ncallback.kinds = [\"dlr\"]",
    );
    let config: &DescribedConfig = kinds.accounts["local"].provider.config().expect("a described provider");
    assert_eq!(config.callback.as_ref().unwrap().kind.as_ref().unwrap().1, ["dlr"]);
}

#[test]
fn the_examples_of_the_documentation_load() {
    let documentation = include_str!("../../../docs/providers.md");
    let mut read = Vec::new();
    for section in ["EngageLab", "Generic HTTP"] {
        let section = documentation.split("\n## ").find(|text| text.starts_with(section)).unwrap();
        for block in section.split("```toml\n").skip(1) {
            let text = block.split("```").next().unwrap();
            let variables = [
                ("ENGAGELAB_DEV_KEY", "dev"),
                ("ENGAGELAB_DEV_SECRET", "x"),
                ("ENGAGELAB_CALLBACK_SECRET", "9f86d081884c7d65"),
                ("ENGAGELAB_CALLBACK_AUTHORIZATION", "Bearer x"),
                ("LOCAL_TOKEN", "x"),
                ("LOCAL_CALLBACK_SECRET", "9f86d081884c7d65"),
            ];
            read.extend(ok(text, &variables).accounts.into_keys());
        }
    }
    assert_eq!(read, ["engagelab-sms", "engagelab-whatsapp", "local-sms"]);
}
