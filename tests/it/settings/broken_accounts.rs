//! Broken accounts and the lines that say so.

use super::broken::Row;

/// `{SMS}`, `{META}` and `{HTTP}` are the accounts that are right; `{PROVIDERS}` in a complaint is every provider.
pub(super) const ROWS: &[Row] = &[
    (
        "{META}",
        &["OTPOST_ACCOUNTS__WA__VERIFY_TOKEN=changeme-0f3a9c5d7e", "OTPOST_ACCOUNTS__WA__APP_SECRET=Password1"],
        &[
            "OTPOST_ACCOUNTS__WA__APP_SECRET: accounts.wa.app_secret: is a placeholder; must be a secret of the provider, or one that nobody can guess",
            r#"OTPOST_ACCOUNTS__WA__VERIFY_TOKEN: accounts.wa.verify_token: is a placeholder: it contains "changeme"; must be a secret of the provider, or one that nobody can guess"#,
        ],
    ),
    (
        "{SMS}template = 'login_code'\nper_second = 0\nconcurrency = 0\non_unknown = 'wait'",
        &[],
        &[
            "otpost.toml:8: accounts.sms.template: is not a setting; allowed here: api_key, base_url, channel, concurrency, countries, dlt, on_unknown, per_second, price, provider, sender_id, senders, signature_tolerance_s, webhook_secret, webhook_secret_previous",
            "otpost.toml:9: accounts.sms.per_second: is 0; must be 0.01 to 10000 messages a second",
            "otpost.toml:10: accounts.sms.concurrency: is 0; must be 1 to 1024 calls",
            r#"otpost.toml:11: accounts.sms.on_unknown: is "wait"; must be "resend" or "give_up""#,
        ],
    ),
    (
        "{META}on_unknown = 'resend'",
        &[],
        &[
            r#"otpost.toml:12: accounts.wa.on_unknown: is "resend" for WhatsApp, whose replacement is on its way already; must be "give_up""#,
        ],
    ),
    (
        "{META}base_url = 'http://graph.facebook.com'\nversion = '25'",
        &[],
        &[
            r#"otpost.toml:12: accounts.wa.base_url: is "http://graph.facebook.com"; must begin with https://, or with http:// on this machine, without a query or a password"#,
            r#"otpost.toml:13: accounts.wa.version: is "25"; must be such as v25.0"#,
        ],
    ),
    (
        "{META}",
        &["OTPOST_ACCOUNTS__WA__PHONE_NUMBER_ID=EAAs3crets4crets5crets3crets4crets5crets3cret"],
        &[
            "OTPOST_ACCOUNTS__WA__PHONE_NUMBER_ID: accounts.wa.phone_number_id: is a text of 45 bytes; must be the digits of the number's id, which is not the phone number itself",
        ],
    ),
    (
        "{META}",
        &["OTPOST_ACCOUNTS__WA__CHANNEL=sms"],
        &[
            r#"OTPOST_ACCOUNTS__WA__CHANNEL: accounts.wa.channel: is "sms", which Meta does not have; must be "whatsapp""#,
        ],
    ),
    (
        "{META}",
        &["OTPOST_ACCOUNTS__WA__VERIFY_TOKEN=s3cret", "OTPOST_ACCOUNTS__WA__LANGUAGE=English"],
        &[
            r#"OTPOST_ACCOUNTS__WA__LANGUAGE: accounts.wa.language: is "English"; must be the template's language as the provider writes it, such as en_US or id"#,
            "OTPOST_ACCOUNTS__WA__VERIFY_TOKEN: accounts.wa.verify_token: has 6 characters; must be at least 16 characters that nobody can guess",
        ],
    ),
    (
        "{META}",
        &["OTPOST_ACCOUNTS__WA__ACCESS_TOKEN=env:META_TOKEN", "OTPOST_ACCOUNTS__WA__PER_SECOND=fast"],
        &[
            "OTPOST_ACCOUNTS__WA__ACCESS_TOKEN: accounts.wa.access_token: refers to env:META_TOKEN, which is not set; set that variable",
            r#"OTPOST_ACCOUNTS__WA__PER_SECOND: accounts.wa.per_second: is "fast"; must be 0.01 to 10000 messages a second"#,
        ],
    ),
    (
        "{META}[accounts.wa.templates.en_US]\nname = 'x'\n[accounts.wa.templates.id]\nbutton = 'tap'\nlifetime_s = 20\nlanguage = 'id-ID'\n\
         [accounts.wa.templates.indonesian]\nname = 'x'\n[accounts.wa.templates.pt-BR]\nname = 'Login'\nandroid = 'A B'\nfoo = 1",
        &[],
        &[
            "otpost.toml:12: accounts.wa.templates.en_US: is en-US, in which this account has a template already; must be there once, or as `template` and `language` of the account",
            "otpost.toml:14: accounts.wa.templates.id.name: is missing; must be the name of an approved authentication template: a-z, 0-9 and _",
            r#"otpost.toml:15: accounts.wa.templates.id.button: is "tap"; must be "copy_code" or "one_tap" or "zero_tap""#,
            "otpost.toml:16: accounts.wa.templates.id.lifetime_s: is 20; must be 30 to 900 seconds",
            r#"otpost.toml:17: accounts.wa.templates.id.language: is "id-ID"; must be the template's language as the provider writes it, such as en_US or id"#,
            "otpost.toml:18: accounts.wa.templates.indonesian: is no language; must be a language tag such as en, pt-BR or zh-Hant",
            r#"otpost.toml:21: accounts.wa.templates.pt-BR.name: is "Login"; must be the name of an approved authentication template: a-z, 0-9 and _"#,
            r#"otpost.toml:22: accounts.wa.templates.pt-BR.android: is "A B"; must be the name of an approved authentication template: a-z, 0-9 and _"#,
            "otpost.toml:23: accounts.wa.templates.pt-BR.foo: is not a setting; allowed here: android, button, language, lifetime_s, name",
        ],
    ),
    (
        "{META}",
        &["OTPOST_ACCOUNTS__WA__TEMPLATES__ID__LIFETIME_S=60"],
        &[
            "OTPOST_ACCOUNTS__WA__TEMPLATES__ID__LIFETIME_S: accounts.wa.templates.id.name: is missing; must be the name of an approved authentication template: a-z, 0-9 and _",
        ],
    ),
    (
        "[route]\nsteps = ['wa']\n[accounts.wa]\nprovider = 'meta'\nchannel = 'whatsapp'",
        &[],
        &[
            "otpost.toml:3: accounts.wa.phone_number_id: is missing; must be the digits of the number's id, which is not the phone number itself",
            "otpost.toml:3: accounts.wa.access_token: is missing; must be the secret, env:NAME or file:/path",
            "otpost.toml:3: accounts.wa.app_secret: is missing; must be the secret, env:NAME or file:/path",
            "otpost.toml:3: accounts.wa.verify_token: is missing; must be the secret, env:NAME or file:/path",
            "otpost.toml:3: accounts.wa.template: is missing; must be the name of an approved authentication template: a-z, 0-9 and _",
            "otpost.toml:3: accounts.wa.language: is missing; must be the template's language as the provider writes it, such as en_US or id",
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'nexmo'\nfoo = 1",
        &["OTPOST_ACCOUNTS__A__FOO=1"],
        &[
            r#"otpost.toml:3: accounts.a.channel: is missing; must be "whatsapp" or "sms""#,
            r#"otpost.toml:4: accounts.a.provider: is "nexmo"; must be {PROVIDERS}"#,
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'ycloud'\nchannel = 'whatsapp'\napi_key = 's3cret'\nfrom = '0171'\nwebhook_secret = 's3cret-of-theirs'\nsignature_tolerance_s = 1\ntemplate = 'Login code'\nlanguage = 'id'",
        &[],
        &[
            r#"otpost.toml:7: accounts.a.from: is "0171"; must be the sender's number with + and calling code"#,
            "otpost.toml:9: accounts.a.signature_tolerance_s: is 1; must be 60 to 86400 seconds",
            r#"otpost.toml:10: accounts.a.template: is "Login code"; must be the name of an approved authentication template: a-z, 0-9 and _"#,
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'cliqtel'\nchannel = 'sms'\napi_key = 's3cret'\ncallback_secret = 's3crets4crets5cret'",
        &[],
        &["otpost.toml:3: accounts.a.from: is missing; must be the sender, or give its `number_id`"],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'cliqtel'\nchannel = 'sms'\napi_key = 's3cret'\ncallback_secret = 's3crets4crets5cret'\nfrom = 'a'\nnumber_id = 1",
        &[],
        &["otpost.toml:9: accounts.a.number_id: is given beside `from`; must be one of the two"],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'cliqtel'\nchannel = 'whatsapp'\napi_key = 's3cret'\naccount_id = 0\ncallback_token = 's3crets4crets5cret'\ntemplate = 't'\nlanguage = 'id'\n[accounts.a.signature]\nheader = 'X Y'",
        &[],
        &[
            "otpost.toml:7: accounts.a.account_id: is 0; must be 1 to 9223372036854775807 as they give it",
            "otpost.toml:11: accounts.a.signature.secret: is missing; must be the secret, env:NAME or file:/path",
            r#"otpost.toml:12: accounts.a.signature.header: is "X Y"; must be the name of a header"#,
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'infobip'\nchannel = 'sms'",
        &[],
        &[
            "otpost.toml:3: accounts.a.base_url: is missing; must begin with https://, or with http:// on this machine, without a query or a password",
            "otpost.toml:3: accounts.a.api_key: is missing; must be the secret, env:NAME or file:/path",
            "otpost.toml:3: accounts.a.sender: is missing; must be 1 to 20 characters",
            "otpost.toml:3: accounts.a.callback_token: is missing; must be at least 16 characters that nobody can guess, or give [basic], [header] or [signature]",
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'infobip'\nchannel = 'whatsapp'\nbase_url = 'xxxxx.api.infobip.com'\napi_key = 's3cret'\nfrom = '0171'\ncallback_token = 's3cret'\ntemplate = 't'\nlanguage = 'id'\n[accounts.a.basic]\nuser = 'a:b'\n[accounts.a.header]\nname = 'X Y'\nsecret = 's3cret'\n[accounts.a.signature]\nalgorithm = 'md5'\nencoding = 'base32'",
        &[],
        &[
            r#"otpost.toml:6: accounts.a.base_url: is "xxxxx.api.infobip.com"; must begin with https://, or with http:// on this machine, without a query or a password"#,
            r#"otpost.toml:8: accounts.a.from: is "0171"; must be the sender's number with + and calling code"#,
            "otpost.toml:9: accounts.a.callback_token: has 6 characters; must be at least 16 characters that nobody can guess",
            "otpost.toml:12: accounts.a.basic.password: is missing; must be the secret, env:NAME or file:/path",
            r#"otpost.toml:13: accounts.a.basic.user: is "a:b"; must be the user, without a colon"#,
            r#"otpost.toml:15: accounts.a.header.name: is "X Y"; must be the name of a header"#,
            "otpost.toml:16: accounts.a.header.secret: has 6 characters; must be at least 16 characters that nobody can guess",
            "otpost.toml:17: accounts.a.signature.header: is missing; must be the name of a header",
            "otpost.toml:17: accounts.a.signature.secret: is missing; must be the secret, env:NAME or file:/path",
            r#"otpost.toml:18: accounts.a.signature.algorithm: is "md5"; must be "sha256" or "sha512""#,
            r#"otpost.toml:19: accounts.a.signature.encoding: is "base32"; must be "hex" or "base64""#,
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'sleekflow'\nchannel = 'sms'",
        &[],
        &[
            r#"otpost.toml:5: accounts.a.channel: is "sms", which otpost does not send through SleekFlow; must be "whatsapp""#,
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'sleekflow'\nchannel = 'whatsapp'\nfrom = '+447400123456'\napi_key = 's3cret'\nchannel_type = 'whatsapp360dialog'\nhook_secret = 's3cret'\ntemplate = 't'\nlanguage = 'id'",
        &[],
        &[
            "otpost.toml:3: accounts.a.template_namespace: is missing; must be the template's namespace as 360dialog shows it: letters, digits, _ and -",
            "otpost.toml:9: accounts.a.hook_secret: has 6 characters; must be at least 16 characters that nobody can guess",
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'sleekflow'\nchannel = 'whatsapp'\nfrom = '+447400123456'\napi_key = 's3cret'\nchannel_type = 'whatsappcloudapi'\ntemplate_namespace = 'ns'\nhook_secret_previous = 's3cret-of-theirs'\ntemplate = 't'\nlanguage = 'id'",
        &[],
        &[
            "otpost.toml:3: accounts.a.hook_secret: is missing; must be the secret, env:NAME or file:/path",
            "otpost.toml:9: accounts.a.template_namespace: is given for the Cloud API, which has none; leave it out",
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'sleekflow'\nchannel = 'whatsapp'\nfrom = '+447400123456'\napi_key = 's3cret'\nchannel_type = 'sms'\ntemplate_namespace = 'ns'\ntemplate = 't'\nlanguage = 'id'",
        &[],
        &[r#"otpost.toml:8: accounts.a.channel_type: is "sms"; must be "whatsappcloudapi" or "whatsapp360dialog""#],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'twilio'\nchannel = 'whatsapp'",
        &[],
        &[
            "otpost.toml:3: accounts.a.account_sid: is missing; must be AC and 32 of 0-9 and a-f",
            "otpost.toml:3: accounts.a.auth_token: is missing; must be the secret, env:NAME or file:/path",
            "otpost.toml:3: accounts.a.from: is missing; must be the sender's number with + and calling code, or give a `messaging_service_sid`",
            "otpost.toml:3: accounts.a.template: is missing; must be the sid of an approved authentication template: HX and 32 of 0-9 and a-f",
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'twilio'\nchannel = 'whatsapp'\naccount_sid = 'AC1'\nauth_token = 's3cret'\napi_key_secret = 's3cret'\nfrom = 'Example'\ntemplate = 'login_code'\nlanguage = 'en'\ndiscard_content = 'yes'",
        &[],
        &[
            "otpost.toml:3: accounts.a.api_key_sid: is missing; must be SK and 32 of 0-9 and a-f",
            r#"otpost.toml:6: accounts.a.account_sid: is "AC1"; must be AC and 32 of 0-9 and a-f"#,
            r#"otpost.toml:9: accounts.a.from: is "Example"; must be the sender's number with + and calling code"#,
            r#"otpost.toml:10: accounts.a.template: is "login_code"; must be the sid of an approved authentication template: HX and 32 of 0-9 and a-f"#,
            "otpost.toml:12: accounts.a.discard_content: is text; must be true or false",
        ],
    ),
    (
        "[route]\nsteps = ['a', 'b']\n[accounts.a]\nprovider = 'twilio'\nchannel = 'sms'\naccount_sid = 'AC00000000000000000000000000000001'\nauth_token = 's3cret'\nfrom = '1 (202) 555-0100'\n[accounts.b]\nprovider = 'twilio'\nchannel = 'sms'\naccount_sid = 'AC00000000000000000000000000000001'\nauth_token = 's3cret'\nfrom = '+1202'",
        &[],
        &[
            r#"otpost.toml:8: accounts.a.from: is a number without its + and calling code; must be a number in E.164 form, such as "+12025550100", a short code or a name"#,
            r#"otpost.toml:14: accounts.b.from: is "+1202"; must be a name of 1 to 20 characters, or a number with + and calling code"#,
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'twilio'\nchannel = 'sms'\naccount_sid = 'AC00000000000000000000000000000001'\nauth_token = 's3cret'\napi_key_sid = 'SK00000000000000000000000000000001'\nfrom = 'Example'\nmessaging_service_sid = 'MG00000000000000000000000000000001'",
        &["OTPOST_ACCOUNTS__A__DISCARD_CONTENT=perhaps"],
        &[
            "otpost.toml:3: accounts.a.api_key_secret: is missing; must be the secret, env:NAME or file:/path",
            "otpost.toml:10: accounts.a.messaging_service_sid: is given beside `from`; must be one of the two",
            r#"OTPOST_ACCOUNTS__A__DISCARD_CONTENT: accounts.a.discard_content: is "perhaps"; must be true or false"#,
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'vonage'\nchannel = 'sms'",
        &[],
        &[
            "otpost.toml:3: accounts.a.api_key: is missing; must be the account's API key, which is no secret",
            "otpost.toml:3: accounts.a.api_secret: is missing; must be the secret, env:NAME or file:/path, or give `application_id` and `private_key`",
            "otpost.toml:3: accounts.a.from: is missing; must be the sender",
            "otpost.toml:3: accounts.a.signature_secret: is missing; must be the secret, env:NAME or file:/path",
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'vonage'\nchannel = 'whatsapp'\napi_key = 'a b'\nprivate_key = 's3cret'\nfrom = '0171'\nsignature_secret = 's3cret-of-theirs'\nsignature_tolerance_s = 1\ntemplate = 'ns:Login'\nlanguage = 'en'",
        &[],
        &[
            "otpost.toml:3: accounts.a.application_id: is missing; must be the application's id",
            r#"otpost.toml:6: accounts.a.api_key: is "a b"; must be the account's API key, which is no secret"#,
            "otpost.toml:7: accounts.a.private_key: is no RSA key of 2048 to 4096 bits; must be a private key in PEM",
            r#"otpost.toml:8: accounts.a.from: is "0171"; must be the sender's number with + and calling code"#,
            "otpost.toml:10: accounts.a.signature_tolerance_s: is 1; must be 60 to 86400 seconds",
            r#"otpost.toml:11: accounts.a.template: is "ns:Login"; must be the name of an approved authentication template: a-z, 0-9 and _"#,
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'vonage'\nchannel = 'sms'\napi_key = 'abcd0001'\napi_secret = 's3cret'\napplication_id = 'a1'\nprivate_key = 'file:/nonexistent/key.pem'\nfrom = 'Example'\nsignature_secret = 's3cret-of-theirs'",
        &[],
        &[
            "otpost.toml:8: accounts.a.application_id: is given beside `api_secret`; must be left out, or `api_secret` must",
            "otpost.toml:9: accounts.a.private_key: refers to file:/nonexistent/key.pem, which does not exist; must be a file that can be read",
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'engagelab'\nchannel = 'sms'\nproduct = 'wechat'\ndev_key = 's3cret'\ntemplate = 'a b'\nlanguage = 'English'\ncallback_username = 'a;b'\nsignature_tolerance_s = 1",
        &[],
        &[
            "otpost.toml:3: accounts.a.dev_secret: is missing; must be the secret, env:NAME or file:/path",
            "otpost.toml:3: accounts.a.callback_secret: is missing; must be the secret, env:NAME or file:/path",
            r#"otpost.toml:6: accounts.a.product: is "wechat"; must be "otp" or "plain""#,
            r#"otpost.toml:8: accounts.a.template: is "a b"; must be the id of a template in the provider's console: letters, digits, -, _ and ."#,
            r#"otpost.toml:9: accounts.a.language: is "English"; must be "default" or a language of the template, such as en or zh_CN"#,
            r#"otpost.toml:10: accounts.a.callback_username: is "a;b"; must be the user name that you enter beside the callback address, without ;"#,
            "otpost.toml:11: accounts.a.signature_tolerance_s: is 1; must be 60 to 86400 seconds",
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'engagelab'\nchannel = 'sms'\nproduct = 'plain'\ndev_key = 's3cret'\ndev_secret = 's3cret'\ntemplate = '1233'\ncallback_username = 'a'\ncallback_secret = 's3cret-of-theirs'\n[accounts.a.params]\nbrand = 'Example'\ncode = 1",
        &[],
        &[
            r#"otpost.toml:12: accounts.a.params: has no variable for the code; must have one that is "{code}" or "{text}""#,
            "otpost.toml:14: accounts.a.params.code: is a whole number; must be text in quotes",
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'engagelab'\nchannel = 'whatsapp'\nproduct = 'plain'\ndev_key = 's3cret'\ndev_secret = 's3cret'\ntemplate = 'login-code'\nlanguage = 'default'\ncallback_token = 's3cret'\nfrom = '0171'\ncallback_username = 'a'",
        &[],
        &[
            "otpost.toml:11: accounts.a.callback_token: has 6 characters; must be at least 16 characters that nobody can guess",
            r#"otpost.toml:12: accounts.a.from: is "0171"; must be the sender's number with + and calling code"#,
            "otpost.toml:13: accounts.a.callback_username: is not a setting; allowed here: base_url, callback_token, channel, concurrency, countries, dev_key, dev_secret, from, language, lifetime_s, on_unknown, per_second, price, product, provider, template, templates",
        ],
    ),
    (
        "{HTTP}",
        &[
            "OTPOST_ACCOUNTS__A__URL=http://a.example/{to}",
            "OTPOST_ACCOUNTS__A__CONTENT_TYPE=xml",
            "OTPOST_ACCOUNTS__A__DEDUPLICATES=maybe",
        ],
        &[
            r#"OTPOST_ACCOUNTS__A__CONTENT_TYPE: accounts.a.content_type: is "xml"; must be "json" or "form""#,
            r#"OTPOST_ACCOUNTS__A__DEDUPLICATES: accounts.a.deduplicates: is "maybe"; must be "yes" or "no""#,
            r#"OTPOST_ACCOUNTS__A__URL: accounts.a.url: is "http://a.example/{to}"; must begin with https://, or with http:// on this machine, without a password, and with places behind its host only"#,
        ],
    ),
    (
        "{HTTP}",
        &["OTPOST_ACCOUNTS__A__URL=https://a.example/{code}", "OTPOST_ACCOUNTS__A__BODY={\"to\": \"{msisdn}\"}"],
        &[
            "OTPOST_ACCOUNTS__A__BODY: accounts.a.body: has a placeholder {msisdn} that is not allowed here; allowed here: {to}, {to_digits}, {code}, {text}, {template}, {language}, {attempt_id}, {callback_url}, {life_s}, {sender}, {dlt_entity_id}, {dlt_template_id}, {user}, {password}",
            "OTPOST_ACCOUNTS__A__URL: accounts.a.url: has a placeholder {code} that is not allowed here; allowed in an address: {to}, {to_digits}, {template}, {language}, {attempt_id}, {life_s}, {sender}, {dlt_entity_id}, {dlt_template_id}",
        ],
    ),
    (
        "{HTTP}",
        &["OTPOST_ACCOUNTS__A__BODY={\"text\": {text}, \"token\": \"s3cret\"}"],
        &[
            "OTPOST_ACCOUNTS__A__BODY: accounts.a.body: is not JSON once its placeholders are filled; must be JSON, with the placeholders in quotes; {life_s} and {to_digits} can also be numbers",
        ],
    ),
    (
        "{HTTP}",
        &["OTPOST_ACCOUNTS__A__BODY={\"hello\": \"{language}\"}"],
        &[
            "otpost.toml:3: accounts.a.language: is missing; must be what {language} stands for, 1 to 512 characters",
            "OTPOST_ACCOUNTS__A__BODY: accounts.a.body: does not say to whom; must have {to} or {to_digits}",
            "OTPOST_ACCOUNTS__A__BODY: accounts.a.body: does not have the code; must have {code} or {text}",
        ],
    ),
    (
        "{HTTP}template = 'login_code'\n[accounts.a.auth]\nuser = 'ann'\nbearer = 's3cret'\n[accounts.a.headers]\n'X Y' = 's3cret'\nhost = 'h'\nauthorization = 's3cret'\nX-Name = 'Zoë s3cret'",
        &[],
        &[
            "otpost.toml:13: accounts.a.template: is not a setting; allowed here: answer, ask, auth, body, callback, channel, codes, concurrency, content_type, countries, deduplicates, dlt, headers, on_unknown, per_second, price, provider, receipts, sender, senders, url",
            "otpost.toml:14: accounts.a.auth.password: is missing; must be the secret, env:NAME or file:/path",
            "otpost.toml:16: accounts.a.auth.bearer: is given beside `user`; must be one of the two",
            "otpost.toml:18: accounts.a.headers.X Y: is no name of a header; must be the name of a header",
            "otpost.toml:19: accounts.a.headers.host: is made from the rest of the request; must be left out",
            "otpost.toml:20: accounts.a.headers.authorization: is given beside `auth`; must be one of the two",
            "otpost.toml:21: accounts.a.headers.X-Name: has characters that no header can have; must be plain ASCII",
        ],
    ),
    (
        "{HTTP}[accounts.a.codes]\nretryable = ['1', '1', '']\nexpired = ['1']\nunknown = ['2']",
        &["OTPOST_ACCOUNTS__A__ANSWER__ID=id", "OTPOST_ACCOUNTS__A__ANSWER__ACCEPTED=/status"],
        &[
            "otpost.toml:8: accounts.a.answer.accepted_value: is missing beside `accepted`; must be given together: the place of the provider's verdict, and the value that means accepted",
            r#"otpost.toml:14: accounts.a.codes.retryable: has "1", which has a meaning already; must be a list of texts in quotes, each in one list only"#,
            "otpost.toml:14: accounts.a.codes.retryable: has an empty entry; must be a list of texts in quotes, each in one list only",
            r#"otpost.toml:15: accounts.a.codes.expired: has "1", which has a meaning already; must be a list of texts in quotes, each in one list only"#,
            "otpost.toml:16: accounts.a.codes.unknown: is not a setting; allowed here: config_error, country_refused, expired, may_have_left, number_is_bad, rate_limited, recipient_limited, recipient_unreachable, retryable, sender_refused, template_refused",
            r#"OTPOST_ACCOUNTS__A__ANSWER__ID: accounts.a.answer.id: is "id"; must be a JSON pointer such as /data/id"#,
        ],
    ),
    (
        "{HTTP}callback.token = 's3crets4crets5cret'",
        &[
            "OTPOST_ACCOUNTS__A__CALLBACK__STATUS=state",
            "OTPOST_ACCOUNTS__A__CALLBACK__SIGNATURE__SECRET=s3cret",
            "OTPOST_ACCOUNTS__A__CALLBACK__STATUSES__DELIVERED=",
        ],
        &[
            "otpost.toml:9: accounts.a.callback: has more than one proof of a callback; must have one of `token`, [signature], [header] and [basic]",
            r#"OTPOST_ACCOUNTS__A__CALLBACK__STATUS: accounts.a.callback.status: is "state"; must be a JSON pointer such as /data/id"#,
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'http'\nchannel = 'sms'\nurl = 'https://a.example/send'\nbody = '[\"{to}\", \"{text}\"]'\n[accounts.a.answer]\nid = '/id'",
        &[],
        &[
            "otpost.toml:3: accounts.a.callback: is missing; must say what callbacks look like; else give `ask`, or receipts = \"none\" for a provider that never tells of a delivery: what it takes then counts as delivered",
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'http'\nchannel = 'sms'\nurl = 'https://a.example/send'\nbody = '[\"{to}\", \"{text}\"]'\n[accounts.a.answer]\nid = '/id'\n[accounts.a.callback]\nlist = '/x'\n[accounts.a.ask]\nurl = 'https://a.example/status'",
        &[],
        &[
            "otpost.toml:10: accounts.a.callback.id: is missing; must be a JSON pointer such as /data/id, within one receipt: their id of the message, or give `attempt_id` for ours",
            "otpost.toml:10: accounts.a.callback.status: is missing; must be a JSON pointer such as /data/id, within one receipt",
            r#"otpost.toml:10: accounts.a.callback.statuses.delivered: is missing; must be a list of the provider's words for it, such as ["DELIVRD"]"#,
            "otpost.toml:10: accounts.a.callback: has nothing that proves a callback; must have one of `token`, [signature], [header] and [basic]",
            "otpost.toml:12: accounts.a.ask.status: is missing; must be a JSON pointer such as /data/id",
            "otpost.toml:13: accounts.a.ask.url: does not say which message; must have {provider_message_id} or {attempt_id}",
        ],
    ),
    (
        "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'http'\nchannel = 'sms'",
        &[],
        &[
            "otpost.toml:3: accounts.a.url: is missing; must begin with https://, or with http:// on this machine, without a password, and with places behind its host only",
            "otpost.toml:3: accounts.a.body: is missing; must be the text of the request, with placeholders such as {to} and {code}",
            "otpost.toml:3: accounts.a.answer.id: is missing; must be a JSON pointer such as /data/id",
            "otpost.toml:3: accounts.a.callback: is missing; must say what callbacks look like; else give `ask`, or receipts = \"none\" for a provider that never tells of a delivery: what it takes then counts as delivered",
        ],
    ),
];
