//! Receipts find their attempts, are applied, and wait where the attempt is not known yet.

use crate::domain::event::{Effect, Event};
use crate::domain::ids::AttemptId;
use crate::domain::receipt::Disposition;
use crate::services::ledger::{Ledger, LedgerError};
use crate::services::transitions::{Command, Done, Record};
use crate::store::StoreError;
use crate::store::database::Database;
use crate::store::provider_ids;
use crate::store::receipts::{self, ReceivedReceipt};
use std::collections::HashMap;

#[derive(Clone)]
pub struct ApplyReceipts {
    pub pool: Database,
    pub ledger: Ledger,
}

impl ApplyReceipts {
    /// Applies receipts; returns when each of them is durable, as an applied one or as one that waits.
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
        // The id may have landed between our look and our writing it down. The other side writes first and looks
        // second too, so at least one of the two sees both.
        let mut again = self.match_waiting(waiting).await?.into_iter();
        for disposition in dispositions.iter_mut().filter(|d| is_unmatched(d)) {
            *disposition = again.next().unwrap_or(Disposition::Unmatched);
        }
        Ok(dispositions)
    }

    /// Tries to match receipts that stand in `unmatched_receipts`; those that match leave it.
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

    async fn apply(&self, receipts: &[ReceivedReceipt]) -> Result<Vec<Disposition>, LedgerError> {
        let known = self.look_up(receipts).await?;
        let mut dispositions = vec![Disposition::Unmatched; receipts.len()];
        let mut commands = Vec::with_capacity(receipts.len());
        let mut places = Vec::with_capacity(receipts.len());
        for (place, received) in receipts.iter().enumerate() {
            let name = received.receipt.provider_message_id.as_str();
            let by_name = || received.accounts().find_map(|account| known.get(&(account, name)).copied());
            let Some(attempt) = received.receipt.attempt_id.or_else(by_name) else { continue };
            places.push(place);
            commands.push(Command {
                message: attempt.message(),
                event: Event::Receipt { attempt_no: attempt.attempt_no(), receipt: received.receipt.clone() },
                at: received.received_at,
                record: Record::Receipt(Box::new(received.clone())),
            });
        }
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

    /// Which attempts the providers' own ids mean, for receipts that do not name ours.
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
