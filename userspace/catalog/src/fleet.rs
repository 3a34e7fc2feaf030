//! Where the queries of an aggregator run: on its sensors, and not in its own engine.

use crate::definition::Definition;
use crate::safety::Safety;
use crate::sensors::{Assigned, ReportedQuery, SensorStatus};
use std::sync::Arc;
use tapline_engine::{QueryId, QuerySnapshot, Subscriber};
use tapline_query::ContinuousQuery;
use tapline_record::EventTime;

/// A query for sensors.
pub struct FleetQuery<'a> {
    /// As it was written.
    pub definition: &'a Definition,
    /// What is asked.
    pub query: &'a Arc<ContinuousQuery>,
    /// What `now()` is in it.
    pub starting: EventTime,
    /// Whether it outlives this run of the node: one that somebody asks for as long as he watches does not.
    pub is_kept: bool,
    /// Where the aggregator asks it to which this one forwards: as that one calls it.
    pub assigned: Option<&'a Assigned>,
}

/// By what a sensor joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Where it connects to.
    pub to: String,
    /// The token that it brings.
    pub token: String,
    /// The file by which it is known here.
    pub file: String,
    /// What is to be added to that file by hand, where the node does not write it.
    pub line: Option<String>,
}

/// The sensors of an aggregator. Whoever calls holds the catalog's lock: nothing here waits for anybody who may.
pub trait Fleet: Send {
    /// Where a query began that an earlier run of this node had, so that it goes on as the same one.
    fn starting(&self, definition: &Definition) -> Option<EventTime>;

    /// Lets sensors run a query; those that are away get it when they return. Its number is none of the engine's.
    ///
    /// # Errors
    /// A sentence: it cannot be forwarded, or what is to be known over a restart cannot be written.
    fn add(&mut self, new: FleetQuery<'_>) -> Result<QueryId, String>;

    /// Ends a query everywhere; what came of it is let go.
    fn drop_query(&mut self, query: QueryId);

    /// Lets sensors in: the queries of an earlier run that were not added by now are over. Results go to `results`, and are
    /// given again at another start as long as `safety` does not say that they are safe.
    ///
    /// # Errors
    /// A sentence: the address is taken, or what an earlier run left cannot be read.
    fn open(&mut self, results: Subscriber, safety: Safety) -> Result<(), String>;

    /// How its queries stand now.
    fn queries(&mut self) -> Vec<QuerySnapshot>;

    /// How the sensors stand that are known.
    fn sensors(&self) -> Vec<SensorStatus>;

    /// The sensors that run a query, or are to, by name.
    fn parts(&self, query: QueryId) -> Vec<(String, ReportedQuery)>;

    /// What is wrong with windows of a query that could not be made, or not of all that came for them, where there are some.
    fn flaws(&self, query: QueryId) -> Option<String>;

    /// Makes a token for a sensor of this name, which is known from now on in place of another one of it; where the file of
    /// tokens is somebody else's, as soon as he has written it there and lets it be read.
    ///
    /// # Errors
    /// A sentence: the name cannot be one, or the token cannot be kept.
    fn join(&mut self, sensor: &str) -> Result<Joined, String>;

    /// Waits for a sensor no more, nor misses it, until it comes back.
    fn rest(&mut self, sensor: &str);

    /// Reads anew by what sensors prove who they are.
    ///
    /// # Errors
    /// A sentence; then nothing changes.
    fn renew(&mut self) -> Result<(), String>;

    /// Takes nothing more, and keeps what came, and which results are safe by now. Nobody holds the catalog's lock then.
    ///
    /// # Errors
    /// A sentence, when it could not be kept.
    fn stop(&mut self) -> Result<(), String>;
}
