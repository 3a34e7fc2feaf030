//! The table of a query: its columns, made where they are not there, never changed and never dropped.

use super::failure::Failure;
use datafusion::arrow::datatypes::{DataType, Schema};
use std::fmt::Write as _;
use tapline_query::WINDOW_START;
use tokio_postgres::{SimpleQueryMessage, Transaction};

/// Octets of a name, at most; the server cuts off what is beyond.
const NAME_OCTETS_MAX: usize = 63;

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its type as `format_type` writes it.
    kind: String,
}

/// A table by its schema and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
}

impl Table {
    /// As statements have it.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// Makes it, or the columns that it lacks.
    pub(super) async fn prepare(
        &self,
        transaction: &Transaction<'_>,
        columns: &[Column],
    ) -> Result<(), Failure> {
        let there = self.columns(transaction).await?;
        if there.is_empty() {
            self.make_schema(transaction).await?;
            return Ok(transaction.batch_execute(&self.creation(columns)).await?);
        }
        let mut missing = String::new();
        for column in columns {
            match there.iter().find(|other| other.name == column.name) {
                Some(other) if fits(&column.kind, &other.kind) => {}
                Some(other) => return Err(Failure::Said(self.mend(column, other))),
                None => {
                    let _ = write!(missing, ", ADD COLUMN IF NOT EXISTS {}", column.definition());
                }
            }
        }
        if let Some(missing) = missing.strip_prefix(", ") {
            transaction.batch_execute(&format!("ALTER TABLE {} {missing}", self.quoted())).await?;
        }
        Ok(())
    }

    /// The columns that it has; none where it is not there.
    pub(super) async fn columns(&self, transaction: &Transaction<'_>) -> Result<Vec<Column>, Failure> {
        let statement = format!(
            "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a \
             JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = {} AND c.relname = {} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            literal(&self.schema),
            literal(&self.name)
        );
        let answer = transaction.simple_query(&statement).await?;
        let column = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                Some(Column { name: row.get(0)?.to_owned(), kind: row.get(1)?.to_owned() })
            }
            _ => None,
        };
        Ok(answer.into_iter().filter_map(column).collect())
    }

    /// Makes the schema, where it is not there: who may not make one may use one.
    pub(super) async fn make_schema(&self, transaction: &Transaction<'_>) -> Result<(), Failure> {
        let name = literal(&self.schema);
        let statement = format!("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = {name}");
        let answer = transaction.simple_query(&statement).await?;
        if !answer.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_))) {
            let statement = format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(&self.schema));
            transaction.batch_execute(&statement).await?;
        }
        Ok(())
    }

    /// What makes it; rows come by time, for which such an index is as good as another and next to nothing.
    fn creation(&self, columns: &[Column]) -> String {
        let table = self.quoted();
        let definitions: Vec<String> = columns.iter().map(Column::definition).collect();
        let mut creation = format!("CREATE TABLE {table} ({})", definitions.join(", "));
        if columns.iter().any(|column| column.name == WINDOW_START) {
            let _ = write!(creation, "; CREATE INDEX ON {table} USING brin ({WINDOW_START})");
        }
        creation
    }

    fn mend(&self, ours: &Column, theirs: &Column) -> String {
        let (table, name) = (self.quoted(), quoted(&ours.name));
        let (kind, column, found) = (&ours.kind, &ours.name, &theirs.kind);
        format!(
            "the column `{column}` of {table} is of type {found}, and its values are {kind}; \
             ALTER TABLE {table} ALTER COLUMN {name} TYPE {kind} mends it, or give the sink another table"
        )
    }
}

impl Column {
    fn definition(&self) -> String {
        format!("{} {}", quoted(&self.name), self.kind)
    }

    /// Those of a schema, each with a name of its own.
    pub(super) fn all_of(schema: &Schema) -> Vec<Self> {
        let mut columns: Vec<Self> = vec![];
        for field in schema.fields() {
            let numbered = (2..).map(|number| {
                let end = format!("_{number}");
                format!("{}{end}", cut(field.name(), NAME_OCTETS_MAX - end.len()))
            });
            let mut names = std::iter::once(cut(field.name(), NAME_OCTETS_MAX).to_owned()).chain(numbered);
            let is_free =
                |name: &String| !name.is_empty() && columns.iter().all(|column| column.name != *name);
            let name = names.find(is_free).unwrap_or_default();
            columns.push(Self { name, kind: kind_of(field.data_type()) });
        }
        columns
    }
}

/// The name of a table, as the server has it.
pub(super) fn table_name(name: &str) -> String {
    cut(name, NAME_OCTETS_MAX).to_owned()
}

/// Columns as a statement lists them.
pub(super) fn list(columns: &[Column]) -> String {
    columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
}

