//! The rows of a statement, one after the other, as they are asked for.
//!
//! Nothing runs ahead of whoever reads: the next batch is made when the rows of the one before have been taken.

use crate::node::Node;
use crate::parameters::{Parameter, Values};
use crate::said::Said;
use arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch};
use datafusion::arrow::datatypes::Schema;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt as _;
use pgwire::api::portal::Format;
use pgwire::api::results::FieldInfo;
use pgwire::error::PgWireResult;
use pgwire::messages::data::DataRow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Rows of a statement.
const ROWS_MAX: usize = 1_000_000;
/// How long a statement may work, without the time in which its rows are read.
const WORKS_WITHIN: Duration = Duration::from_secs(60);

/// Rows as they are sent.
type Encoded = Box<dyn Iterator<Item = PgWireResult<DataRow>> + Send>;

/// The rows of a statement that are not taken yet.
pub(crate) struct Rows {
    pub(crate) fields: Arc<Vec<FieldInfo>>,
    batches: SendableRecordBatchStream,
    encoded: Option<Encoded>,
    taken: usize,
    worked: Duration,
}

/// A statement that gives rows, and what it is asked with.
pub(crate) struct Asked {
    pub(crate) plan: LogicalPlan,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) values: Option<Arc<Values>>,
    pub(crate) format: Format,
}

/// Columns as clients are told of them.
pub(crate) fn fields(schema: &Schema, format: &Format) -> Result<Vec<FieldInfo>, Said> {
    if let Format::Individual(formats) = format
        && formats.len() != schema.fields().len()
    {
        let (given, wanted) = (formats.len(), schema.fields().len());
        return Err(Said::new("08P01", format!("{given} formats are given for {wanted} columns")));
    }
    Ok(arrow_schema_to_pg_fields(schema, format, None)?)
}

impl Rows {
    /// Begins to work on a statement.
    pub(crate) async fn open(node: &Arc<Node>, asked: Asked, cancelled: &Notify) -> Result<Self, Said> {
        let Asked { plan, parameters, values, format } = asked;
        let fields = Arc::new(fields(plan.schema().as_arrow(), &format)?);
        let started = Instant::now();
        let planned = node.work(move |node| {
            let plan = match values {
                Some(values) => values.put_into(plan, &parameters)?,
                None => plan,
            };
            node.physical(&plan)
        });
        let physical = tokio::select! {
            planned = timeout(WORKS_WITHIN, planned) => planned.map_err(|_| too_long())??,
            () = cancelled.notified() => return Err(ended()),
        };
        let batches = node.run(physical)?;
        Ok(Self { fields, batches, encoded: None, taken: 0, worked: started.elapsed() })
    }

    /// The next row.
    pub(crate) async fn next(&mut self, cancelled: &Notify) -> Result<Option<DataRow>, Said> {
        loop {
            if let Some(row) = self.encoded.as_mut().and_then(Iterator::next) {
                self.taken += 1;
                if self.taken > ROWS_MAX {
                    let sentence =
                        format!("the result has more than {ROWS_MAX} rows; add a LIMIT, or sum up");
                    return Err(Said::new("54000", sentence));
                }
                return Ok(Some(row?));
            }
            let started = Instant::now();
            let left = WORKS_WITHIN.saturating_sub(self.worked);
            let batch = tokio::select! {
                batch = timeout(left, self.batches.next()) => batch.map_err(|_| too_long())?,
                () = cancelled.notified() => return Err(ended()),
            };
            self.worked += started.elapsed();
            let Some(batch) = batch else { return Ok(None) };
            self.encoded = Some(encode_recordbatch(Arc::clone(&self.fields), batch?));
        }
    }
}

fn too_long() -> Said {
    let seconds = WORKS_WITHIN.as_secs();
    Said::new("57014", format!("the statement worked for more than {seconds} s; ask for less"))
}

fn ended() -> Said {
    Said::new("57014", "the statement was ended, as the client asked")
}
