//! Queries providers for the status of messages: where callbacks are missing, and where a provider sends none.
//!
//! A lost query has no further effect: the deadline runs on, and the SMS is sent as if there had been no query. So a
//! query is claimed before it is sent, and sent at most once. Its answer is kept in memory until it can be stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::domain::ids::MessageId;
use crate::domain::message::Message;
use crate::domain::receipt::DeliveryReceipt;
use crate::domain::status_query;
use crate::outbound::{CallOff, Client, Sent};
use crate::providers::{Receipts, Reply, StatusQuery};
use crate::services::accounts::account::{Account, Accounts};
use crate::services::callbacks::apply_receipts::ApplyReceipts;
use crate::services::ledger::group_commit::LedgerError;
use crate::services::randomness;
use crate::store::StoreError;
use crate::store::answers::{self, PastAnswer};
use crate::store::database::Database;
use crate::store::messages;
use crate::store::questions::{self, DueQuestion};
use crate::store::receipts::ReceivedReceipt;
use crate::telemetry;

/// Time limit for an answer: half a second less than [`status_query::LEAD`], so that the answer is stored before the
/// deadline.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause before storing an answer is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// Maximum total time for such tries: no message lives longer.
const WRITTEN_WITHIN: Duration = Duration::from_secs(600);

pub struct StatusQueries {
    pub pool: Database,
    pub clock: Clock,
    pub client: Client,
    pub accounts: Accounts,
    pub apply: ApplyReceipts,
}

/// Result of one round.
pub struct QueryRound {
    /// Queries in progress.
    pub asked: Vec<JoinHandle<()>>,
    /// Queries that were claimed, including those that were not sent because they are no longer needed.
    pub due: usize,
}

/// What a query needs.
struct Errand {
    account: Arc<Account>,
    message: Message,
    due: DueQuestion,
    _permit: OwnedSemaphorePermit,
}

/// The answer. `trouble`: why there is none, in a word.
struct Told {
    http_status: Option<i16>,
    receipts: Vec<DeliveryReceipt>,
    trouble: Option<&'static str>,
}

impl StatusQueries {
    /// Claims the queries that are due, and sends those whose answer can still change something.
    ///
    /// # Errors
    /// When the database is unavailable; queries claimed before that are not sent.
    pub async fn run_once(self: &Arc<Self>) -> Result<QueryRound, StoreError> {
        let now = self.clock.now();
        let mut permits = self.permits();
        let rooms: Vec<(String, i64)> =
            permits.iter().map(|(name, free)| (name.clone(), i64::try_from(free.len()).unwrap_or(0))).collect();
        if rooms.is_empty() {
            return Ok(QueryRound { asked: Vec::new(), due: 0 });
        }
        let due = questions::take_up(&self.pool, &rooms, now).await?;
        if due.is_empty() {
            return Ok(QueryRound { asked: Vec::new(), due: 0 });
        }
        let mut ids: Vec<MessageId> = due.iter().map(|question| question.message).collect();
        ids.sort_unstable();
        ids.dedup();
        // A query about an unreadable message is not sent, like one that is no longer needed.
        let found = messages::read(&self.pool, &ids).await?.messages;
        let found: HashMap<MessageId, Message> = found.into_iter().map(|m| (m.message.id, m.message)).collect();
        let taken_up = due.len();
        let (mut asked, mut needless) = (Vec::new(), Vec::new());
        for due in due {
            let account = self.accounts.get(&due.account);
            let message = found.get(&due.message).filter(|message| {
                let calls_back = account.as_ref().is_none_or(|account| account.provider.abilities().calls_back);
                status_query::is_open(message, due.attempt_no, calls_back, now)
            });
            let permit = permits.get_mut(&due.account).and_then(Vec::pop);
            let (Some(account), Some(message), Some(permit)) = (account, message, permit) else {
                needless.push((due.message, due.attempt_no));
                continue;
            };
            let errand = Errand { account, message: message.clone(), due, _permit: permit };
            asked.push(tokio::spawn(Arc::clone(self).ask(errand)));
        }
        if !needless.is_empty() {
            questions::take_back(&self.pool, &needless).await?;
        }
        Ok(QueryRound { asked, due: taken_up })
    }

    /// Accounts that can be queried and have capacity, by name, each with its free permits.
    fn permits(&self) -> HashMap<String, Vec<OwnedSemaphorePermit>> {
        let free = |account: Arc<Account>| {
            let take = || Arc::clone(&account.questions).try_acquire_owned().ok();
            (account.name.clone(), std::iter::from_fn(take).collect::<Vec<_>>())
        };
        self.queryable().map(free).filter(|(_, permits)| !permits.is_empty()).collect()
    }

    fn queryable(&self) -> impl Iterator<Item = Arc<Account>> {
        self.accounts.all().into_iter().filter(|account| account.provider.abilities().can_be_queried)
    }

