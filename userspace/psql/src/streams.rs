//! Statements over streams, such as `SELECT … FROM packets`.
//!
//! A stream has no rows that could be read: it is asked by a query, which gives windows as they close. Such statements
//! are told apart here, before anything plans them as ones over tables.

use crate::node::Node;
use crate::said::Said;
use datafusion::sql::sqlparser::ast::{ObjectName, Statement, visit_relations};
use std::ops::ControlFlow;
use tapline_tables::stream_named;

/// Refuses a statement that reads a stream.
///
/// # Errors
/// When it does.
pub(crate) fn refuse(node: &Node, statement: &Statement) -> Result<(), Said> {
    match stream_of(node, statement) {
        None => Ok(()),
        Some(stream) => Err(Said::new(
            "0A000",
            format!(
                "{stream} is a stream, which has no rows to read; `tapline queries add NAME \"SELECT … FROM {stream} …\"` makes a query of the statement, and NAME is then a table of its windows"
            ),
        )),
    }
}

/// The stream that a statement reads.
fn stream_of(node: &Node, statement: &Statement) -> Option<&'static str> {
    let found = visit_relations(statement, |name: &ObjectName| {
        let [part] = name.0.as_slice() else { return ControlFlow::Continue(()) };
        let name = part.as_ident().map(|name| name.value.to_ascii_lowercase()).unwrap_or_default();
        match stream_named(&node.catalog, &name) {
            Some(stream) => ControlFlow::Break(stream),
            None => ControlFlow::Continue(()),
        }
    });
    match found {
        ControlFlow::Break(stream) => Some(stream),
        ControlFlow::Continue(()) => None,
    }
}
