//! One send request, from its bytes to its answer, the same for every face.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use futures_util::stream;
use tokio::sync::oneshot;

use crate::domain::channel::Channel;
use crate::simulator::book::{Before, Key, Outcome, SeenMessage, Waiting};
use crate::simulator::clock::later;
use crate::simulator::config::{Face, Mode};
use crate::simulator::draw::Draws;
use crate::simulator::faces::{self, Facts, Reply, Request, Trouble};
use crate::simulator::plan::{Answer, Plan, Status, Story, plan};
use crate::simulator::schedule::{Callback, Event};
use crate::simulator::world::{Command, Stats, World, lock};

/// How long callbacks before the answer may hold the answer up, by the wall clock.
const FIRST_AT_MOST: Duration = Duration::from_secs(3);

/// `sender_in_path`: Meta's phone number id, Twilio's AccountSid.
pub(crate) async fn send(
    world: Arc<World>,
    face: Face,
    sender_in_path: Option<&str>,
    http: HttpRequest,
    body: &[u8],
) -> HttpResponse {
    world.count(|stats| stats.requests += 1);
    let no = match account_of(&world, face, sender_in_path, &http) {
        Ok(no) => no,
        Err(trouble) => {
            let reply = face.trouble(trouble);
            world.count(|stats| match trouble {
                Trouble::Unauthorized => stats.unauthorized += 1,
                _ => stats.malformed += 1,
            });
            world.refuse(http.path(), reply.http, reply.reason.clone());
            return answer(reply);
        }
    };
    world.count_account(no, |account| account.requests += 1);
    let account = &world.accounts[no];
    // Of another type, the real ones find nothing in it.
    let content_type = http.headers().get("content-type").and_then(|value| value.to_str().ok());
    let is_readable = content_type.is_some_and(|value| value.starts_with(face.content_type()));
    let request = match face.read(&account.fixed, if is_readable { body } else { b"" }) {
        Ok(request) => request,
        Err(reply) => {
            world.count(|stats| stats.malformed += 1);
            world.refuse(http.path(), reply.http, reply.reason.clone());
            return answer(reply);
        }
    };
    let mode = account.live().mode;
    let received = receive(&world, no, mode, &request);
    match received.plan.answer {
        Answer::Accept | Answer::ResetAfter => accept(&world, no, &request, received).await,
        Answer::Hang => {
            tokio::select! {
                () = pending::<()>() => {}
                () = tokio::time::sleep(Duration::from_millis(world.config.hang_limit_ms)) => {}
            }
            break_off()
        }
        Answer::ResetBefore => break_off(),
        Answer::ServerError { readable: false } => {
            wait(&world, received.plan.answer_after).await;
            HttpResponse::build(StatusCode::BAD_GATEWAY)
                .content_type("text/html")
                .body("<html><body><h1>502 Bad Gateway</h1></body></html>")
        }
        Answer::ServerError { readable: true } | Answer::RateLimited | Answer::Reject(_) => {
            wait(&world, received.plan.answer_after).await;
            answer(face.refused(trouble_of(received.plan.answer, mode), &request))
        }
    }
}

fn trouble_of(answer: Answer, mode: Mode) -> Trouble {
    match answer {
        Answer::Reject(code) => Trouble::Rejected(code),
        Answer::RateLimited => Trouble::RateLimited,
        _ if mode == Mode::Outage => Trouble::Outage,
        _ => Trouble::ServerError,
    }
}

/// The account that the credential, and with Meta and Twilio the path, belongs to.
fn account_of(world: &World, face: Face, sender_in_path: Option<&str>, http: &HttpRequest) -> Result<usize, Trouble> {
    let shown = face.credential(http.headers(), world.clock.now()).unwrap_or_default();
    let mut known = false;
    for (no, account) in world.accounts.iter().enumerate() {
        if account.fixed.face == face && account.fixed.credential == shown && !shown.is_empty() {
            known = true;
            if sender_in_path.is_none_or(|id| id == account.fixed.phone_number_id) {
                return Ok(no);
            }
        }
    }
    Err(if known { Trouble::NoSuchMessage } else { Trouble::Unauthorized })
}

struct Received {
    key: Key,
    plan: Plan,
    facts: Arc<Facts>,
    /// When it counts as accepted, and what follows begins.
    accepted_at: DateTime<Utc>,
    /// A late WhatsApp that comes after its SMS already.
    sms_seen: bool,
}

