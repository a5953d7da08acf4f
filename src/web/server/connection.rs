//! One client's connection: its step, since when, and whether it has to end.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::web::server::limits;

/// Step of a connection. Each has a time limit, see [`Connection::is_overdue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its thread has not handled it yet.
    New,
    /// Between requests, or before the first.
    Idle,
    /// Part of a request head has arrived.
    Head,
    /// The handler reads the body.
    Body,
    /// The handler is working, or waits before it answers.
    Working,
    /// The answer is being sent.
    Answering,
    /// Answered before its body was read. Further input is discarded, then the connection ends.
    Draining,
}

/// Shared by the stream, the request handlers, and the code that ends connections.
pub struct Connection {
    pub(super) id: u64,
    /// See [`crate::domain::network::origin`].
    pub(super) origin: IpAddr,
    /// This address belongs to a proxy with many clients.
    pub(super) is_proxy: bool,
    /// Accepted when all places were taken: it serves health checks only.
    pub(super) is_extra: bool,
    /// Ends the connection at any step.
    pub(super) end: Notify,
    state: Mutex<State>,
    gone: Notify,
}

/// Why a connection has to end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It took too long, or the server stops.
    Over,
    /// Another connection needs its place; it stays if a request has arrived meanwhile.
    GivesWay,
}

struct State {
    step: Step,
    since: Instant,
    requests: u64,
    /// A request on it came from an authenticated app or provider.
    is_known: bool,
    ending: Option<Ending>,
    /// No further request will be answered.
    is_closing: bool,
    is_gone: bool,
    has_body: bool,
    /// The handler waits for more of the body.
    wants_body: bool,
    /// The whole answer is in the connection's buffer.
    is_written: bool,
    drains: bool,
    /// Bytes of the current head, or bytes that arrived early.
    head_bytes: usize,
    /// Waker of the connection's task while it may not read.
    waker: Option<Waker>,
}

impl Connection {
    pub(super) fn new(id: u64, origin: IpAddr, is_proxy: bool, is_extra: bool) -> Self {
        let state = State {
            step: Step::New,
            since: Instant::now(),
            requests: 0,
            is_known: false,
            ending: None,
            is_closing: false,
            is_gone: false,
            has_body: false,
            wants_body: false,
            is_written: false,
            drains: false,
            head_bytes: 0,
            waker: None,
        };
        let (end, gone) = (Notify::new(), Notify::new());
        Self { id, origin, is_proxy, is_extra, end, state: Mutex::new(state), gone }
    }

    /// Its request was authenticated, so it is among the last to be closed when places run short.
    pub fn is_known_good(&self) {
        self.lock().is_known = true;
    }

    /// Completes when the client has closed its side.
    pub async fn gone(&self) {
        let gone = self.gone.notified();
        tokio::pin!(gone);
        gone.as_mut().enable();
        if !self.lock().is_gone {
            gone.await;
        }
    }

