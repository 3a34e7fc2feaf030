//! What a query would do, and one that runs as boxes and arrows, with what is known of each.
//!
//! A query has one account, whatever it consists of. So a number stands at a box where only that box can be meant; where
//! several could, it stands at the result, for the query as a whole.

use super::{Catalog, streams_of};
use crate::definition::Definition;
use crate::error::CatalogError;
use crate::query::Explained;
use crate::status::QueryStatus;
use std::sync::Arc;
use tapline_query::{BoxKind, Diagram, DiagramBox, Runs};
use tapline_record::EventTime;

/// A query that runs, as boxes and arrows.
#[derive(Clone, Debug)]
pub struct Picture {
    /// When that was.
    pub now: EventTime,
    /// The boxes.
    pub diagram: Diagram,
    /// What is known of each of them, by name, in their order: rows since the query runs, but for `groups_held`,
    /// `octets_held` and `ns_a_row`, which are of now.
    pub numbers: Vec<Vec<(&'static str, u64)>>,
}

impl Catalog {
    /// What a query would do.
    ///
    /// # Errors
    /// When it is wrong.
    pub fn explain(&self, definition: &Definition) -> Result<Explained, CatalogError> {
        let planned = self.plan(definition)?;
        let core = self.core();
        core.allowed(definition, &planned.query)?;
        Ok(core.explained(&planned, &streams_of(&planned.query)))
    }

    /// A query as boxes and arrows, with what is known of each now.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn picture(&self, name: &str) -> Result<Picture, CatalogError> {
        let (query, status) = {
            let mut core = self.core();
            core.look();
            let entry = core.queries.get(name).ok_or_else(|| core.unknown(name))?;
            (Arc::clone(&entry.query), core.status(entry))
        };
        let diagram = query.diagram();
        let numbers = numbers(&diagram, &status);
        Ok(Picture { now: self.clock.now(), diagram, numbers })
    }
}

fn numbers(diagram: &Diagram, status: &QueryStatus) -> Vec<Vec<(&'static str, u64)>> {
    let mut numbers = vec![vec![]; diagram.boxes.len()];
    let QueryStatus { ledger, groups_held, octets_held, ns_a_row, results_lost, .. } = status;
    let is_source = |one: &DiagramBox| one.kind == BoxKind::Source && one.runs != Runs::Window;
    let is_filter = |one: &DiagramBox| one.kind == BoxKind::Filter && one.runs == Runs::Worker;
    let is_fold = |one: &DiagramBox| one.kind == BoxKind::Aggregate && one.runs == Runs::Worker;
    let is_window = |one: &DiagramBox| one.kind == BoxKind::Window;
    let is_result = |one: &DiagramBox| one.kind == BoxKind::Output;
    let mut put = |is_meant: &dyn Fn(&DiagramBox) -> bool, known: &[(&'static str, u64)]| {
        if let Some(place) = only(diagram, is_meant).or_else(|| only(diagram, &is_result)) {
            numbers[place].extend(known);
        }
    };
    put(&is_source, &[("delivered", ledger.delivered)]);
    put(&is_filter, &[("filtered", ledger.filtered)]);
    put(&is_fold, &[("used", ledger.used), ("folded", ledger.folded), ("groups_held", *groups_held)]);
    put(&is_window, &[("late", ledger.late), ("octets_held", *octets_held)]);
    put(&is_result, &[("dropped", ledger.dropped), ("results_lost", *results_lost)]);
    ns_a_row.iter().for_each(|ns| put(&is_result, &[("ns_a_row", *ns)]));
    numbers
}

/// The place of the only box that is meant.
fn only(diagram: &Diagram, is_meant: &dyn Fn(&DiagramBox) -> bool) -> Option<usize> {
    let mut places = (0..).zip(&diagram.boxes).filter(|(_, one)| is_meant(one)).map(|(place, _)| place);
    let first = places.next();
    first.filter(|_| places.next().is_none())
}
