//! An account's circuit breakers: sends that are bound to be refused are not tried for a while.
//!
//! A fault of the account counts by its share of the recent sends. A refusal whose scope is only a part of them (a
//! country, a sender there, a template) closes that part at once and nothing else; one about a person closes nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::receipt::Scope;

/// Opens for `open_for`; then lets one send through, whose result decides.
pub struct Breaker {
    /// Minimum number of faults that open it.
    threshold: u32,
    open_for: TimeDelta,
    state: Mutex<State>,
}

struct State {
    recent: Recent,
    account: Option<Gate>,
    /// Closed parts only. At most one per country, per sender in a country, and per template or text of the settings.
    parts: BTreeMap<Part, Gate>,
}

/// The part of the traffic that a gate closes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Country(String),
    /// The sender in a country, because countries decide separately whether it may be used.
    Sender(String),
    Template(TemplateKey),
}

/// An approved template, or the text of an SMS, in one language.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateKey {
    /// Empty for the text of an SMS.
    pub name: String,
    pub language: String,
}

/// The parts that a send belongs to.
#[derive(Clone, Debug)]
pub struct Sending {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    pub template: TemplateKey,
}

impl Sending {
    fn parts(&self) -> [(Scope, Part); 3] {
        [
            (Scope::Country, Part::Country(self.country.clone())),
            (Scope::Sender, Part::Sender(self.country.clone())),
            (Scope::Template, Part::Template(self.template.clone())),
        ]
    }
}

/// The result of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It was accepted.
    Well,
    /// It was refused, and others in this scope would be too.
    Fault(Scope),
    /// It shows nothing about other sends, or it did not take place.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open {
        until: DateTime<Utc>,
    },
    /// One send is in progress as a probe; it is given up at `until` if its result was lost. The others wait for it
    /// until `awaited`.
    HalfOpen {
        awaited: DateTime<Utc>,
        until: DateTime<Utc>,
    },
}

/// How long other sends wait for the probe before they move on or try again.
const PROBE: TimeDelta = TimeDelta::seconds(2);

/// Whether a send may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    Go,
    /// It may be tried again after this time.
    Open {
        scope: Scope,
        closed_in: TimeDelta,
    },
}

impl Gate {
    /// How long it stays closed; `None` when a send may try.
    fn closed_in(self, now: DateTime<Utc>) -> Option<TimeDelta> {
        match self {
            Self::Open { until } => Some(until - now),
            // The probe's result applies to the others too, and they must not be late for it.
            Self::HalfOpen { until, .. } => Some(PROBE.min(until - now)).filter(|_| now < until),
        }
        .filter(|wait| *wait > TimeDelta::zero())
    }
}

impl Breaker {
    /// It opens when at least `threshold` of the recent sends, and at least half of them, were faults of the account.
    pub fn new(threshold: u32, open_for: TimeDelta) -> Self {
        let state = State { recent: Recent::default(), account: None, parts: BTreeMap::new() };
        Self { threshold, open_for, state: Mutex::new(state) }
    }

    /// Called once before each send. The parts are checked first, so that the one probe of an account is not one that
    /// is bound to be refused. `has_way_on`: an attempt without a further step is sent even if its part is closed.
    pub fn ask(&self, sending: &Sending, has_way_on: bool, now: DateTime<Utc>) -> Permission {
        let mut state = self.lock();
        let parts = sending.parts();
        let closed = parts.iter().filter_map(|(scope, part)| Some((state.parts.get(part)?.closed_in(now)?, *scope)));
        if has_way_on && let Some((closed_in, scope)) = closed.max() {
            return Permission::Open { scope, closed_in };
        }
        if let Some(closed_in) = state.account.and_then(|gate| gate.closed_in(now)) {
            return Permission::Open { scope: Scope::Account, closed_in };
        }
        let trying = Gate::HalfOpen { awaited: now + PROBE, until: now + self.open_for };
        if let Some(gate) = &mut state.account {
            *gate = trying;
        }
        for (_, part) in &parts {
            if let Some(gate) = state.parts.get_mut(part).filter(|gate| gate.closed_in(now).is_none()) {
                *gate = trying;
            }
        }
        Permission::Go
    }

    /// Called after each send that was let through. Returns the scope that this closed.
    pub fn tell(&self, sending: &Sending, shown: Shown, now: DateTime<Utc>) -> Option<Scope> {
        self.note(sending, shown, 1, now)
    }

