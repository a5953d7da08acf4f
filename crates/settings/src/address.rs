//! Addresses of HTTP services.

use std::net::IpAddr;

use url::Url;

/// An address to which paths are appended: `http` or `https`, nothing after its path, no slash at its end.
pub fn base(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    fits.then(|| text.trim_end_matches('/').to_owned())
}

/// A provider's address: unencrypted only to this machine, because it carries codes and keys.
pub fn provider(text: &str) -> Option<String> {
    base(text).filter(|address| is_https(address) || is_loopback(address))
}

/// Scheme and host of a [`call`].
pub fn origin(text: &str) -> String {
    Url::parse(text).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// The address of a call to a provider, with placeholders such as `{to}` after its host. It may have a query.
pub fn call(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let url = Url::parse(text).ok()?;
    let is_http = matches!(url.scheme(), "http" | "https");
    let fits = is_http && !host.contains(['{', '@']) && url.host_str().is_some() && url.fragment().is_none();
    (fits && (is_https(text) || is_loopback(text)) && text.bytes().all(|b| b.is_ascii_graphic()))
        .then(|| text.to_owned())
}

pub fn is_https(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| url.scheme() == "https")
}

/// Whether it certainly leads to this machine; the address of all interfaces counts too, because it has no other
/// meaning.
pub fn is_loopback(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || ip.is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_spoken_to_in_clear_on_this_machine_only() {
        for ok in ["https://graph.facebook.com", "http://127.0.0.1:9000", "http://[::1]:9000/sim", "http://localhost/"]
        {
            assert!(provider(ok).is_some(), "{ok}");
        }
        for bad in
            ["http://graph.facebook.com", "http://127.0.0.1.example.com", "ftp://localhost", "https://u:p@h", "x"]
        {
            assert!(provider(bad).is_none(), "{bad}");
        }
        for ok in ["https://a.example/send?to={to}", "https://a.example/{to}/x", "http://127.0.0.1:9/http/send"] {
            assert!(call(ok).is_some(), "{ok}");
        }
        assert_eq!(origin("https://a.example:8443/send?to={to}&key=x"), "https://a.example:8443");
        for bad in [
            "https://{to}.example/x",
            "https://u:p@a.example",
            "https://a.example/#{to}",
            "http://a.example/send",
            "ftp://localhost/x",
            "https://a.example/a b",
            "a.example/send",
        ] {
            assert!(call(bad).is_none(), "{bad}");
        }
        assert_eq!(base("https://otp.example.com/a/").as_deref(), Some("https://otp.example.com/a"));
        assert_eq!(base("https://otp.example.com/?a=b"), None);
    }
}