    /// When the next query to an account with capacity is due.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn next(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        questions::next(&self.pool, &self.ready()).await
    }

    /// Accounts that can be queried and have capacity.
    fn ready(&self) -> Vec<String> {
        let has_room = |account: &Arc<Account>| account.questions.available_permits() > 0;
        self.queryable().filter(has_room).map(|account| account.name.clone()).collect()
    }

    #[tracing::instrument(
        name = "status.query",
        skip_all,
        fields(
            message_id = %errand.message.id,
            attempt_id = %errand.message.id.attempt(errand.due.attempt_no),
            attempt = errand.due.attempt_no,
            channel = %errand.account.channel,
            provider = errand.account.provider_name,
            account = errand.account.name,
        )
    )]
    async fn ask(self: Arc<Self>, errand: Errand) {
        let asked_at = self.clock.now();
        let told = self.call(&errand).await;
        let Errand { account, message, due, .. } = errand;
        let ended_at = self.clock.now();
        let expires_at = message.expires_at;
        let mut answer = PastAnswer {
            message: message.id,
            attempt_no: due.attempt_no,
            question_no: due.question_no,
            app: message.app,
            account: account.name.clone(),
            callback_id: randomness::id(ended_at),
            asked_at,
            ended_at,
            http_status: told.http_status,
            told: told.receipts.iter().map(|receipt| receipt.status).max_by_key(|status| (status.state(), *status)),
            trouble: told.trouble.map(str::to_owned),
        };
        // The receipts first: a delivery disarms the deadline, which is near.
        if let Err(error) = self.take_by(expires_at, &answer, told.receipts, ended_at).await {
            let error = telemetry::chain(&error);
            tracing::warn!(account = account.name, error, "cannot store the answer to a status query");
            // The stored answer must not contain a status without a receipt.
            answer.told = None;
        }
        if let Err(error) = answers::insert(&self.pool, &answer).await {
            tracing::warn!(account = account.name, error = %telemetry::chain(&error), "cannot store a status query");
        }
    }

    /// Stores the receipts of an answer, with retries while the database is unavailable and the message lives, because
    /// the query is not repeated.
    async fn take_by(
        &self,
        expires_at: DateTime<Utc>,
        answer: &PastAnswer,
        receipts: Vec<DeliveryReceipt>,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let received = |receipt| ReceivedReceipt {
            proved_too: Vec::new(),
            receipt_id: randomness::id(now),
            callback_id: answer.callback_id,
            account: answer.account.clone(),
            received_at: now,
            receipt,
        };
        // The same ids in each try, so that a write whose confirmation was lost is not repeated.
        let received: Vec<ReceivedReceipt> = receipts.into_iter().map(received).collect();
        let began = Instant::now();
        loop {
            match self.apply.run(received.clone()).await {
                Err(error) if error.may_pass() && self.clock.now() < expires_at && began.elapsed() < WRITTEN_WITHIN => {
                    tokio::time::sleep(AGAIN).await;
                }
                done => return done.map(|_| ()),
            }
        }
    }

    /// Sends the query, also while the breaker is open: one query is cheaper than an unnecessary SMS.
    async fn call(&self, errand: &Errand) -> Told {
        let Errand { account, message, due, .. } = errand;
        let trouble = |http_status, reason| Told { http_status, receipts: Vec::new(), trouble: Some(reason) };
        let attempt = message.attempt(due.attempt_no);
        let Some(id) = attempt.and_then(|attempt| attempt.provider_message_id.as_deref()) else {
            return trouble(None, "no_id");
        };
        let attempt_id = message.id.attempt(due.attempt_no);
        let about = StatusQuery { attempt_id, provider_message_id: id, ask_by: due.ask_by.as_deref() };
        let Some(call) = account.provider.status_query(&about) else { return trouble(None, "cannot_be_asked") };
        let exchange =
            timeout(PATIENCE, self.client.send(account.provider_name, &account.name, call, &CallOff::default())).await;
        let (status, retry_after, body) = match exchange.map(|exchange| exchange.sent) {
            Ok(Sent::Reply { status, cut_off: Some(reason), .. }) => {
                return trouble(i16::try_from(status).ok(), reason);
            }
            Ok(Sent::Reply { status, retry_after, body, .. }) => (status, retry_after, body),
            Ok(Sent::NotSent(reason) | Sent::MaybeSent(reason)) => return trouble(None, reason),
            Err(_) => return trouble(None, "timeout"),
        };
        let http_status = i16::try_from(status).ok();
        match account.provider.status_answer(&about, &Reply { status, retry_after, body: &body }) {
            Ok(Receipts { receipts, unreadable, unknown_statuses, .. }) => {
                for status in unknown_statuses {
                    tracing::info!(
                        account = account.name,
                        status,
                        "the answer to a status query contains an unknown status; ignored"
                    );
                }
                let Some((reason, _)) = unreadable.first().filter(|_| receipts.is_empty()) else {
                    return Told { http_status, receipts, trouble: None };
                };
                tracing::warn!(account = account.name, reason, "the answer to a status query cannot be read");
                trouble(http_status, "unreadable")
            }
            Err(error) => {
                tracing::warn!(
                    account = account.name,
                    http_status = status,
                    reason = error.reason,
                    "a status query was not answered"
                );
                trouble(http_status, if (200..300).contains(&status) { "unreadable" } else { "refused" })
            }
        }
    }
}