    /// Called for a failure that a callback reported after the send was accepted and counted.
    pub fn tell_late(&self, sending: &Sending, shown: Shown, now: DateTime<Utc>) -> Option<Scope> {
        self.note(sending, shown, 0, now)
    }

    fn note(&self, sending: &Sending, shown: Shown, sends: u32, now: DateTime<Utc>) -> Option<Scope> {
        let mut state = self.lock();
        let open = Gate::Open { until: now + self.open_for };
        let mut closed = None;
        match (shown, state.account) {
            // A send from before it opened.
            (Shown::Well | Shown::Fault(Scope::Account), Some(Gate::Open { .. })) => {}
            (Shown::Well, Some(Gate::HalfOpen { .. })) => state.account = None,
            (Shown::Well, None) => state.recent.note(0, sends, now),
            (Shown::Fault(Scope::Account), Some(Gate::HalfOpen { .. })) => {
                state.account = Some(open);
                closed = Some(Scope::Account);
            }
            (Shown::Fault(Scope::Account), None) => {
                state.recent.note(1, sends, now);
                if state.recent.is_too_much(self.threshold, now) {
                    state.recent = Recent::default();
                    state.account = Some(open);
                    closed = Some(Scope::Account);
                }
            }
            // The account answered, but the answer shows nothing about it: the next send probes.
            (Shown::Fault(_) | Shown::Nothing, Some(Gate::HalfOpen { .. })) => {
                state.account = Some(Gate::Open { until: now });
            }
            (Shown::Fault(_) | Shown::Nothing, _) => {}
        }
        for (scope, part) in sending.parts() {
            match (state.parts.get(&part), shown) {
                (Some(Gate::HalfOpen { .. }), Shown::Well) => {
                    state.parts.remove(&part);
                }
                (None | Some(Gate::HalfOpen { .. }), Shown::Fault(at_fault)) if at_fault == scope => {
                    state.parts.insert(part, open);
                    closed = Some(scope);
                }
                (Some(Gate::HalfOpen { .. }), _) => {
                    state.parts.insert(part, Gate::Open { until: now });
                }
                (None | Some(Gate::Open { .. }), _) => {}
            }
        }
        closed
    }

    /// Whether a message to this country would not be sent.
    pub fn is_open(&self, country: &str, now: DateTime<Utc>) -> bool {
        let state = self.lock();
        let is_closed = |part: Part| state.parts.get(&part).is_some_and(|gate| gate.closed_in(now).is_some());
        state.account.is_some_and(|gate| gate.closed_in(now).is_some())
            || is_closed(Part::Country(country.to_owned()))
            || is_closed(Part::Sender(country.to_owned()))
    }

    /// How long nothing is sent with this template; `None` when it may be used.
    pub fn template_closed_in(&self, template: &TemplateKey, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.lock().parts.get(&Part::Template(template.clone()))?.closed_in(now)
    }

    /// Whether a probe of the account is in progress, so that other sends should wait briefly.
    pub fn is_probing(&self, now: DateTime<Utc>) -> bool {
        matches!(self.lock().account, Some(Gate::HalfOpen { awaited, .. }) if now < awaited)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Results of the recent sends, by the second.
#[derive(Default)]
struct Recent(VecDeque<Second>);

struct Second {
    at: DateTime<Utc>,
    faults: u32,
    sends: u32,
}

/// Sends within this time always count as recent.
const RECENT: TimeDelta = TimeDelta::seconds(10);
/// If there were few, older ones count too, up to this age.
const REMEMBERED: TimeDelta = TimeDelta::minutes(5);

impl Recent {
    fn note(&mut self, faults: u32, sends: u32, now: DateTime<Utc>) {
        while self.0.front().is_some_and(|second| now - second.at > REMEMBERED) {
            self.0.pop_front();
        }
        if self.0.back().is_none_or(|last| now - last.at >= TimeDelta::seconds(1)) {
            self.0.push_back(Second { at: now, faults: 0, sends: 0 });
        }
        if let Some(last) = self.0.back_mut() {
            last.faults += faults;
            last.sends += sends;
        }
    }

    /// Counts the last ten seconds, or twice `threshold` sends if those had fewer.
    fn is_too_much(&self, threshold: u32, now: DateTime<Utc>) -> bool {
        let (mut faults, mut sends) = (0, 0);
        for second in self.0.iter().rev() {
            if now - second.at > RECENT && sends >= threshold.saturating_mul(2) {
                break;
            }
            faults += second.faults;
            sends += second.sends;
        }
        faults >= threshold && faults * 2 >= sends
    }
}

#[cfg(test)]
mod tests;
