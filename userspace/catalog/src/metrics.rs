//! What makes metrics of the results of a query, where its options ask for that.

use crate::error::CatalogError;
use tapline_query::{ColumnRole, ContinuousQuery};

/// How the newest window of a query becomes metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// What each column of the SELECT list is: keys become labels, numbers values.
    pub roles: Vec<ColumnRole>,
    /// From the start of one window to that of the next one, in nanoseconds; `None` where windows count rows.
    pub every_ns: Option<i64>,
}

impl Metrics {
    /// Those of a query.
    ///
    /// # Errors
    /// When it has no windows, or no number in its SELECT list that tells something about a group.
    pub(crate) fn of(query: &ContinuousQuery) -> Result<Self, CatalogError> {
        let Some(window) = query.window else {
            let message = "metrics: they are of the newest window, and this query has no windows; group by tumble('60 seconds') or the like, too";
            return Err(CatalogError::wrong(message));
        };
        let roles = query.column_roles();
        if !roles.contains(&ColumnRole::Number) {
            let message = "metrics: no column of the SELECT list is a number that is no key; add one, such as count(*) AS records";
            return Err(CatalogError::wrong(message));
        }
        Ok(Self { roles, every_ns: window.size_and_slide().map(|(_, slide)| slide) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_query::Planner;

    fn of(sql: &str) -> Result<Metrics, String> {
        Metrics::of(&Planner::new().plan(sql).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_labels_and_numbers_are_values() {
        let metrics =
            of("SELECT src_ip, count(*) AS n FROM flows GROUP BY src_ip, hop('1 second', '5 seconds')");
        let expected =
            Metrics { roles: vec![ColumnRole::Key, ColumnRole::Number], every_ns: Some(1_000_000_000) };
        assert_eq!(metrics, Ok(expected));
        let counted = of("SELECT count(*) AS n FROM flows GROUP BY tumble_rows(10)").unwrap();
        assert_eq!(counted.every_ns, None);
    }

    #[test]
    fn what_cannot_be_metrics_is_said() {
        let message = |sql: &str| of(sql).unwrap_err();
        assert!(message("SELECT src_ip, octets FROM flows").contains("this query has no windows"));
        let keys = "SELECT dst_port FROM flows GROUP BY dst_port, tumble('1 second')";
        assert!(message(keys).contains("no column of the SELECT list is a number that is no key"));
    }
}
