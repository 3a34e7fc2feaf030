//! A node over HTTP: its queries, results, sources and accounts.
//!
//! Takes requests, gives JSON; what is wrong is told as `application/problem+json`, in the sentences of the command
//! line. Nothing here is on the way of a record: results are taken from where the catalog keeps them.

#![forbid(unsafe_code)]

mod api;
mod openapi;
mod problem;
mod server;
mod shapes;
mod stream;

pub use server::Server;
