//! Asks providers what became of messages: where callbacks went missing, and where there are none.
//!
//! A question that gets lost on the way costs nothing but itself: the deadline runs on and the SMS leaves as if nobody
//! had asked. So a question is taken up before it is asked, and asked once whatever happens. What it was answered is kept
//! until it can be written down.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::domain::asking;
use crate::domain::ids::MessageId;
use crate::domain::message::Message;
use crate::domain::receipt::DeliveryReceipt;
use crate::providers::client::{CallOff, Client, Sent};
use crate::providers::{Question, Receipts, Reply};
use crate::services::account::{Account, Accounts};
use crate::services::apply_receipts::ApplyReceipts;
use crate::services::ledger::LedgerError;
use crate::services::randomness;
use crate::store::StoreError;
use crate::store::answers::{self, PastAnswer};
use crate::store::database::Database;
use crate::store::messages;
use crate::store::questions::{self, DueQuestion};
use crate::store::receipts::ReceivedReceipt;
use crate::telemetry;

/// How long an answer is waited for: half a second less than [`asking::LEAD`], so that what it says is written down
/// before the deadline.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause before an answer that could not be written down is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// Longest time in which that is done: no message lives longer.
const WRITTEN_WITHIN: Duration = Duration::from_secs(600);

pub struct Ask {
    pub pool: Database,
    pub clock: Clock,
    pub client: Client,
    pub accounts: Accounts,
    pub apply: ApplyReceipts,
}

/// What one round did.
pub struct Round {
    /// Questions under way.
    pub asked: Vec<JoinHandle<()>>,
    /// Questions taken up, of which those that have become needless are not asked.
    pub due: usize,
}

/// What a question needs.
struct Errand {
    account: Arc<Account>,
    message: Message,
    due: DueQuestion,
    _permit: OwnedSemaphorePermit,
}

/// What was told. `trouble`: why nothing was, in a word.
struct Told {
    http_status: Option<i16>,
    receipts: Vec<DeliveryReceipt>,
    trouble: Option<&'static str>,
}

impl Ask {
    /// Takes up the questions that are due, and begins to ask those whose answer can still change something.
    ///
    /// # Errors
    /// When the database cannot be asked; questions taken up before that are not asked.
    pub async fn run_once(self: &Arc<Self>) -> Result<Round, StoreError> {
        let now = self.clock.now();
        let mut permits = self.permits();
        let rooms: Vec<(String, i64)> =
            permits.iter().map(|(name, free)| (name.clone(), i64::try_from(free.len()).unwrap_or(0))).collect();
        if rooms.is_empty() {
            return Ok(Round { asked: Vec::new(), due: 0 });
        }
        let due = questions::take_up(&self.pool, &rooms, now).await?;
        if due.is_empty() {
            return Ok(Round { asked: Vec::new(), due: 0 });
        }
        let mut ids: Vec<MessageId> = due.iter().map(|question| question.message).collect();
        ids.sort_unstable();
        ids.dedup();
        // A question about a message that cannot be read is not asked, like one that has become needless.
        let found = messages::read(&self.pool, &ids).await?.messages;
        let found: HashMap<MessageId, Message> = found.into_iter().map(|m| (m.message.id, m.message)).collect();
        let taken_up = due.len();
        let (mut asked, mut needless) = (Vec::new(), Vec::new());
        for due in due {
            let account = self.accounts.get(&due.account);
            let message = found.get(&due.message).filter(|message| {
                let calls_back = account.as_ref().is_none_or(|account| account.provider.abilities().calls_back);
                asking::is_open(message, due.attempt_no, calls_back, now)
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
        Ok(Round { asked, due: taken_up })
    }

    /// Accounts that can be asked and have room, by name, each with its free permits.
    fn permits(&self) -> HashMap<String, Vec<OwnedSemaphorePermit>> {
        let free = |account: Arc<Account>| {
            let take = || Arc::clone(&account.questions).try_acquire_owned().ok();
            (account.name.clone(), std::iter::from_fn(take).collect::<Vec<_>>())
        };
        self.askable().map(free).filter(|(_, permits)| !permits.is_empty()).collect()
    }

    fn askable(&self) -> impl Iterator<Item = Arc<Account>> {
        self.accounts.all().into_iter().filter(|account| account.provider.abilities().can_be_asked)
    }

    /// Accounts that can be asked and have room.
    pub fn ready(&self) -> Vec<String> {
        let has_room = |account: &Arc<Account>| account.questions.available_permits() > 0;
        self.askable().filter(has_room).map(|account| account.name.clone()).collect()
    }

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
            tracing::warn!(account = account.name, error, "cannot write down what a provider told when it was asked");
            // The answer must not say what no receipt says.
            answer.told = None;
        }
        if let Err(error) = answers::insert(&self.pool, &answer).await {
            tracing::warn!(account = account.name, error = %telemetry::chain(&error), "cannot write down a question");
        }
    }

    /// Takes what was told, again and again while the database is away and the message lives: nobody asks twice.
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
        // The same ids each time: what was written though we did not hear of it is not written twice.
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

    /// Asks the provider. An open breaker is no reason not to: one question is cheaper than a needless SMS.
    async fn call(&self, errand: &Errand) -> Told {
        let Errand { account, message, due, .. } = errand;
        let trouble = |http_status, reason| Told { http_status, receipts: Vec::new(), trouble: Some(reason) };
        let attempt = message.attempt(due.attempt_no);
        let Some(id) = attempt.and_then(|attempt| attempt.provider_message_id.as_deref()) else {
            return trouble(None, "no_id");
        };
        let attempt_id = message.id.attempt(due.attempt_no);
        let about = Question { attempt_id, provider_message_id: id, ask_by: due.ask_by.as_deref() };
        let Some(call) = account.provider.question(&about) else { return trouble(None, "cannot_be_asked") };
        let exchange =
            timeout(PATIENCE, self.client.send(account.provider_name, &account.name, call, &CallOff::default())).await;
        let (status, retry_after, body) = match exchange.map(|exchange| exchange.sent) {
            Ok(Sent::Reply { status, retry_after, body }) => (status, retry_after, body),
            Ok(Sent::NotSent(reason) | Sent::MaybeSent(reason)) => return trouble(None, reason),
            Err(_) => return trouble(None, "timeout"),
        };
        let http_status = i16::try_from(status).ok();
        match account.provider.told(&about, &Reply { status, retry_after, body: &body }) {
            Ok(Receipts { receipts, unreadable, unknown_statuses }) => {
                for status in unknown_statuses {
                    tracing::info!(account = account.name, status, "told a status that is not known; ignored");
                }
                let Some((reason, _)) = unreadable.first().filter(|_| receipts.is_empty()) else {
                    return Told { http_status, receipts, trouble: None };
                };
                tracing::warn!(account = account.name, reason, "the answer to a question cannot be read");
                trouble(http_status, "unreadable")
            }
            Err(error) => {
                tracing::warn!(account = account.name, status, reason = error.reason, "a question was not answered");
                trouble(http_status, if (200..300).contains(&status) { "unreadable" } else { "refused" })
            }
        }
    }
}
