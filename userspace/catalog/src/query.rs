//! A query on its way into the catalog: planned, and placed where it is answered best.

use crate::definition::{Definition, QueryOptions};
use crate::error::CatalogError;
use crate::metrics::Metrics;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tapline_engine::ResultColumns;
use tapline_query::{ContinuousQuery, Diagram, FlowTable, Planner};

/// What a query would do.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Both halves, panes and columns, in lines.
    pub text: String,
    /// The same as boxes and arrows.
    pub diagram: Diagram,
    /// The columns of its results.
    pub columns: ResultColumns,
    /// The streams that it reads.
    pub streams: Vec<&'static str>,
    /// The sources that carry them.
    pub sources: Vec<String>,
}

/// A query that is ready to be added.
pub(crate) struct Planned {
    pub(crate) query: ContinuousQuery,
    /// What makes metrics of its results, where that is asked for.
    pub(crate) metrics: Option<Arc<Metrics>>,
    /// Why the kernel does not answer it, where it could.
    reasons: Vec<String>,
}

/// Plans a query; over the flow table of interfaces, where they have one and it can be.
pub(crate) fn plan(
    definition: &Definition,
    table: Option<FlowTable>,
    planner: &Planner,
) -> Result<Planned, CatalogError> {
    let query = planner.plan(&definition.sql)?;
    query.check_names_no_sensors()?;
    query.check_live().map_err(CatalogError::wrong)?;
    let query = with_options(query, &definition.options)?;
    let metrics = definition.options.metrics.then(|| Metrics::of(&query).map(Arc::new)).transpose()?;
    let Some(table) = table else { return Ok(Planned { query, metrics, reasons: vec![] }) };
    let (query, reasons) = query.over_packet_flows(table);
    Ok(Planned { query, metrics, reasons: reasons.into_iter().flatten().collect() })
}

fn with_options(query: ContinuousQuery, options: &QueryOptions) -> Result<ContinuousQuery, CatalogError> {
    let Some(every) = options.early else { return Ok(query) };
    if every == Duration::ZERO {
        return Err(CatalogError::wrong("early: write a time that is longer than nothing, such as 10s"));
    }
    let every = i64::try_from(every.as_nanos()).unwrap_or(i64::MAX);
    query.with_early(every).map_err(|message| CatalogError::wrong(format!("early: {message}")))
}

impl Planned {
    /// What it does, in lines.
    pub(crate) fn describe(&self) -> String {
        let mut text = self.query.describe();
        for reason in &self.reasons {
            let _ = writeln!(text, "reads packets: {reason}");
        }
        text
    }
}
