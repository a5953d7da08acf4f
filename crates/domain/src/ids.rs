//! Ids that locate their rows: a UUIDv7 that contains the recipient's bucket and the attempt's number.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::phone::Phone;

/// Which of the 256 shards holds a recipient's rows: the first byte of SHA-256 over the E.164 number. It never changes.
/// It has no key, since a key could never be rotated, so an id reveals eight bits about the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u8);

impl Bucket {
    pub fn of(phone: &Phone) -> Self {
        Self(Sha256::digest(phone.e164().as_bytes())[0])
    }

    pub fn as_i16(self) -> i16 {
        i16::from(self.0)
    }
}

/// Identifies a message. A valid UUIDv7: 48 bits of Unix milliseconds, the bucket in the 12 bits of `rand_a`, 54 random
/// bits, and a last byte of zero, which is reserved for the attempt's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Uuid);

/// Identifies an attempt: its message's id with the attempt's number in the last byte. A provider that returns this id
/// identifies the message, its bucket and the attempt without a look-up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(Uuid);

impl MessageId {
    /// `random`: eight bytes from the operating system; 54 bits of them are used.
    pub fn new(at: DateTime<Utc>, bucket: Bucket, random: [u8; 8]) -> Self {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6] = 0x70;
        bytes[7] = bucket.0;
        bytes[8..].copy_from_slice(&random);
        bytes[8] = 0x80 | (random[0] & 0x3f);
        bytes[15] = 0;
        Self(Uuid::from_bytes(bytes))
    }

    /// The smallest possible message id in this millisecond.
    pub fn first_at(at: DateTime<Utc>) -> Uuid {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0).min((1 << 48) - 1);
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        Uuid::from_bytes(bytes)
    }

    /// `None` when the value cannot be a message id.
    pub fn from_uuid(uuid: Uuid) -> Option<Self> {
        (is_ours(&uuid) && uuid.as_bytes()[15] == 0).then_some(Self(uuid))
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::from_uuid(Uuid::try_parse(text).ok()?)
    }

    pub fn uuid(self) -> Uuid {
        self.0
    }

    pub fn bucket(self) -> Bucket {
        Bucket(self.0.as_bytes()[7])
    }

    /// When it was created, to the millisecond.
    pub fn created_at(self) -> DateTime<Utc> {
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&self.0.as_bytes()[..6]);
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(i64::from_be_bytes(millis))
    }

    /// `attempt_no` counts from 1; a route has at most [`MAX_ATTEMPTS`] steps.
    pub fn attempt(self, attempt_no: i16) -> AttemptId {
        let number = u8::try_from(attempt_no).expect("an attempt's number is 1 to 255 by the schema");
        let mut bytes = *self.0.as_bytes();
        bytes[15] = number;
        AttemptId(Uuid::from_bytes(bytes))
    }
}

/// Maximum number of attempts of a message; the schema checks it too.
pub const MAX_ATTEMPTS: i16 = 255;

impl AttemptId {
    /// `None` when the text cannot be an attempt id, e.g. when a provider returns somebody else's reference.
    pub fn parse(text: &str) -> Option<Self> {
        let uuid = Uuid::try_parse(text).ok()?;
        (is_ours(&uuid) && uuid.as_bytes()[15] != 0).then_some(Self(uuid))
    }

    pub fn uuid(self) -> Uuid {
        self.0
    }

    pub fn message(self) -> MessageId {
        let mut bytes = *self.0.as_bytes();
        bytes[15] = 0;
        MessageId(Uuid::from_bytes(bytes))
    }

    pub fn attempt_no(self) -> i16 {
        i16::from(self.0.as_bytes()[15])
    }
}

/// Version 7, RFC 9562 variant, and zeros in the four bits of `rand_a` above the bucket.
fn is_ours(uuid: &Uuid) -> bool {
    let bytes = uuid.as_bytes();
    bytes[6] == 0x70 && bytes[8] & 0xc0 == 0x80
}

macro_rules! prints_as_uuid {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
prints_as_uuid!(MessageId, AttemptId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_time_its_bucket_and_its_attempts() {
        let phone = Phone::parse("+628123450003").unwrap();
        let at = DateTime::from_timestamp_millis(1_789_034_403_123).unwrap();
        let id = MessageId::new(at, Bucket::of(&phone), [0xff; 8]);
        assert_eq!((id.uuid().get_version_num(), id.uuid().get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!((id.created_at(), id.bucket()), (at, Bucket::of(&phone)));
        assert_eq!(MessageId::parse(&id.to_string()), Some(id));

        let second = AttemptId::parse(&id.attempt(2).to_string()).unwrap();
        assert_eq!((second.message(), second.attempt_no()), (id, 2));
        assert_eq!(AttemptId::parse(&id.to_string()), None);
        assert_eq!(MessageId::parse(&second.to_string()), None);
    }

    #[test]
    fn foreign_references_are_no_ids() {
        for text in [
            "",
            "not-ours",
            "att_01K4T9Q3M7Y2",
            "00000000-0000-0000-0000-000000000001",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert_eq!(AttemptId::parse(text), None, "{text}");
        }
    }
}
