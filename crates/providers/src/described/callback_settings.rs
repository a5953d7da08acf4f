//! What the callbacks of a described provider look like, and what proves them.

use otpost_settings::section::Section;

use super::fields::{ContentType, pointer, statuses};
use super::{Algorithm, CallbackShape, Content, Encoding, Field, Pointer, Proof, Signature};
use crate::basic;
use crate::settings::{HEADER, header_name, secret, secrets, token};

/// `usual`: the content type of requests.
pub(super) fn read(section: Section<'_>, usual: ContentType) -> Option<CallbackShape> {
    let content_type = section.word("content_type", ContentType::ALL).unwrap_or(usual);
    let content = match content_type {
        ContentType::Json => Content::Json { list: section.parsed("list", LIST, Pointer::parse) },
        ContentType::Form => Content::Form,
    };
    let field = |key: &str| field(&section, key, content_type);
    let (id, attempt_id, status) = (field("id"), field("attempt_id"), field("status"));
    let (time, error_code) = (field("time"), field("error_code"));
    if id.is_none() && attempt_id.is_none() {
        let allowed = format!("{}: their id of the message, or give `attempt_id` for ours", place(content_type));
        section.required("id", None::<()>, &allowed);
    }
    let status = section.required("status", status, place(content_type));
    let kind = kind(&section, field("kind"));
    let statuses = statuses(section.section("statuses"));
    let proof = proof(&section);
    section.finish();
    if id.is_none() && attempt_id.is_none() {
        return None;
    }
    Some(CallbackShape {
        proof: proof?,
        content,
        id,
        attempt_id,
        status: status?,
        statuses: statuses?,
        time,
        error_code,
        kind,
    })
}

const LIST: &str = "must be a JSON pointer such as /data/receipts, or \"\" where the whole body is the list";

/// Where events say what kind they are, and the words of those that are receipts.
fn kind(section: &Section<'_>, place: Option<Field>) -> Option<(Field, Vec<String>)> {
    let allowed =
        "must be a list of the provider's words for delivery reports, beside `kind`, which says where they are";
    let words = section.list("kinds", allowed).filter(|words| !words.is_empty());
    match (place.is_some() || section.has("kind"), words.is_some()) {
        (true, false) => section.complain("kinds", "is missing or empty beside `kind`", allowed),
        (false, true) => section.complain("kind", "is missing beside `kinds`", allowed),
        _ => {}
    }
    place.zip(words)
}

fn place(content_type: ContentType) -> &'static str {
    match content_type {
        ContentType::Json => "must be a JSON pointer such as /data/id, within one receipt",
        ContentType::Form => "must be the name of a field of the form",
    }
}

fn field(section: &Section<'_>, key: &str, content_type: ContentType) -> Option<Field> {
    match content_type {
        ContentType::Json => pointer(section, key).map(Field::Json),
        ContentType::Form => {
            let is_name = |text: &str| !text.is_empty() && !text.starts_with('/');
            section.parsed(key, place(content_type), |text| is_name(text).then(|| Field::Form(text.to_owned())))
        }
    }
}

/// Exactly one, since a callback that anybody could send would be worse than none.
fn proof(section: &Section<'_>) -> Option<Proof> {
    let allowed = "must have one of `token`, [signature], [header] and [basic]";
    let has_token = section.text("token").is_some();
    let (signed, fixed, basic) = (section.section("signature"), section.section("header"), section.section("basic"));
    let given = [has_token, signed.is_given(), fixed.is_given(), basic.is_given()];
    match given.iter().filter(|given| **given).count() {
        0 => {
            section.complain_here("has nothing that proves a callback", allowed);
            None
        }
        1 if has_token => token(section, "token").map(Proof::Token),
        1 if signed.is_given() => signature(signed).map(Proof::Signature),
        1 if fixed.is_given() => header(fixed),
        1 => login(basic),
        _ => {
            section.complain_here("has more than one proof of a callback", allowed);
            [signed, fixed, basic].into_iter().for_each(Section::give_up);
            None
        }
    }
}

fn signature(section: Section<'_>) -> Option<Signature> {
    let header = section.required("header", section.parsed("header", HEADER, header_name), HEADER);
    let prefix = section.text("prefix").unwrap_or_default();
    let algorithm = section.word("algorithm", Algorithm::ALL).unwrap_or(Algorithm::Sha256);
    let encoding = section.word("encoding", Encoding::ALL).unwrap_or(Encoding::Hex);
    let secrets = secrets(&section, "secret", "secret_previous");
    section.finish();
    Some(Signature { header: header?, prefix, algorithm, encoding, secrets: secrets? })
}

fn header(section: Section<'_>) -> Option<Proof> {
    let name = section.required("name", section.parsed("name", HEADER, header_name), HEADER);
    let value = token(&section, "value");
    section.finish();
    Some(Proof::Header { name: name?, value: value? })
}

fn login(section: Section<'_>) -> Option<Proof> {
    let user = section.required("user", section.text("user"), "must be the user name with which the provider logs in");
    let password = secret(&section, "password");
    section.finish();
    let value = basic::authorization(&user?, &password?);
    Some(Proof::Header { name: "Authorization".to_owned(), value })
}
