//! `information_schema`: tables and columns as the SQL standard lists them, with PostgreSQL's names of types.
//!
//! What a node does not have (keys, views, routines) is there as a table without rows, so that clients that ask find
//! nothing.

use arrow_pg::datatypes::into_pg_type;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use futures::FutureExt as _;
use std::sync::Arc;
use tapline_tables::{CATALOG, Cells, Listing, SCHEMA, columns};

/// Lists the tables of a schema.
type Listed = fn(&dyn SchemaProvider) -> Result<RecordBatch>;

/// The tables that have rows.
const LISTED: [(&str, Listed); 3] =
    [("columns", list_columns), ("schemata", list_schemata), ("tables", list_tables)];

/// The tables that have none, and their columns.
const EMPTY: [(&str, &[&str]); 6] = [
    (
        "key_column_usage",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "ordinal_position",
            "position_in_unique_constraint",
        ],
    ),
    (
        "referential_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "unique_constraint_catalog",
            "unique_constraint_schema",
            "unique_constraint_name",
            "match_option",
            "update_rule",
            "delete_rule",
        ],
    ),
    (
        "routines",
        &[
            "specific_catalog",
            "specific_schema",
            "specific_name",
            "routine_name",
            "routine_type",
            "data_type",
        ],
    ),
    ("sequences", &["sequence_catalog", "sequence_schema", "sequence_name", "data_type"]),
    (
        "table_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_type",
        ],
    ),
    ("views", &["table_catalog", "table_schema", "table_name", "view_definition"]),
];

/// The catalogs of the standard, over a schema.
#[derive(Debug)]
pub(crate) struct Information(Arc<dyn SchemaProvider>);

impl Information {
    pub(crate) fn new(tables: Arc<dyn SchemaProvider>) -> Self {
        Self(tables)
    }
}

#[async_trait::async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        let listed = LISTED.iter().map(|(name, _)| *name);
        listed.chain(EMPTY.iter().map(|(name, _)| *name)).map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some((_, listed)) = LISTED.iter().find(|(known, _)| *known == name) {
            // A schema without tables has the columns of all.
            let schema = listed(&Nothing)?.schema();
            let (tables, listed) = (Arc::clone(&self.0), *listed);
            return Ok(Some(Arc::new(Listing::new(schema, move || listed(&*tables)))));
        }
        let empty = EMPTY.iter().find(|(known, _)| *known == name).map(|(_, names)| {
            let none = names.iter().map(|name| (*name, Cells::Text(vec![])));
            let rows = columns(none)?;
            let listing = Listing::new(rows.schema(), move || Ok(rows.clone()));
            Ok(Arc::new(listing) as Arc<dyn TableProvider>)
        });
        empty.transpose()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}

/// A schema without tables.
#[derive(Debug)]
struct Nothing;

#[async_trait::async_trait]
impl SchemaProvider for Nothing {
    fn table_names(&self) -> Vec<String> {
        vec![]
    }

    async fn table(&self, _name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(None)
    }

    fn table_exist(&self, _name: &str) -> bool {
        false
    }
}

/// Tables and their columns.
fn all(schema: &dyn SchemaProvider) -> Vec<(String, SchemaRef)> {
    let table = |name: String| {
        // Nothing is waited for: tables are found in memory.
        let table = schema.table(&name).now_or_never()?.ok()??;
        Some((name, table.schema()))
    };
    schema.table_names().into_iter().filter_map(table).collect()
}

/// The same text in each of so many rows.
fn same(text: &str, rows: usize) -> Cells {
    Cells::texts(std::iter::repeat_n(text, rows))
}

fn none(rows: usize) -> Cells {
    Cells::Number(vec![None; rows])
}

