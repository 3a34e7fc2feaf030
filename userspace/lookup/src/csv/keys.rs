//! The column of keys: what they are, and which row each has.

use super::Wrong;
use super::cells::Cell;
use crate::index::KeyIndex;
use crate::keys::{KeyKind, Keys};
use crate::table::Table;

/// Reads the keys, which are of one kind; `before` says of which, where there is a table already.
pub(super) fn read(
    name: &str,
    cells: &[Cell<'_>],
    lines: &[u32],
    before: Option<&Table>,
) -> Result<Keys, String> {
    let kind = before.map_or_else(|| kind_of(cells), Table::key_kind);
    let mut index = KeyIndex::new(kind, cells.len())?;
    for (row, (cell, line)) in cells.iter().zip(lines).enumerate() {
        let wrong = |what: String| Wrong::new(*line, what);
        if cell.text.is_empty() {
            return Err(wrong(format!("its key is empty; fill in '{name}', or remove the line")).into());
        }
        let twice = index.insert(&cell.text, row as u32).map_err(wrong)?;
        if let Some(first) = twice {
            let first = lines[first as usize];
            let key = &cell.text;
            return Err(wrong(format!(
                "the key '{key}' stands in line {first} already; leave one of them out"
            ))
            .into());
        }
    }
    Ok(index.finish())
}

/// What most of the keys are.
fn kind_of(cells: &[Cell<'_>]) -> KeyKind {
    KeyKind::of_most(cells.iter().map(|cell| (cell.text.as_ref(), cell.is_quoted)))
}