    /// Whether this connection has exceeded the time limit of its step.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let state = self.lock();
        let limit = match state.step {
            Step::New => return false,
            Step::Idle if state.is_closing => limits::FIRST_AT_STOP,
            Step::Idle | Step::Head if state.requests == 0 => limits::HEAD + limits::GRACE,
            Step::Idle => limits::IDLE,
            Step::Head => limits::HEAD,
            Step::Body => limits::BODY,
            Step::Working => limits::WORK,
            Step::Answering => limits::ANSWER,
            Step::Draining => limits::DRAIN,
        };
        now.saturating_duration_since(state.since) > limit
    }

    /// Its step, the time spent there, and whether it is known; used to select a connection to close. `None` when it is
    /// closed.
    pub(super) fn standing(&self, now: Instant) -> Option<(Step, Duration, bool)> {
        let state = self.lock();
        state.ending.is_none().then(|| (state.step, now.saturating_duration_since(state.since), state.is_known))
    }

    /// Its thread serves it from now on.
    pub(super) fn begins(&self) {
        self.lock().go(Step::Idle);
    }

    /// Ends it. `false` if it was ended already.
    pub(super) fn end(&self, why: Ending) -> bool {
        let mut state = self.lock();
        if state.ending.is_some() {
            return false;
        }
        state.ending = Some(why);
        drop(state);
        self.end.notify_one();
        true
    }

    /// Whether it still has to end, now that its thread has processed the latest input.
    pub(super) fn is_over(&self) -> bool {
        let mut state = self.lock();
        if state.ending == Some(Ending::GivesWay) && state.step == Step::Working {
            state.ending = None;
        }
        state.ending.is_some()
    }

    /// Closes it now if it is idle after a request; otherwise after the current or the first one.
    pub(super) fn close(&self) {
        let waker = {
            let mut state = self.lock();
            state.is_closing = true;
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().is_closing
    }

    /// How many bytes may be read now. `None`: none; `waker` is woken when that changes.
    pub(super) fn may_read(&self, waker: &Waker) -> Option<usize> {
        let mut state = self.lock();
        let turn = match state.step {
            Step::New | Step::Idle | Step::Head | Step::Draining => Some(TURN),
            Step::Body => state.wants_body.then_some(2 * TURN),
            // Only to notice that the client has gone.
            Step::Working | Step::Answering if !state.has_body && state.head_bytes < TURN => Some(TURN),
            Step::Working | Step::Answering => None,
        };
        // Stored also when it may read: closing an idle connection wakes the task.
        state.waker = Some(waker.clone());
        turn
    }

    /// Whether an idle connection has to end once there is nothing to read. One without a request so far has more time
    /// ([`Connection::is_overdue`]), because its first request may be under way.
    pub(super) fn ends_when_idle(&self) -> bool {
        let state = self.lock();
        state.is_closing && state.step == Step::Idle && state.requests > 0
    }

    /// `false` when it exceeded the maximum length of a head.
    pub(super) fn bytes_came(&self, n: usize) -> bool {
        let mut state = self.lock();
        match state.step {
            Step::New | Step::Idle => {
                state.go(Step::Head);
                state.head_bytes = n;
            }
            Step::Head | Step::Working | Step::Answering => state.head_bytes += n,
            Step::Body | Step::Draining => {}
        }
        state.head_bytes <= limits::HEAD_BYTES
    }

    pub(super) fn client_left(&self) {
        self.lock().is_gone = true;
        self.gone.notify_waiters();
    }

    pub(super) fn request_begins(&self, has_body: bool) {
        let mut state = self.lock();
        state.go(Step::Working);
        state.requests += 1;
        state.head_bytes = 0;
        (state.has_body, state.wants_body, state.is_written, state.drains) = (has_body, false, false, false);
    }

    /// The handler waits for the body, or has received part of it.
    pub(super) fn wants_body(&self, wants: bool) {
        let waker = {
            let mut state = self.lock();
            if state.step == Step::Working {
                state.go(Step::Body);
            }
            state.wants_body = wants;
            wants.then(|| state.waker.take()).flatten()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn body_ended(&self) {
        let mut state = self.lock();
        (state.has_body, state.wants_body) = (false, false);
        if state.step == Step::Body {
            state.go(Step::Working);
        }
    }

    /// `drains`: its body was not read, so the connection ends with this answer.
    pub(super) fn answer_begins(&self, drains: bool) {
        let mut state = self.lock();
        state.go(Step::Answering);
        state.drains = drains;
    }

    pub(super) fn answer_written(&self) {
        self.lock().is_written = true;
    }

    /// Everything written was passed to the operating system.
    pub(super) fn flushed(&self) {
        let waker = {
            let mut state = self.lock();
            if state.step != Step::Answering || !state.is_written {
                return;
            }
            let next = match (state.drains, state.head_bytes) {
                (true, _) => Step::Draining,
                (false, 0) => Step::Idle,
                (false, _) => Step::Head,
            };
            state.go(next);
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether the bytes written now come from actix itself, as its answer to a malformed head.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(self.lock().step, Step::New | Step::Idle | Step::Head)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Maximum number of bytes read before other parts of the connection run.
const TURN: usize = 8 * 1024;

impl State {
    fn go(&mut self, step: Step) {
        self.step = step;
        self.since = Instant::now();
    }
}
