//! Applies events to messages: lock, decide, write, commit. Every change of a message goes through here.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::app_id::AppId;
use crate::domain::attempt::SendState;
use crate::domain::code_keys::CodeKeys;
use crate::domain::event::Effect;
use crate::domain::ids::MessageId;
use crate::domain::limits::{LimitHit, LimitRule};
use crate::domain::message::Outcome;
use crate::domain::receipt::Disposition;
use crate::domain::spraying::Compared;
use crate::domain::step::step;
use crate::services::accounts::account::Accounts;
use crate::services::accounts::pulse::Pulse;
use crate::services::delivery::under_way::UnderWay;
use crate::services::ledger::command::{AppRequest, Command, Done, RecordedEvent};
use crate::services::ledger::log::{Log, ToldLate};
use crate::services::ledger::quarantine::{Claimant, Quarantine};
use crate::services::ledger::tries::Tries;
use crate::services::limits::enforce::enforce;
use crate::services::limits::sms_guard::SmsGuard;
use crate::services::limits::spraying::Spraying;
use crate::services::messages::watch::Watch;
use crate::services::policy::Policy;
use crate::services::routing::memory;
use crate::services::swap::Swap;
use crate::store::StoreError;
use crate::store::attempts;
use crate::store::claims::{self, Claim, Claimed};
use crate::store::database::{Database, Session};
use crate::store::messages;
use crate::store::number_memory;
use crate::store::provider_ids::ProviderId;
use crate::store::receipts::ReceivedReceipt;
use crate::store::stored::LockedMessage;
use crate::store::transitions::{self as rows, Change};
use crate::telemetry;
use tracing::Span;
use tracing::field::{self, Empty};

/// Notified when something was planned that is due at once.
pub type WakeSender = std::sync::Arc<tokio::sync::Notify>;

#[derive(Clone)]
pub struct Transitions {
    pub pool: Database,
    pub keys: CodeKeys,
    pub watch: Watch,
    pub wake_sender: WakeSender,
    pub pulse: Pulse,
    /// Notified of failures that callbacks reported.
    pub accounts: Accounts,
    pub quarantine: Quarantine,
    pub under_way: UnderWay,
    pub sms_guard: SmsGuard,
    pub spraying: Spraying,
    /// The limit of wrong codes.
    pub policy: Swap<Policy>,
    /// How long the memory of a number is kept; `None`: not at all.
    pub remember_for: Option<TimeDelta>,
    /// The memory is shared by all apps, instead of belonging to the app whose message taught it.
    pub share_memory: bool,
}

/// When a check that was refused while somebody guesses may be tried again.
const STRICT_WAIT: std::time::Duration = std::time::Duration::from_secs(600);

/// What others are told about a group after its commit.
struct Told {
    before: HashMap<MessageId, LockedMessage>,
    changed: Vec<MessageId>,
    newly_due: bool,
    failures: Vec<ToldLate>,
    compared: Vec<(AppId, Compared)>,
}

/// Result of a group of commands.
#[derive(Default)]
pub struct Outcomes {
    /// One for each command, in order.
    pub done: Vec<Done>,
    /// The messages as they are now.
    pub messages: HashMap<MessageId, LockedMessage>,
    /// Provider ids that became known.
    pub provider_ids: Vec<ProviderId>,
}

