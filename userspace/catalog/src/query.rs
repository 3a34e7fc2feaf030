//! A query on its way into the catalog: planned, and placed where it is answered best.

use crate::definition::{Definition, QueryOptions};
use crate::error::CatalogError;
use crate::metrics::Metrics;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tapline_engine::ResultColumns;
use tapline_query::{ContinuousQuery, Diagram, FlowTable, Planner};
use tapline_record::EventTime;

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
    /// What `now()` is in it.
    pub(crate) starting: EventTime,
    /// What makes metrics of its results, where that is asked for.
    pub(crate) metrics: Option<Arc<Metrics>>,
    /// Why the kernel does not answer it, where it could.
    reasons: Vec<String>,
}

/// Plans a query, which begins then by its planner, over the streams that it names.
pub(crate) fn plan(
    definition: &Definition,
    planner: &Planner,
    starting: EventTime,
) -> Result<Planned, CatalogError> {
    let query = planner.plan(&definition.sql)?;
    query.check_live().map_err(CatalogError::wrong)?;
    let query = with_options(query, &definition.options)?;
    let metrics = definition.options.metrics.then(|| Metrics::of(&query).map(Arc::new)).transpose()?;
    Ok(Planned { query, starting, metrics, reasons: vec![] })
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
    /// The same over a flow table, where there is one and it can be; whether flows of others are read, too.
    pub(crate) fn over(self, table: Option<FlowTable>, is_beside_flows: bool) -> Self {
        let Some(table) = table else { return self };
        let (query, reasons) = if is_beside_flows {
            self.query.over_packet_flows_beside_flows(table)
        } else {
            self.query.over_packet_flows(table)
        };
        Self { query, reasons: reasons.into_iter().flatten().collect(), ..self }
    }

    /// The same, where the kernel is told which packets it needs: where it reads them, and what the kernel counts.
    pub(crate) fn told_to_kernel(self, [of_packets, of_table]: [bool; 2]) -> Self {
        Self { query: self.query.told_to_kernel(of_packets, of_table), ..self }
    }

    /// The same as sensors answer it together.
    ///
    /// # Errors
    /// When they cannot.
    pub(crate) fn of_sensors(self) -> Result<Self, CatalogError> {
        let query = self.query.of_sensors().map_err(CatalogError::wrong)?;
        Ok(Self { query, ..self })
    }

    /// What it does, in lines.
    pub(crate) fn describe(&self) -> String {
        let mut text = self.query.describe();
        for reason in &self.reasons {
            let _ = writeln!(text, "reads packets: {reason}");
        }
        text
    }
}
