//! The HTTP API as types: every request body, answer body and problem document, and the OpenAPI document made from them.
//!
//! The server writes these types, the commands of `otpost` and the tests read them. Their doc comments are written for the
//! API's users: they become the descriptions in `GET /openapi.json` and on `/docs`.

pub mod words;
mod meanings;
pub mod messages;
pub mod requests;
pub mod queries;
pub mod timeline;
pub mod checks;
pub mod channels;
pub mod health;
pub mod problems;
pub mod operations;
pub mod openapi;
mod examples;
