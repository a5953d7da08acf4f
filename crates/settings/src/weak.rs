//! Secrets that can be guessed, and why. Nothing of the secret itself is repeated.

/// Texts that stand in examples, wherever they are in a secret.
const PLACEHOLDERS: [&str; 12] = [
    "changeme",
    "change-me",
    "change_me",
    "change me",
    "placeholder",
    "replace-me",
    "replace_me",
    "replaceme",
    "your-",
    "your_",
    "insecure",
    "todo",
];
/// Texts that are no secret when they are all of it.
const WORDS: [&str; 16] = [
    "secret",
    "token",
    "password",
    "passwort",
    "default",
    "example",
    "test",
    "admin",
    "letmein",
    "qwerty",
    "webhook",
    "none",
    "null",
    "undefined",
    "supersecret",
    "verify-token",
];
/// A provider's secret is at least so long, in bytes. None of them gives out shorter ones.
const LEAST: usize = 8;
/// Least bits that the bytes of a key must carry, as far as their frequencies tell.
const KEY_BITS: f64 = 80.0;

/// What is wrong with a secret that a provider gave, or that was chosen for one.
pub fn secret(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    if text.len() < LEAST {
        return Some(format!("has {} characters", text.len()));
    }
    if let Some(placeholder) = PLACEHOLDERS.iter().find(|placeholder| lower.contains(*placeholder)) {
        return Some(format!("is a placeholder: it contains \"{placeholder}\""));
    }
    let bare: String = lower.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect();
    let bare = bare.trim_end_matches(|c: char| c.is_ascii_digit());
    if WORDS.contains(&bare) || text.starts_with('<') || text.starts_with("${") {
        return Some("is a placeholder".to_owned());
    }
    pattern(text.as_bytes())
}

/// What is wrong with a key, which must be random from its first byte to its last.
pub fn key(text: &str) -> Option<String> {
    if let Some(wrong) = secret(text) {
        return Some(wrong);
    }
    let has = |is: fn(&u8) -> bool| text.bytes().any(|b| is(&b));
    let kinds = [has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase), has(u8::is_ascii_digit), !text.is_ascii()];
    if kinds.iter().filter(|kind| **kind).count() < 2 {
        return Some("reads like words or a number, not like random bytes".to_owned());
    }
    let bits = bits(text.as_bytes());
    (bits < KEY_BITS).then(|| format!("carries at most {bits:.0} bits: too few different characters"))
}

fn pattern(bytes: &[u8]) -> Option<String> {
    // A repetition of something shorter: the whole is itself, moved by that length.
    let period = (1..=bytes.len() / 2).find(|period| bytes[*period..] == bytes[..bytes.len() - period]);
    match period {
        Some(1) => return Some("is the same character over and over".to_owned()),
        Some(period) => return Some(format!("repeats its first {period} characters")),
        None => {}
    }
    let is_step = |pair: &[u8]| (-1..=1).contains(&(i16::from(pair[1]) - i16::from(pair[0])));
    let steps = bytes.windows(2).filter(|pair| is_step(pair)).count();
    (steps * 10 > (bytes.len() - 1) * 6).then(|| "is a sequence, such as 12345678".to_owned())
}

/// Shannon's measure over the bytes' frequencies.
fn bits(bytes: &[u8]) -> f64 {
    let mut counts = [0_usize; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let length = bytes.len() as f64;
    counts.iter().filter(|n| **n > 0).map(|n| *n as f64).map(|n| n * (length / n).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_can_be_guessed_are_told_from_random_ones() {
        let weak = [
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "the same character"),
            ("00000000000000000000000000000000", "the same character"),
            ("0123456789abcdef0123456789abcdef", "repeats its first 16"),
            ("deadbeefdeadbeefdeadbeefdeadbeef", "repeats its first 8"),
            ("code-key-code-key-code-key-code-key", "repeats its first 9"),
            ("0123456789abcdefghijklmnopqrstuv", "a sequence"),
            ("zyxwvutsrqponmlkjihgfedcba9876543210", "a sequence"),
            ("00112233445566778899aabbccddeeff", "a sequence"),
            ("00000000000000000000000000000001", "a sequence"),
            ("changeme-changeme-changeme-1234567", "placeholder"),
            ("ChangeMe0f3a9c5d7e1b2a4c6d8f0a1b3c", "placeholder"),
            ("your-code-key-goes-here-1234567890", "placeholder"),
            ("thisismyverysecretkeyforotpostcodes", "reads like words"),
            ("correct-horse-battery-staple-indeed", "reads like words"),
            ("31415926535897932384626433832795", "like words or a number"),
            ("0a0a0b0a0a0b0b0a0a0a0b0b0a0b0a0a0a", "few different"),
        ];
        for (text, why) in weak {
            let found = key(text).unwrap_or_else(|| panic!("{text} passes"));
            assert!(found.contains(why), "{text}: {found}");
        }
        let good = [
            "qT5xW0vYk2mJ8rB3nC7dF1gH6sL9pZ4a",
            "9f86d081884c7d659a2feaa0c55ad015",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "Jk3v+9rT0aQm2Xw7Zb5Lc8Nd1Pf4Hg6s/Uy=",
        ];
        for text in good {
            assert_eq!(key(text), None, "{text}");
        }
    }

    #[test]
    fn no_random_key_is_taken_for_a_weak_one() {
        use rand::RngExt;
        let mut rng = rand::rng();
        for _ in 0..20_000 {
            let bytes: [u8; 32] = rng.random();
            assert_eq!(key(&hex::encode(&bytes[..16])), None, "{}", hex::encode(&bytes[..16]));
            assert_eq!(key(&hex::encode(bytes)), None);
        }
    }

    #[test]
    fn placeholders_are_no_secrets() {
        for text in
            ["secret12", "Password123", "changeme!", "test", "12345678901234567890", "xxxxxxxxxxxxxxxx", "<token>"]
        {
            assert!(secret(text).is_some(), "{text}");
        }
        for text in ["sim-wa-app-secret", "whsec_sim_example_sms", "sim-verify-token", "9f86d081884c7d65"] {
            assert_eq!(secret(text), None, "{text}");
        }
    }
}
