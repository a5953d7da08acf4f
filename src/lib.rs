//! otpost delivers one-time passwords. It sends a code by WhatsApp first. When WhatsApp refuses it or stays silent, it sends
//! the same code by SMS.
//!
//! # The way of one message
//!
//! 1. **An app asks.** `POST /v1/messages` arrives at [`web::messages`], which parses the body into types of [`domain`].
//!    [`services::messages::accept_message`] chooses the route, and writes the message with its first attempt. The app
//!    gets 202.
//! 2. **A worker sends.** The sender of [`workers`] calls [`services::delivery::dispatch`]. That leases the attempt, lets
//!    an adapter of [`providers`] write the request, sends it through [`outbound`], and records the answer.
//! 3. **The provider reports.** Its callback arrives at [`web::callbacks`]. [`services::callbacks::take_callback`] checks the
//!    signature and stores the body. [`services::callbacks::apply_receipts`] turns each receipt into a command for the
//!    ledger.
//! 4. **The provider stays silent.** [`services::delivery::replace`] finds attempts whose deadline has passed. The next step
//!    of the route gets an attempt, and the sender takes it like any other.
//! 5. **The app checks the code.** `POST /v1/messages/{id}/check` arrives at [`web::checks`], which calls
//!    [`services::messages::check_code`].
//!
//! Steps 2 to 5 change the message in one way only. [`services::ledger`] locks a group of messages, asks
//! [`domain::step::step`] what each event changes, and writes all of it in one transaction with
//! [`store::transitions`].
//!
//! # Where the rules are
//!
//! - [`domain`] decides. Its functions are pure, and [`domain::step::step`] is the only rule that changes a message.
//! - The tables in `migrations/` refuse rows that break a rule.
//! - `tests/it/helpers/invariants.rs` checks all tables at the end of each feature test.
//! - `ARCHITECTURE.md` lists what must never happen, and gives the reasons.
//!
//! # Reading order
//!
//! The modules in `src/lib.rs` are in reading order: each names only those above it, and a test checks that. Start with
//! [`domain::message`], [`domain::attempt`] and [`domain::step`]. Then follow one message as above. [`app`] shows how the
//! parts are put together. [`simulator`] imitates the providers for the tests, the benchmarks and the demo.
//!
//! # What is public
//!
//! This library exists for its own program, its tests and its benchmarks. A module is public because one of these uses it.
//! Nothing here is a stable interface. The stable interface is the HTTP API, whose types are in [`api`].

pub use otpost_domain as domain;
pub use otpost_providers as providers;
pub use otpost_simulator as simulator;

pub mod api;
pub mod store;
pub mod outbound;
pub mod telemetry;
pub mod process;
pub mod clock;
pub mod config;
pub mod services;
pub mod web;
pub mod workers;
pub mod reload;
pub mod app;
pub mod postgres;
pub mod simulated;
pub mod commands;
