//! Tables whose rows are made when they are read.

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::fmt;
use std::sync::Arc;
use tapline_record::EventTime;
use tapline_record::stream::TIME_ZONE;

/// Makes the rows of a table.
type Rows = Box<dyn Fn() -> Result<RecordBatch> + Send + Sync>;

/// A table whose rows are made each time it is read.
pub struct Listing {
    schema: SchemaRef,
    rows: Rows,
}

impl Listing {
    /// A table of these columns, and of the rows that are made at each reading.
    #[must_use]
    pub fn new(schema: SchemaRef, rows: impl Fn() -> Result<RecordBatch> + Send + Sync + 'static) -> Self {
        Self { schema, rows: Box::new(rows) }
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Listing").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl TableProvider for Listing {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// One that clients list; views they may pass over.
    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = vec![(self.rows)()?];
        Ok(MemorySourceConfig::try_new_exec(&[rows], self.schema(), projection.cloned())?)
    }
}

/// The values of a column, one a row.
#[derive(Clone, Debug)]
pub enum Cells {
    /// Texts.
    Text(Vec<Option<String>>),
    /// Numbers.
    Number(Vec<Option<i64>>),
    /// Numbers that need not be whole.
    Real(Vec<Option<f64>>),
    /// Whether something is so.
    Truth(Vec<Option<bool>>),
    /// Instants.
    Time(Vec<Option<EventTime>>),
}

impl Cells {
    /// Texts, one a row.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Text(texts.into_iter().map(|text| Some(text.into())).collect())
    }

    /// Numbers, one a row; one that is too large for clients is the largest.
    pub fn numbers(numbers: impl IntoIterator<Item = u64>) -> Self {
        Self::Number(numbers.into_iter().map(|number| Some(signed(number))).collect())
    }

    fn array(self) -> ArrayRef {
        match self {
            Self::Text(texts) => Arc::new(StringArray::from(texts)),
            Self::Number(numbers) => Arc::new(Int64Array::from(numbers)),
            Self::Real(numbers) => Arc::new(Float64Array::from(numbers)),
            Self::Truth(truths) => Arc::new(BooleanArray::from(truths)),
            Self::Time(times) => {
                let times: TimestampNanosecondArray =
                    times.into_iter().map(|time| time.map(|time| time.0)).collect();
                Arc::new(times.with_timezone(TIME_ZONE))
            }
        }
    }
}

/// A count as clients read it: none of ours comes near to the largest.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Columns under their names, side by side.
///
/// # Errors
/// When they are not of one length.
pub fn columns(columns: impl IntoIterator<Item = (&'static str, Cells)>) -> Result<RecordBatch> {
    let (names, arrays): (Vec<&str>, Vec<ArrayRef>) =
        columns.into_iter().map(|(name, cells)| (name, cells.array())).unzip();
    let fields = names.into_iter().zip(&arrays);
    let fields: Vec<Field> =
        fields.map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
