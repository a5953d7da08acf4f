//! Matches receipts to their attempts and applies them; stores those whose attempt is not known yet.

use crate::domain::event::Effect;
use crate::domain::ids::AttemptId;
use crate::domain::receipt::{Disposition, Status};
use crate::services::ledger::command::{Command, Done, RecordedEvent};
use crate::services::ledger::group_commit::{Ledger, LedgerError};
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::provider_ids::{self, ProviderId};
use crate::store::receipts::{self, ReceivedReceipt};
use std::collections::HashMap;

#[derive(Clone)]
pub struct ApplyReceipts {
    pub pool: Database,
    pub ledger: Ledger,
}

impl ApplyReceipts {
    /// Applies receipts; returns when each of them is durable, either applied or waiting.
    ///
    /// # Errors
    /// When something could not be written; all of them may be repeated.
    pub async fn run(&self, receipts: Vec<ReceivedReceipt>) -> Result<Vec<Disposition>, LedgerError> {
        let mut dispositions = self.apply(&receipts).await?;
        let is_unmatched = |d: &Disposition| *d == Disposition::Unmatched;
        let waiting: Vec<ReceivedReceipt> =
            receipts.into_iter().zip(&dispositions).filter(|(_, d)| is_unmatched(d)).map(|(r, _)| r).collect();
        if waiting.is_empty() {
            return Ok(dispositions);
        }
        receipts::insert_unmatched(&self.pool, &waiting).await?;
        // The id may have become known between our look-up and our write. The other side also writes first and looks up
        // second, so at least one of the two sees both.
        let mut again = self.match_waiting(waiting).await?.into_iter();
        for disposition in dispositions.iter_mut().filter(|d| is_unmatched(d)) {
            *disposition = again.next().unwrap_or(Disposition::Unmatched);
        }
        Ok(dispositions)
    }

    /// Tries to match receipts in `unmatched_receipts`; matched ones are removed from there.
    ///
    /// # Errors
    /// When something could not be read or written; it may be repeated.
    pub async fn match_waiting(&self, waiting: Vec<ReceivedReceipt>) -> Result<Vec<Disposition>, LedgerError> {
        let dispositions = self.apply(&waiting).await?;
        let matched: Vec<ReceivedReceipt> = waiting
            .into_iter()
            .zip(&dispositions)
            .filter(|(_, d)| **d != Disposition::Unmatched)
            .map(|(r, _)| r)
            .collect();
        if !matched.is_empty() {
            receipts::delete_unmatched(&self.pool, &matched).await?;
        }
        Ok(dispositions)
    }

    /// Matches the receipts that wait for these provider ids.
    ///
    /// # Errors
    /// When something could not be read or written; it may be repeated.
    pub async fn match_landed(&self, ids: Vec<ProviderId>) -> Result<(), LedgerError> {
        let names: Vec<(String, String)> = ids.into_iter().map(|id| (id.account, id.provider_message_id)).collect();
        let waiting = receipts::unmatched_of(&self.pool, &names).await?;
        if !waiting.is_empty() {
            self.match_waiting(waiting).await?;
        }
        Ok(())
    }

    async fn apply(&self, receipts: &[ReceivedReceipt]) -> Result<Vec<Disposition>, LedgerError> {
        let known = self.look_up(receipts).await?;
        let mut dispositions = vec![Disposition::Unmatched; receipts.len()];
        let mut found = Vec::with_capacity(receipts.len());
        for (place, received) in receipts.iter().enumerate() {
            let name = received.receipt.provider_message_id.as_str();
            let by_name = || received.accounts().find_map(|account| known.get(&(account, name)).copied());
            let Some(attempt) = received.receipt.attempt_id.or_else(by_name) else { continue };
            let command = Command {
                message: attempt.message(),
                event: RecordedEvent::Receipt {
                    attempt_no: attempt.attempt_no(),
                    received: Box::new(received.clone()),
                },
                at: received.received_at,
            };
            found.push((place, command));
        }
        // Failures last: if one callback reports a failure and a delivery of the same attempt, no replacement is
        // needed.
        found.sort_by_key(|(place, _)| receipts[*place].receipt.status == Status::Failed);
        let (places, commands): (Vec<usize>, Vec<Command>) = found.into_iter().unzip();
        if commands.is_empty() {
            return Ok(dispositions);
        }
        for (place, done) in places.into_iter().zip(self.ledger.apply(commands).await?) {
            if let Done::Effect(Effect::Receipt(disposition)) = done {
                dispositions[place] = disposition;
            }
        }
        Ok(dispositions)
    }

    /// Looks up the attempts of receipts that contain only the provider's id.
    async fn look_up<'a>(
        &self,
        receipts: &'a [ReceivedReceipt],
    ) -> Result<HashMap<(&'a str, &'a str), AttemptId>, StoreError> {
        let mut by_account: HashMap<&str, Vec<&str>> = HashMap::new();
        for received in receipts.iter().filter(|r| r.receipt.attempt_id.is_none()) {
            let name = received.receipt.provider_message_id.as_str();
            for account in received.accounts() {
                by_account.entry(account).or_default().push(name);
            }
        }
        let mut known = HashMap::new();
        for (account, names) in by_account {
            let mut found = provider_ids::find(&self.pool, account, &names).await?;
            known.extend(names.iter().filter_map(|name| Some(((account, *name), found.remove(*name)?))));
        }
        Ok(known)
    }
}
