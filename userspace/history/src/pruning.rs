//! Which groups of a file's rows may have what conditions ask for, by what the file says of them: least and greatest
//! values, and which texts are not there.

use crate::content::Content;
use datafusion::arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use std::collections::HashSet;
use std::sync::Arc;

/// Conditions on the columns of a table.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    predicate: Arc<PruningPredicate>,
    /// Of the table, whose types the conditions are in.
    schema: SchemaRef,
}

impl Conditions {
    /// What all of these say of groups of rows; `None` where that is nothing.
    pub(crate) fn of(filters: &[Expr], schema: &SchemaRef, state: &dyn Session) -> Option<Self> {
        let all = conjunction(filters.iter().cloned())?;
        let columns = DFSchema::try_from(Arc::clone(schema)).ok()?;
        // Whoever reads checks each row, whether something is known of groups or not.
        let predicate = state.create_physical_expr(all, &columns).ok()?;
        let predicate =
            PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).build(predicate)?;
        Some(Self { predicate, schema: Arc::clone(schema) })
    }

    /// The groups of a file that may have such rows.
    pub(crate) fn groups(&self, reader: &ParquetRecordBatchReaderBuilder<Content>) -> Vec<usize> {
        let groups = reader.metadata().num_row_groups();
        // Where nothing can be told, all may.
        let may = self.predicate.prune(&Groups { reader, schema: &self.schema });
        let may = may.unwrap_or_else(|_| vec![true; groups]);
        (0..groups).zip(may).filter(|(_, may)| *may).map(|(group, _)| group).collect()
    }
}

/// What a file says of its groups of rows.
struct Groups<'a> {
    reader: &'a ParquetRecordBatchReaderBuilder<Content>,
    schema: &'a SchemaRef,
}

impl Groups<'_> {
    fn converter(&self, column: &Column) -> Option<StatisticsConverter<'_>> {
        let (arrow, parquet) = (self.reader.schema(), self.reader.parquet_schema());
        StatisticsConverter::try_new(&column.name, arrow, parquet).ok()
    }

    /// Bounds of values, in the type of the table's column, where values are in the same order in both.
    fn converted(&self, bounds: ArrayRef, column: &Column) -> Option<ArrayRef> {
        let wanted = self.schema.field_with_name(&column.name).ok()?.data_type();
        let are_times = |one: &DataType| matches!(one, DataType::Timestamp(..));
        let found = bounds.data_type();
        if found == wanted {
            return Some(bounds);
        }
        let keep_order =
            (found.is_integer() && wanted.is_integer()) || (are_times(found) && are_times(wanted));
        // One that does not fit is unknown.
        keep_order.then(|| cast(&bounds, wanted).ok()).flatten()
    }

    /// Whether none of these texts is in a group; `None` where that is not known, as of a file in a bucket: to ask for
    /// filters of each group takes longer than to read what few groups have.
    fn lacks(&self, group: usize, leaf: usize, texts: &[&str]) -> Option<bool> {
        let filter = self.reader.get_row_group_column_bloom_filter(group, leaf).ok()??;
        Some(texts.iter().all(|text| !filter.check(*text)))
    }
}

impl PruningStatistics for Groups<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        let least = self.converter(column)?.row_group_mins(self.reader.metadata().row_groups()).ok()?;
        self.converted(least, column)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        let most = self.converter(column)?.row_group_maxes(self.reader.metadata().row_groups()).ok()?;
        self.converted(most, column)
    }

    fn num_containers(&self) -> usize {
        self.reader.metadata().num_row_groups()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let groups = self.reader.metadata().row_groups();
        let counts = self.converter(column)?.row_group_null_counts(groups).ok()?;
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.reader.metadata().row_groups().iter().map(|group| group.num_rows().unsigned_abs());
        Some(Arc::new(UInt64Array::from_iter_values(rows)))
    }

    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let is_text = |schema: &SchemaRef| {
            schema.field_with_name(&column.name).is_ok_and(|field| *field.data_type() == DataType::Utf8)
        };
        if !is_text(self.schema) || !is_text(self.reader.schema()) {
            return None;
        }
        let columns = self.reader.parquet_schema().columns();
        let leaf = columns.iter().position(|leaf| leaf.path().parts() == [column.name.as_str()])?;
        let texts = values.iter().map(|value| value.try_as_str().flatten()).collect::<Option<Vec<&str>>>()?;
        // That a group has them is never known.
        let has = |group| self.lacks(group, leaf, &texts).filter(|lacks| *lacks).map(|_| false);
        Some((0..self.num_containers()).map(has).collect())
    }
}
