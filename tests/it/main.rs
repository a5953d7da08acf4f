//! The feature tests, in one binary: one module per feature.

mod helpers;
mod api;
mod callbacks;
mod callback_proofs;
mod codes;
mod demo;
mod fates;
mod health;
mod kills;
mod memory;
mod model;
mod orphans;
mod outages;
mod polling;
mod postgres;
mod proofs;
mod races;
mod repeats;
mod queues;
mod bad_rows;
mod clock;
mod routes;
mod scenarios;
mod texts;
mod reload;
mod tidy;
