//! The scope of refusals: never the end of a message while a step is left, and nothing outside the scope.

use std::time::Duration;

use otpost::config::{RouteOptions, Settings};
use otpost::simulated;
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, with_settings};
use crate::helpers::front::{Canned, Front};

fn accounts(message: &Value) -> Vec<&str> {
    message["attempts"].as_array().unwrap().iter().map(|a| a["account"].as_str().unwrap()).collect()
}

/// A service whose providers are reached through `front`, with the production breaker settings.
fn through(front: &Front, steps: &[&str]) -> impl FnOnce(&mut Settings) {
    let (front, steps): (Front, Vec<String>) = (front.clone(), steps.iter().map(|s| (*s).to_owned()).collect());
    move |settings| {
        front.stand_before_providers(settings);
        settings.sending.breaker_failures = 8;
        settings.route.options = RouteOptions::listed(steps.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// Sends a code and runs the loops once, without advancing time.
async fn send_now(app: &TestApp, to: &str) -> Value {
    let id = app.send(to).await;
    app.run_workers().await;
    app.message(&id).await
}

fn twilio(code: u32) -> Canned {
    Canned::json(400, json!({ "code": code, "message": "m", "status": 400 }))
}

fn vonage(code: u32) -> Canned {
    let kind = format!("https://developer.vonage.com/api-errors/messages#{code}");
    Canned::json(422, json!({ "type": kind, "title": "t", "detail": "d", "instance": "i" }))
}

fn meta(status: u16, code: u32) -> Canned {
    Canned::json(status, json!({ "error": { "code": code, "type": "OAuthException", "message": "m" } }))
}

fn ycloud(status: u16, code: &str) -> Canned {
    Canned::json(status, json!({ "error": { "status": status, "code": code, "message": "m" } }))
}

#[tokio::test]
async fn no_word_about_a_number_ends_a_message_while_a_step_is_left() {
    let engagelab = |code: u32| Canned::json(400, json!({ "code": code, "message": "m" }));
    let infobip = |id: u32| {
        Canned::json(200, json!({ "messages": [{ "messageId": "m", "status": { "groupId": 5, "id": id } }] }))
    };
    for (steps, refusals) in [
        (["twilio-sms", "ycloud-sms"], [21_211, 21_612, 21_614, 21_635, 21_610].map(twilio).to_vec()),
        (["twilio-sms", "meta-main"], [21_610, 21_612, 21_614].map(twilio).to_vec()),
        (["twilio-wa", "ycloud-sms"], [21_610, 21_211].map(twilio).to_vec()),
        (["vonage-wa", "vonage-sms"], [1240, 1170, 1050].map(vonage).to_vec()),
        (["vonage-sms", "meta-main"], [1240, 1170].map(vonage).to_vec()),
        (["engagelab-wa", "ycloud-sms"], [5019, 5011, 5013].map(engagelab).to_vec()),
        (["infobip-sms", "ycloud-sms"], [8, 10, 14, 18, 52].map(infobip).to_vec()),
        (
            ["ycloud-sms", "cliqtel-wa"],
            ["RECIPIENT_IN_BLOCK_LIST", "RECIPIENT_UNSUBSCRIBED"].map(|code| ycloud(403, code)).to_vec(),
        ),
        (["http-sms", "meta-main"], vec![Canned::json(400, json!({ "result": "E20" }))]),
    ] {
        let front = Front::start().await;
        with_settings(through(&front, &steps), async |app| {
            for (n, refusal) in refusals.iter().enumerate() {
                let digits = format!("62812345{n}301");
                front.forget_answers();
                front.answer(&[&digits, if steps[0] == "vonage-wa" { "whatsapp" } else { "" }], refusal.clone());
                let message = send_now(app, &format!("+{digits}")).await;
                let what = format!("{} {:?}: {message:#}", steps[0], String::from_utf8_lossy(&refusal.body));
                assert_eq!(message["attempts"][0]["error_class"], "recipient_unreachable", "{what}");
                assert_eq!(accounts(&message), steps, "{what}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_callback_about_a_landline_calls_the_next_step() {
    let front = Front::start().await;
    with_settings(through(&front, &["http-sms", "meta-main"]), async |app| {
        let id = app.send("+628123450301").await;
        app.run_workers().await;
        // Accepted; then its one receipt says that the number cannot have it.
        let name: String =
            sqlx::query_scalar("select provider_message_id from attempts").fetch_one(&app.pool).await.unwrap();
        assert_eq!(app.callback("http-sms", &format!("msgid={name}&stat=UNDELIV&err=E20")).await, 200);
        let message = app.message(&id).await;
        assert_eq!(accounts(&message), ["http-sms", "meta-main"], "{message:#}");
        app.pass(Duration::from_secs(20)).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_for_a_country_leaves_all_others_alone() {
    let front = Front::start().await;
    front.answer(&["92326123400"], twilio(21_408));
    with_settings(through(&front, &["twilio-sms"]), async |app| {
        for round in 0..2 {
            for n in 0..10 {
                send_now(app, &format!("+92326123400{n}")).await;
            }
            let message = send_now(app, &format!("+62812345{round}301")).await;
            assert_eq!(message["attempts"][0]["send_state"], "accepted", "at once: {message:#}");
        }
        app.pass(Duration::from_secs(5)).await;
    })
    .await;

    // With a further step, the country is not tried again and again.
    let front = Front::start().await;
    front.answer(&["92326123400"], twilio(21_408));
    with_settings(through(&front, &["twilio-sms", "ycloud-sms"]), async |app| {
        for n in 0..10 {
            let message = send_now(app, &format!("+92326123400{n}")).await;
            let (path, code) = (accounts(&message), message["attempts"][0]["error_code"].clone());
            // The first finds out; for the others it is known.
            assert_eq!(
                (path, code),
                (vec!["twilio-sms", "ycloud-sms"], json!(if n == 0 { "21408" } else { "country_closed" }))
            );
        }
        assert_eq!(front.seen(&["92326123400", "Messages.json"]).len(), 1);
        let message = send_now(app, "+628123450301").await;
        assert_eq!(accounts(&message), ["twilio-sms"], "{message:#}");
        // Half a minute later one of them tries.
        app.pass(Duration::from_secs(31)).await;
        front.forget_answers();
        let message = send_now(app, "+923261234009").await;
        assert_eq!(accounts(&message), ["twilio-sms"], "{message:#}");
        app.pass(Duration::from_secs(5)).await;
    })
    .await;
}

#[tokio::test]
async fn a_template_that_is_missing_in_one_language_leaves_the_other_languages_alone() {
    let front = Front::start().await;
    front.answer(&["pt_BR"], meta(404, 132_001));
    let change = through(&front, &["meta-main", "ycloud-sms"]);
    let change = |settings: &mut Settings| {
        change(settings);
        let both = simulated::templates(&[("login_code", "en_US"), ("login_code", "pt_BR")]);
        settings.accounts.get_mut("meta-main").unwrap().templates = both;
    };
    with_settings(change, async |app| {
        for n in 0..9 {
            let message = send_now(app, &format!("+551196124{n}333")).await;
            assert_eq!(accounts(&message), ["meta-main"], "in the other language: {message:#}");
            assert_eq!(message["attempts"][0]["send_state"], "accepted", "{n} {message:#}");
            // The first is refused and tries the other template; for those after it the language is closed.
            assert_eq!(message["attempts"][0]["tries"], if n == 0 { 2 } else { 1 }, "{message:#}");
        }
        assert_eq!(front.seen(&["pt_BR"]).len(), 1);
        let message = send_now(app, "+628123450401").await;
        assert_eq!(accounts(&message), ["meta-main"], "{message:#}");
        app.pass(Duration::from_secs(20)).await;
    })
    .await;

    // Without another language the next step starts at once.
    let front = Front::start().await;
    front.answer(&["/meta/"], meta(400, 132_015));
    with_settings(through(&front, &["meta-main", "ycloud-sms"]), async |app| {
        for (n, code) in ["132015", "template_closed", "template_closed"].into_iter().enumerate() {
            let message = send_now(app, &format!("+551196124{n}333")).await;
            assert_eq!(
                (accounts(&message), &message["attempts"][0]["error_code"]),
                (vec!["meta-main", "ycloud-sms"], &json!(code))
            );
        }
        app.pass(Duration::from_secs(5)).await;
    })
    .await;
}

/// For each provider: refusals that a person, or a traffic pumper, can cause.
#[tokio::test]
async fn people_cannot_close_an_account() {
    for (account, refusals) in [
        ("twilio-sms", [21_211, 21_610, 21_612, 21_614, 21_635, 14_107, 30_450, 21_608].map(twilio).to_vec()),
        ("vonage-sms", [1020, 1150, 1170, 1240, 1241, 1160, 1260, 99_999].map(vonage).to_vec()),
        (
            "meta-main",
            [100, 131_009, 131_021, 131_026, 131_030, 130_472, 130_403, 999_999].map(|c| meta(400, c)).to_vec(),
        ),
        (
            "ycloud-sms",
            ["PARAM_INVALID", "RECIPIENT_UNSUBSCRIBED", "RECIPIENT_IN_BLOCK_LIST", "BAD_REQUEST", "SOMETHING_NEW"]
                .map(|code| ycloud(400, code))
                .to_vec(),
        ),
        ("http-sms", ["E20", "E21", "E99"].map(|e| Canned::json(400, json!({ "result": e }))).to_vec()),
        (
            "cliqtel-sms",
            [400, 403, 404, 422].map(|status| Canned::json(status, json!({ "error": "invalid_to" }))).to_vec(),
        ),
    ] {
        let front = Front::start().await;
        with_settings(through(&front, &[account]), async |app| {
            for (n, refusal) in refusals.iter().cycle().take(24).enumerate() {
                let digits = format!("6281234{n:02}333");
                front.answer(&[&digits], refusal.clone());
                send_now(app, &format!("+{digits}")).await;
            }
            let message = send_now(app, "+628123450401").await;
            assert_eq!(message["attempts"][0]["send_state"], "accepted", "{account}: {message:#}");
            app.pass(Duration::from_secs(5)).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_fault_of_the_account_opens_it_by_its_share_of_the_recent_sends() {
    let front = Front::start().await;
    with_settings(through(&front, &["meta-main", "ycloud-sms"]), async |app| {
        for n in 0..30 {
            send_now(app, &format!("+6281234{n:02}333")).await;
        }
        front.answer(&["/meta/"], meta(401, 190));
        // Eight in a row are a fifth of these; half of them are needed.
        for n in 0..8 {
            send_now(app, &format!("+6281235{n:02}333")).await;
        }
        front.forget_answers();
        let message = send_now(app, "+628123450401").await;
        assert_eq!(accounts(&message), ["meta-main"], "{message:#}");

        front.answer(&["/meta/"], meta(401, 190));
        let opened = async |app: &TestApp| {
            for n in 0..60 {
                let message = send_now(app, &format!("+6281236{n:02}333")).await;
                if message["attempts"][0]["error_code"] == "breaker_open" {
                    return n;
                }
            }
            panic!("never");
        };
        assert!((15..40).contains(&opened(app).await));
        // The one that probes is not one that is bound to be refused: a country is closed, and the account is well
        // again.
        front.forget_answers();
        app.pass(Duration::from_secs(31)).await;
        let message = send_now(app, "+628123450402").await;
        assert_eq!(accounts(&message), ["meta-main"], "{message:#}");
        app.pass(Duration::from_secs(20)).await;
    })
    .await;
}

#[tokio::test]
async fn the_limit_of_a_pair_calls_the_next_step_at_once() {
    for (steps, needle, refusal) in [
        (["meta-main", "ycloud-sms"], "/meta/", meta(400, 131_056)),
        (["vonage-wa", "ycloud-sms"], "/vonage/", vonage(1241)),
        (["twilio-sms", "meta-main"], "/twilio/", twilio(14_107)),
    ] {
        let front = Front::start().await;
        front.answer(&[needle], refusal);
        with_settings(through(&front, &steps), async |app| {
            let message = send_now(app, "+628123450301").await;
            assert_eq!(accounts(&message), steps, "{message:#}");
            assert_eq!(message["attempts"][1]["send_state"], "accepted", "no time passed");
            app.pass(Duration::from_secs(20)).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_message_whose_every_step_failed_is_told_so_and_can_be_sent_once_more() {
    with_settings(
        |_| {},
        async |app| {
            let id = app.send("+628123450005").await;
            let path = format!("/v1/messages/{id}?wait_for=settled&timeout_s=20");
            let held = app.get(&path);
            let passing = app.pass(Duration::from_secs(12));
            let ((status, message), ()) = tokio::join!(held, passing);
            assert_eq!((status, &message["outcome"], &message["state"]), (200, &json!("failed"), &json!("failed")));
            let listed =
                async |outcome: &str| app.get(&format!("/v1/messages?outcome={outcome}")).await.1["messages"].clone();
            assert_eq!(listed("failed").await[0]["id"], json!(id));
            assert_eq!(listed("pending").await, json!([]));

            let (status, answer) = app.post(&format!("/v1/messages/{id}/resend"), json!({})).await;
            assert_eq!(
                (status, &answer["outcome"], &answer["channel"]),
                (202, &json!("pending"), &json!("sms")),
                "{answer:#}"
            );
            app.run_workers().await;
            assert_eq!(app.sim.phone("+628123450005").requests.sms, 2);
            assert_eq!(listed("failed").await, json!([]));
            app.pass(Duration::from_secs(12)).await;
            assert_eq!(app.message(&id).await["outcome"], "failed");
            let (status, answer) = app.post(&format!("/v1/messages/{id}/resend"), json!({})).await;
            assert_eq!((status, &answer["title"]), (409, &json!("There is no next attempt")), "once: {answer:#}");
            // The recorded outcome is kept, and is not an expiry.
            app.pass(Duration::from_secs(300)).await;
            let kept: (String, String) =
                sqlx::query_as("select outcome, state::text from messages").fetch_one(&app.pool).await.unwrap();
            assert_eq!(kept, ("failed".to_owned(), "failed".to_owned()));
            assert_eq!(listed("failed").await[0]["id"], json!(id));
        },
    )
    .await;
}

/// A provider that accepts everything and reports the reasons later.
#[tokio::test]
async fn a_refusal_told_by_callback_closes_what_it_holds_for() {
    let front = Front::start().await;
    let change = through(&front, &["ycloud-wa", "ycloud-sms"]);
    let change = |settings: &mut Settings| {
        change(settings);
        let both = simulated::templates(&[("login_code", "en_US"), ("login_code", "pt_BR")]);
        settings.accounts.get_mut("ycloud-wa").unwrap().templates = both;
    };
    with_settings(change, async |app| {
        let refused = async |message: &Value, code: &str| {
            let id = message["id"].as_str().unwrap();
            let attempt = format!("{}01", &id[..34]);
            let body = json!({ "type": "whatsapp.message.updated", "whatsappMessage": {
                "id": format!("y-{attempt}"), "externalId": attempt, "status": "failed", "errorCode": code,
            }});
            assert_eq!(app.callback("ycloud-wa", &body.to_string()).await, 200);
            assert_eq!(app.message(id).await["attempts"][0]["error_code"], code);
        };
        // All of them were sent in the missing language before the first callback came.
        let mut sent = Vec::new();
        for n in 0..4 {
            sent.push(send_now(app, &format!("+551196124{n}333")).await);
        }
        assert_eq!(front.seen(&["pt_BR"]).len(), 4);
        for message in &sent {
            refused(message, "132001").await;
        }
        let message = send_now(app, "+5511961245333").await;
        assert_eq!(accounts(&message), ["ycloud-wa"], "{message:#}");
        assert_eq!((front.seen(&["pt_BR"]).len(), front.seen(&["en_US"]).len()), (4, 1), "in the other language");

        // A country; the rest of the world goes on.
        refused(&send_now(app, "+923261234009").await, "130497").await;
        assert_eq!(accounts(&send_now(app, "+923261234008").await), ["ycloud-wa", "ycloud-sms"], "closed");
        assert_eq!(accounts(&send_now(app, "+628123450401").await), ["ycloud-wa"]);

        // The account's credit: half of what it accepted fails.
        for n in 0..8 {
            refused(&send_now(app, &format!("+62812345{n}402")).await, "BALANCE_INSUFFICIENT").await;
        }
        let message = send_now(app, "+628123450403").await;
        assert_eq!(accounts(&message), ["ycloud-wa", "ycloud-sms"], "{message:#}");
        assert_eq!(message["attempts"][0]["error_code"], "breaker_open");
        app.pass(Duration::from_secs(40)).await;
    })
    .await;
}
