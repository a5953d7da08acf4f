//! Matches receipts that arrived before the provider's id was known, as soon as the id is known.

use crate::services::callbacks::apply_receipts::ApplyReceipts;
use crate::services::ledger::group_commit::LandedIds;
use crate::telemetry;

/// Ids looked up at once.
const GROUP: usize = 256;

/// Ends when no more ids can arrive. The recovery loop finds what it misses.
pub async fn run(apply: ApplyReceipts, mut landed: LandedIds) {
    while let Some(mut ids) = landed.recv().await {
        while ids.len() < GROUP {
            let Ok(more) = landed.try_recv() else { break };
            ids.extend(more);
        }
        if let Err(error) = apply.match_landed(ids).await {
            tracing::warn!(error = %telemetry::chain(&error), "cannot match receipts that waited; the recovery loop will");
        }
    }
}