/// Decides what happens and writes it on the number's page.
fn receive(world: &World, no: usize, mode: Mode, request: &Request) -> Received {
    let account = &world.accounts[no].fixed;
    let (face, channel, to) = (account.face, account.face.channel(), request.to.as_str());
    let now = world.clock.now();
    let laws = Arc::clone(&lock(&world.laws));
    let fate = lock(&world.fates).of(to, channel);
    let seed = world.config.seed;
    let seq = world.next_seq.fetch_add(1, Ordering::Relaxed);
    let code = request.code.as_deref();
    let write = |before: Before<'_>, key: Key| {
        let draws = Draws::new(seed, face, to, before.nth);
        let sticky = Draws::new(seed, face, to, 0);
        let tries = before.tries(face, request.reference.as_deref(), code);
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
        if !face.calls_back() {
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
            face,
            channel,
            to: to.to_owned(),
            nth: before.nth,
            code: request.code.clone(),
            text: request.text.clone(),
            template: request.template.clone(),
            reference: request.reference.clone(),
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
            wamid: faces::wamid(to, &draws),
            reference: request.reference.clone(),
            callback_url: request.callback_url.clone(),
            accepted_at,
            truth,
            event_base: draws.bits("event"),
        });
        let sms_seen = code.is_some_and(|code| before.sms_seen(code));
        let received = Received { key, plan, facts, accepted_at, sms_seen };
        (message, (outcome, received))
    };
    let (_, (outcome, received)) = world.book.receive(to, face, write);
    world.count(|stats| count(stats, outcome, &received.plan, channel));
    if outcome.is_accepted() {
        world.count_account(no, |stats| {
            stats.accepted += 1;
            stats.cost_micros += account.price_micros;
        });
    }
    received
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

/// Everything that follows is scheduled before the first wait: the client may hang up whenever it likes.
async fn accept(world: &Arc<World>, no: usize, request: &Request, received: Received) -> HttpResponse {
    let account = &world.accounts[no].fixed;
    let Received { key, mut plan, facts, accepted_at, sms_seen } = received;
    let of =
        |status, status_at| Callback { account: no, key: key.clone(), facts: Arc::clone(&facts), status, status_at };
    let mut first = Vec::new();
    if plan.callback_first {
        plan.story.callbacks.retain(|callback| {
            let is_first = callback.status != Status::Read;
            if is_first {
                first.push(of(callback.status, accepted_at));
            }
            !is_first
        });
    }
    for callback in &plan.story.callbacks {
        let event = Event::Callback(of(callback.status, later(accepted_at, callback.status_after)));
        world.schedule.push(later(accepted_at, callback.post_after), event);
    }
    if let Some(after) = plan.story.handset_after {
        world.schedule.push(later(accepted_at, after), Event::Handset(key.clone(), account.face.channel()));
    }
    if let (Some(story), Some(code)) = (plan.after_sms.take(), request.code.clone()) {
        let callbacks =
            story.callbacks.iter().map(|one| (one.post_after, one.status_after, of(one.status, accepted_at))).collect();
        let waiting =
            Waiting { callbacks, truth: story.truth, key: key.clone(), channel: account.face.channel(), code };
        if sms_seen { free(world, waiting, accepted_at) } else { world.book.wait_for_sms(waiting) }
    }
    if let Some(text) = &request.text {
        for waiting in world.book.freed_by(&request.to, text) {
            free(world, waiting, accepted_at);
        }
    }
    if !first.is_empty() {
        let (done, all_answered) = oneshot::channel();
        if world.commands.send(Command::PostNow(first, done)).is_ok() {
            let _ = tokio::time::timeout(FIRST_AT_MOST, all_answered).await;
        }
    }
    if plan.answer == Answer::ResetAfter {
        return break_off();
    }
    wait(world, plan.answer_after).await;
    let reply = account.face.accepted(account, request, &facts);
    world.book.change(&key, |message| message.http_status = Some(reply.http));
    answer(reply)
}

/// The SMS is here: the late WhatsApp arrives some seconds after it, and its provider tells so.
fn free(world: &World, waiting: Waiting, sms_at: DateTime<Utc>) {
    let start = later(sms_at, Duration::from_millis(world.config.late_after_ms));
    let truth: Vec<_> = waiting.truth.iter().map(|&(after, status)| (later(start, after), status)).collect();
    world.book.change(&waiting.key, |message| message.truth.extend(truth.iter().copied()));
    world.schedule.push(start, Event::Handset(waiting.key, waiting.channel));
    for (post_after, status_after, mut callback) in waiting.callbacks {
        callback.status_at = later(start, status_after);
        let old = &callback.facts;
        callback.facts = Arc::new(Facts {
            to: old.to.clone(),
            provider_id: old.provider_id.clone(),
            wamid: old.wamid.clone(),
            reference: old.reference.clone(),
            callback_url: old.callback_url.clone(),
            accepted_at: old.accepted_at,
            truth: old.truth.iter().chain(&truth).copied().collect(),
            event_base: old.event_base,
        });
        world.schedule.push(later(start, post_after), Event::Callback(callback));
    }
}

async fn wait(world: &World, length: Duration) {
    if let Some(length) = world.clock.on_the_wall(length).filter(|length| !length.is_zero()) {
        tokio::time::sleep(length).await;
    }
}

pub(crate) fn answer(reply: Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if let Some(seconds) = reply.retry_after_s {
        response.insert_header(("Retry-After", seconds.to_string()));
    }
    response.content_type("application/json").body(reply.body)
}

/// Closes the connection without a byte of an answer: a body that fails at once makes actix drop the connection before
/// it writes the head.
fn break_off() -> HttpResponse {
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    HttpResponse::Ok().streaming(stream::iter([Err::<actix_web::web::Bytes, _>(broken)]))
}
