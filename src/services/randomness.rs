//! Randomness of the operating system.

use rand::TryRng;
use rand::rngs::SysRng;
use uuid::Uuid;

/// # Panics
/// When the operating system provides no randomness: nothing could safely continue.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives randomness");
    bytes
}

pub fn word() -> u64 {
    u64::from_be_bytes(bytes())
}

/// A random number of at least 0 and less than 1.
pub fn fraction() -> f64 {
    (word() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A UUIDv7 that sorts by `at`.
pub fn id(at: chrono::DateTime<chrono::Utc>) -> Uuid {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes()).into_uuid()
}

/// A UUIDv4, for values that must not be guessed and have no time.
pub fn token() -> Uuid {
    uuid::Builder::from_random_bytes(bytes()).into_uuid()
}
