//! What the columns of a file are, as the file itself says.
//!
//! A file that says so has its rows in order: by its keys, and behind them by the start of the window. So equal keys
//! stand together, which packs them well and lets a key be found without reading the rest, and files are merged and
//! rolled up row by row. Other engines see it as metadata of the file's Arrow schema.

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use std::sync::Arc;
use tapline_operators::ResultColumns;
use tapline_query::{COMPLETENESS, ColumnRole, RolledColumn, STATUS, WINDOW_END, WINDOW_START};

/// Under these names it stands in a schema: a word a column, the windows' width in nanoseconds, and why windows cannot be
/// put together, where they cannot.
const COLUMNS: &str = "tapline.columns";
const WIDTH: &str = "tapline.window_ns";
const STAYS: &str = "tapline.stays";

/// What is stored in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    WindowStart,
    WindowEnd,
    Completeness,
    Status,
    /// A key, or what is done with it when windows are put together.
    Rolled(RolledColumn),
    /// Something else about a group.
    Other,
}

const WORDS: [(Use, &str); 10] = [
    (Use::WindowStart, "start"),
    (Use::WindowEnd, "end"),
    (Use::Completeness, "completeness"),
    (Use::Status, "status"),
    (Use::Rolled(RolledColumn::Key), "key"),
    (Use::Rolled(RolledColumn::Window), "window"),
    (Use::Rolled(RolledColumn::Sum), "sum"),
    (Use::Rolled(RolledColumn::Least), "min"),
    (Use::Rolled(RolledColumn::Greatest), "max"),
    (Use::Other, "other"),
];

/// What the columns of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// In the order of the columns.
    pub(crate) uses: Vec<Use>,
    /// The width of its windows in nanoseconds, where they are adjacent.
    pub(crate) width: Option<i64>,
    /// Why windows cannot be put together, as the end of a sentence.
    pub(crate) stays: Option<String>,
}

impl Layout {
    /// That of a query's results.
    pub(crate) fn of(columns: &ResultColumns) -> Self {
        let selected = columns.selected();
        let of_selected = |place: usize| match columns.rolled() {
            Ok(rolled) => rolled.get(place).map_or(Use::Other, |rolled| Use::Rolled(*rolled)),
            Err(_) if columns.roles().get(place) == Some(&ColumnRole::Key) => Use::Rolled(RolledColumn::Key),
            Err(_) => Use::Other,
        };
        let of_column = |(place, field): (usize, &Arc<Field>)| match field.name().as_str() {
            _ if selected.contains(&place) => of_selected(place - selected.start),
            WINDOW_START => Use::WindowStart,
            WINDOW_END => Use::WindowEnd,
            COMPLETENESS => Use::Completeness,
            STATUS => Use::Status,
            _ => Use::Other,
        };
        let uses = columns.schema().fields().iter().enumerate().map(of_column).collect();
        Self { uses, width: columns.width(), stays: columns.rolled().err().cloned() }
    }

    /// What a schema says; `None` where it says nothing of all its columns.
    pub(crate) fn read(schema: &Schema) -> Option<Self> {
        let words = schema.metadata().get(COLUMNS)?.split(' ');
        let named = |word: &str| WORDS.iter().find(|(_, known)| *known == word).map(|(one, _)| *one);
        let uses: Vec<Use> = words.map(named).collect::<Option<_>>()?;
        let width = schema.metadata().get(WIDTH).and_then(|width| width.parse::<i64>().ok());
        // Anybody can write a file.
        let width = width.filter(|width| *width > 0);
        let is_whole = uses.len() == schema.fields().len();
        is_whole.then(|| Self { uses, width, stays: schema.metadata().get(STAYS).cloned() })
    }

    /// A schema that says so.
    pub(crate) fn written(&self, schema: &Schema) -> SchemaRef {
        let word =
            |one: &Use| WORDS.iter().find(|(known, _)| known == one).map_or("other", |(_, word)| *word);
        let words: Vec<&str> = self.uses.iter().map(word).collect();
        let width = self.width.map(|width| (WIDTH.to_owned(), width.to_string()));
        let stays = self.stays.clone().map(|why| (STAYS.to_owned(), why));
        let columns = (COLUMNS.to_owned(), words.join(" "));
        let metadata = [columns].into_iter().chain(width).chain(stays).collect();
        Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata))
    }

    /// The places of the columns that are used so.
    pub(crate) fn places(&self, wanted: Use) -> impl Iterator<Item = usize> + '_ {
        (0..).zip(&self.uses).filter(move |(_, one)| **one == wanted).map(|(place, _)| place)
    }

    /// The places of the keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = usize> + '_ {
        self.places(Use::Rolled(RolledColumn::Key))
    }

    /// The places of the columns by which rows are in order.
    pub(crate) fn order(&self, schema: &Schema) -> Vec<usize> {
        let is_flat = |place: &usize| !schema.field(*place).data_type().is_nested();
        self.keys().filter(is_flat).chain(self.places(Use::WindowStart)).collect()
    }
}

/// What a schema says of itself besides its columns, for a number that is another one where that is another.
pub(crate) fn said(schema: &Schema) -> impl Iterator<Item = &str> {
    [COLUMNS, WIDTH, STAYS]
        .into_iter()
        .filter_map(move |name| schema.metadata().get(name).map(String::as_str))
}

/// Rows in the order of these columns; `None` where there are none.
pub(crate) fn ordering(schema: &Schema, order: &[usize]) -> Option<LexOrdering> {
    let one = |place: &usize| {
        let column = Arc::new(Column::new(schema.field(*place).name(), *place));
        PhysicalSortExpr::new(column, SortOptions::default())
    };
    LexOrdering::new(order.iter().map(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_query::Planner;

    fn layout(sql: &str) -> (SchemaRef, Layout) {
        let columns = ResultColumns::of(&Planner::new().plan(sql).unwrap(), true);
        let layout = Layout::of(&columns);
        (layout.written(columns.schema()), layout)
    }

    fn words(sql: &str) -> String {
        layout(sql).0.metadata()[COLUMNS].clone()
    }

    #[test]
    fn a_schema_says_what_its_columns_are() {
        let sql = "SELECT sum(octets) AS octets, src_ip, max(octets) AS most FROM flows GROUP BY src_ip, tumble('1 minute')";
        let (schema, layout) = layout(sql);
        assert_eq!(words(sql), "start end sum key max completeness status");
        assert_eq!(layout.order(&schema), [3, 0]);
        assert_eq!((layout.width, layout.stays.clone()), (Some(60_000_000_000), None));
        assert_eq!(Layout::read(&schema), Some(layout));
        let mut metadata = schema.metadata().clone();
        metadata.insert(WIDTH.to_owned(), "0".to_owned());
        let of_nothing = Layout::read(&schema.as_ref().clone().with_metadata(metadata));
        assert_eq!(of_nothing.unwrap().width, None, "no window consists of those");
        assert_eq!(Layout::read(&Schema::empty()), None);
        assert_eq!(
            said(&schema).collect::<Vec<_>>(),
            ["start end sum key max completeness status", "60000000000"]
        );
    }

    #[test]
    fn keys_are_known_where_nothing_can_be_rolled_up() {
        let best = "SELECT src_ip, count(*) AS n FROM flows GROUP BY src_ip, tumble('1 minute') ORDER BY n DESC LIMIT 3";
        assert_eq!(words(best), "start end key other completeness status");
        assert!(layout(best).1.stays.unwrap().contains("LIMIT"));
        assert_eq!(words("SELECT src_ip, octets FROM flows"), "other other");
    }
}
