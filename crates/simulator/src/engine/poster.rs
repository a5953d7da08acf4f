//! The thread that performs events when they are due: puts messages onto handsets and posts callbacks.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Semaphore, mpsc};

use crate::engine::account::Mode;
use crate::engine::callback::Callback;
use crate::engine::clock::later;
use crate::engine::face::{Batch, CallsBack};
use crate::engine::schedule::Event;
use crate::engine::seen::SeenCallback;
use crate::engine::stats::Advanced;
use crate::engine::world::{Command, World, lock};

/// Maximum time without checking the schedule.
const IDLE: Duration = Duration::from_secs(3_600);

pub(crate) struct Poster {
    pub world: Arc<World>,
    pub client: reqwest::Client,
}

impl Poster {
    /// Runs until it is stopped, or until all senders of commands are gone.
    pub(crate) async fn run(self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let this = Arc::new(self);
        let places = Arc::new(Semaphore::new(this.world.in_flight.max(1)));
        loop {
            let wait = if this.world.clock.is_manual() { IDLE } else { this.post_due(&places) };
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Advance(by, done)) => {
                        let advanced = this.advance(by).await;
                        // The caller may be gone.
                        let _ = done.send(advanced);
                    }
                    Some(Command::PostNow(callbacks, done)) => {
                        let this = Arc::clone(&this);
                        tokio::spawn(async move {
                            for callback in callbacks {
                                this.tell(vec![callback], 0).await;
                            }
                            let _ = done.send(());
                        });
                    }
                    Some(Command::Stop) | None => return,
                },
                () = this.world.schedule.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Starts everything that is due, within the limit of concurrent posts. Returns the time until the next event.
    fn post_due(self: &Arc<Self>, places: &Arc<Semaphore>) -> Duration {
        let world = &self.world;
        loop {
            // Without a free slot nothing is taken out; a finished post wakes this loop. Commands are received
            // meanwhile.
            let Ok(place) = Arc::clone(places).try_acquire_owned() else { return IDLE };
            let Some((at, event)) = world.schedule.pop_due(world.clock.now()) else { break };
            let Some((batch, tries)) = self.begin(at, event) else { continue };
            let this = Arc::clone(self);
            tokio::spawn(async move {
                this.post(batch, tries).await;
                drop(place);
                this.world.schedule.wake.notify_one();
            });
        }
        let until = world.schedule.next_at().map(|at| (at - world.clock.now()).to_std().unwrap_or_default());
        until.and_then(|until| world.clock.on_the_wall(until)).unwrap_or(IDLE).min(IDLE)
    }

    /// Advances a manual clock from event to event, each posted and answered before the next.
    async fn advance(&self, by: Duration) -> Advanced {
        let world = &self.world;
        let until = later(world.clock.now(), by);
        let mut advanced = Advanced::default();
        while let Some((at, event)) = world.schedule.pop_due(until) {
            world.clock.advance_to(at);
            advanced.handset += u64::from(matches!(event, Event::Handset(..)));
            if let Some((batch, tries)) = self.begin(at, event) {
                let statuses = batch.len() as u64;
                if let Some(ok) = self.post(batch, tries).await {
                    advanced.posted += statuses;
                    advanced.ok += if ok { statuses } else { 0 };
                }
            }
        }
        world.clock.advance_to(until);
        advanced
    }

    /// Does what needs no network; returns the statuses to post now, counted as in flight, and the earlier tries.
    fn begin(&self, at: DateTime<Utc>, event: Event) -> Option<(Vec<Callback>, usize)> {
        let world = &self.world;
        let (batch, tries) = match event {
            Event::Handset(key, channel) => {
                let repeated = world.book.hand_over(&key, channel, at) == Some(true);
                world.count(|stats| {
                    stats.handset.add(channel);
                    if repeated {
                        stats.handset_repeated.add(channel);
                    }
                });
                return None;
            }
            Event::Callback(callback) => {
                let calls_back = world.accounts[callback.account].face.product().calls_back;
                if calls_back == (CallsBack::Account { batches: true }) && world.batching.max >= 2 {
                    (self.collect(at, callback)?, 0)
                } else {
                    (vec![callback], 0)
                }
            }
            Event::Flush(account) => {
                let mut batch = lock(&world.accounts[account].batch);
                world.schedule.begin(batch.len());
                (std::mem::take(&mut *batch), 0)
            }
            Event::Again { batch, tries } => (batch, tries),
        };
        (!batch.is_empty()).then_some((batch, tries))
    }

