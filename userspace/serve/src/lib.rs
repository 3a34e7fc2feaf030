//! A node over HTTP: its queries, results, sources and accounts.
//!
//! Takes requests, gives JSON, and metrics for Prometheus; what is wrong is told as `application/problem+json`, in the sentences of the command
//! line. Nothing here is on the way of a record: results are taken from where the catalog keeps them.

#![forbid(unsafe_code)]

mod api;
mod connections;
mod diagram;
mod edit;
mod local;
mod metrics;
mod openapi;
mod preview;
mod problem;
mod request;
mod server;
mod shapes;
mod strangers;
mod stream;

pub use server::Server;
