//! Answers questions for groups from sums of files instead of their rows, where the sums say the same.
//!
//! ```text
//! Aggregate: src_ip, sum(octets), count(*)        Projection, by the names that there were
//!   Filter: window_start >= …                ─►     Aggregate: src_ip, sum(sum of octets), sum(number of rows)
//!     rows of the query                               sums of the query, of these windows
//! ```
//! Conditions on windows choose hours; all others, and what groups are made by, are looked at in the sums' own columns.

use crate::bounds::Bounds;
use crate::recipe::{Made, Recipe};
use crate::summed::SummedTable;
use crate::sums::{ROWS, Sum, is_added, names_are_free};
use crate::table::StoredTable;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::logical_plan::{Aggregate, TableScan};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlan, LogicalPlanBuilder, lit, when};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// Reads sums of stored results in the place of their rows.
#[derive(Debug, Default)]
pub struct StoredSums;

impl OptimizerRule for StoredSums {
    fn name(&self) -> &'static str {
        "stored_sums"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        match of_sums(aggregate)? {
            Some(plan) => Ok(Transformed::yes(plan)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// What an aggregate is made of.
struct Input<'a> {
    scan: &'a TableScan,
    /// What the table is called above its conditions.
    alias: Option<TableReference>,
    conditions: Vec<&'a Expr>,
}

/// The columns of sums that an aggregate needs.
struct Wanted {
    /// Of the query's table.
    table: SchemaRef,
    /// What the table is called where groups are made.
    name: TableReference,
    /// Columns of rows that groups are told apart by.
    groups: Vec<usize>,
    /// Columns of sums of numbers.
    sums: Vec<(Sum, usize)>,
}

/// The same answer from sums; `None` where it is not in them.
fn of_sums(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(input) = input(&aggregate.input, None) else { return Ok(None) };
    let provider = source_as_provider(&input.scan.source)?;
    let Some(stored) = provider.downcast_ref::<StoredTable>() else { return Ok(None) };
    let name = input.alias.clone().unwrap_or_else(|| input.scan.table_name.clone());
    let mut wanted = Wanted { table: Arc::clone(stored.columns()), name, groups: vec![], sums: vec![] };
    let (windows, others): (Vec<&Expr>, Vec<&Expr>) =
        input.conditions.iter().copied().partition(|condition| Bounds::say_all_of(condition));
    let are_known = others.iter().copied().chain(&aggregate.group_expr).all(|one| wanted.group_by(one));
    let computed = aggregate.aggr_expr.iter().map(|one| wanted.compute(one));
    // Two of them may be the same one by now.
    let computed = computed.enumerate().map(|(place, one)| Some(one?.alias(format!("computed {place}"))));
    let computed = computed.collect::<Option<Vec<Expr>>>();
    let Some(computed) = computed.filter(|_| are_known && names_are_free(&wanted.table)) else {
        return Ok(None);
    };
    let recipe = wanted.recipe(Bounds::of(windows))?;
    let Some(table) = SummedTable::of(stored, recipe)? else { return Ok(None) };
    let sums = provider_as_source(Arc::new(table));
    let mut plan = LogicalPlanBuilder::scan(input.scan.table_name.clone(), sums, None)?;
    if let Some(others) = conjunction(others.into_iter().cloned()) {
        plan = plan.filter(others)?;
    }
    if let Some(alias) = input.alias {
        plan = plan.alias(alias)?;
    }
    let groups = aggregate.group_expr.clone();
    let summed = Aggregate::try_new(Arc::new(plan.build()?), groups, computed)?;
    named_as_before(aggregate, summed).map(Some)
}

/// The table below an aggregate, and the conditions on it, if there is nothing else.
fn input(plan: &LogicalPlan, alias: Option<TableReference>) -> Option<Input<'_>> {
    let is_column = |one: &Expr| matches!(one, Expr::Column(_));
    match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() => {
            Some(Input { scan, alias, conditions: vec![] })
        }
        // Columns above an alias are called after it, those below after the table.
        LogicalPlan::SubqueryAlias(named) if alias.is_none() => {
            input(&named.input, Some(named.alias.clone()))
        }
        LogicalPlan::Projection(projection) if projection.expr.iter().all(is_column) => {
            input(&projection.input, alias)
        }
        LogicalPlan::Filter(filter) => {
            let mut input = input(&filter.input, alias.clone())?;
            // Of one above an alias, the columns are called after the alias.
            let is_below = input.alias == alias;
            input.conditions.extend(split_conjunction(&filter.predicate));
            is_below.then_some(input)
        }
        _ => None,
    }
}

impl Wanted {
    /// Takes an expression for groups by its columns; whether these are in the table.
    fn group_by(&mut self, expression: &Expr) -> bool {
        if matches!(expression, Expr::GroupingSet(_)) || expression.is_volatile() {
            return false;
        }
        let columns: Vec<&Column> = expression.column_refs().into_iter().collect();
        columns.into_iter().all(|column| self.group(&column.name).is_some())
    }

