//! Whether states that somebody else made are such as rows give.
//!
//! A group is there since a row of it came: where rows are counted there is one at least, and an average is of as many
//! values as were added up. What is computed of groups rests on that, as a division by their count does.

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, UInt64Type};
use datafusion::physical_expr::expressions::Literal;
use tapline_query::{Aggregate, AggregateFold};

/// Rows of one group in one part, at most: whatever somebody says, those of many parts can be added up.
const ROWS_MAX: i64 = 1 << 48;

/// Refuses states that no rows give.
///
/// # Errors
/// The end of a sentence, which names the aggregate.
pub(crate) fn check_possible(fold: &AggregateFold, states: &RecordBatch) -> Result<(), String> {
    let mut columns = states.columns().get(fold.keys.len()..).unwrap_or_default();
    for aggregate in &fold.aggregates {
        let width = aggregate.function.state_fields().map_err(|error| error.to_string())?.len();
        let (own, others) = columns.split_at_checked(width).ok_or("an aggregate has no states")?;
        let is_possible = match (aggregate.function.fun().name(), own) {
            ("count", [counts]) => are_counts(aggregate, counts),
            ("avg", [counts, sums]) => are_averages(counts, sums),
            _ => true,
        };
        if !is_possible {
            return Err(format!("they have a group that no rows give, by its {}", aggregate.function.name()));
        }
        columns = others;
    }
    Ok(())
}

fn are_counts(aggregate: &Aggregate, counts: &ArrayRef) -> bool {
    let Some(counts) = counts.as_primitive_opt::<Int64Type>() else { return true };
    let possible = i64::from(counts_rows(aggregate))..=ROWS_MAX;
    counts.null_count() == 0 && counts.values().iter().all(|count| possible.contains(count))
}

/// Whether it counts all rows of a group, and not some: `count(*)`.
fn counts_rows(aggregate: &Aggregate) -> bool {
    let is_there = |literal: &Literal| !literal.value().is_null();
    let mut arguments = aggregate.arguments.iter();
    let counts_all = arguments.all(|argument| argument.downcast_ref::<Literal>().is_some_and(is_there));
    counts_all && aggregate.filter.is_none() && !aggregate.takes_states
}

fn are_averages(counts: &ArrayRef, sums: &ArrayRef) -> bool {
    let Some(counts) = counts.as_primitive_opt::<UInt64Type>() else { return true };
    let is_possible = |(row, count): (usize, Option<u64>)| {
        let count = count.unwrap_or(0);
        (count > 0) == sums.is_valid(row) && count <= ROWS_MAX.unsigned_abs()
    };
    counts.iter().enumerate().all(is_possible)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::state_schema;
    use datafusion::arrow::array::{Int64Array, new_null_array};
    use datafusion::arrow::compute::cast;
    use std::sync::Arc;
    use tapline_query::{Fold, Planner};

    /// Of one group of a query, these states, which are integers or nothing; behind one that has a key.
    fn check(select: &str, states: &[Option<i64>]) -> Result<(), String> {
        let sql = format!("SELECT src_port, {select} FROM packets GROUP BY src_port, tumble('1 second')");
        let query = Planner::new().plan(&sql).unwrap();
        let Fold::Aggregate(fold) = &query.lowers[0].fold else { panic!("it aggregates") };
        let schema = state_schema(fold).unwrap();
        assert_eq!(schema.fields().len(), 1 + states.len(), "{schema:?}");
        let numbers = std::iter::once(Some(7)).chain(states.iter().copied());
        let columns = schema.fields().iter().zip(numbers).map(|(field, number)| match number {
            Some(number) => cast(&Int64Array::from(vec![number]), field.data_type()).unwrap(),
            None => new_null_array(field.data_type(), 1),
        });
        check_possible(fold, &RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap())
    }

    #[test]
    fn a_group_is_of_one_row_at_least() {
        assert_eq!(check("count(*)", &[Some(1)]), Ok(()));
        for count in [Some(0), Some(-1), Some(i64::MAX), None] {
            let why = check("count(*)", &[count]).unwrap_err();
            assert!(why.contains("no rows give") && why.contains("count("), "{why}");
        }
        for some in ["count(dst_port)", "count(*) FILTER (WHERE octets > 100)"] {
            assert_eq!(check(some, &[Some(0)]), Ok(()), "{some}");
            assert!(check(some, &[Some(-1)]).is_err(), "{some}");
        }
    }

    #[test]
    fn an_average_is_of_as_many_values_as_were_added_up() {
        for possible in [[Some(2), Some(9)], [None, None], [Some(0), None]] {
            assert_eq!(check("avg(octets)", &possible), Ok(()), "{possible:?}");
        }
        for impossible in [[Some(0), Some(9)], [None, Some(9)], [Some(2), None], [Some(i64::MAX), Some(9)]] {
            assert!(check("avg(octets)", &impossible).is_err(), "{impossible:?}");
        }
        assert_eq!(check("sum(octets), max(octets)", &[None, None]), Ok(()), "all of them may be NULL");
    }
}
