//! How many tables a statement reads, each as often as it does.
//!
//! What is planned for a join grows with the square of its tables, and a subquery of WITH is planned anew wherever it is
//! named: a short text may take more than there is. So it is counted before anything is planned.

use crate::error::SqlError;
use crate::walk::walk;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart, Query, Statement, Visitor};
use std::ops::ControlFlow;
use std::ptr;

/// Tables that a statement may read, each as often as it does.
const RELATIONS_MAX: usize = 64;

/// Refuses a statement that reads too many tables; it takes a stack as deep as the statement is long.
///
/// # Errors
/// When it does.
pub(crate) fn check_relations(statement: &Statement) -> Result<(), SqlError> {
    match walk(statement, &mut Relations::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            let message = format!("the statement reads tables more than {RELATIONS_MAX} times");
            Err(SqlError::new(message, "read each of them once, and what WITH names as few times as you can"))
        }
    }
}

/// A statement that is counted.
#[derive(Default)]
struct Relations {
    /// What was counted of the queries around the place that is looked at.
    counts: Vec<usize>,
    /// Queries of WITH that were not looked at, and their names.
    named: Vec<(*const Query, String)>,
    /// What those read that were.
    known: Vec<(String, usize)>,
}

impl Relations {
    fn add(&mut self, relations: usize) -> ControlFlow<()> {
        let Some(count) = self.counts.last_mut() else { return ControlFlow::Continue(()) };
        *count = count.saturating_add(relations);
        if *count > RELATIONS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let own = query.with.iter().flat_map(|with| &with.cte_tables);
        self.named.extend(own.map(|cte| (ptr::from_ref(cte.query.as_ref()), cte.alias.name.value.clone())));
        self.counts.push(0);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let count = self.counts.pop().unwrap_or(0);
        match self.named.iter().position(|(known, _)| ptr::eq(*known, query)) {
            Some(place) => {
                let (_, name) = self.named.swap_remove(place);
                self.known.push((name, count));
                ControlFlow::Continue(())
            }
            None => self.add(count),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let own = relation.0.last().and_then(ObjectNamePart::as_ident);
        let is_it = |name: &String| own.is_some_and(|own| own.value.eq_ignore_ascii_case(name));
        // Of several that are called so, in queries beside each other, the largest one.
        let known = self.known.iter().filter(|(name, _)| is_it(name)).map(|(_, count)| *count);
        let relations = known.max().unwrap_or(0).max(1);
        self.add(relations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn is_refused(sql: &str) -> bool {
        let statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        check_relations(&statements[0]).is_err()
    }

    /// Subqueries of WITH, each of which reads the one before it twice.
    fn doubling(levels: usize) -> String {
        let level = |level: usize| {
            let below = if level == 0 { "t".to_owned() } else { format!("a{}", level - 1) };
            format!("a{level} AS (SELECT * FROM {below} UNION ALL SELECT * FROM {below})")
        };
        let all: Vec<String> = (0..levels).map(level).collect();
        format!("WITH {} SELECT * FROM a{}", all.join(", "), levels - 1)
    }

    #[test]
    fn tables_count_as_often_as_they_are_read() {
        let joined = |tables: usize| {
            let tables: Vec<String> = (0..tables).map(|number| format!("t a{number}")).collect();
            format!("SELECT * FROM {}", tables.join(", "))
        };
        assert!(!is_refused(&joined(RELATIONS_MAX)));
        assert!(is_refused(&joined(RELATIONS_MAX + 1)));
        assert!(!is_refused(&doubling(6)), "64 times");
        assert!(is_refused(&doubling(7)));
        let nested = format!("SELECT * FROM (SELECT * FROM ({}) x) y, t", joined(RELATIONS_MAX));
        assert!(is_refused(&nested));
        assert!(is_refused(&format!("EXPLAIN {}", doubling(30))));
    }

    #[test]
    fn another_subquery_of_the_same_name_hides_nothing() {
        let many = doubling(6);
        let (with, _) = many.rsplit_once(" SELECT").unwrap();
        let sql = format!("{with} SELECT * FROM (WITH a5 AS (SELECT 1) SELECT * FROM a5) x, a5 y, a5 z");
        assert!(is_refused(&sql));
    }
}
