//! How large the expressions of a plan may become while it is optimised.
//!
//! DataFusion writes some parts of an expression several times: `x BETWEEN a AND b` becomes `x >= a AND x <= b`, and
//! `coalesce(x, y)` a CASE that has `x` twice. What is sorted and filtered by comes to where its columns are made, and
//! has then in the place of each column what that is made of. A short text in which this doubles again and again is
//! more than there is room for, and it is optimised at once: so it is foreseen, from below to above. So are types whose
//! values have a size of their own, since there is room for each of them in each row, NULL or not.

use crate::error::SqlError;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::{Case, Exists, InSubquery, ScalarFunction, SetComparison};
use datafusion::logical_expr::{Aggregate, Between, Cast, Expr, LogicalPlan, Projection, TryCast, Union};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Parts of all expressions of a plan, each as often as it may come to be there.
const PARTS_MAX: usize = 1 << 17;

/// Octets of a value, where its type has a size.
const FIXED_OCTETS_MAX: usize = 16 << 10;

/// What a list of a fixed length takes for an item at least.
const ITEM_OCTETS: usize = 8;

/// Functions whose arguments are written twice.
const WRITTEN_TWICE: [&str; 3] = ["coalesce", "nvl", "nvl2"];

/// How often a set comparison is written.
const COMPARISONS: usize = 3;

/// Refuses a plan that may become too large; it takes a stack as deep as the plan.
///
/// # Errors
/// When it may.
pub fn check_plan(plan: &LogicalPlan) -> Result<(), SqlError> {
    let mut walk = Walk { wide: None, around: vec![], subqueries: HashMap::new() };
    let parts = walk.plan(plan).parts;
    if let Some(kind) = walk.wide {
        let message = format!("a value of {kind} has more than {FIXED_OCTETS_MAX} octets");
        return Err(SqlError::new(message, "take a type without a size, such as List or Binary"));
    }
    if parts > PARTS_MAX {
        let message = "planning would write parts of the statement too many times";
        let help = "name a column once where it is filtered or sorted by, and have fewer BETWEEN, CASE and coalesce \
                    within each other";
        return Err(SqlError::new(message, help));
    }
    Ok(())
}

/// Of how many parts a column is made, by its name; of others one.
type Made = HashMap<String, usize>;

/// A plan that was looked at.
struct Grown {
    /// Parts of all its expressions.
    parts: usize,
    /// Plans at its bottom, to each of which a condition may come.
    leaves: usize,
    /// Columns that it gives.
    made: Made,
}

struct Walk {
    /// A type that takes too much.
    wide: Option<DataType>,
    /// Columns at the places whose expressions are looked at: those of subqueries may name them.
    around: Vec<Rc<Made>>,
    /// Parts of subqueries that were looked at.
    subqueries: HashMap<*const LogicalPlan, usize>,
}

impl Walk {
    fn plan(&mut self, plan: &LogicalPlan) -> Grown {
        let inputs: Vec<Grown> = plan.inputs().into_iter().map(|input| self.plan(input)).collect();
        let leaves = inputs.iter().map(|input| input.leaves).sum::<usize>().max(1);
        let below = inputs.iter().fold(1, |all: usize, input| all.saturating_add(input.parts));
        let mut known = Made::new();
        for (name, parts) in inputs.iter().flat_map(|input| &input.made) {
            add(&mut known, name, *parts);
        }
        let known = Rc::new(known);
        self.around.push(Rc::clone(&known));
        let own = match plan {
            LogicalPlan::Filter(_) | LogicalPlan::Join(_) | LogicalPlan::Sort(_) => {
                self.expressions(plan, &known).saturating_mul(leaves)
            }
            _ => self.expressions(plan, &Made::new()),
        };
        let made = match plan {
            LogicalPlan::Projection(projection) => self.projected(projection, &known),
            LogicalPlan::Aggregate(aggregate) => self.grouped(aggregate, &known),
            LogicalPlan::Union(union) => united(union, &inputs),
            LogicalPlan::RecursiveQuery(_) => Made::new(),
            _ => known.as_ref().clone(),
        };
        self.around.pop();
        Grown { parts: below.saturating_add(own), leaves, made }
    }

