//! The feature tests, in one binary: one module per feature.

mod helpers;
mod api;
mod fates;
mod postgres;
mod tidy;
