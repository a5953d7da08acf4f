//! The settings with which a service describes this provider completely.

use super::{KEY, LOGIN, SECRET};

const CODES: &str = r#"
    codes.recipient_unreachable = ["E20", "E21"]
    codes.rate_limited = ["E30"]
    codes.config_error = ["E10", "E41", "E42"]
    codes.retryable = ["E51"]
    codes.may_have_left = ["E50"]
"#;

const WHATSAPP: &str = r#"
    provider = "http"
    template = "login_code"
    language = "en_US"
    body = '''{"recipient": {"msisdn": "{to_digits}"},
        "template": {"name": "{template}", "lang": "{language}", "vars": ["{code}"]},
        "ref": "{attempt_id}", "callback": "{callback_url}", "ttl": {life_s}}'''
    answer = { id = "/message/id", accepted = "/status", accepted_value = "queued", error_code = "/error/code" }
    callback.list = "/events"
    callback.id = "/id"
    callback.attempt_id = "/ref"
    callback.status = "/state"
    callback.time = "/at"
    callback.error_code = "/error"
    callback.signature.header = "X-Agg-Signature"
    callback.signature.algorithm = "sha512"
    callback.signature.encoding = "base64"
    callback.statuses.sent = ["SENT"]
    callback.statuses.delivered = ["DELIVERED"]
    callback.statuses.read = ["SEEN"]
    callback.statuses.failed = ["FAILED"]
    callback.statuses.ignored = ["QUEUED"]
    ask.status = "/message/state"
"#;

const SMS: &str = r#"
    provider = "http"
    content_type = "form"
    body = "to={to_digits}&text={text}&from={sender}&pe_id={dlt_entity_id}&te_id={dlt_template_id}&dlr_url={callback_url}"
    sender = "Example"
    answer = { id = "/msgid", accepted = "/result", accepted_value = "E00", error_code = "/result" }
    callback.token = "sim-http-callback-token"
    callback.id = "msgid"
    callback.status = "stat"
    callback.time = "time"
    callback.error_code = "err"
    callback.statuses.sent = ["ENROUTE"]
    callback.statuses.delivered = ["DELIVRD"]
    callback.statuses.failed = ["UNDELIV"]
    callback.statuses.ignored = ["ACCEPTD"]
    ask.status = "/stat"
"#;

pub(super) fn whatsapp(base_url: &str) -> String {
    let messages = format!("{base_url}/v3/messages");
    format!(
        r#"
        url = "{messages}"
        headers.x-api-key = "{KEY}"
        callback.signature.secret = "{SECRET}"
        ask.url = "{messages}/{{provider_message_id}}"
        {WHATSAPP}
        {CODES}
        "#
    )
}

pub(super) fn sms(base_url: &str) -> String {
    let (user, password) = LOGIN;
    format!(
        r#"
        url = "{base_url}/send"
        auth = {{ user = "{user}", password = "{password}" }}
        ask.url = "{base_url}/status?msgid={{provider_message_id}}"
        {SMS}
        {CODES}
        "#
    )
}