    /// Parts of a plan within an expression, which is looked at once.
    fn subquery(&mut self, plan: &Arc<LogicalPlan>) -> usize {
        let place = Arc::as_ptr(plan);
        if let Some(parts) = self.subqueries.get(&place) {
            return *parts;
        }
        let parts = self.plan(plan).parts;
        self.subqueries.insert(place, parts);
        parts
    }

    /// Of how many parts a column of a query around a subquery is made.
    fn of_outer(&self, column: &Column) -> usize {
        self.around.iter().map(|known| of_column(column, known)).max().unwrap_or(1)
    }

    /// Parts of the expressions of one node.
    fn expressions(&mut self, plan: &LogicalPlan, known: &Made) -> usize {
        let mut all = 0_usize;
        // Nothing in it fails.
        let _ = plan.apply_expressions(|expression| {
            all = all.saturating_add(self.parts(expression, known));
            Ok(TreeNodeRecursion::Continue)
        });
        all
    }

    fn projected(&mut self, projection: &Projection, known: &Made) -> Made {
        let mut made = Made::new();
        for (field, expression) in projection.schema.fields().iter().zip(&projection.expr) {
            add(&mut made, field.name(), self.parts(expression, known));
        }
        made
    }

    /// Conditions on what is grouped by come below; on aggregates they stay.
    fn grouped(&mut self, aggregate: &Aggregate, known: &Made) -> Made {
        let mut made = Made::new();
        let keys: Vec<usize> = aggregate.group_expr.iter().map(|key| self.parts(key, known)).collect();
        let largest = keys.iter().copied().max().unwrap_or(1);
        let fields = aggregate.schema.fields();
        // Of several groupings the columns are not in the order of the keys.
        let count = if aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_))) {
            fields.len()
        } else {
            keys.len()
        };
        fields.iter().take(count).for_each(|field| add(&mut made, field.name(), largest));
        made
    }

    /// Parts of an expression, where columns are made of so many.
    fn parts(&mut self, expression: &Expr, known: &Made) -> usize {
        self.look_at_type(expression);
        let own = match expression {
            Expr::Column(column) => return of_column(column, known),
            Expr::OuterReferenceColumn(_, column) => return self.of_outer(column),
            Expr::Alias(named) => return self.parts(&named.expr, known),
            Expr::Between(between) => return self.between(between, known),
            Expr::Case(case) => return self.case(case, known),
            Expr::Exists(Exists { subquery, .. })
            | Expr::InSubquery(InSubquery { subquery, .. })
            | Expr::SetComparison(SetComparison { subquery, .. })
            | Expr::ScalarSubquery(subquery) => self.subquery(&subquery.subquery),
            _ => 1,
        };
        let all = own.saturating_add(self.children(expression, known));
        match expression {
            Expr::SetComparison(_) => all.saturating_mul(COMPARISONS),
            Expr::ScalarFunction(call) if WRITTEN_TWICE.contains(&call.name()) => all.saturating_mul(2),
            _ => all,
        }
    }

    fn children(&mut self, expression: &Expr, known: &Made) -> usize {
        let mut all = 0_usize;
        // Nor does anything here.
        let _ = expression.apply_children(|part| {
            all = all.saturating_add(self.parts(part, known));
            Ok(TreeNodeRecursion::Continue)
        });
        all
    }

    fn between(&mut self, between: &Between, known: &Made) -> usize {
        let [value, low, high] =
            [&between.expr, &between.low, &between.high].map(|part| self.parts(part, known));
        value.saturating_mul(2).saturating_add(low).saturating_add(high).saturating_add(1)
    }

    /// A CASE that gives true or false becomes AND and OR, where it is short or gives one of them seldom.
    fn case(&mut self, case: &Case, known: &Made) -> usize {
        let branches = case.when_then_expr.len();
        let is_literal = |then: &Expr| matches!(then, Expr::Literal(ScalarValue::Boolean(_), _));
        let is_seldom = case.when_then_expr.iter().all(|(_, then)| is_literal(then));
        let times = match (&case.expr, branches < 3, is_seldom) {
            (None, true, _) => 3,
            (None, false, true) => branches + 1,
            _ => 1,
        };
        let mut all = 1_usize;
        for (when, then) in &case.when_then_expr {
            let when = self.parts(when, known).saturating_mul(times);
            all = all.saturating_add(when).saturating_add(self.parts(then, known));
        }
        for part in case.expr.iter().chain(&case.else_expr) {
            all = all.saturating_add(self.parts(part, known));
        }
        all
    }

    fn look_at_type(&mut self, expression: &Expr) {
        let kind = match expression {
            Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => {
                Some(field.data_type().clone())
            }
            Expr::ScalarFunction(call) if ["arrow_cast", "arrow_try_cast"].contains(&call.name()) => {
                written_type(call)
            }
            _ => None,
        };
        if let Some(kind) = kind.filter(|kind| fixed_octets(kind) > FIXED_OCTETS_MAX) {
            self.wide = Some(kind);
        }
    }
}

