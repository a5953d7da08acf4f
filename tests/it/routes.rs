//! The choice of routes: which messages they apply to, standbys, what is offered, and what stays fixed.

use std::time::Duration;

use otpost::config::{NamedRoute, PoolSettings, PriceSettings, RouteOptions, Settings};
use otpost::domain::prices::PriceList;
use otpost::domain::routing::{Choose, Fits, Order};
use otpost::simulator::Mode;
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, with_settings};

fn named(fits: Fits, way: RouteOptions) -> NamedRoute {
    NamedRoute { fits, replace_after_s: None, options: way }
}

fn set(items: &[&str]) -> std::collections::BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn pool(settings: &mut Settings, name: &str, accounts: &[&str], choose: Choose) {
    let accounts: Vec<String> = accounts.iter().map(|a| (*a).to_owned()).collect();
    let weights = vec![1.0; accounts.len()];
    settings.pools.insert(name.to_owned(), PoolSettings { accounts, weights, choose });
}

/// What `account` charges in some countries.
fn prices(settings: &mut Settings, account: &str, countries: &[(&str, &str)]) {
    let countries = countries.iter().map(|(c, price)| ((*c).to_owned(), price.parse().unwrap())).collect();
    let list = PriceList { from: "2020-01-01".parse().unwrap(), until: None, countries, other: None };
    settings.prices.push(PriceSettings { name: account.to_owned(), account: account.to_owned(), list });
}

