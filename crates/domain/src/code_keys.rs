//! How a code is stored: a keyed hash to check it and an encrypted copy to send it again.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::app_id::AppId;
use crate::code::Code;
use crate::ids::MessageId;
use crate::phone::Phone;

/// The keys that protect codes. The first one seals and hashes; all of them open and check. Two live keys allow
/// rotation.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeKeys(Vec<CodeKey>);

/// One key with its id. Three keys are derived from it, so codes, sealed copies and numbers never share one.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeKey {
    id: i16,
    verify: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
    number: Zeroizing<[u8; 32]>,
    fingerprint: [u8; FINGERPRINT_BYTES],
}

/// A code as the database stores it.
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
    #[error("at least one key is required")]
    None,
    #[error("a key must have at least {} bytes", CodeKey::MIN_BYTES)]
    Short,
    #[error("two keys have the id {0}")]
    SameId(i16),
}

/// Why a sealed copy cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealable {
    #[error("sealed with code key {0}, which codes.keys does not list")]
    NoKey(i16),
    #[error("the sealed copy cannot be opened: it is damaged or belongs to another message")]
    Damaged,
}

/// Length of the nonce at the start of a sealed copy.
pub const NONCE_BYTES: usize = 24;
/// Length of a key's fingerprint: enough that two keys never share one.
const FINGERPRINT_BYTES: usize = 16;

impl CodeKey {
    /// Minimum length of the secret from which the keys are derived.
    pub const MIN_BYTES: usize = 32;

    /// # Errors
    /// When the secret is shorter than [`CodeKey::MIN_BYTES`].
    pub fn new(id: i16, secret: &[u8]) -> Result<Self, CodeKeysError> {
        if secret.len() < Self::MIN_BYTES {
            return Err(CodeKeysError::Short);
        }
        let derive = |purpose: &[u8]| Zeroizing::new(hmac(secret, &[purpose]));
        let mut fingerprint = [0; FINGERPRINT_BYTES];
        fingerprint.copy_from_slice(&derive(b"otpost fingerprint 1")[..FINGERPRINT_BYTES]);
        Ok(Self {
            id,
            verify: derive(b"otpost verify 1"),
            seal: derive(b"otpost seal 1"),
            number: derive(b"otpost number 1"),
            fingerprint,
        })
    }
}

impl CodeKeys {
    /// The first key is the active one; the others are being retired.
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

    fn find(&self, id: i16) -> Option<&CodeKey> {
        self.0.iter().find(|key| key.id == id)
    }

    /// Whether a key with this id is configured.
    pub fn have(&self, id: i16) -> bool {
        self.find(id).is_some()
    }

    /// The active key's id comes first.
    pub fn ids(&self) -> Vec<i16> {
        self.0.iter().map(|key| key.id).collect()
    }

    /// Identifies each key in a table where instances compare theirs. The fingerprint has its own derived key, so it
    /// reveals nothing about codes, and guessing a key from it is as hard as from anything sealed with that key.
    pub fn key_fingerprints(&self) -> Vec<KeyFingerprint> {
        self.0.iter().map(|key| KeyFingerprint { key_id: key.id, hash: key.fingerprint }).collect()
    }

    /// `nonce` must be fresh random bytes from the operating system.
    pub fn protect(&self, app: &AppId, message: MessageId, code: &Code, nonce: [u8; NONCE_BYTES]) -> CodeAtRest {
        let key = &self.0[0];
        let hash = code_hash(key, app, message, code).to_vec();
        let sealed = seal(key, &associated_data(app, message), code.digits().as_bytes(), nonce);
        CodeAtRest { key_id: key.id, hash, sealed: Some(sealed) }
    }

    /// Whether `code` is the stored one; constant time. `false` without the key: call [`CodeKeys::have`] first.
    pub fn is_right(&self, at_rest: &CodeAtRest, app: &AppId, message: MessageId, code: &Code) -> bool {
        let Some(key) = self.find(at_rest.key_id) else { return false };
        let hash = code_hash(key, app, message, code);
        subtle::ConstantTimeEq::ct_eq(hash.as_slice(), at_rest.hash.as_slice()).into()
    }

    /// Decrypts the code so that it can be sent.
    ///
    /// # Errors
    /// When it was erased or cannot be opened; see [`Unsealable`].
    pub fn reveal(&self, key_id: i16, sealed: &[u8], app: &AppId, message: MessageId) -> Result<Code, Unsealable> {
        let key = self.find(key_id).ok_or(Unsealable::NoKey(key_id))?;
        let digits = open(key, &associated_data(app, message), sealed)?;
        let digits = std::str::from_utf8(&digits).map_err(|_| Unsealable::Damaged)?;
        Code::parse(digits).map_err(|_| Unsealable::Damaged)
    }

    /// A keyed fingerprint of a request body. A plain hash would reveal the number and the code in the body by trial.
    pub fn fingerprint(&self, body: &[u8]) -> Fingerprint {
        let key = &self.0[0];
        Fingerprint { key_id: key.id, hash: hmac(&*key.verify, &[b"body", body]).to_vec() }
    }