impl Transitions {
    /// Applies a group of commands in one transaction with one commit. Messages locked by others and unreadable ones
    /// are left out; their commands return that.
    ///
    /// Must run to its end once started: call it from a separate task, never from one that a client can cancel.
    ///
    /// # Errors
    /// When the database is unavailable or refuses; nothing of the group happened then.
    #[tracing::instrument(level = "debug", name = "ledger.apply", skip_all, fields(commands = commands.len()))]
    pub async fn run(&self, commands: &[Command]) -> Result<Outcomes, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let (outcomes, told) = match self.apply_all(&mut transaction, commands).await {
            Ok(done) => done,
            Err(error) => {
                transaction.rollback().await;
                return Err(error);
            }
        };
        transaction.commit().await?;
        self.tell(told, &outcomes);
        Ok(outcomes)
    }

    /// Claims the rows that a loop looks for, and applies to each the command that `command` returns for it, in one
    /// transaction, so that no other instance claims the same rows. Returns the rows with their results.
    ///
    /// A group that the database refuses is claimed again with half of its rows, until the refused row is alone. That
    /// row is skipped for a while, and so is each unreadable one. So a bad row stops only itself.
    ///
    /// # Errors
    /// When the database is unavailable or refuses; nothing of the group happened then.
    #[tracing::instrument(level = "debug", name = "ledger.apply_claimed", skip_all, fields(claimant = ?from, rows = Empty))]
    pub async fn run_claimed(
        &self,
        from: Claimant,
        claim: &Claim,
        now: DateTime<Utc>,
        most: i64,
        command: impl Fn(&Claimed) -> Command,
    ) -> Result<(Vec<Claimed>, Outcomes), StoreError> {
        let limit = self.quarantine.group(from, most);
        let mut transaction = self.pool.begin().await?;
        let claimed = claims::take(&mut transaction, claim, now, limit, &self.quarantine.messages()).await?;
        Span::current().record("rows", claimed.len());
        if claimed.is_empty() {
            return Ok((claimed, Outcomes::default()));
        }
        let commands: Vec<Command> = claimed.iter().map(command).collect();
        let done = match self.apply_all(&mut transaction, &commands).await {
            Ok(done) => transaction.commit().await.map(|()| done).map_err(StoreError::from),
            Err(error) => {
                transaction.rollback().await;
                Err(error)
            }
        };
        match done {
            Ok((outcomes, told)) => {
                self.quarantine.went_well(from);
                self.tell(told, &outcomes);
                Ok((claimed, outcomes))
            }
            Err(error) => {
                self.quarantine.went_wrong(from, &claimed, &error);
                Err(error)
            }
        }
    }

    async fn apply_all(&self, connection: &mut Session, commands: &[Command]) -> Result<(Outcomes, Told), StoreError> {
        let mut ids: Vec<MessageId> = commands.iter().map(|c| c.message).collect();
        ids.sort_unstable();
        ids.dedup();

        let mut found = messages::lock(connection, &ids).await?;
        attempts::load(connection, &mut found).await?;
        let mut missing: HashMap<MessageId, Done> = HashMap::new();
        for (id, error) in found.unreadable {
            self.quarantine.put(id, &error);
            missing.insert(id, Done::Unreadable);
        }
        let before: HashMap<MessageId, LockedMessage> = found.messages.into_iter().map(|m| (m.message.id, m)).collect();
        let absent: Vec<MessageId> =
            ids.iter().filter(|id| !before.contains_key(id) && !missing.contains_key(id)).copied().collect();
        if !absent.is_empty() {
            let existing = messages::existing(connection, &absent).await?;
            missing.extend(existing.into_iter().map(|id| (id, Done::Locked)));
        }

        let policy = self.policy.get();
        let rules = (&self.keys, &*policy);
        let mut tries = Tries::lock(connection, rules, commands, &before, &mut missing).await?;

        let mut after = before.clone();
        let mut log = Log::default();
        let apply = |command: &Command| match missing.get(&command.message) {
            Some(done) => done.clone(),
            None => self.apply(&mut after, command, &mut tries, &mut log),
        };
        let done: Vec<Done> = commands.iter().map(apply).collect();

        let changes: Vec<Change<'_>> = after
            .iter()
            .map(|(id, now)| Change { before: &before[id].message, after: &now.message })
            .filter(|change| change.before != change.after)
            .collect();
        rows::write(connection, &changes).await?;
        let changed: Vec<MessageId> = changes.iter().map(|change| change.after.id).collect();
        let newly_due = changes.iter().any(|c| is_due_now(c));
        drop(changes);
        log.write(connection, &after).await?;
        tries.write(connection, log.at).await?;
        self.remember(connection, &before, &after, log.at).await?;
        let compared = std::mem::take(&mut log.compared);
        let told = Told { before, changed, newly_due, failures: log.failures(), compared };
        Ok((Outcomes { done, messages: after, provider_ids: log.provider_ids }, told))
    }

    /// Called after the commit.
    fn tell(&self, Told { before, changed, newly_due, failures, compared }: Told, outcomes: &Outcomes) {
        for ToldLate { message, attempt_no, failure, at } in failures {
            let stored = &outcomes.messages[&message];
            let account = stored.message.attempt(attempt_no).and_then(|attempt| self.accounts.get(&attempt.account));
            if let Some(account) = account {
                account.note_late(&failure, &stored.message.route, stored.recipient.country(), at);
            }
        }
        for (app, compared) in compared {
            self.spraying.note(&app, compared);
        }
        for id in &changed {
            trace_change(&before[id], &outcomes.messages[id]);
            self.under_way.call_off_needless(&outcomes.messages[id].message);
            self.tell_guard(&before[id], &outcomes.messages[id]);
        }
        if newly_due {
            self.wake_sender.notify_one();
        }
        self.pulse.note(changed.iter().map(|id| {
            let now = &outcomes.messages[id];
            (&before[id].message, &now.message, now.recipient.country())
        }));
        self.watch.tell(changed);
    }

    /// While somebody guesses over many numbers of the app, a code has fewer tries.
    fn refuse_strictly(&self, stored: &LockedMessage) -> Option<LimitHit> {
        let message = &stored.message;
        let policy = self.policy.get();
        let limit = policy.limits.of_tries(&message.app, LimitRule::StrictTries);
        let is_over = limit > 0 && i64::from(message.wrong_tries) >= limit;
        let holds = is_over && !message.is_test && self.spraying.is_strict(&message.app);
        holds.then_some(LimitHit { rule: LimitRule::StrictTries, limit, retry_after: STRICT_WAIT })
    }

    /// A code that came back gives the unit of its SMS back.
    fn tell_guard(&self, before: &LockedMessage, after: &LockedMessage) {
        let (old, new) = (&before.message, &after.message);
        if old.outcome != Outcome::Verified && new.outcome == Outcome::Verified {
            self.sms_guard.note_verified(&new.app, &after.recipient, &new.attempts);
        }
    }

    /// Stores what the changes show about their numbers.
    async fn remember(
        &self,
        connection: &mut Session,
        before: &HashMap<MessageId, LockedMessage>,
        after: &HashMap<MessageId, LockedMessage>,
        at: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        let (Some(at), Some(remember_for)) = (at, self.remember_for) else { return Ok(()) };
        let changes = after.iter().map(|(id, now)| (&before[id].message, now));
        let learned = memory::learned(changes, &self.keys, &self.pulse, self.share_memory);
        if !learned.is_empty() {
            number_memory::write(connection, &learned, at, at + remember_for).await?;
        }
        Ok(())
    }

    fn apply(
        &self,
        messages: &mut HashMap<MessageId, LockedMessage>,
        command: &Command,
        tries: &mut Tries,
        log: &mut Log,
    ) -> Done {
        let Some(stored) = messages.get_mut(&command.message) else { return Done::NotFound };
        let refused = match &command.event {
            RecordedEvent::ByApp { request: AppRequest::Check { .. }, app } if *app == stored.message.app => {
                let refused = self.refuse_strictly(stored).or_else(|| tries.refuse(stored, command.at));
                let refused = refused.filter(|_| stored.message.is_live(command.at));
                enforce(refused, self.policy.get().limits.mode).err()
            }
            _ => None,
        };
        let message = &mut stored.message;
        match &command.event {
            RecordedEvent::ByApp { app, .. } if *app != message.app => return Done::NotFound,
            // A receipt may concern the attempts of the accounts that prove it, and no others.
            RecordedEvent::Receipt { attempt_no, received } => match message.attempt(*attempt_no) {
                Some(attempt) if received.speaks_for(&attempt.account) => {}
                attempt => {
                    tell_stranger(received, attempt.map(|a| a.account.as_str()));
                    return Done::Effect(Effect::Receipt(Disposition::Unmatched));
                }
            },
            _ => {}
        }
        if let Some(hit) = refused {
            return Done::Effect(Effect::TooManyTries(hit));
        }
        let mut effect = step(message, &command.event.event(), &self.keys, command.at);
        tries.note(stored, &mut effect, command.at);
        if let Effect::Checked(checked) = &effect
            && !stored.message.is_test
        {
            log.note_compared(&stored.message.app, checked.verdict);
        }
        log.note(command, &effect, &stored.message);
        Done::Effect(effect)
    }
}