async fn post(app: &TestApp, body: Value) -> String {
    let (status, answer) = app.post("/v1/messages", body).await;
    assert_eq!(status, 202, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

fn accounts(message: &Value) -> Vec<&str> {
    message["attempts"].as_array().unwrap().iter().map(|a| a["account"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_route_is_the_one_for_the_number_the_purpose_and_the_app() {
    let change = |settings: &mut Settings| {
        let of = |fits, first: &'static str| named(fits, RouteOptions::listed([first, "meta-main"]));
        let fits = Fits::default;
        settings.routes.extend([
            ("us".to_owned(), of(Fits { countries: set(&["US"]), ..fits() }, "ycloud-sms")),
            ("telkomsel".to_owned(), of(Fits { prefixes: set(&["+62811"]), ..fits() }, "cliqtel-sms")),
            ("pay".to_owned(), of(Fits { purposes: set(&["payment"]), ..fits() }, "ycloud-wa")),
            ("other-app".to_owned(), of(Fits { apps: set(&["bank"]), ..fits() }, "cliqtel-wa")),
        ]);
        settings.routes.get_mut("us").unwrap().replace_after_s = Some(45);
    };
    with_settings(change, async |app| {
        for (to, purpose, account, why, wait) in [
            ("+628123451111", "login", "meta-main", "the configured route", 15),
            ("+12025550143", "login", "ycloud-sms", "the route us", 45),
            ("+628112345678", "login", "cliqtel-sms", "the route telkomsel", 15),
            ("+628123452222", "payment", "ycloud-wa", "the route pay", 15),
        ] {
            let id = post(app, json!({ "to": to, "purpose": purpose })).await;
            let message = app.message(&id).await;
            assert_eq!(
                (accounts(&message), message["replace_after_s"].as_i64()),
                (vec![account], Some(wait)),
                "{message:#}"
            );
            let (_, timeline) = app.get(&format!("/v1/messages/{id}/timeline")).await;
            assert!(timeline.to_string().contains(why), "{timeline:#}");
        }
        // The request's own wait counts more than the route's.
        let id = post(app, json!({ "to": "+12025550143", "replace_after_s": 20 })).await;
        assert_eq!(app.message(&id).await["replace_after_s"], 20);
        app.pass(Duration::from_secs(20)).await;
    })
    .await;
}

/// The simulator takes the first account down; the standby sends the message, once.
#[tokio::test]
async fn an_account_that_cannot_send_is_stood_in_for_at_once() {
    let change = |settings: &mut Settings| {
        pool(settings, "wa", &["meta-main", "ycloud-wa"], Choose::Cheapest);
        pool(settings, "sms", &["ycloud-sms", "cliqtel-sms"], Choose::Cheapest);
        settings.route.options = RouteOptions::listed(["wa", "sms"]);
        settings.sending.breaker_failures = 2;
        prices(settings, "meta-main", &[("ID", "0.01 USD")]);
        prices(settings, "cliqtel-sms", &[("ID", "0.09 USD")]);
    };
    with_settings(change, async |app| {
        // A 503 of Meta's may mean that the message was accepted; an open breaker means that it was not.
        app.sim.set_mode("meta-main", Mode::Outage).unwrap();
        for n in 0..2 {
            app.send(&format!("+62812346{n}111")).await;
        }
        app.run_workers().await;
        let id = app.send("+628123460001").await;
        app.pass(Duration::from_secs(8)).await;
        let message = app.message(&id).await;
        assert_eq!(accounts(&message), ["ycloud-wa"], "an open breaker is known when the route is chosen: {message:#}");
        assert_eq!((&message["state"], &message["attempts"][0]["price"]), (&json!("delivered"), &json!("0.02 USD")));

        // Accepted, then the provider says that our account is wrong: the next account of the channel takes over, not
        // the SMS yet.
        app.sim.set_mode("meta-main", Mode::Up).unwrap();
        app.pass(Duration::from_secs(31)).await;
        app.sim.set_fate("+628123462222", serde_json::from_value(json!({ "whatsapp": "rate-limited" })).unwrap());
        let id = app.send("+628123462222").await;
        app.pass(Duration::from_secs(20)).await;
        let message = app.message(&id).await;
        assert_eq!(accounts(&message), ["meta-main", "ycloud-wa", "ycloud-sms"], "{message:#}");
        assert_eq!(message["attempts"][0]["price"], "0.01 USD");

        // A person without WhatsApp, or one who does not react, gets it from no other account.
        for (to, reason) in [("+628123460002", "failed"), ("+628123460003", "silent")] {
            let id = app.send(to).await;
            app.pass(Duration::from_secs(25)).await;
            let message = app.message(&id).await;
            assert_eq!(accounts(&message), ["meta-main", "ycloud-sms"], "{message:#}");
            assert_eq!(message["attempts"][1]["reason"], reason);
            assert_eq!(app.sim.phone(to).received.sms, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn the_cheapest_channel_of_the_country_goes_first_and_its_price_is_frozen() {
    let change = |settings: &mut Settings| {
        settings.route.options =
            RouteOptions { order: Order::Cheapest, ..RouteOptions::listed(["meta-main", "ycloud-sms"]) };
        prices(settings, "meta-main", &[("ID", "0.025 USD"), ("US", "0.014 USD")]);
        prices(settings, "ycloud-sms", &[("ID", "0.32 USD"), ("US", "0.008 USD")]);
    };
    with_settings(change, async |app| {
        for (to, first, price) in
            [("+628123461111", "meta-main", "0.025 USD"), ("+12025550143", "ycloud-sms", "0.008 USD")]
        {
            let id = app.send(to).await;
            app.pass(Duration::from_secs(10)).await;
            let message = app.message(&id).await;
            assert_eq!(accounts(&message), [first], "{message:#}");
            assert_eq!(message["attempts"][0]["price"], price);
        }
        // A requested channel takes precedence over the price.
        let id = post(app, json!({ "to": "+628123462222", "channel": "sms" })).await;
        app.pass(Duration::from_secs(10)).await;
        assert_eq!(accounts(&app.message(&id).await), ["ycloud-sms"]);

        let (status, offer) = app.post("/v1/channels", json!({ "to": "+12025550143" })).await;
        assert_eq!(status, 200, "{offer}");
        let expected = json!({ "to": "+1 … 43", "country": "US", "channels": [
            { "channel": "sms", "recommended": true, "price": "0.008 USD" },
            { "channel": "whatsapp", "recommended": false, "price": "0.014 USD" },
        ] });
        assert_eq!(offer, expected);
        for (body, field) in [
            (json!({ "to": "12025550143" }), "to"),
            (json!({ "to": "+12025550143", "purpose": "fun" }), "purpose"),
            (json!({ "to": "+12025550143", "chanel": "sms" }), "chanel"),
            (json!({}), "to"),
        ] {
            let (status, problem) = app.post("/v1/channels", body).await;
            assert_eq!(status, 422, "{problem}");
            assert!(problem.to_string().contains(field), "{problem}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_country_to_which_no_account_sends_is_told_before_anything_is_stored() {
    let change = |settings: &mut Settings| {
        for name in ["meta-main", "ycloud-sms"] {
            settings.accounts.get_mut(name).unwrap().countries = Some(set(&["ID"]));
        }
        settings.accounts.get_mut("ycloud-sms").unwrap().countries = Some(set(&["ID", "BR"]));
    };
    with_settings(change, async |app| {
        let (status, problem) = app.post("/v1/messages", json!({ "to": "+12025550143" })).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("to")), "{problem:#}");
        let (_, offer) = app.post("/v1/channels", json!({ "to": "+12025550143" })).await;
        assert_eq!(offer["channels"], json!([]));
        let (status, problem) =
            app.post("/v1/messages", json!({ "to": "+5511961230001", "channel": "whatsapp" })).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("channel")), "{problem:#}");
        let id = app.send("+5511961230001").await;
        assert_eq!(accounts(&app.message(&id).await), ["ycloud-sms"], "the step that cannot reach is left out");
        app.pass(Duration::from_secs(10)).await;
    })
    .await;
}