fn list_tables(schema: &dyn SchemaProvider) -> Result<RecordBatch> {
    let tables = all(schema);
    let rows = tables.len();
    columns([
        ("table_catalog", same(CATALOG, rows)),
        ("table_schema", same(SCHEMA, rows)),
        ("table_name", Cells::texts(tables.iter().map(|(name, _)| name.as_str()))),
        ("table_type", same("BASE TABLE", rows)),
        ("is_insertable_into", same("NO", rows)),
        ("is_typed", same("NO", rows)),
    ])
}

fn list_schemata(_schema: &dyn SchemaProvider) -> Result<RecordBatch> {
    let names = [SCHEMA, "information_schema", "pg_catalog"];
    columns([
        ("catalog_name", same(CATALOG, names.len())),
        ("schema_name", Cells::texts(names)),
        ("schema_owner", same(CATALOG, names.len())),
    ])
}

fn list_columns(schema: &dyn SchemaProvider) -> Result<RecordBatch> {
    let tables = all(schema);
    let rows: Vec<(&str, u64, &Field)> =
        tables.iter().flat_map(|(name, schema)| numbered(name, schema)).collect();
    let count = rows.len();
    let types: Vec<(String, &str)> = rows.iter().map(|(_, _, field)| type_names(field)).collect();
    columns([
        ("table_catalog", same(CATALOG, count)),
        ("table_schema", same(SCHEMA, count)),
        ("table_name", Cells::texts(rows.iter().map(|row| row.0))),
        ("column_name", Cells::texts(rows.iter().map(|row| row.2.name().as_str()))),
        ("ordinal_position", Cells::numbers(rows.iter().map(|row| row.1))),
        ("column_default", Cells::Text(vec![None; count])),
        ("is_nullable", same("YES", count)),
        ("data_type", Cells::texts(types.iter().map(|(_, standard)| *standard))),
        ("character_maximum_length", none(count)),
        ("character_octet_length", none(count)),
        ("numeric_precision", none(count)),
        ("numeric_precision_radix", none(count)),
        ("numeric_scale", none(count)),
        ("datetime_precision", none(count)),
        ("interval_type", Cells::Text(vec![None; count])),
        ("udt_catalog", same(CATALOG, count)),
        ("udt_schema", same("pg_catalog", count)),
        ("udt_name", Cells::texts(types.iter().map(|(own, _)| own.as_str()))),
        ("is_identity", same("NO", count)),
        ("is_generated", same("NEVER", count)),
        ("is_updatable", same("NO", count)),
    ])
}

/// The columns of a table, which are counted from 1.
fn numbered<'a>(name: &'a str, schema: &'a Schema) -> impl Iterator<Item = (&'a str, u64, &'a Field)> {
    (1..).zip(schema.fields()).map(move |(number, field)| (name, number, field.as_ref()))
}

/// What PostgreSQL and the standard call the type of a column.
fn type_names(field: &Field) -> (String, &'static str) {
    let own =
        into_pg_type(field.data_type()).map_or_else(|_| "text".to_owned(), |kind| kind.name().to_owned());
    let standard = match own.as_str() {
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "numeric" => "numeric",
        "bytea" => "bytea",
        "date" => "date",
        "time" => "time without time zone",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        "interval" => "interval",
        list if list.starts_with('_') => "ARRAY",
        _ => "text",
    };
    (own, standard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::{DataType, TimeUnit};

    #[test]
    fn types_are_called_as_clients_know_them() {
        let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        for (kind, expected) in [
            (DataType::Int64, ("int8", "bigint")),
            (DataType::Float64, ("float8", "double precision")),
            (DataType::Utf8, ("text", "text")),
            (time, ("timestamptz", "timestamp with time zone")),
        ] {
            let (own, standard) = type_names(&Field::new("x", kind, true));
            assert_eq!((own.as_str(), standard), expected);
        }
    }

    #[test]
    fn without_tables_there_are_columns() {
        for (name, listed) in LISTED {
            assert!(listed(&Nothing).unwrap().num_columns() >= 3, "{name}");
        }
    }
}
