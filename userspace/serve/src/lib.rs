//! A node over HTTP: its queries, results, sources and accounts, and a page that shows them.
//!
//! Takes requests, gives JSON; what is wrong is told as `application/problem+json`, in the sentences of the command
//! line. Nothing here is on the way of a record: results are taken from where the catalog keeps them.

#![forbid(unsafe_code)]

mod api;
mod connections;
mod local;
mod openapi;
mod page;
mod problem;
mod request;
mod schema;
mod server;
mod shapes;
mod strangers;
mod stream;

pub use server::Server;
