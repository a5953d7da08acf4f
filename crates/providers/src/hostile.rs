//! Undocumented bodies: an adapter always answers and never panics.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::DateTime;

use crate::conformance::{Keys, cases, our_id};
use crate::json::{self, MAX_PROVIDER_MESSAGE_ID};
use crate::{Callback, Provider, Receipts, Reply, SendOutcome, StatusQuery, Unreadable, Verified};
use otpost_domain::receipt::Failure;

/// Mutants of each body; raised by hand for a long run.
const MUTANTS: usize = 1_000;

/// SplitMix64: the same mutants in every run.
pub(crate) struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

const MORSELS: &[&[u8]] = &[
    b"\0",
    b"\xff\xfe",
    b"\\u0000",
    b"\\ud800",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"-1",
    b"9223372036854775808",
    b"1e999",
    b"[[[[[[[[",
    b"{\"id\":",
    b",\"id\":\"x\"",
    b",\"status\":\"failed\"",
    b"\xed\xa0\x80",
    b"\\",
    b"true",
    b"&",
    b"%",
    b"&MessageStatus=failed",
];

pub(crate) fn mutate(body: &[u8], random: &mut Random) -> Vec<u8> {
    let mut body = body.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(body.len() + 1);
        match random.below(6) {
            0 => body.truncate(at),
            1 if at < body.len() => body[at] ^= 1 << random.below(8),
            2 if at < body.len() => body[at] = random.next() as u8,
            3 => {
                let end = (at + random.below(40)).min(body.len());
                body.drain(at..end);
            }
            4 => {
                let end = (at + random.below(80)).min(body.len());
                let again = body[at..end].to_vec();
                body.splice(at..at, again);
            }
            _ => {
                let morsel = MORSELS[random.below(MORSELS.len())];
                body.splice(at..at, morsel.iter().copied());
            }
        }
    }
    body
}

/// What the store relies on, whatever was read.
pub(crate) fn check(read: &Result<Receipts, Unreadable>, body: &[u8]) {
    let Ok(receipts) = read else { return };
    let word = |text: &str| text.len() <= Failure::MAX_CODE && !text.chars().any(char::is_control);
    for receipt in &receipts.receipts {
        let id = &receipt.provider_message_id;
        assert!(id.len() <= MAX_PROVIDER_MESSAGE_ID && !id.chars().any(char::is_control));
        assert!(receipt.failure.as_ref().is_none_or(|failure| word(&failure.code)));
    }
    assert!(receipts.unknown_statuses.iter().all(|status| word(status)));
    for (reason, item) in &receipts.unreadable {
        // The bytes themselves, or as text if they are not valid.
        let is_in = |body: &[u8]| body.windows(item.len().max(1)).any(|window| window == item.as_slice());
        assert!(is_in(body) || is_in(json::text(body).as_bytes()), "{reason}");
    }
}

fn feed(adapter: &dyn Provider, body: &[u8], random: &mut Random) {
    check(&adapter.receipts(Verified::new(body, None)), body);
    let about = StatusQuery {
        attempt_id: our_id("att_01K4T9Q3M7Y2"),
        provider_message_id: "900100200",
        ask_by: Some("00000000-0000-4000-8000-000000000012"),
    };
    check(&adapter.status_answer(&about, &Reply { status: 200, retry_after: None, body }), body);
    for status in [200, 400, 500] {
        match adapter.outcome(&Reply { status, retry_after: Some(Duration::MAX), body }) {
            SendOutcome::Accepted { provider_message_id: id, .. } => {
                assert!(status == 200 && id.len() <= MAX_PROVIDER_MESSAGE_ID && !id.contains('\0'));
            }
            SendOutcome::Rejected { failure, .. } | SendOutcome::Unknown { failure } => {
                assert!(failure.code.len() <= Failure::MAX_CODE && !failure.code.contains('\0'));
            }
        }
    }
    let query =
        String::from_utf8_lossy(&mutate(b"attempt=019&token=%74oken&hub.mode=subscribe&hub.challenge=1", random))
            .into_owned();
    let headers: Vec<(String, Vec<u8>)> = cases()
        .flat_map(|case| case.proofs)
        .map(|(name, value)| ((*name).to_owned(), mutate(value.as_bytes(), random)))
        .collect();
    let callback = Callback {
        headers: &headers,
        callback_url: "https://otp.example.org/webhooks/main",
        query: &query,
        body,
        now: DateTime::UNIX_EPOCH,
    };
    let _ = adapter.verify(&callback);
    let _ = adapter.handshake(&query);
}

#[test]
fn no_mutant_of_a_fixture_makes_an_adapter_panic() {
    let mut random = Random(1);
    for case in cases() {
        let mut fed = 0;
        for fixture in case.manifest().fixtures.iter().filter(|f| f.kind != "request") {
            let adapter = (case.adapter)(&fixture.adapters[0], &Keys::default());
            let body = case.text(&fixture.file).into_bytes();
            for _ in 0..MUTANTS {
                feed(&*adapter, &mutate(&body, &mut random), &mut random);
                fed += 1;
            }
        }
        assert!(fed > 0, "{} has no answer and no callback", case.name);
    }
}

#[test]
fn bodies_made_to_hurt_are_unreadable_and_nothing_worse() {
    let mut random = Random(2);
    let deep = |open: &str, n: usize| open.repeat(n).into_bytes();
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\xff\xff".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        deep("[", 100_000),
        deep("{\"a\":", 100_000),
        deep("{\"entry\":[{\"changes\":[", 20_000),
        deep("{\"rows\":[{\"status\":", 20_000),
        [b"{\"events\":[".to_vec(), deep("[", 10_000), deep("]", 10_000), b"]}".to_vec()].concat(),
        b"msgid=%00%00&stat=%ff&msgid=1".to_vec(),
        [b"{\"entry\":".to_vec(), deep("[", 10_000), deep("]", 10_000), b"}".to_vec()].concat(),
        [b"{\"data\":".to_vec(), deep("[", 10_000), deep("]", 10_000), b"}".to_vec()].concat(),
        b"{\"entry\":1,\"entry\":2,\"type\":1,\"type\":2,\"id\":1,\"id\":2}".to_vec(),
        b"123456789012345678901234567890e999999999".to_vec(),
        b"\"\\ud800\"".to_vec(),
    ];
    for case in cases() {
        let adapters: BTreeSet<String> = case.manifest().fixtures.iter().flat_map(|f| f.adapters.clone()).collect();
        for name in adapters {
            let adapter = (case.adapter)(&name, &Keys::default());
            for body in &bodies {
                feed(&*adapter, body, &mut random);
                let read = adapter.receipts(Verified::new(body, None));
                assert!(read.is_err() || read.is_ok_and(|r| r.receipts.is_empty()), "{}", case.name);
            }
        }
    }
}
