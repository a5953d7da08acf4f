//! Deletes what is kept about one number beside its messages.

use crate::domain::code_keys::CodeKeys;
use crate::domain::ids::Bucket;
use crate::domain::phone::Phone;
use crate::store::database::Database;
use crate::store::number_sends::NumberKey;
use crate::store::{StoreError, api_keys, number_memory, number_sends, number_tries};

/// The tables that hold something about a number beside its messages, under its keyed hash.
const TABLES: [&str; 3] = ["number_memory", "number_sends", "number_tries"];

/// Deletes what all apps know about a number. Returns the tables in which there was something. Its limits begin anew then.
///
/// # Errors
/// When the database is unavailable.
pub async fn forget_number(pool: &Database, keys: &CodeKeys, phone: &Phone) -> Result<Vec<&'static str>, StoreError> {
    let apps = api_keys::apps(pool).await?;
    let scopes = std::iter::once(None).chain(apps.iter().map(Some));
    let hashes = scopes.flat_map(|app| keys.number_hashes(app, phone)).collect();
    let number = NumberKey { bucket: Bucket::of(phone), hashes };
    let erased = [
        number_memory::erase(pool, number.bucket, &number.hashes).await?,
        number_sends::erase(pool, &number).await?,
        number_tries::erase(pool, &number).await?,
    ];
    Ok(TABLES.into_iter().zip(erased).filter_map(|(table, there_was)| there_was.then_some(table)).collect())
}
