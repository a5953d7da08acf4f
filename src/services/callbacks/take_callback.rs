//! Accepts a provider's callback: verifies it, reads its receipts, and returns when they are durable.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::domain::code_keys::CodeKeys;
use crate::domain::receipt::Disposition;
use crate::providers::{Callback, Handshake, Receipts, Unverified, Verified};
use crate::services::accounts::account::{Account, Accounts};
use crate::services::callbacks::apply_receipts::ApplyReceipts;
use crate::services::ledger::group_commit::LedgerError;
use crate::services::randomness;
use crate::store::StoreError;
use crate::store::callback_nonces::{self, Nonce, Reservation};
use crate::store::database::Database;
use crate::store::dead_letters::{self, DeadLetter};
use crate::store::receipts::ReceivedReceipt;
use crate::telemetry;
use sha2::{Digest, Sha256};
use tracing::Span;
use tracing::field::Empty;
use uuid::Uuid;

#[derive(Clone)]
pub struct TakeCallback {
    pub pool: Database,
    pub clock: Clock,
    pub keys: CodeKeys,
    pub accounts: Accounts,
    pub apply: ApplyReceipts,
}

/// A callback that was accepted and is durable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    pub dispositions: Vec<Disposition>,
    /// Part of it could not be read and was stored as a dead letter.
    pub dead_letter: bool,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum NotTaken {
    #[error("no account has this name")]
    NoAccount,
    #[error("not believed: {0}")]
    Unverified(Unverified),
    #[error("cannot make it durable")]
    NotDurable(#[source] LedgerError),
    /// Its name counts once, and another copy of it is being processed.
    #[error("a copy of it is being processed")]
    UnderWay,
}

impl TakeCallback {
    /// Answers the GET with which a provider tests a callback URL. `None`: no such account.
    pub fn handshake(&self, account: &str, query: &str) -> Option<Handshake> {
        Some(self.accounts.get(account)?.provider.handshake(query))
    }

    /// Checks only the head of a callback.
    ///
    /// # Errors
    /// When no body could make it a callback of the account: the account does not exist, or the proof is missing.
    pub fn may_be_theirs(&self, account: &str, headers: &[(String, Vec<u8>)], query: &str) -> Result<(), NotTaken> {
        let now = self.clock.now();
        let candidates = self.accounts.verifying(account, now);
        if candidates.is_empty() {
            return Err(NotTaken::NoAccount);
        }
        let is_hopeless = |account: &Arc<Account>| {
            let callback = Callback { headers, callback_url: &account.callback_url, query, body: &[], now };
            matches!(account.provider.verify(&callback), Err(Unverified::Missing))
        };
        if candidates.iter().all(is_hopeless) {
            return Err(NotTaken::Unverified(Unverified::Missing));
        }
        Ok(())
    }

    /// # Errors
    /// See [`NotTaken`]; a refused callback is not stored.
    #[tracing::instrument(level = "debug", name = "callback.take", skip_all, fields(account = account, provider = Empty))]
    pub async fn run(
        &self,
        account: &str,
        headers: &[(String, Vec<u8>)],
        query: &str,
        body: &[u8],
    ) -> Result<Taken, NotTaken> {
        let now = self.clock.now();
        let candidates = self.accounts.verifying(account, now);
        let (account, verified) = verify(&candidates, headers, query, body, now)?;
        Span::current().record("provider", account.provider_name);
        let callback = Callback { headers, callback_url: &account.callback_url, query, body, now };
        let proved_too = self.proved_too(account, &callback);
        let Some(once) = verified.only_once().cloned() else {
            return self.take(account, &proved_too, verified, now, true).await;
        };
        let body_hash = Sha256::digest(body);
        // Hashed, because the provider may choose any length and any characters.
        let name = hex::encode(Sha256::digest(once.name.as_bytes()));
        let nonce = Nonce { account: &account.name, name: &name, body_hash: &body_hash };
        let not_durable = |error: StoreError| NotTaken::NotDurable(error.into());
        match callback_nonces::reserve(&self.pool, nonce, now, once.until).await.map_err(not_durable)? {
            Reservation::Ours => {}
            Reservation::Taken => return Ok(Taken::default()),
            Reservation::UnderWay => return Err(NotTaken::UnderWay),
            Reservation::OtherBody => return Err(NotTaken::Unverified(Unverified::Replayed)),
        }
        match self.take(account, &proved_too, verified, now, true).await {
            Ok(taken) => {
                callback_nonces::mark_taken(&self.pool, nonce, self.clock.now()).await.map_err(not_durable)?;
                Ok(taken)
            }
            Err(error) => {
                // If this fails too, the name is free again after some seconds.
                let _ = callback_nonces::give_back(&self.pool, nonce, now).await;
                Err(error)
            }
        }
    }

    /// The other accounts of the provider whose settings also prove the callback: several numbers under one app of the
    /// provider share a secret, and their receipts come to one address.
    fn proved_too(&self, account: &Account, callback: &Callback<'_>) -> Vec<String> {
        let is_proved = |other: &Arc<Account>| {
            other.provider_name == account.provider_name
                && other.name != account.name
                && other.provider.verify(callback).is_ok()
        };
        self.accounts.all().iter().filter(|other| is_proved(other)).map(|other| other.name.clone()).collect()
    }

    /// Processes a callback from the dead letters again. What still cannot be read stays there.
    ///
    /// # Errors
    /// See [`NotTaken`].
    pub async fn again(&self, account: &str, verified: Verified<'_>) -> Result<Taken, NotTaken> {
        let account = self.accounts.get(account).ok_or(NotTaken::NoAccount)?;
        self.take(&account, &[], verified, self.clock.now(), false).await
    }

    async fn take(
        &self,
        account: &Account,
        proved_too: &[String],
        verified: Verified<'_>,
        now: DateTime<Utc>,
        keep_unreadable: bool,
    ) -> Result<Taken, NotTaken> {
        let callback_id = randomness::id(now);
        let body = verified.body();
        let attempt_id = verified.attempt_id().map(|id| id.uuid());
        let (receipts, reason) = match account.provider.receipts(verified) {
            Ok(Receipts { receipts, unreadable, unknown_statuses, other_events }) => {
                if other_events > 0 && telemetry::may_tell("callbacks about something else") {
                    tracing::warn!(
                        account = account.name,
                        events = other_events,
                        "a callback has no status and no id where they are described: taken for news of another kind and \
                         ignored. If it is a delivery report, compare the account's `callback` settings with it"
                    );
                }
                for status in unknown_statuses {
                    tracing::info!(account = account.name, status, "unknown status; ignored");
                }
                let first = unreadable.first().map(|(reason, _)| reason.clone());
                (receipts, first.map(|reason| format!("{} unreadable: {reason}", unreadable.len())))
            }
            Err(unreadable) => (Vec::new(), Some(unreadable.reason)),
        };
        let mut taken = Taken { dispositions: Vec::new(), dead_letter: reason.is_some() };
        if let Some(reason) = reason.filter(|_| keep_unreadable) {
            tracing::warn!(
                account = account.name,
                reason,
                "an authentic callback cannot be read; kept as a dead letter"
            );
            let letter = self.letter(account, callback_id, attempt_id, reason, body, now);
            let kept = dead_letters::insert(&self.pool, &letter).await;
            kept.map_err(|error| NotTaken::NotDurable(error.into()))?;
        }
        if !receipts.is_empty() {
            let received = |receipt| ReceivedReceipt {
                receipt_id: randomness::id(now),
                callback_id,
                account: account.name.clone(),
                proved_too: proved_too.to_vec(),
                received_at: now,
                receipt,
            };
            let receipts = receipts.into_iter().map(received).collect();
            taken.dispositions = self.apply.run(receipts).await.map_err(NotTaken::NotDurable)?;
        }
        tracing::debug!(receipts = taken.dispositions.len(), "a callback was taken");
        Ok(taken)
    }

    fn letter(
        &self,
        account: &Account,
        callback_id: Uuid,
        attempt_id: Option<Uuid>,
        reason: String,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> DeadLetter {
        let letter_id = randomness::id(now);
        let (body_key_id, body_sealed) = self.keys.seal_bytes(letter_id.as_bytes(), body, randomness::bytes());
        DeadLetter {
            letter_id,
            account: account.name.clone(),
            callback_id,
            reason,
            attempt_id,
            body_key_id,
            body_sealed,
            body_bytes: i32::try_from(body.len()).unwrap_or(i32::MAX),
            received_at: now,
            replayed_at: None,
        }
    }
}

/// The first of the accounts whose settings prove the callback; if none does, the error under the current settings.
fn verify<'a>(
    candidates: &'a [Arc<Account>],
    headers: &'a [(String, Vec<u8>)],
    query: &'a str,
    body: &'a [u8],
    now: DateTime<Utc>,
) -> Result<(&'a Account, Verified<'a>), NotTaken> {
    let mut refusal = NotTaken::NoAccount;
    for account in candidates {
        let callback = Callback { headers, callback_url: &account.callback_url, query, body, now };
        match account.provider.verify(&callback) {
            Ok(verified) => return Ok((account, verified)),
            Err(reason) if matches!(refusal, NotTaken::NoAccount) => refusal = NotTaken::Unverified(reason),
            Err(_) => {}
        }
    }
    Err(refusal)
}
