//! Decides at once, by pure functions, everything that happens to one request: the answer, the real result of the
//! message, and which callbacks report it when.

use std::time::Duration;

use otpost_domain::channel::Channel;
use serde::{Deserialize, Serialize};

use crate::engine::draw::Draws;
use crate::engine::fates::Fate;
use crate::engine::laws::{ChannelLaws, Latency};

/// WhatsApp's "Message undeliverable": not on WhatsApp, terms not accepted, app too old.
pub(crate) const UNDELIVERABLE: u32 = 131_026;

/// A provider's status of a message, before it is written in the provider's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Sent,
    Delivered,
    Read,
    /// With WhatsApp's error code. A face with its own numbers translates it, and ignores it for an SMS.
    Failed(u32),
}

impl Status {
    fn rank(self) -> u8 {
        match self {
            Self::Sent => 0,
            Self::Failed(_) => 1,
            Self::Delivered => 2,
            Self::Read => 3,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accept,
    Reject(u32),
    ServerError { readable: bool },
    RateLimited,
    Hang,
    ResetBefore,
    ResetAfter,
}

/// Times count from the acceptance, or from the release of a late message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Story {
    /// What the provider knows, and what a status query returns.
    pub truth: Vec<(Duration, Status)>,
    pub callbacks: Vec<Planned>,
    /// When the message reaches the handset; `None`: never.
    pub handset_after: Option<Duration>,
    /// Callbacks that are never posted.
    pub lost: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub post_after: Duration,
    pub status_after: Duration,
    pub status: Status,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub answer_after: Duration,
    pub answer: Answer,
    /// Callbacks up to delivered are posted, and answered, before the send is answered.
    pub callback_first: bool,
    pub story: Story,
    /// What happens some seconds after the SMS with the same code.
    pub after_sms: Option<Story>,
}

/// `sticky`: draws that are the same for every request of the number. `tries_before`: earlier requests for the number
/// with the same reference.
pub(crate) fn plan(
    fate: Fate,
    channel: Channel,
    laws: &ChannelLaws,
    draws: &Draws,
    sticky: &Draws,
    tries_before: u32,
) -> Plan {
    let times = Times::draw(laws, draws);
    let failed = || vec![(times.failed, Status::Failed(UNDELIVERABLE))];
    let mut plan = Plan {
        answer_after: laws.answer.draw(draws, "answer"),
        answer: Answer::Accept,
        callback_first: fate == Fate::CallbackFirst,
        story: Story::default(),
        after_sms: None,
    };
    let delivered = vec![(times.sent, Status::Sent), (times.delivered, Status::Delivered)];
    let (truth, on_handset) = match fate {
        Fate::ByLaw => return by_law(plan, channel, laws, draws, sticky, times),
        Fate::Delivered | Fate::CallbackFirst => (delivered, Some(times.delivered)),
        Fate::Read | Fate::Shuffled => {
            let mut truth = delivered;
            // Shuffling may delay `delivered` until `read`: a slow reader must not look like silence.
            let read =
                if fate == Fate::Shuffled { times.read.min(times.delivered + SHUFFLED_READ) } else { times.read };
            truth.push((read, Status::Read));
            (truth, Some(times.delivered))
        }
        Fate::Failed => (failed(), None),
        Fate::Silent => (maybe_sent(draws, times), None),
        Fate::Late => {
            let truth = vec![(Duration::ZERO, Status::Delivered)];
            plan.after_sms = Some(tell(truth, Some(Duration::ZERO), channel, laws, draws));
            (vec![(times.sent, Status::Sent)], None)
        }
        Fate::ServerErrorTwice if tries_before < 2 => {
            plan.answer = Answer::ServerError { readable: true };
            (Vec::new(), None)
        }
        Fate::ServerErrorTwice => (delivered, Some(times.delivered)),
        Fate::Contradictory => {
            let at = times.failed + times.delivered;
            (vec![(times.failed, Status::Failed(UNDELIVERABLE)), (at, Status::Delivered)], Some(at))
        }
        Fate::DeliveredOnly => (vec![(times.delivered, Status::Delivered)], Some(times.delivered)),
        Fate::ResetAfter => {
            plan.answer = Answer::ResetAfter;
            (delivered, Some(times.delivered))
        }
        Fate::Hangs | Fate::RateLimited | Fate::Rejected | Fate::ResetBefore => {
            plan.answer = match fate {
                Fate::Hangs => Answer::Hang,
                Fate::RateLimited => Answer::RateLimited,
                Fate::ResetBefore => Answer::ResetBefore,
                _ => Answer::Reject(UNDELIVERABLE),
            };
            (Vec::new(), None)
        }
    };
    plan.story = tell(truth, on_handset, channel, laws, draws);
    if fate == Fate::Shuffled {
        double_and_shuffle(&mut plan.story, draws);
    }
    if plan.callback_first {
        tell_first(&mut plan);
    }
    plan
}

/// Fate 0006: maximum time from delivery to reading.
const SHUFFLED_READ: Duration = Duration::from_secs(2);

/// Times after the acceptance, in ascending order.
#[derive(Clone, Copy)]
struct Times {
    sent: Duration,
    delivered: Duration,
    read: Duration,
    failed: Duration,
}

impl Times {
    fn draw(laws: &ChannelLaws, draws: &Draws) -> Self {
        let sent = laws.sent.draw(draws, "sent");
        let delivered = sent + laws.delivered.draw(draws, "delivered");
        let read = delivered + laws.read.draw(draws, "read");
        Self { sent, delivered, read, failed: laws.failed_after.draw(draws, "failed") }
    }
}

fn maybe_sent(draws: &Draws, times: Times) -> Vec<(Duration, Status)> {
    if draws.happens("silent after sent", 0.5) { vec![(times.sent, Status::Sent)] } else { Vec::new() }
}

#[derive(Clone, Copy)]
enum End {
    Failed,
    Silent,
    Contradictory,
}

fn by_law(mut plan: Plan, channel: Channel, laws: &ChannelLaws, draws: &Draws, sticky: &Draws, times: Times) -> Plan {
    let readable = !draws.happens("unreadable", laws.server_error_unreadable);
    let trouble = [
        (laws.hang, Answer::Hang),
        (laws.reset_before, Answer::ResetBefore),
        (laws.reset_after, Answer::ResetAfter),
        (laws.rate_limited, Answer::RateLimited),
        (laws.server_error, Answer::ServerError { readable }),
    ];
    plan.answer = draws.pick("trouble", &trouble).unwrap_or(Answer::Accept);
    if !matches!(plan.answer, Answer::Accept | Answer::ResetAfter) {
        return plan;
    }
    let ends = [(laws.failed, End::Failed), (laws.silent, End::Silent), (laws.contradictory, End::Contradictory)];
    let end = if sticky.happens("not on the channel", laws.not_on_channel) {
        Some(End::Failed)
    } else {
        draws.pick("end", &ends)
    };
    // A message whose life ends first is dropped, without `failed`: WhatsApp, `message_send_ttl_seconds`.
    let outlived = laws.lifetime_ms > 0 && times.delivered > Duration::from_millis(laws.lifetime_ms);
    let (truth, on_handset) = match end {
        Some(End::Failed) => (vec![(times.failed, Status::Failed(failure_code(laws, draws, sticky)))], None),
        Some(End::Silent) => (maybe_sent(draws, times), None),
        None if outlived => (vec![(times.sent, Status::Sent)], None),
        Some(End::Contradictory) => {
            let at = times.failed + times.delivered;
            (vec![(times.failed, Status::Failed(failure_code(laws, draws, sticky))), (at, Status::Delivered)], Some(at))
        }
        None => {
            let mut truth = vec![(times.sent, Status::Sent), (times.delivered, Status::Delivered)];
            if draws.happens("is read", laws.is_read) {
                truth.push((times.read, Status::Read));
            }
            if draws.happens("sent is skipped", laws.sent_skipped) {
                truth.remove(0);
            }
            (truth, Some(times.delivered))
        }
    };
    plan.callback_first = draws.happens("callback first", laws.callback_first);
    plan.story = tell(truth, on_handset, channel, laws, draws);
    lose_double_and_reorder(&mut plan.story, laws, draws);
    if plan.callback_first {
        tell_first(&mut plan);
    }
    plan
}

/// A status that is reported before the answer happened before it; posting it takes the time of the answer.
fn tell_first(plan: &mut Plan) {
    plan.answer_after = Duration::ZERO;
    plan.story.handset_after = plan.story.handset_after.map(|_| Duration::ZERO);
    for (at, _) in plan.story.truth.iter_mut().filter(|(_, status)| *status != Status::Read) {
        *at = Duration::ZERO;
    }
    for callback in plan.story.callbacks.iter_mut().filter(|callback| callback.status != Status::Read) {
        (callback.post_after, callback.status_after) = (Duration::ZERO, Duration::ZERO);
    }
}

fn failure_code(laws: &ChannelLaws, draws: &Draws, sticky: &Draws) -> u32 {
    let total: f64 = laws.failed_codes.iter().map(|&(_, weight)| weight).sum();
    if total <= 0.0 || sticky.happens("not on the channel", laws.not_on_channel) {
        return UNDELIVERABLE;
    }
    let options: Vec<(f64, u32)> = laws.failed_codes.iter().map(|&(code, weight)| (weight / total, code)).collect();
    draws.pick("failed code", &options).unwrap_or(UNDELIVERABLE)
}

/// One callback per status, posted a little after it. For an SMS only the final status is reported: some providers
/// report nothing else, and `sent` from others is left out here.
fn tell(
    mut truth: Vec<(Duration, Status)>,
    handset_after: Option<Duration>,
    channel: Channel,
    laws: &ChannelLaws,
    draws: &Draws,
) -> Story {
    if channel == Channel::Sms {
        truth.retain(|(_, status)| *status != Status::Read);
    }
    let told = truth.iter().filter(|(_, status)| channel == Channel::Whatsapp || *status != Status::Sent);
    let callbacks = told
        .map(|&(status_after, status)| {
            let post_after = status_after + way(&laws.callback, draws, status, 0);
            Planned { post_after, status_after, status }
        })
        .collect();
    Story { truth, callbacks, handset_after, lost: 0 }
}

fn way(law: &Latency, draws: &Draws, status: Status, copy: u8) -> Duration {
    law.draw(draws, &format!("way of {} {copy}", status.rank()))
}

/// Fate 0006. Starts when the last status is known, so that no callback reports a future status.
fn double_and_shuffle(story: &mut Story, draws: &Draws) {
    const APART: Duration = Duration::from_millis(40);
    let start = story.callbacks.iter().map(|callback| callback.post_after).max().unwrap_or_default();
    let mut all = Vec::new();
    for callback in &story.callbacks {
        let copies = 2 + draws.bits(&format!("copies of {}", callback.status.rank())) % 2;
        all.extend((0..copies).map(|_| *callback));
    }
    draws.shuffle("order", &mut all);
    if all.is_sorted_by_key(|callback| callback.status.rank()) {
        all.reverse();
    }
    for (place, callback) in (0_u32..).zip(&mut all) {
        callback.post_after = start + APART * place;
    }
    story.callbacks = all;
}

fn lose_double_and_reorder(story: &mut Story, laws: &ChannelLaws, draws: &Draws) {
    if draws.happens("shuffled", laws.shuffled) {
        let mut moments: Vec<Duration> = story.callbacks.iter().map(|callback| callback.post_after).collect();
        draws.shuffle("order", &mut moments);
        for (callback, post_after) in story.callbacks.iter_mut().zip(moments) {
            // Nothing is reported before it happened.
            callback.post_after = post_after.max(callback.status_after);
        }
    }
    let mut kept = Vec::with_capacity(story.callbacks.len());
    for callback in story.callbacks.drain(..) {
        let rank = callback.status.rank();
        if draws.happens(&format!("lost {rank}"), laws.lost) {
            story.lost += 1;
            continue;
        }
        kept.push(callback);
        if draws.happens(&format!("doubled {rank}"), laws.doubled) {
            let post_after = callback.post_after + way(&laws.callback, draws, callback.status, 1);
            kept.push(Planned { post_after, ..callback });
        }
    }
    story.callbacks = kept;
}

impl Plan {
    /// For a provider that sends no callbacks.
    pub(crate) fn untold(mut self) -> Self {
        for story in std::iter::once(&mut self.story).chain(&mut self.after_sms) {
            story.callbacks.clear();
            story.lost = 0;
        }
        self
    }

    /// [`Mode::Slow`](crate::Mode::Slow).
    pub(crate) fn slowed(mut self, factor: f64) -> Self {
        let scale =
            |time: &mut Duration| *time = Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(*time);
        scale(&mut self.answer_after);
        for story in std::iter::once(&mut self.story).chain(&mut self.after_sms) {
            story.truth.iter_mut().for_each(|(at, _)| scale(at));
            story.handset_after.iter_mut().for_each(scale);
            for callback in &mut story.callbacks {
                scale(&mut callback.post_after);
                scale(&mut callback.status_after);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests;