    /// Adds the status to its account's batch; returns the batch when it is full.
    fn collect(&self, at: DateTime<Utc>, callback: Callback) -> Option<Vec<Callback>> {
        let batching = self.world.batching;
        let no = callback.account;
        let mut batch = lock(&self.world.accounts[no].batch);
        batch.push(callback);
        if batch.len() >= batching.max {
            self.world.schedule.begin(batch.len() - 1);
            return Some(std::mem::take(&mut batch));
        }
        self.world.schedule.end(1);
        if batch.len() == 1 {
            // If a batch fills up first, the next window ends early, which is harmless.
            self.world.schedule.push(later(at, Duration::from_millis(batching.window_ms)), Event::Flush(no));
        }
        None
    }

    async fn tell(&self, batch: Vec<Callback>, tries: usize) {
        self.world.schedule.begin(batch.len());
        self.post(batch, tries).await;
    }

    /// Posts statuses that are counted as in flight, and plans the next try if it failed. Returns whether they were
    /// answered 2xx; `None` when nothing was posted.
    async fn post(&self, batch: Vec<Callback>, tries: usize) -> Option<bool> {
        let statuses = batch.len();
        let result = self.try_to_post(batch, tries).await;
        self.world.schedule.end(statuses);
        result
    }

    async fn try_to_post(&self, batch: Vec<Callback>, tries: usize) -> Option<bool> {
        let world = &self.world;
        let first = batch.first()?;
        let account = &world.accounts[first.account];
        let (live, statuses) = (account.live(), batch.len() as u64);
        if live.mode == Mode::Silence {
            world.count(|stats| stats.callbacks.silenced += statuses);
            return None;
        }
        let face = account.face;
        let of_account = live.callback_url.filter(|_| matches!(face.product().calls_back, CallsBack::Account { .. }));
        let Some(url) = first.facts.callback_url.clone().or(of_account) else {
            world.count(|stats| stats.callbacks.nowhere += statuses);
            return None;
        };
        let now = world.clock.now();
        let secret = live.callback_secret.as_deref();
        let post = face.post(&Batch { account: &account.fixed, secret, url: &url, first, all: &batch, now });
        let mut request = self.client.post(url).header("Content-Type", face.product().content_type).body(post.body);
        for (name, value) in post.headers {
            request = request.header(name, value);
        }
        let http_status = match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                // Read to its end, so that the connection can be reused.
                let _ = response.bytes().await;
                status
            }
            Err(_) => 0,
        };
        let ok = (200..300).contains(&http_status);
        for callback in &batch {
            let seen = SeenCallback { status: callback.status, posted_at: now, http_status, try_no: tries + 1 };
            world.book.change(&callback.key, |message| message.callbacks.push(seen));
        }
        let again = if ok { None } else { world.retries.after_ms.get(tries) };
        world.count(|stats| {
            let callbacks = &mut stats.callbacks;
            callbacks.posted += statuses;
            callbacks.retried += if tries > 0 { statuses } else { 0 };
            callbacks.ok += if ok { statuses } else { 0 };
            callbacks.given_up += if !ok && again.is_none() { statuses } else { 0 };
        });
        if let Some(&after_ms) = again {
            let at = later(world.clock.now(), Duration::from_millis(after_ms));
            world.schedule.push(at, Event::Again { batch, tries: tries + 1 });
        }
        Some(ok)
    }
}
