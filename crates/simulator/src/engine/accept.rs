//! The events that follow the acceptance of a message.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use crate::engine::answer::{answer, break_off, wait};
use crate::engine::book::Waiting;
use crate::engine::callback::{Callback, Facts};
use crate::engine::clock::later;
use crate::engine::face::{Reply, Request};
use crate::engine::plan::{Answer, Status};
use crate::engine::receive::Received;
use crate::engine::schedule::Event;
use crate::engine::world::{Command, World};

/// How long callbacks before the answer may delay the answer, in real time.
const FIRST_AT_MOST: Duration = Duration::from_secs(3);

/// Everything that follows is scheduled before the first wait, because the client may disconnect at any time.
pub(crate) async fn accept(world: &Arc<World>, no: usize, request: &Request, received: Received) -> HttpResponse {
    let (account, face) = (&world.accounts[no].fixed, world.accounts[no].face);
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
        world.schedule.push(later(accepted_at, after), Event::Handset(key.clone(), face.channel()));
    }
    if let (Some(story), Some(code)) = (plan.after_sms.take(), request.code.clone()) {
        let callbacks =
            story.callbacks.iter().map(|one| (one.post_after, one.status_after, of(one.status, accepted_at))).collect();
        let waiting = Waiting { callbacks, truth: story.truth, key: key.clone(), channel: face.channel(), code };
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
    let (http, body) = face.accepted(account, request, &facts);
    world.book.change(&key, |message| message.http_status = Some(http));
    answer(Reply { http, body, retry_after_s: None, reason: String::new() })
}

/// The SMS is here: the late WhatsApp message arrives some seconds later, and its provider reports it.
fn free(world: &World, waiting: Waiting, sms_at: DateTime<Utc>) {
    let start = later(sms_at, world.late_after);
    let truth: Vec<_> = waiting.truth.iter().map(|&(after, status)| (later(start, after), status)).collect();
    world.book.change(&waiting.key, |message| message.truth.extend(truth.iter().copied()));
    world.schedule.push(start, Event::Handset(waiting.key, waiting.channel));
    for (post_after, status_after, mut callback) in waiting.callbacks {
        callback.status_at = later(start, status_after);
        let old = &callback.facts;
        let truth = old.truth.iter().chain(&truth).copied().collect();
        callback.facts = Arc::new(Facts { truth, ..Facts::clone(old) });
        world.schedule.push(later(start, post_after), Event::Callback(callback));
    }
}
