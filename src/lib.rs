//! otpost: one-time passwords that arrive.
//!
//! In reading order: `domain` holds the rules and knows nobody; `store` holds every SQL statement; `providers` speaks
//! each provider's words; `services` are the use cases on top of the three; `web` and `workers` are the edges that call
//! them; `app` wires it all. `simulator` plays the providers and knows none of the others.

pub mod domain;
pub mod store;
pub mod providers;
pub mod config;
pub mod postgres;
pub mod telemetry;
pub mod process;
pub mod clock;
pub mod services;
pub mod workers;
pub mod web;
pub mod reload;
pub mod app;
pub mod simulator;
pub mod rehearsal;
pub mod commands;
