//! Handles a valid send request: decides everything that happens to it, and records it under its number.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use otpost_domain::channel::Channel;

use crate::engine::account::Mode;
use crate::engine::book::Before;
use crate::engine::callback::{Facts, Key};
use crate::engine::clock::later;
use crate::engine::draw::Draws;
use crate::engine::face::{CallsBack, Face, Request};
use crate::engine::fates::Fate;
use crate::engine::plan::{Answer, Plan, Story, plan};
use crate::engine::seen::{Outcome, SeenMessage};
use crate::engine::stats::Stats;
use crate::engine::world::{World, lock};

/// A recorded request and its future.
pub(crate) struct Received {
    pub key: Key,
    pub plan: Plan,
    pub facts: Arc<Facts>,
    /// When it counts as accepted, and the events after it start.
    pub accepted_at: DateTime<Utc>,
    /// Its SMS has arrived already, so a late WhatsApp message follows now.
    pub sms_seen: bool,
}

/// `no`: index of the account.
pub(crate) fn receive(world: &World, no: usize, mode: Mode, request: &Request) -> Received {
    let (account, face) = (&world.accounts[no].fixed, world.accounts[no].face);
    let (channel, to) = (face.channel(), request.to.as_str());
    let now = world.clock.now();
    let laws = Arc::clone(&lock(&world.laws));
    let fate = match lock(&world.fates).of(to, channel) {
        Fate::ByLaw if laws.of(channel).needs_dlt && lacks_dlt(face, request) => Fate::Failed,
        fate => fate,
    };
    let draws_for = |nth| Draws::new(world.seed, face.product().draw_no, to, nth);
    let seq = world.next_seq.fetch_add(1, Ordering::Relaxed);
    let code = request.code.as_deref();
    let write = |before: Before<'_>, key: Key| {
        let draws = draws_for(before.nth);
        let sticky = draws_for(0);
        let tries = before.tries(face.name(), request.reference.as_deref(), code);
        let mut plan = plan(fate, channel, laws.of(channel), &draws, &sticky, tries);
        match mode {
            Mode::Up | Mode::Silence => {}
            Mode::Slow(factor) => plan = plan.slowed(factor),
            Mode::Outage => plan = Plan { answer: Answer::ServerError { readable: true }, ..plan },
            Mode::Refuse => plan = Plan { answer: Answer::ResetBefore, ..plan },
        }
        if world.clock.is_manual() {
            plan.answer_after = Duration::ZERO;
        }
        if face.product().calls_back == CallsBack::Never {
            plan = plan.untold();
        }
        let accepted_at = later(now, plan.answer_after);
        let outcome = outcome_of(plan.answer, mode);
        let story = if outcome.is_accepted() { plan.story.clone() } else { Story::default() };
        let truth: Vec<_> = story.truth.iter().map(|&(after, status)| (later(accepted_at, after), status)).collect();
        let provider_id = face.provider_id(request, &draws);
        let message = SeenMessage {
            seq,
            account: account.name.clone(),
            face: face.name().to_owned(),
            channel,
            to: to.to_owned(),
            nth: before.nth,
            code: request.code.clone(),
            text: request.text.clone(),
            template: request.template.clone(),
            reference: request.reference.clone(),
            sender: request.sender.clone(),
            dlt: request.dlt.clone(),
            received_at: now,
            fate,
            outcome,
            provider_id: outcome.is_accepted().then(|| provider_id.clone()),
            http_status: None,
            truth: truth.clone(),
            handset_at: None,
            price_micros: if outcome.is_accepted() { account.price_micros } else { 0 },
            callbacks: Vec::new(),
        };
        let facts = Arc::new(Facts {
            to: to.to_owned(),
            provider_id,
            reference: request.reference.clone(),
            callback_url: request.callback_url.clone(),
            accepted_at,
            truth,
            draws,
        });
        let sms_seen = code.is_some_and(|code| before.sms_seen(code));
        let received = Received { key, plan, facts, accepted_at, sms_seen };
        (message, (outcome, received))
    };
    let (_, (outcome, received)) = world.book.receive(to, face.name(), write);
    world.count(|stats| count(stats, outcome, &received.plan, channel));
    if outcome.is_accepted() {
        world.count_account(no, |stats| {
            stats.accepted += 1;
            stats.cost_micros += account.price_micros;
        });
    }
    received
}

/// Whether India's networks drop it.
fn lacks_dlt(face: &dyn Face, request: &Request) -> bool {
    face.product().takes_dlt && request.to.starts_with("+91") && request.dlt.is_none()
}

fn outcome_of(answer: Answer, mode: Mode) -> Outcome {
    match answer {
        _ if matches!(mode, Mode::Outage | Mode::Refuse) => Outcome::Outage,
        Answer::Accept => Outcome::Accepted,
        Answer::Reject(_) => Outcome::Rejected,
        Answer::ServerError { .. } => Outcome::ServerError,
        Answer::RateLimited => Outcome::RateLimited,
        Answer::Hang => Outcome::Hung,
        Answer::ResetBefore => Outcome::ResetBefore,
        Answer::ResetAfter => Outcome::ResetAfter,
    }
}

fn count(stats: &mut Stats, outcome: Outcome, plan: &Plan, channel: Channel) {
    if outcome.is_accepted() {
        stats.accepted.add(channel);
        stats.callbacks.lost += plan.story.lost;
    }
    match plan.answer {
        Answer::Accept => {}
        Answer::Reject(_) => stats.rejected += 1,
        Answer::ServerError { .. } => stats.server_errors += 1,
        Answer::RateLimited => stats.rate_limited += 1,
        Answer::Hang => stats.hung += 1,
        Answer::ResetBefore | Answer::ResetAfter => stats.reset += 1,
    }
}
