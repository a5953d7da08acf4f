//! The feature tests, in one binary: one module per feature.

mod helpers;
mod api;
mod callbacks;
mod demo;
mod fates;
mod model;
mod postgres;
mod tidy;
