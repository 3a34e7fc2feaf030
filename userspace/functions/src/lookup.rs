//! `lookup('table', key [, 'column'])`: what a table says of a key, by value or by longest prefix; NULL for NULL, and
//! for a key that the table does not have.
//!
//! Which table and which column it is, and of which type, is known when a query is planned. The table is taken as it is
//! for each batch: a new one of the same columns may come in between.

use crate::argument::{refuse, text_literal};
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use tapline_lookup::{Loaded, Table, Tables};

const NAME: &str = "lookup";

const USAGE: &str = "write lookup('table', key) or lookup('table', key, 'column')";

/// Tables that functions share; those of one planner are equal, and those of another with the same tables.
#[derive(Clone, Debug)]
pub(crate) struct SharedTables(pub(crate) Arc<Tables>);

impl PartialEq for SharedTables {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SharedTables {}

impl Hash for SharedTables {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// How often something is looked up where no column decides: when it is planned, or for each batch.
///
/// DataFusion would compute what depends on literals alone once, and a query that stands would never see another table.
pub(crate) const FOLDED: Volatility = Volatility::Stable;
pub(crate) const STANDING: Volatility = Volatility::Volatile;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lookup {
    tables: SharedTables,
    signature: Signature,
}

impl Lookup {
    pub(crate) fn new(tables: SharedTables) -> Self {
        Self { tables, signature: Signature::variadic_any(FOLDED) }
    }

    /// The same function, for calls in which no column is named.
    pub(crate) fn standing(&self) -> ScalarUDF {
        Self { tables: self.tables.clone(), signature: Signature::variadic_any(STANDING) }.into()
    }

    fn table(&self, name: Option<&ScalarValue>) -> Result<&Loaded> {
        let Some(name) = text_literal(name) else {
            return refuse(format!("lookup: the first argument is not a literal name; {USAGE}"));
        };
        self.tables.0.get(name).or_else(|unknown| match unknown.nearest {
            Some(nearest) => refuse(format!("lookup: '{name}' is no lookup table; did you mean '{nearest}'?")),
            None => refuse(format!(
                "lookup: '{name}' is no lookup table; give it with --lookup {name}=FILE, or with [[lookup]] in a node's file"
            )),
        })
    }
}

impl ScalarUDFImpl for Lookup {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        internal_err!("what lookup gives depends on its table")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let (table, key, column) = match args.scalar_arguments {
            [table, key] => (*table, *key, None),
            [table, key, column] => (*table, *key, Some(*column)),
            _ => return refuse(format!("lookup: it takes two or three arguments; {USAGE}")),
        };
        let loaded = self.table(table)?;
        let table = loaded.table();
        check_key(loaded.name(), &table, key, args.arg_fields[1].data_type())?;
        let column = column_of(loaded.name(), &table, column)?;
        let kind = table.column_type(&column).cloned().unwrap_or(DataType::Null);
        Ok(Arc::new(Field::new(NAME, kind, true)))
    }

    /// What becomes constant while expressions are simplified stays a call.
    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(simplified(&self.signature, args, || self.standing()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let literal = |value: &ColumnarValue| match value {
            ColumnarValue::Scalar(literal) => Some(literal.clone()),
            ColumnarValue::Array(_) => None,
        };
        let [table, key, column @ ..] = args.args.as_slice() else {
            return internal_err!("lookup was planned with too few arguments");
        };
        let loaded = self.table(literal(table).as_ref())?;
        let column = column.first().map(literal);
        let table = loaded.table();
        let column = column_of(loaded.name(), &table, column.as_ref().map(Option::as_ref))?;
        of_key(key, |keys| Ok(table.values(keys, &column)?))
    }
}

/// A call in which no column is named any more, as one that is not computed when it is planned.
pub(crate) fn simplified(
    signature: &Signature,
    args: Vec<Expr>,
    standing: impl FnOnce() -> ScalarUDF,
) -> ExprSimplifyResult {
    if signature.volatility == STANDING || args.iter().any(Expr::any_column_refs) {
        return ExprSimplifyResult::Original(args);
    }
    ExprSimplifyResult::Simplified(standing().call(args))
}

/// What `find` gives for a key: one value where it is one, else an array.
pub(crate) fn of_key(
    key: &ColumnarValue,
    find: impl FnOnce(&ArrayRef) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let found = find(&key.to_array(1)?)?;
    Ok(match key {
        ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?),
        ColumnarValue::Array(_) => ColumnarValue::Array(found),
    })
}

/// Refuses a key that the keys of a table cannot be.
fn check_key(name: &str, table: &Table, key: Option<&ScalarValue>, kind: &DataType) -> Result<()> {
    let keys = table.key_kind();
    match text_literal(key) {
        Some(text) if !keys.is_asked_by_text(text) => {
            refuse(format!("lookup: '{text}' is not one of the {keys} that are the keys of '{name}'"))
        }
        None if !keys.is_asked_by(kind) => {
            let help = if keys == tapline_lookup::KeyKind::Text { "; text(x) makes text of it" } else { "" };
            refuse(format!("lookup: the key is {kind}, and the keys of '{name}' are {keys}{help}"))
        }
        _ => Ok(()),
    }
}

/// The column that is named, or else the first one.
fn column_of(name: &str, table: &Table, column: Option<Option<&ScalarValue>>) -> Result<String> {
    let Some(column) = column else {
        return match table.column_names().next() {
            Some(first) => Ok(first.to_owned()),
            None => refuse(format!("lookup: '{name}' has no columns")),
        };
    };
    let Some(column) = text_literal(column) else {
        return refuse(format!("lookup: the third argument is not a literal name; {USAGE}"));
    };
    if table.column_type(column).is_some() {
        return Ok(column.to_owned());
    }
    if let Some(nearest) = table.nearest_column(column) {
        return refuse(format!("lookup: '{column}' is no column of '{name}'; did you mean '{nearest}'?"));
    }
    let columns: Vec<&str> = table.column_names().collect();
    refuse(format!("lookup: '{column}' is no column of '{name}', which has {}", columns.join(", ")))
}