    fn group(&mut self, name: &str) -> Option<usize> {
        let (place, _) = self.table.column_with_name(name)?;
        if !self.groups.contains(&place) {
            self.groups.push(place);
        }
        Some(place)
    }

    /// What an aggregate of rows is as one of sums.
    fn compute(&mut self, expression: &Expr) -> Option<Expr> {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = unaliased(expression) else {
            return None;
        };
        if params.distinct || params.filter.is_some() || !params.order_by.is_empty() {
            return None;
        }
        let [argument] = params.args.as_slice() else { return None };
        let is = |known: Arc<AggregateUDF>| *func == known;
        if is(count_udaf()) {
            return match argument {
                Expr::Literal(value, _) if !value.is_null() => Some(sum(self.named(ROWS))),
                other => Some(sum(self.sum(Sum::Count, other)?)),
            };
        }
        if is(sum_udaf()) {
            return Some(sum(self.sum(Sum::Total, argument)?));
        }
        let (kind, of): (Sum, fn(Expr) -> Expr) = if is(min_udaf()) {
            (Sum::Least, min)
        } else if is(max_udaf()) {
            (Sum::Greatest, max)
        } else {
            return None;
        };
        match self.sum(kind, argument) {
            Some(column) => Some(of(column)),
            // Of what groups are told apart by, each group has all values.
            None => self.group_by(argument).then(|| of(argument.clone())),
        }
    }

    /// The column of a sum of this number.
    fn sum(&mut self, sum: Sum, argument: &Expr) -> Option<Expr> {
        let name = match argument {
            Expr::Column(column) => &column.name,
            // Numbers are as wide as their sums before they are added up.
            Expr::Cast(cast) if *cast.field.data_type() == DataType::Int64 && sum == Sum::Total => {
                match cast.expr.as_ref() {
                    Expr::Column(column) => &column.name,
                    _ => return None,
                }
            }
            _ => return None,
        };
        let (place, field) = self.table.column_with_name(name)?;
        if !is_added(field.data_type()) {
            return None;
        }
        if !self.sums.contains(&(sum, place)) {
            self.sums.push((sum, place));
        }
        Some(self.named(&sum.name(name)))
    }

    fn named(&self, column: &str) -> Expr {
        Expr::Column(Column::new(Some(self.name.clone()), column))
    }

    /// How rows become these sums.
    fn recipe(&self, bounds: Bounds) -> Result<Recipe> {
        let table = &self.table;
        let numbers = self.sums.iter().map(|(_, place)| *place);
        let mut rows: Vec<usize> = self.groups.iter().copied().chain(numbers).collect();
        rows.extend(bounds.columns().filter_map(|name| Some(table.column_with_name(name)?.0)));
        rows.sort_unstable();
        rows.dedup();
        let at = |place: &usize| rows.iter().position(|row| row == place).unwrap_or_default();
        let mut sums = vec![(Field::new(ROWS, DataType::Int64, true), Made::Row)];
        for place in &self.groups {
            sums.push((table.field(*place).clone(), Made::Value(at(place))));
        }
        for (sum, place) in &self.sums {
            let field = table.field(*place);
            let (data_type, made) = match sum {
                Sum::Total => (DataType::Int64, Made::Value(at(place))),
                Sum::Least | Sum::Greatest => (field.data_type().clone(), Made::Value(at(place))),
                Sum::Count => (DataType::Int64, Made::Count(at(place))),
            };
            sums.push((Field::new(sum.name(field.name()), data_type, true), made));
        }
        let (fields, made): (Vec<Field>, Vec<Made>) = sums.into_iter().unzip();
        Ok(Recipe {
            rows: Arc::new(table.project(&rows)?),
            sums: Arc::new(Schema::new(fields)),
            made,
            bounds,
        })
    }
}

fn unaliased(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// The columns of an aggregate over sums, called as they were over rows.
fn named_as_before(before: &Aggregate, summed: Aggregate) -> Result<LogicalPlan> {
    let groups = before.schema.fields().len() - before.aggr_expr.len();
    let is_count = |place: usize| {
        let one = before.aggr_expr.get(place.checked_sub(groups)?)?;
        Some(matches!(unaliased(one), Expr::AggregateFunction(one) if one.func == count_udaf()))
    };
    let column =
        |(place, (qualifier, field)): (usize, (Option<&TableReference>, &Arc<Field>))| -> Result<Expr> {
            let column = Expr::Column(Column::from(summed.schema.qualified_field(place)));
            // Where there is no row, there are none.
            let value = if is_count(place) == Some(true) {
                when(column.clone().is_not_null(), column).otherwise(lit(0_i64))?
            } else {
                column
            };
            Ok(value.alias_qualified(qualifier.cloned(), field.name()))
        };
    let columns = before.schema.iter().enumerate().map(column).collect::<Result<Vec<Expr>>>()?;
    LogicalPlanBuilder::from(LogicalPlan::Aggregate(summed)).project(columns)?.build()
}
