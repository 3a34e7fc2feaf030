//! The rows of a statement, one after the other, as they are asked for.
//!
//! Nothing runs ahead of whoever reads: the next batch is made when the rows of the one before have been taken. Only a
//! query over a stream goes on by itself, and of what it gives a bounded number waits.

use crate::node::Node;
use crate::parameters::{Parameter, Values};
use crate::said::Said;
use crate::streams::{Came, StreamPlan, Windows};
use arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch};
use datafusion::arrow::array::RecordBatch;
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

/// Rows of a statement over tables.
const ROWS_MAX: usize = 1_000_000;
/// How long such a statement may work, without the time in which its rows are read.
const WORKS_WITHIN: Duration = Duration::from_secs(60);

/// Rows as they are sent.
type Encoded = Box<dyn Iterator<Item = PgWireResult<DataRow>> + Send>;

/// What gives rows.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// Tables, which are read.
    Tables(Box<LogicalPlan>),
    /// A query of what comes.
    Stream(StreamPlan),
}

impl Plan {
    /// Its columns.
    pub(crate) fn schema(&self) -> &Schema {
        match self {
            Self::Tables(plan) => plan.schema().as_arrow(),
            Self::Stream(plan) => &plan.schema,
        }
    }

    pub(crate) const fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

/// The rows of a statement that are not taken yet.
pub(crate) struct Rows {
    pub(crate) fields: Arc<Vec<FieldInfo>>,
    source: Source,
    encoded: Option<Encoded>,
    taken: usize,
    worked: Duration,
}

/// Where batches come from.
enum Source {
    Tables(SendableRecordBatchStream),
    Stream(Box<Windows>),
}

/// What there is when no row is ready.
pub(crate) enum More {
    /// Rows are.
    Rows,
    /// Something besides rows.
    Told(Said),
    End,
}

/// A statement that gives rows, and what it is asked with.
pub(crate) struct Asked {
    pub(crate) plan: Plan,
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
        let fields = Arc::new(fields(asked.plan.schema(), &asked.format)?);
        let started = Instant::now();
        let source = tokio::select! {
            source = Source::open(node, asked) => source?,
            () = cancelled.notified() => return Err(ended()),
        };
        Ok(Self { fields, source, encoded: None, taken: 0, worked: started.elapsed() })
    }

    /// Whether it is a query of what comes.
    pub(crate) const fn is_stream(&self) -> bool {
        matches!(self.source, Source::Stream(_))
    }

    /// Whether the next rows have to be waited for, maybe long.
    pub(crate) fn are_far(&self) -> bool {
        matches!(&self.source, Source::Stream(windows) if !windows.is_ready())
    }

    /// The next row, if one is ready.
    pub(crate) fn ready(&mut self) -> Result<Option<DataRow>, Said> {
        let Some(row) = self.encoded.as_mut().and_then(Iterator::next) else { return Ok(None) };
        self.taken += 1;
        if self.taken > ROWS_MAX && !self.is_stream() {
            let sentence = format!("the result has more than {ROWS_MAX} rows; add a LIMIT, or sum up");
            return Err(Said::new("54000", sentence));
        }
        Ok(Some(row?))
    }

    /// Waits for what comes when no row is ready.
    pub(crate) async fn wait(&mut self, cancelled: &Notify) -> Result<More, Said> {
        let came = tokio::select! {
            came = self.next() => came?,
            () = cancelled.notified() => return Err(ended()),
        };
        Ok(match came {
            Came::Rows(batch) => self.encode(batch),
            Came::Told(said) => More::Told(said),
            Came::End => More::End,
        })
    }

    fn encode(&mut self, batch: RecordBatch) -> More {
        self.encoded = Some(encode_recordbatch(Arc::clone(&self.fields), batch));
        More::Rows
    }

    async fn next(&mut self) -> Result<Came, Said> {
        match &mut self.source {
            Source::Stream(windows) => windows.next().await,
            Source::Tables(batches) => {
                let started = Instant::now();
                let left = WORKS_WITHIN.saturating_sub(self.worked);
                let batch = timeout(left, batches.next()).await.map_err(|_| too_long())?;
                self.worked += started.elapsed();
                Ok(batch.transpose()?.map_or(Came::End, Came::Rows))
            }
        }
    }
}

impl Source {
    async fn open(node: &Arc<Node>, asked: Asked) -> Result<Self, Said> {
        let Asked { plan, parameters, values, .. } = asked;
        let plan = match plan {
            Plan::Stream(plan) => return Ok(Self::Stream(Box::new(Windows::open(node, plan).await?))),
            Plan::Tables(plan) => *plan,
        };
        let planned = node.work(move |node| {
            let plan = match values {
                Some(values) => values.put_into(plan, &parameters)?,
                None => plan,
            };
            node.physical(&plan)
        });
        let physical = timeout(WORKS_WITHIN, planned).await.map_err(|_| too_long())??;
        Ok(Self::Tables(node.run(physical)?))
    }
}

fn too_long() -> Said {
    let seconds = WORKS_WITHIN.as_secs();
    Said::new("57014", format!("the statement worked for more than {seconds} s; ask for less"))
}

fn ended() -> Said {
    Said::new("57014", "the statement was ended, as the client asked")
}