/// Logs, for who debugs, what changed of each attempt. Without the level it costs a comparison.
fn trace_change(before: &LockedMessage, after: &LockedMessage) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    for attempt in &after.message.attempts {
        let old = before.message.attempt(attempt.attempt_no);
        if old == Some(attempt) {
            continue;
        }
        tracing::debug!(
            message_id = %after.message.id,
            attempt_id = %after.message.id.attempt(attempt.attempt_no),
            attempt = attempt.attempt_no,
            channel = %attempt.channel,
            account = attempt.account,
            provider_message_id = attempt.provider_message_id,
            country = after.recipient.country(),
            reason = %attempt.reason,
            send_state = %attempt.send_state,
            status_from = old.map(|old| field::display(old.state)),
            status_to = %attempt.state,
            error_class = attempt.error_class.map(field::display),
            error_code = attempt.error_code,
            "an attempt changed"
        );
    }
}

/// Logs that a receipt names an attempt of ours but does not prove it.
fn tell_stranger(received: &ReceivedReceipt, attempts_account: Option<&str>) {
    if received.receipt.attempt_id.is_some() && telemetry::may_tell("receipts about attempts of other accounts") {
        tracing::warn!(
            callback_account = received.account,
            attempt_account = attempts_account.unwrap_or("none"),
            "a receipt names an attempt of another account, whose secret does not prove it: give both accounts the same \
             secret, or give each its own callback address at the provider"
        );
    }
}

/// Whether the change left something to send at once.
fn is_due_now(change: &Change<'_>) -> bool {
    let known = change.before.attempts.len();
    change.after.attempts.iter().skip(known).any(|a| a.send_state == SendState::Planned)
}