    /// Whether `body` is the fingerprinted one; `None` without the key.
    pub fn is_same_body(&self, fingerprint: &Fingerprint, body: &[u8]) -> Option<bool> {
        let hash = hmac(&*self.find(fingerprint.key_id)?.verify, &[b"body", body]);
        Some(subtle::ConstantTimeEq::ct_eq(hash.as_slice(), fingerprint.hash.as_slice()).into())
    }

    /// Identifies a caller by the name that it gave to its check. Under the key of the code, so that rotation does not change it
    /// for this message; `None` without that key.
    pub fn caller(&self, key_id: i16, app: &AppId, message: MessageId, name: &str) -> Option<Caller> {
        let key = self.find(key_id)?;
        let message = message.uuid();
        Some(hmac(&*key.verify, &[b"caller", app.as_str().as_bytes(), message.as_bytes(), name.as_bytes()]))
    }

    /// Identifies a number where the number itself must not be stored: one hash for each live key, the active key
    /// first. Without the keys nobody can find the number by trial. `app`: the app the number belongs to; `None`:
    /// shared by all apps. The hashes of two apps have nothing in common.
    pub fn number_hashes(&self, app: Option<&AppId>, phone: &Phone) -> Vec<NumberHash> {
        let hash = |key: &CodeKey| {
            let e164 = phone.e164().as_bytes();
            // Neither a number nor an app's name contains a slash.
            let hash = match app {
                Some(app) => hmac(&*key.number, &[e164, b"/", app.as_str().as_bytes()]),
                None => hmac(&*key.number, &[e164]),
            };
            NumberHash { key_id: key.id, hash }
        };
        self.0.iter().map(hash).collect()
    }

    /// Identifies an address or a device of an app where it must not be stored, in hexadecimal. Rotation changes it.
    pub fn counter_hash(&self, app: &AppId, text: &str) -> String {
        hex::encode(hmac(&*self.0[0].number, &[b"counter", app.as_str().as_bytes(), text.as_bytes()]))
    }

    /// Seals raw bytes that may contain a code, such as a dead letter. `name` says what the bytes are; opening needs
    /// the same name.
    pub fn seal_bytes(&self, name: &[u8], bytes: &[u8], nonce: [u8; NONCE_BYTES]) -> (i16, Vec<u8>) {
        let key = &self.0[0];
        (key.id, seal(key, name, bytes, nonce))
    }

    /// # Errors
    /// When the key is missing or the bytes were not sealed under `name`.
    pub fn open_bytes(&self, key_id: i16, name: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        open(self.find(key_id).ok_or(Unsealable::NoKey(key_id))?, name, sealed)
    }
}

/// Keyed hash of the name that a caller gave to its check of a code.
pub type Caller = [u8; 32];

/// HMAC-SHA-256 over an E.164 number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumberHash {
    pub key_id: i16,
    pub hash: [u8; 32],
}

/// Identifies a key; see [`CodeKeys::key_fingerprints`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFingerprint {
    pub key_id: i16,
    pub hash: [u8; FINGERPRINT_BYTES],
}

/// Keyed hash of a request body, to recognise a repeated request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub key_id: i16,
    pub hash: Vec<u8>,
}

fn code_hash(key: &CodeKey, app: &AppId, message: MessageId, code: &Code) -> [u8; 32] {
    hmac(&*key.verify, &[b"code", app.as_str().as_bytes(), message.uuid().as_bytes(), code.digits().as_bytes()])
}

fn associated_data(app: &AppId, message: MessageId) -> Vec<u8> {
    [b"code".as_slice(), message.uuid().as_bytes(), app.as_str().as_bytes()].concat()
}

