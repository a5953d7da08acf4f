//! `X-Twilio-Signature`. Source: Twilio, "Webhooks security", and the validators of its Python and Node SDKs.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::signature::{check_sha1, header};
use crate::{Callback, Unverified, form, query};
use otpost_domain::secret::Secret;

/// The base64 HMAC-SHA1, key = an auth token, of the URL and, for a form, of each name followed by its value, as
/// decoded bytes: names in code-point order, the distinct values of a name sorted. The URL is the registered one, with
/// its query and without its fragment. Any other body is bound by its SHA-256 in the query's `bodySHA256`; a body that
/// is not bound is refused, which is our rule. The signature has no time and no nonce: applying a callback twice is
/// harmless.
pub(super) fn verify(auth_tokens: &[Secret], callback: &Callback<'_>) -> Result<(), Unverified> {
    let given = header(callback, "X-Twilio-Signature")?;
    let signature = BASE64_STANDARD.decode(given).map_err(|_| Unverified::Malformed)?;
    let fields = if is_form(callback) {
        let mut fields = form::fields(callback.body);
        fields.sort();
        fields.dedup();
        fields
    } else {
        check_body(callback)?;
        Vec::new()
    };
    let params: Vec<u8> = fields.into_iter().flat_map(|field| [field.name, field.value]).flatten().collect();
    let joint = if callback.query.is_empty() { "" } else { "?" };
    let matches = |url: &String| {
        let signed = [url.as_bytes(), joint.as_bytes(), callback.query.as_bytes(), &params];
        check_sha1(auth_tokens, &signed, &signature).is_ok()
    };
    if spellings(callback.callback_url).iter().any(matches) { Ok(()) } else { Err(Unverified::Wrong) }
}

fn is_form(callback: &Callback<'_>) -> bool {
    callback.single_header("Content-Type").is_some_and(|kind| kind.starts_with(form::CONTENT_TYPE))
}

fn check_body(callback: &Callback<'_>) -> Result<(), Unverified> {
    let expected = query::single(callback.query, "bodySHA256").ok_or(Unverified::Missing)?;
    let hash = hex::encode(Sha256::digest(callback.body));
    if bool::from(hash.as_bytes().ct_eq(expected.as_bytes())) { Ok(()) } else { Err(Unverified::Wrong) }
}

/// The URL without and with a port: Twilio does not always sign the same one, and its SDKs try both. Each also with a
/// slash at its end, in case it was registered so.
fn spellings(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else { return vec![url.to_owned()] };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let default = if scheme == "http" { "80" } else { "443" };
    // The colons of an IPv6 address are inside brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
        _ => (authority, default),
    };
    let of_path = |path: &str| [format!("{scheme}://{host}{path}"), format!("{scheme}://{host}:{port}{path}")];
    let with_slash = format!("{}/", path.trim_end_matches('/'));
    [of_path(path), of_path(&with_slash)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_tried_without_and_with_its_port() {
        for (url, without, with) in [
            ("https://a.org/x", "https://a.org/x", "https://a.org:443/x"),
            ("https://a.org:443/x", "https://a.org/x", "https://a.org:443/x"),
            ("https://a.org:8443/x", "https://a.org/x", "https://a.org:8443/x"),
            ("http://a.org", "http://a.org", "http://a.org:80"),
            ("http://[::1]:8080/x:1", "http://[::1]/x:1", "http://[::1]:8080/x:1"),
            ("http://[::1]/x", "http://[::1]/x", "http://[::1]:80/x"),
        ] {
            let slash = |url: &str| format!("{}/", url.trim_end_matches('/'));
            assert_eq!(spellings(url), [without.to_owned(), with.to_owned(), slash(without), slash(with)]);
        }
    }
}
