//! Groups rows: a plan that is made by hand, so that it goes through rows that are in order without keeping them.

use datafusion::arrow::datatypes::Schema;
use datafusion::common::Result;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::AggregateUDF;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{col, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use std::sync::Arc;

/// What is computed of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Computed<'a> {
    Rows,
    Count(&'a str),
    Sum(&'a str),
    Least(&'a str),
    Greatest(&'a str),
}

impl Computed<'_> {
    fn parts(self) -> (Arc<AggregateUDF>, Option<String>) {
        match self {
            Self::Rows => (count_udaf(), None),
            Self::Count(column) => (count_udaf(), Some(column.to_owned())),
            Self::Sum(column) => (sum_udaf(), Some(column.to_owned())),
            Self::Least(column) => (min_udaf(), Some(column.to_owned())),
            Self::Greatest(column) => (max_udaf(), Some(column.to_owned())),
        }
    }
}

/// The groups of a partition's rows by these columns, and behind them what is computed, under these names.
pub(crate) fn grouped(
    input: Arc<dyn ExecutionPlan>,
    keys: &[&str],
    computed: &[(Computed<'_>, String)],
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = input.schema();
    let key = |name: &&str| Ok((col(name, &schema)?, (*name).to_owned()));
    let keys = keys.iter().map(key).collect::<Result<Vec<_>>>()?;
    let aggregates = computed.iter().map(|(computed, name)| aggregate(*computed, name, &schema));
    let aggregates = aggregates.collect::<Result<Vec<_>>>()?;
    let filters = vec![None; aggregates.len()];
    let groups = PhysicalGroupBy::new_single(keys);
    let plan = AggregateExec::try_new(AggregateMode::Single, groups, aggregates, filters, input, schema)?;
    Ok(Arc::new(plan))
}

fn aggregate(computed: Computed<'_>, name: &str, schema: &Arc<Schema>) -> Result<Arc<AggregateFunctionExpr>> {
    let (function, column) = computed.parts();
    let argument: Arc<dyn PhysicalExpr> = match column {
        Some(column) => col(&column, schema)?,
        None => lit(1_i64),
    };
    let aggregate = AggregateExprBuilder::new(function, vec![argument]);
    Ok(Arc::new(aggregate.schema(Arc::clone(schema)).alias(name).build()?))
}
