//! What queries may take, as the command line and files say it.

use crate::config::LimitsTable;
use clap::Args;
use tapline_catalog::{Allowance, Beyond};
use tapline_engine::EngineOptions;

/// What one query may take, where that is less than all may.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AllowanceArguments {
    /// Groups of one aggregate in one pane; rows beyond go into one folded row.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "file")]
    groups_max: Option<u64>,
    /// Octets that are held for open windows; where they are full, new groups are folded.
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "file")]
    octets_max: Option<u64>,
    /// Rows that a query without an aggregate gives in a second; more are dropped and counted.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "file")]
    rows_per_second_max: Option<u64>,
    /// Nanoseconds of work a row, measured second by second.
    #[arg(long, value_name = "NS", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "file")]
    work_max_ns: Option<u64>,
    /// What is done where the work is more: fold new groups, sample rows (completeness says which part is read), or
    /// stop the query [default: sample].
    #[arg(long, value_name = "WHAT", requires = "work_max_ns", conflicts_with = "file")]
    beyond: Option<Beyond>,
}

impl AllowanceArguments {
    /// What was said.
    pub(crate) const fn allowance(&self) -> Allowance {
        Allowance {
            groups_max: self.groups_max,
            octets_max: self.octets_max,
            rows_per_second_max: self.rows_per_second_max,
            work_max_ns: self.work_max_ns,
            beyond: self.beyond,
        }
    }
}

/// What each query of a node may take, as a file says it.
pub(crate) fn allowance_of(limits: &LimitsTable, engine: &EngineOptions) -> Result<Allowance, String> {
    let mut allowance = Allowance::of(&engine.limits);
    let text = |number: Option<u64>| number.map(|number| number.to_string());
    // A file has limits of all queries together, too, so that one of them is called otherwise there.
    for (name, key, value) in [
        ("query_octets_max", "octets_max", text(limits.query_octets_max)),
        ("rows_per_second_max", "rows_per_second_max", text(limits.rows_per_second_max)),
        ("work_max_ns", "work_max_ns", text(limits.work_max_ns)),
        ("beyond", "beyond", limits.beyond.clone()),
    ] {
        let said = value.map_or(Ok(()), |value| allowance.say(key, &value));
        said.map_err(|wrong| format!("[limits] {name}: {wrong}"))?;
    }
    Ok(allowance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_each_query_may_take() {
        let table = LimitsTable {
            query_octets_max: Some(8),
            rows_per_second_max: Some(9),
            work_max_ns: Some(10),
            beyond: Some("stop".to_owned()),
            ..LimitsTable::default()
        };
        let allowance = allowance_of(&table, &EngineOptions::default()).unwrap();
        let said: Vec<String> = allowance.said().map(|(key, value)| format!("{key} {value}")).collect();
        assert_eq!(
            said,
            ["groups_max 1048576", "octets_max 8", "rows_per_second_max 9", "work_max_ns 10", "beyond stop"]
        );
        let wrong = |table: &LimitsTable| allowance_of(table, &EngineOptions::default()).unwrap_err();
        assert_eq!(
            wrong(&LimitsTable { query_octets_max: Some(0), ..LimitsTable::default() }),
            "[limits] query_octets_max: write a number from 1 to 9007199254740991, such as 100_000"
        );
        assert_eq!(
            wrong(&LimitsTable { beyond: Some("drop".to_owned()), ..LimitsTable::default() }),
            "[limits] beyond: write fold, sample or stop"
        );
    }
}
