//! How a code is kept: a keyed hash to check it, a sealed copy to send it again.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::code::Code;
use crate::domain::ids::MessageId;
use crate::domain::phone::Phone;

/// The keys that protect codes: the first seals and hashes, all of them open and check. Two live ones allow rotation.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeKeys(Vec<CodeKey>);

/// One key with its id. Three keys are derived from it, so that codes, sealed copies and numbers never share one.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeKey {
    id: i16,
    verify: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
    number: Zeroizing<[u8; 32]>,
}

/// A code as the database holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeAtRest {
    pub key_id: i16,
    /// HMAC-SHA-256 over app, message id and code.
    pub hash: Vec<u8>,
    /// XChaCha20-Poly1305: 24 bytes of nonce, then the ciphertext. `None` once the message is settled.
    pub sealed: Option<Vec<u8>>,
}

impl std::fmt::Debug for CodeAtRest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CodeAtRest(key {}, sealed: {})", self.key_id, self.sealed.is_some())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeKeysError {
    #[error("at least one key is needed")]
    None,
    #[error("a key must have at least {} bytes", CodeKey::MIN_BYTES)]
    Short,
    #[error("two keys have the id {0}")]
    SameId(i16),
}

/// A sealed copy that does not open: another key, another message, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed copy does not open with the keys that are configured")]
pub struct Unsealable;

/// Bytes of nonce in front of a sealed copy.
pub const NONCE_BYTES: usize = 24;

impl CodeKey {
    /// Of the secret from which both keys are derived.
    pub const MIN_BYTES: usize = 32;

    /// # Errors
    /// When the secret is shorter than [`CodeKey::MIN_BYTES`].
    pub fn new(id: i16, secret: &[u8]) -> Result<Self, CodeKeysError> {
        if secret.len() < Self::MIN_BYTES {
            return Err(CodeKeysError::Short);
        }
        let derive = |purpose: &[u8]| Zeroizing::new(hmac(secret, &[purpose]));
        Ok(Self {
            id,
            verify: derive(b"otpost verify 1"),
            seal: derive(b"otpost seal 1"),
            number: derive(b"otpost number 1"),
        })
    }
}

impl CodeKeys {
    /// The first key is the one in use, the others are on their way out.
    ///
    /// # Errors
    /// When there is none, or two share an id.
    pub fn new(keys: Vec<CodeKey>) -> Result<Self, CodeKeysError> {
        if keys.is_empty() {
            return Err(CodeKeysError::None);
        }
        for (i, key) in keys.iter().enumerate() {
            if keys[..i].iter().any(|other| other.id == key.id) {
                return Err(CodeKeysError::SameId(key.id));
            }
        }
        Ok(Self(keys))
    }

    /// `nonce` must be fresh randomness of the operating system.
    pub fn protect(&self, app: &str, message: MessageId, code: &Code, nonce: [u8; NONCE_BYTES]) -> CodeAtRest {
        let key = &self.0[0];
        let hash = code_hash(key, app, message, code).to_vec();
        let sealed = seal(key, &associated_data(app, message), code.digits().as_bytes(), nonce);
        CodeAtRest { key_id: key.id, hash, sealed: Some(sealed) }
    }

    /// Whether `code` is the one kept; constant time. A key that is no longer configured makes every code wrong.
    pub fn is_right(&self, at_rest: &CodeAtRest, app: &str, message: MessageId, code: &Code) -> bool {
        let Some(key) = self.0.iter().find(|key| key.id == at_rest.key_id) else { return false };
        let hash = code_hash(key, app, message, code);
        subtle::ConstantTimeEq::ct_eq(hash.as_slice(), at_rest.hash.as_slice()).into()
    }

    /// The code itself, to send it.
    ///
    /// # Errors
    /// When it was erased or does not open; see [`Unsealable`].
    pub fn reveal(&self, key_id: i16, sealed: &[u8], app: &str, message: MessageId) -> Result<Code, Unsealable> {
        let key = self.0.iter().find(|key| key.id == key_id).ok_or(Unsealable)?;
        let digits = open(key, &associated_data(app, message), sealed)?;
        Code::parse(std::str::from_utf8(&digits).map_err(|_| Unsealable)?).map_err(|_| Unsealable)
    }

    /// A keyed fingerprint of a request body. The body may hold a number and a code, so a plain hash would give both away.
    pub fn fingerprint(&self, body: &[u8]) -> Fingerprint {
        let key = &self.0[0];
        Fingerprint { key_id: key.id, hash: hmac(&*key.verify, &[b"body", body]).to_vec() }
    }

    /// Whether `body` is the one that was fingerprinted; `false` when that key is gone.
    pub fn is_same_body(&self, fingerprint: &Fingerprint, body: &[u8]) -> bool {
        let Some(key) = self.0.iter().find(|key| key.id == fingerprint.key_id) else { return false };
        subtle::ConstantTimeEq::ct_eq(hmac(&*key.verify, &[b"body", body]).as_slice(), fingerprint.hash.as_slice())
            .into()
    }

    /// What a number is known by where the number itself must not stand: one hash for each live key, the one in use
    /// first. Without the keys nobody can try out which number it is. `app`: whose number it is; `None`: everybody's. The
    /// hashes of two apps have nothing in common.
    pub fn number_hashes(&self, app: Option<&str>, phone: &Phone) -> Vec<NumberHash> {
        let hash = |key: &CodeKey| {
            let e164 = phone.e164().as_bytes();
            // Neither a number nor an app's name holds a slash.
            let hash = match app {
                Some(app) => hmac(&*key.number, &[e164, b"/", app.as_bytes()]),
                None => hmac(&*key.number, &[e164]),
            };
            NumberHash { key_id: key.id, hash }
        };
        self.0.iter().map(hash).collect()
    }

