//! HTTP Basic authentication.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use otpost_domain::secret::Secret;

/// The value of `Authorization`. Source: RFC 7617, section 2.
pub fn authorization(user: &str, password: &Secret) -> Secret {
    let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
    Secret::new(format!("Basic {}", *encoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7617, section 2, and the one in UTF-8 of its section 2.1.
    #[test]
    fn user_and_password_are_joined_by_a_colon_and_encoded() {
        for (user, password, value) in [
            ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("test", "123£", "Basic dGVzdDoxMjPCow=="),
        ] {
            assert_eq!(authorization(user, &Secret::new(password)).expose(), value);
        }
    }
}
