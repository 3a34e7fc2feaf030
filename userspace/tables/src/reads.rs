//! What a statement reads: streams, which have no rows to read, or tables.

use crate::live::LiveTables;
use datafusion::catalog::SchemaProvider as _;
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement, Value, ValueWithSpan, Visitor};
use std::ops::ControlFlow;
use tapline_query::{STREAMS, walk};

/// What a statement reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// The first stream that is no table: whoever reads it gets windows as they close.
    pub stream: Option<&'static str>,
    /// The first table.
    pub table: Option<String>,
    /// Whether it has parameters, such as `$1`.
    pub has_parameters: bool,
}

impl Reads {
    /// What this statement reads of these tables.
    pub(crate) fn of(tables: &LiveTables, statement: &Statement) -> Self {
        let mut looks = Looks { tables, named: vec![], reads: Self::default() };
        // It goes through to the end.
        let _ = walk(statement, &mut looks);
        looks.reads
    }
}

struct Looks<'a> {
    tables: &'a LiveTables,
    /// What the statement itself gives names to.
    named: Vec<String>,
    reads: Reads,
}

impl Looks<'_> {
    fn look(&mut self, name: &ObjectName) {
        let [part] = name.0.as_slice() else {
            self.reads.table.get_or_insert_with(|| name.to_string());
            return;
        };
        let Some(word) = part.as_ident() else { return };
        let is_quoted = word.quote_style.is_some();
        let name = if is_quoted { word.value.clone() } else { word.value.to_ascii_lowercase() };
        if self.reads.table.as_ref() == Some(&name) || self.named.contains(&name) {
            return;
        }
        let stream = STREAMS.iter().find(|stream| stream.name == name);
        if self.tables.table_exist(&name) {
            self.reads.table.get_or_insert(name);
        } else if let Some(stream) = stream {
            self.reads.stream.get_or_insert(stream.name);
        }
    }
}

impl Visitor for Looks<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let own = query.with.iter().flat_map(|with| &with.cte_tables);
        let own = own.map(|table| table.alias.name.value.to_ascii_lowercase());
        // One that is called like a stream is made of it, more often than not.
        self.named.extend(own.filter(|name| STREAMS.iter().all(|stream| stream.name != *name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        self.look(name);
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        self.reads.has_parameters |= matches!(value.value, Value::Placeholder(_));
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn reads(sql: &str) -> (Option<&'static str>, Option<String>, bool) {
        let nothing = LiveTables { catalog: None, history: None };
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        let Reads { stream, table, has_parameters } = Reads::of(&nothing, &statements[0]);
        (stream, table, has_parameters)
    }

    #[test]
    fn streams_and_tables_are_told_apart() {
        let table = |name: &str| Some(name.to_owned());
        for (sql, expected) in [
            ("SELECT 1", (None, None, false)),
            ("SELECT count(*) FROM Flows GROUP BY tumble('1 second')", (Some("flows"), None, false)),
            ("SELECT * FROM (SELECT src_ip FROM packets) p", (Some("packets"), None, false)),
            ("EXPLAIN SELECT src_ip FROM packets", (Some("packets"), None, false)),
            ("DECLARE c CURSOR FOR SELECT src_ip FROM packets", (Some("packets"), None, false)),
            ("WITH f AS (SELECT * FROM flows) SELECT * FROM f", (Some("flows"), None, false)),
            ("SELECT * FROM flows WHERE protocol = $1", (Some("flows"), None, true)),
            (
                "SELECT * FROM flows, pg_catalog.pg_class",
                (Some("flows"), table("pg_catalog.pg_class"), false),
            ),
        ] {
            assert_eq!(reads(sql), expected, "{sql}");
        }
    }
}