    /// Seals raw bytes that may hold a code, e.g. of a dead letter. `name` says what they are, and binds them to it.
    pub fn seal_bytes(&self, name: &[u8], bytes: &[u8], nonce: [u8; NONCE_BYTES]) -> (i16, Vec<u8>) {
        let key = &self.0[0];
        (key.id, seal(key, name, bytes, nonce))
    }

    /// # Errors
    /// When the key is gone or the bytes are not what was sealed under `name`.
    pub fn open_bytes(&self, key_id: i16, name: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        open(self.0.iter().find(|key| key.id == key_id).ok_or(Unsealable)?, name, sealed)
    }
}

/// HMAC-SHA-256 over an E.164 number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumberHash {
    pub key_id: i16,
    pub hash: [u8; 32],
}

/// What remains of a request body, to recognise it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub key_id: i16,
    pub hash: Vec<u8>,
}

fn code_hash(key: &CodeKey, app: &str, message: MessageId, code: &Code) -> [u8; 32] {
    hmac(&*key.verify, &[b"code", app.as_bytes(), message.uuid().as_bytes(), code.digits().as_bytes()])
}

fn associated_data(app: &str, message: MessageId) -> Vec<u8> {
    [b"code".as_slice(), message.uuid().as_bytes(), app.as_bytes()].concat()
}

/// Each part goes in behind its length, so that no two lists of parts give the same bytes.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn seal(key: &CodeKey, aad: &[u8], bytes: &[u8], nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
    let cipher = XChaCha20Poly1305::new((&*key.seal).into());
    let ciphertext = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: bytes, aad })
        .expect("XChaCha20-Poly1305 refuses only more than 256 GiB");
    [nonce.as_slice(), &ciphertext].concat()
}

fn open(key: &CodeKey, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_BYTES).ok_or(Unsealable)?;
    let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| Unsealable)?;
    let cipher = XChaCha20Poly1305::new((&*key.seal).into());
    cipher.decrypt(&XNonce::from(nonce), Payload { msg: ciphertext, aad }).map(Zeroizing::new).map_err(|_| Unsealable)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::ids::Bucket;

    fn keys(ids: &[i16]) -> CodeKeys {
        CodeKeys::new(ids.iter().map(|&id| CodeKey::new(id, &[id as u8; 32]).unwrap()).collect()).unwrap()
    }

    fn message(n: u8) -> MessageId {
        let phone = Phone::parse("+628123450003").unwrap();
        MessageId::new(DateTime::UNIX_EPOCH, Bucket::of(&phone), [n; 8])
    }

    #[test]
    fn a_code_is_bound_to_its_app_and_message() {
        let keys = keys(&[1]);
        let code = Code::parse("012345").unwrap();
        let at_rest = keys.protect("shop", message(1), &code, [7; NONCE_BYTES]);
        assert!(keys.is_right(&at_rest, "shop", message(1), &code));
        assert!(!keys.is_right(&at_rest, "shop", message(1), &Code::parse("012346").unwrap()));
        assert!(!keys.is_right(&at_rest, "shop", message(2), &code));
        assert!(!keys.is_right(&at_rest, "bank", message(1), &code));

        let sealed = at_rest.sealed.unwrap();
        assert_eq!(keys.reveal(1, &sealed, "shop", message(1)).unwrap().digits(), "012345");
        assert!(keys.reveal(1, &sealed, "bank", message(1)).is_err());
        assert!(keys.reveal(1, &sealed, "shop", message(2)).is_err());
        assert!(keys.reveal(1, &sealed[..10], "shop", message(1)).is_err());
        assert!(!sealed.windows(6).any(|w| w == b"012345"));
    }

    #[test]
    fn a_rotated_key_still_checks_what_it_sealed() {
        let code = Code::parse("4711").unwrap();
        let at_rest = keys(&[1]).protect("shop", message(1), &code, [7; NONCE_BYTES]);
        assert!(keys(&[2, 1]).is_right(&at_rest, "shop", message(1), &code));
        assert!(!keys(&[2]).is_right(&at_rest, "shop", message(1), &code));
        assert_eq!(keys(&[2, 1]).protect("shop", message(1), &code, [7; NONCE_BYTES]).key_id, 2);
    }

    #[test]
    fn a_number_is_known_by_the_hash_of_each_live_key() {
        let phone = Phone::parse("+628123450003").unwrap();
        let [one] = keys(&[1]).number_hashes(None, &phone)[..] else { panic!("one key, one hash") };
        let [two, still_one] = keys(&[2, 1]).number_hashes(None, &phone)[..] else { panic!("two keys, two hashes") };
        assert_eq!((two.key_id, still_one), (2, one));
        assert_ne!(two.hash, one.hash);
        assert_ne!(keys(&[1]).number_hashes(None, &Phone::parse("+628123450004").unwrap())[0], one);
        let of = |app| keys(&[1]).number_hashes(Some(app), &phone)[0];
        assert!(of("shop") != one && of("shop") != of("bank"), "each app's number is another");
        assert_ne!(keys(&[1]).fingerprint(b"+628123450003").hash, one.hash, "its key is its own");
    }

    #[test]
    fn weak_keys_are_refused() {
        assert_eq!(CodeKey::new(1, &[0; 31]).err(), Some(CodeKeysError::Short));
        assert_eq!(CodeKeys::new(vec![]).err(), Some(CodeKeysError::None));
        let key = CodeKey::new(1, &[0; 32]).unwrap();
        assert_eq!(CodeKeys::new(vec![key.clone(), key]).err(), Some(CodeKeysError::SameId(1)));
    }
}
