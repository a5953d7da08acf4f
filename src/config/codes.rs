//! How codes are stored and how often one may be tried.

use crate::domain::code_keys::{CodeKey, CodeKeys};
use crate::domain::limits::OnNewer;
use otpost_settings::section::Section;
use otpost_settings::weak;

#[derive(Clone)]
pub struct CodeSettings {
    /// `None`: the program keeps one in its data directory. Always set with the operator's own database, because
    /// several instances must share it.
    pub keys: Option<CodeKeys>,
    /// Number of wrong tries after which a message is exhausted, 1 to 10.
    pub max_tries: i16,
    /// What a newer message does to an older one of the same number, app and purpose.
    pub on_newer: OnNewer,
}

impl std::fmt::Debug for CodeSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = if self.keys.is_some() { "[redacted]" } else { "none" };
        write!(f, "CodeSettings {{ keys: {keys}, max_tries: {}, on_newer: {} }}", self.max_tries, self.on_newer)
    }
}

/// Default number of wrong tries.
const MAX_TRIES: i16 = 5;

/// One active key and those being retired; more indicate a mistake.
const MAX_KEYS: usize = 4;

/// The key with the id 1, if no list is set.
const VARIABLE: &str = "OTPOST_CODE_KEY";

const KEYS_ALLOWED: &str = "must be a list of 1 to 4 keys such as \"1:env:OTPOST_CODE_KEY\", the one in use first";

impl CodeSettings {
    /// `shared`: the database is the operator's own, so other instances may use it too. `has_own`: the data directory
    /// has a key that the program created, which then stays active.
    pub(super) fn read(section: Section<'_>, shared: bool, has_own: bool) -> Self {
        let also = section.also(VARIABLE).filter(|_| shared || !has_own);
        let given = section.list("keys", KEYS_ALLOWED);
        let given = given.or_else(|| also.filter(|_| !section.has("keys")).map(|_| vec![format!("1:env:{VARIABLE}")]));
        if shared {
            section.required(
                "keys",
                given.as_ref(),
                "with a database of one's own it is needed: set OTPOST_CODE_KEY, for example to what `openssl rand -base64 48` \
                 prints; every instance must have the same",
            );
        }
        let keys = given.and_then(|given| read_keys(&section, &given));
        let max_tries = section.integer("max_tries", 1..=10, "tries").unwrap_or(MAX_TRIES);
        let on_newer = section.word("on_newer", OnNewer::ALL).unwrap_or_default();
        section.finish();
        Self { keys, max_tries, on_newer }
    }
}

fn read_keys(section: &Section<'_>, given: &[String]) -> Option<CodeKeys> {
    if given.len() > MAX_KEYS {
        section.complain("keys", format!("has {} entries", given.len()), KEYS_ALLOWED);
        return None;
    }
    let mut keys = Vec::new();
    for (i, entry) in given.iter().enumerate() {
        let also = entry.strip_prefix("1:env:") == Some(VARIABLE) && !section.has("keys");
        let which = if also { format!("in {VARIABLE} ") } else { format!("entry {} ", i + 1) };
        // An entry is never repeated: it may contain the key itself.
        let Some((id, reference)) = entry.split_once(':').and_then(|(id, rest)| Some((key_id(id)?, rest))) else {
            section.complain(
                "keys",
                format!("{which}does not begin with an id"),
                "must be 1 to 32767, a colon and the key",
            );
            continue;
        };
        let Some(secret) = section.resolve("keys", &which, reference) else { continue };
        if secret.expose().len() >= CodeKey::MIN_BYTES
            && let Some(wrong) = weak::key(secret.expose())
        {
            let allowed =
                format!("must be at least {} random bytes, such as of `openssl rand -base64 48`", CodeKey::MIN_BYTES);
            section.complain("keys", format!("{which}{wrong}"), allowed);
            continue;
        }
        match CodeKey::new(id, secret.expose().as_bytes()) {
            Ok(key) => keys.push(key),
            Err(_) => section.complain(
                "keys",
                format!("{which}has {} bytes", secret.expose().len()),
                format!("must be at least {} random bytes", CodeKey::MIN_BYTES),
            ),
        }
    }
    if keys.len() < given.len() {
        return None;
    }
    CodeKeys::new(keys).map_err(|e| section.complain("keys", e.to_string(), KEYS_ALLOWED)).ok()
}

fn key_id(text: &str) -> Option<i16> {
    text.parse().ok().filter(|id| *id >= 1)
}