/// The type for values of this one, as `format_type` writes it.
fn kind_of(data_type: &DataType) -> String {
    let kind = match data_type {
        DataType::Dictionary(_, values) => return kind_of(values),
        DataType::Decimal32(digits, scale @ 0..)
        | DataType::Decimal64(digits, scale @ 0..)
        | DataType::Decimal128(digits, scale @ 0..)
        | DataType::Decimal256(digits, scale @ 0..) => return format!("numeric({digits},{scale})"),
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "numeric",
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "bigint",
        DataType::UInt64 => "numeric(20,0)",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone",
        DataType::Timestamp(_, None) => "timestamp without time zone",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::FixedSizeBinary(16) => "inet",
        DataType::FixedSizeBinary(6) => "macaddr",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytea"
        }
        nested if nested.is_nested() => "jsonb",
        _ => "text",
    };
    kind.to_owned()
}

/// Whether a column of their type takes values of ours.
fn fits(ours: &str, theirs: &str) -> bool {
    const INTEGERS: &[&str] = &["smallint", "integer", "bigint", "numeric"];
    const REALS: &[&str] = &["real", "double precision", "numeric"];
    let base = |kind: &str| kind.split('(').next().unwrap_or_default().to_owned();
    let (ours, theirs) = (base(ours), base(theirs));
    let is_wider = |kinds: &[&str]| {
        let place = |kind: &str| kinds.iter().position(|other| *other == kind);
        place(&ours).zip(place(&theirs)).is_some_and(|(ours, theirs)| ours <= theirs)
    };
    let is_integer = INTEGERS.contains(&ours.as_str());
    ours == theirs
        || theirs == "text"
        || theirs == "character varying"
        || is_wider(INTEGERS)
        || is_wider(REALS)
        || (is_integer && theirs == "double precision")
        || (ours.starts_with("timestamp") && theirs.starts_with("timestamp"))
        || matches!((ours.as_str(), theirs.as_str()), ("jsonb", "json") | ("macaddr", "macaddr8"))
}

/// A name as statements have it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as statements have it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// So many octets of a name at most, as the server cuts it.
fn cut(name: &str, octets_max: usize) -> &str {
    name.get(..name.floor_char_boundary(octets_max)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::{Field, TimeUnit};

    fn columns(fields: &[(&str, DataType)]) -> Vec<Column> {
        let fields = fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true));
        Column::all_of(&Schema::new(fields.collect::<Vec<_>>()))
    }

    #[test]
    fn a_table_has_types_that_fit() {
        let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let list = DataType::new_list(DataType::UInt16, true);
        let columns = columns(&[
            ("window_start", time),
            ("src_ip", DataType::FixedSizeBinary(16)),
            ("n", DataType::Int64),
            ("n", DataType::UInt64),
            ("sum(\"x\")", list),
        ]);
        let table = Table { schema: "public".to_owned(), name: "a".to_owned() };
        assert_eq!(
            table.creation(&columns),
            r#"CREATE TABLE "public"."a" ("window_start" timestamp with time zone, "src_ip" inet, "n" bigint, "n_2" numeric(20,0), "sum(""x"")" jsonb); CREATE INDEX ON "public"."a" USING brin (window_start)"#
        );
        let mend = table.mend(&columns[2], &Column { name: "n".to_owned(), kind: "integer".to_owned() });
        assert_eq!(
            mend,
            r#"the column `n` of "public"."a" is of type integer, and its values are bigint; ALTER TABLE "public"."a" ALTER COLUMN "n" TYPE bigint mends it, or give the sink another table"#
        );
    }

    #[test]
    fn columns_that_take_more_are_as_good() {
        for (ours, theirs, expected) in [
            ("bigint", "bigint", true),
            ("integer", "bigint", true),
            ("bigint", "integer", false),
            ("numeric(20,0)", "bigint", false),
            ("bigint", "numeric(20,0)", true),
            ("real", "double precision", true),
            ("double precision", "bigint", false),
            ("inet", "text", true),
            ("inet", "bigint", false),
            ("bigint", "character varying(20)", true),
            ("timestamp with time zone", "timestamp without time zone", true),
            ("timestamp with time zone", "timestamp(3) without time zone", true),
            ("jsonb", "json", true),
            ("text", "jsonb", false),
        ] {
            assert_eq!(fits(ours, theirs), expected, "{ours} {theirs}");
        }
    }

    #[test]
    fn names_are_cut_as_the_server_cuts_them_and_stay_apart() {
        let long = "ü".repeat(40);
        let columns = columns(&[(&long, DataType::Int64), (&long, DataType::Int64)]);
        assert_eq!(columns[0].name, "ü".repeat(31));
        assert_eq!(columns[1].name, format!("{}_2", "ü".repeat(30)));
        let unnamed = self::columns(&[("", DataType::Int64), ("", DataType::Int64)]);
        assert_eq!([&unnamed[0].name, &unnamed[1].name], ["_2", "_3"]);
        assert_eq!(table_name(&long), "ü".repeat(31));
    }
}