/// Keeps the larger one of two columns that have one name.
fn add(made: &mut Made, name: &str, parts: usize) {
    if parts > 1 {
        let known = made.entry(name.to_owned()).or_insert(parts);
        *known = parts.max(*known);
    }
}

fn of_column(column: &Column, known: &Made) -> usize {
    known.get(&column.name).copied().unwrap_or(1)
}

/// The columns of a union, which are those of its parts by their places.
fn united(union: &Union, inputs: &[Grown]) -> Made {
    let mut made = Made::new();
    for (input, grown) in union.inputs.iter().zip(inputs) {
        for (field, own) in union.schema.fields().iter().zip(input.schema().fields()) {
            add(&mut made, field.name(), grown.made.get(own.name()).copied().unwrap_or(1));
        }
    }
    made
}

/// The type that a call names as text.
fn written_type(call: &ScalarFunction) -> Option<DataType> {
    let Some(Expr::Literal(name, _)) = call.args.get(1) else { return None };
    name.try_as_str().flatten()?.parse().ok()
}

/// Octets of one value, as far as its type has a size.
fn fixed_octets(kind: &DataType) -> usize {
    let of = |octets: i32| usize::try_from(octets).unwrap_or(0);
    match kind {
        DataType::FixedSizeBinary(octets) => of(*octets),
        DataType::FixedSizeList(item, items) => {
            fixed_octets(item.data_type()).max(ITEM_OCTETS).saturating_mul(of(*items))
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::Map(item, _)
        | DataType::RunEndEncoded(_, item) => fixed_octets(item.data_type()),
        DataType::Dictionary(_, value) => fixed_octets(value),
        DataType::Struct(fields) => {
            fields.iter().fold(0, |all: usize, field| all.saturating_add(fixed_octets(field.data_type())))
        }
        DataType::Union(fields, _) => fields
            .iter()
            .fold(0, |all: usize, (_, field)| all.saturating_add(fixed_octets(field.data_type()))),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use tokio::runtime::Builder;

    /// Why a statement is refused, if it is; it is not optimised.
    fn refused(sql: &str) -> Option<String> {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        let runtime = Builder::new_current_thread().build().unwrap();
        let plan = runtime.block_on(context.state().create_logical_plan(sql)).unwrap();
        check_plan(&plan).err().map(|error| error.message)
    }

    /// Subqueries, each of which makes a column of the one before it.
    fn chain(levels: usize, how: &str, end: &str) -> String {
        let level = |level: usize| format!("a{level} AS (SELECT {how} AS x FROM a{})", level - 1);
        let all: Vec<String> = (1..=levels).map(level).collect();
        format!(
            "WITH a0 AS (SELECT column1 AS x FROM (VALUES (1), (2)) AS t), {} SELECT {end}",
            all.join(", ")
        )
    }

    /// An expression within itself.
    fn within(levels: usize, how: &str) -> String {
        let expression = (0..levels).fold("x = 1".to_owned(), |inner, _| how.replace('?', &inner));
        format!("SELECT {expression} AS y FROM (VALUES (1)) AS t(x)")
    }

    #[test]
    fn what_doubles_again_and_again_is_refused() {
        for how in
            ["(? BETWEEN false AND true)", "CASE WHEN ? THEN x = 2 ELSE x = 3 END", "coalesce(?, false)"]
        {
            assert_eq!(refused(&within(5, how)), None, "{how}");
            let error = refused(&within(18, how)).unwrap();
            assert!(error.contains("too many times"), "{how}: {error}");
        }
        let all = |levels: usize| {
            let below = "1 = ALL (SELECT column1 FROM (VALUES (1)) AS t WHERE ";
            format!("SELECT {}true{}", below.repeat(levels), ")".repeat(levels))
        };
        assert_eq!(refused(&all(5)), None);
        assert!(refused(&all(11)).is_some());
        for end in [
            "x FROM a20 WHERE x > 1",
            "x FROM a20 ORDER BY x LIMIT 1",
            "a20.x FROM a20 JOIN a0 ON a20.x = a0.x",
        ] {
            assert!(refused(&chain(20, "x + x", end)).is_some(), "{end}");
            assert_eq!(refused(&chain(20, "max(x)", end)), None, "{end}");
            assert_eq!(refused(&chain(20, "x + 1", end)), None, "{end}");
        }
        let outer = "x FROM a20 WHERE EXISTS (SELECT 1 FROM (VALUES (1)) AS t(y) WHERE a20.x > t.y)";
        assert!(refused(&chain(20, "x + x", outer)).is_some());
        assert_eq!(refused(&chain(20, "x + x", "x FROM a20")), None);
        let union = chain(20, "x + x", "1")
            .replace("SELECT 1", "SELECT * FROM (SELECT 1 AS y UNION SELECT x FROM a20)");
        assert!(refused(&format!("{union} WHERE y > 1")).is_some());
    }

    #[test]
    fn long_statements_are_not() {
        let list: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
        let list = list.join(", ");
        let read =
            |tables: usize| vec!["SELECT column1 AS x FROM (VALUES (1)) AS t"; tables].join(" UNION ALL ");
        assert_eq!(refused(&format!("SELECT * FROM ({}) WHERE x IN ({list})", read(10))), None);
        assert!(refused(&format!("SELECT * FROM ({}) WHERE x IN ({list})", read(300))).is_some());
        let whens: Vec<String> =
            (0..300).map(|port| format!("WHEN x = {port} THEN 'service {port}'")).collect();
        assert_eq!(refused(&format!("SELECT CASE {} END FROM (VALUES (1)) AS t(x)", whens.join(" "))), None);
    }

    #[test]
    fn values_of_a_fixed_size_are_small() {
        for (kind, is_refused) in [
            ("FixedSizeBinary(16)", false),
            ("FixedSizeBinary(2000000000)", true),
            ("FixedSizeList(100, Int64)", false),
            ("FixedSizeList(2000000000, Int64)", true),
            ("List(FixedSizeList(10000, FixedSizeList(10000, Int8)))", true),
            ("Dictionary(Int8, FixedSizeBinary(2000000000))", true),
        ] {
            let sql = format!("SELECT arrow_cast(NULL, '{kind}') IS NULL");
            assert_eq!(refused(&sql).is_some(), is_refused, "{kind}");
        }
        assert_eq!(refused("SELECT CAST(NULL AS INT[1])"), None);
        assert!(refused("SELECT CAST(NULL AS INT[2000000000])").unwrap().contains("octets"));
    }
}
