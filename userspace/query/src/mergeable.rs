//! Which aggregates can be computed in parts.
//!
//! Takes an aggregate's name. One whose state is bounded, and whose parts merge in any order, may stand below the
//! split; for each other there is something to write instead.

use crate::refusal::{Refusal, refuse};

/// Aggregates whose state is bounded and whose partial states merge in any order.
const MERGEABLE: [&str; 31] = [
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "var",
    "var_samp",
    "var_pop",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "covar_samp",
    "covar_pop",
    "corr",
    "regr_slope",
    "regr_intercept",
    "regr_count",
    "regr_r2",
    "regr_avgx",
    "regr_avgy",
    "regr_sxx",
    "regr_syy",
    "regr_sxy",
    "approx_distinct",
    "quantile",
    "top_k",
];

/// What to use instead of an aggregate that cannot be merged.
const INSTEAD: [(&str, &str); 11] = [
    ("median", "quantile(x, 0.5)"),
    ("approx_median", "quantile(x, 0.5)"),
    ("approx_percentile_cont", "quantile(x, q)"),
    ("approx_percentile_cont_with_weight", "quantile(x, q)"),
    ("percentile_cont", "quantile(x, q)"),
    ("array_agg", "top_k(x, k)"),
    ("string_agg", "top_k(x, k)"),
    ("first_value", "min(x)"),
    ("last_value", "max(x)"),
    ("nth_value", "top_k(x, k)"),
    ("any_value", "min(x)"),
];

/// Refuses an aggregate whose parts cannot be merged.
pub(crate) fn check_mergeable(name: &str) -> Result<(), Refusal> {
    if MERGEABLE.contains(&name) {
        return Ok(());
    }
    let instead = INSTEAD.iter().find(|(refused, _)| *refused == name).map(|(_, instead)| *instead);
    let help = instead.map_or_else(
        || format!("use one of {}", MERGEABLE.join(", ")),
        |instead| format!("use {instead}, which merges"),
    );
    refuse(format!("{name} needs all rows or their order, so its parts cannot be merged"), help)
}