/// Each part is preceded by its length, so two different lists of parts never give the same bytes.
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
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_BYTES).ok_or(Unsealable::Damaged)?;
    let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| Unsealable::Damaged)?;
    let cipher = XChaCha20Poly1305::new((&*key.seal).into());
    let opened = cipher.decrypt(&XNonce::from(nonce), Payload { msg: ciphertext, aad });
    opened.map(Zeroizing::new).map_err(|_| Unsealable::Damaged)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::ids::Bucket;

    fn keys(ids: &[i16]) -> CodeKeys {
        CodeKeys::new(ids.iter().map(|&id| CodeKey::new(id, &[id as u8; 32]).unwrap()).collect()).unwrap()
    }

    fn shop() -> AppId {
        AppId::stored("shop")
    }

    fn message(n: u8) -> MessageId {
        let phone = Phone::parse("+628123450003").unwrap();
        MessageId::new(DateTime::UNIX_EPOCH, Bucket::of(&phone), [n; 8])
    }

    #[test]
    fn a_code_is_bound_to_its_app_and_message() {
        let keys = keys(&[1]);
        let code = Code::parse("012345").unwrap();
        let at_rest = keys.protect(&shop(), message(1), &code, [7; NONCE_BYTES]);
        assert!(keys.is_right(&at_rest, &shop(), message(1), &code));
        assert!(!keys.is_right(&at_rest, &shop(), message(1), &Code::parse("012346").unwrap()));
        assert!(!keys.is_right(&at_rest, &shop(), message(2), &code));
        assert!(!keys.is_right(&at_rest, &AppId::stored("bank"), message(1), &code));

        let sealed = at_rest.sealed.unwrap();
        assert_eq!(keys.reveal(1, &sealed, &shop(), message(1)).unwrap().digits(), "012345");
        assert!(keys.reveal(1, &sealed, &AppId::stored("bank"), message(1)).is_err());
        assert!(keys.reveal(1, &sealed, &shop(), message(2)).is_err());
        assert!(keys.reveal(1, &sealed[..10], &shop(), message(1)).is_err());
        assert!(!sealed.windows(6).any(|w| w == b"012345"));
    }

    #[test]
    fn a_rotated_key_still_checks_what_it_sealed() {
        let code = Code::parse("4711").unwrap();
        let at_rest = keys(&[1]).protect(&shop(), message(1), &code, [7; NONCE_BYTES]);
        assert!(keys(&[2, 1]).is_right(&at_rest, &shop(), message(1), &code));
        assert!(!keys(&[2]).is_right(&at_rest, &shop(), message(1), &code));
        assert_eq!(keys(&[2, 1]).protect(&shop(), message(1), &code, [7; NONCE_BYTES]).key_id, 2);
    }

    #[test]
    fn a_number_is_known_by_the_hash_of_each_live_key() {
        let phone = Phone::parse("+628123450003").unwrap();
        let [one] = keys(&[1]).number_hashes(None, &phone)[..] else { panic!("one key, one hash") };
        let [two, still_one] = keys(&[2, 1]).number_hashes(None, &phone)[..] else { panic!("two keys, two hashes") };
        assert_eq!((two.key_id, still_one), (2, one));
        assert_ne!(two.hash, one.hash);
        assert_ne!(keys(&[1]).number_hashes(None, &Phone::parse("+628123450004").unwrap())[0], one);
        let of = |app| keys(&[1]).number_hashes(Some(&AppId::stored(app)), &phone)[0];
        assert!(of("shop") != one && of("shop") != of("bank"), "two apps give one number different hashes");
        assert_ne!(keys(&[1]).fingerprint(b"+628123450003").hash, one.hash, "fingerprints have their own derived key");
    }

    #[test]
    fn a_fingerprint_tells_keys_apart_and_is_no_part_of_them() {
        let fingerprints = keys(&[2, 1]).key_fingerprints();
        assert_eq!(fingerprints.iter().map(|one| one.key_id).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(fingerprints[1], keys(&[1]).key_fingerprints()[0], "every instance computes the same fingerprint");
        assert_ne!(fingerprints[0].hash, fingerprints[1].hash);
        // The id is not part of the fingerprint: one secret under two ids is one key.
        let same = CodeKeys::new(vec![CodeKey::new(9, &[1; 32]).unwrap()]).unwrap();
        assert_eq!(same.key_fingerprints()[0].hash, fingerprints[1].hash);
        let key = &keys(&[1]).0[0];
        for derived in [&key.verify, &key.seal, &key.number] {
            assert!(
                !derived.windows(FINGERPRINT_BYTES).any(|part| part == key.fingerprint),
                "the fingerprint reveals a key"
            );
        }
    }

    #[test]
    fn without_its_key_nothing_is_judged() {
        let code = Code::parse("4711").unwrap();
        let old = keys(&[1]);
        let at_rest = old.protect(&shop(), message(1), &code, [7; NONCE_BYTES]);
        assert!(!keys(&[2]).have(at_rest.key_id) && keys(&[2, 1]).have(at_rest.key_id));
        let sealed = at_rest.sealed.unwrap();
        assert_eq!(keys(&[2]).reveal(1, &sealed, &shop(), message(1)).err(), Some(Unsealable::NoKey(1)));
        assert_eq!(old.reveal(1, &sealed, &AppId::stored("bank"), message(1)).err(), Some(Unsealable::Damaged));
        let body = old.fingerprint(b"{}");
        assert_eq!(keys(&[2]).is_same_body(&body, b"{}"), None);
        assert_eq!(keys(&[2, 1]).is_same_body(&body, b"{}"), Some(true));
        assert_eq!(keys(&[2, 1]).is_same_body(&body, b"{ }"), Some(false));
    }

    #[test]
    fn weak_keys_are_refused() {
        assert_eq!(CodeKey::new(1, &[0; 31]).err(), Some(CodeKeysError::Short));
        assert_eq!(CodeKeys::new(vec![]).err(), Some(CodeKeysError::None));
        let key = CodeKey::new(1, &[0; 32]).unwrap();
        assert_eq!(CodeKeys::new(vec![key.clone(), key]).err(), Some(CodeKeysError::SameId(1)));
    }
}
