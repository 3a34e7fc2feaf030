//! A node over HTTP: its queries, results, sources and accounts, and a page that shows them.
//!
//! Takes requests, gives JSON, and metrics for Prometheus; what is wrong is told as `application/problem+json`, in the sentences of the command
//! line. Nothing here is on the way of a record: results are taken from where the catalog keeps them.

#![forbid(unsafe_code)]

mod alert_shapes;
mod alerts;
mod api;
mod connections;
mod credentials;
mod diagram;
mod door;
mod edit;
mod entrance;
mod failures;
mod flows;
mod forms;
mod local;
mod metrics;
mod openapi;
mod page;
mod patient;
mod preview;
mod problem;
mod request;
mod results;
mod schema;
mod sensor_shapes;
mod sensors;
mod server;
mod shapes;
mod sql;
mod strangers;
mod stream;
mod tokens;

pub use entrance::{Entrance, EntrancePlan};
pub use server::Server;
pub use tokens::{May, Secret, TokenPlan};
