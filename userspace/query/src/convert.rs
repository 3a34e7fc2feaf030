//! Gives a plan, as SQL says it, its meaning for addresses and octets.
//!
//! Every expression of every node is converted by its [contexts](crate::contexts); a column keeps its name whatever
//! becomes of its expression. Columns that UNION puts below one another, and those that USING joins, stand together
//! as values in an expression do.

use crate::columns::unify_column;
use crate::contexts;
use crate::literals::{Together, unify};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{Join, Union};
use std::sync::Arc;

/// Converts a plan and its subqueries.
///
/// # Errors
/// When a literal that must be an address is none.
pub(crate) fn convert_values(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(|node| Ok(Transformed::yes(convert_node(node)?)))?.data)
}

fn convert_node(node: LogicalPlan) -> Result<LogicalPlan> {
    let schema = schema_below(&node);
    let is_named =
        matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_));
    let names = NamePreserver::new_for_projection();
    let converted = node.map_expressions(|expression| {
        let name = names.save(&expression);
        let converted = expression.transform_up(|inner| contexts::convert(inner, &schema))?;
        Ok(match is_named && converted.transformed {
            true => converted.update_data(|expression| name.restore(expression)),
            false => converted,
        })
    })?;
    match converted.data {
        LogicalPlan::Union(union) => convert_union(union),
        LogicalPlan::Join(join) => convert_join(join, &schema)?.recompute_schema(),
        other => other.recompute_schema(),
    }
}

/// What expressions of a node can name.
fn schema_below(node: &LogicalPlan) -> DFSchema {
    let mut schema = DFSchema::empty();
    for input in node.inputs() {
        schema.merge(input.schema());
    }
    if let LogicalPlan::TableScan(scan) = node {
        schema.merge(&scan.projected_schema);
    }
    schema
}

fn convert_join(mut join: Join, schema: &DFSchema) -> Result<LogicalPlan> {
    for (left, right) in &mut join.on {
        unify(&mut [left, right], schema, Together::Compared)?;
    }
    Ok(LogicalPlan::Join(join))
}

fn convert_union(union: Union) -> Result<LogicalPlan> {
    let mut inputs: Vec<LogicalPlan> = union.inputs.into_iter().map(Arc::unwrap_or_clone).collect();
    let width = inputs.iter().map(|input| input.schema().fields().len()).min().unwrap_or_default();
    for column in 0..width {
        unify_column(&mut inputs, column)?;
    }
    let inputs = inputs.into_iter().map(Arc::new).collect();
    Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
}

#[cfg(test)]
mod tests {
    use crate::{ContinuousQuery, Planner};
    use std::sync::LazyLock;

    static PLANNER: LazyLock<Planner> = LazyLock::new(Planner::new);

    fn planned(sql: &str) -> ContinuousQuery {
        PLANNER.plan(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    #[test]
    fn literals_are_folded_where_addresses_are_expected() {
        for condition in [
            "src_ip = '10.0.0.1'",
            "'10.0.0.1' <> src_ip",
            "src_ip IN ('10.0.0.1', '2001:db8::1')",
            "src_ip BETWEEN '10.0.0.1' AND '10.0.0.9'",
            "'10.0.0.1' IN (src_ip, dst_ip)",
            "(src_ip, dst_port) IN (('10.0.0.1', 80))",
            "coalesce(src_ip, '0.0.0.0') = '10.0.0.1'",
            "src_mac = '00:11:22:33:44:55'",
            "src_ip = CASE WHEN dst_port = 80 THEN '10.0.0.1' ELSE dst_ip END",
        ] {
            for place in [
                format!("SELECT count(*) FROM packets WHERE {condition}"),
                format!("SELECT count(*) FILTER (WHERE {condition}) FROM packets"),
                format!(
                    "SELECT {condition}, count(*) FROM packets GROUP BY {condition} ORDER BY {condition}"
                ),
            ] {
                let plan = planned(&place).describe();
                let lower = plan.split("upper half").next().unwrap_or_default();
                for conversion in ["ip(", "mac(", "text("] {
                    let found = lower.replace("src_ip(", "").contains(&format!(" {conversion}"));
                    assert!(!found, "{place}: {plan}");
                }
            }
        }
    }

    #[test]
    fn columns_keep_their_names_and_types() {
        let packets = planned("SELECT src_ip::text, coalesce(src_ip, '::') FROM packets GROUP BY src_ip");
        let fields: Vec<String> = packets
            .schema
            .fields()
            .iter()
            .map(|field| format!("{} {}", field.name(), field.data_type()))
            .collect();
        assert_eq!(fields, ["src_ip::TEXT Utf8View", "coalesce(src_ip, '::') FixedSizeBinary(16)"]);
    }
}
