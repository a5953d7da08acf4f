//! Every fate of the simulator, end to end.

use std::time::Duration;

use crate::helpers::app::with_app;

#[tokio::test]
async fn a_silent_whatsapp_gets_one_sms_at_the_deadline() {
    with_app(async |app| {
        let id = app.send("+628123450003").await;
        app.pass(Duration::from_secs(14)).await;
        assert_eq!(app.message(&id).await["attempts"].as_array().unwrap().len(), 1);
        app.pass(Duration::from_secs(6)).await;
        let message = app.message(&id).await;
        assert_eq!(message["state"], "delivered", "{message:#}");
        assert_eq!(message["attempts"][1]["reason"], "silent");
        assert_eq!(app.sim.phone("+628123450003").received.sms, 1);
    })
    .await;
}
