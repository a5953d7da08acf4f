//! Matches receipts that came before we knew the provider's id, as soon as the id lands.

use tokio::sync::mpsc;

use crate::services::apply_receipts::ApplyReceipts;
use crate::store::provider_ids::ProviderId;
use crate::store::receipts;
use crate::telemetry;

/// Ids looked up at once.
const GROUP: usize = 256;

/// Ends when nobody can tell of an id any more. What it misses, the recovery loop finds.
pub async fn run(apply: ApplyReceipts, mut landed: mpsc::UnboundedReceiver<Vec<ProviderId>>) {
    while let Some(mut ids) = landed.recv().await {
        while ids.len() < GROUP {
            let Ok(more) = landed.try_recv() else { break };
            ids.extend(more);
        }
        if let Err(error) = match_ids(&apply, ids).await {
            tracing::warn!(error = %error, "cannot match receipts that waited; the recovery loop will");
        }
    }
}

async fn match_ids(apply: &ApplyReceipts, ids: Vec<ProviderId>) -> Result<(), String> {
    let names: Vec<(String, String)> = ids.into_iter().map(|id| (id.account, id.provider_message_id)).collect();
    let waiting = receipts::unmatched_of(&apply.pool, &names).await.map_err(|e| telemetry::chain(&e))?;
    if !waiting.is_empty() {
        apply.match_waiting(waiting).await.map_err(|e| telemetry::chain(&e))?;
    }
    Ok(())
}
