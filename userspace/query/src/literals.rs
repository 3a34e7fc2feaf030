//! Addresses and octets written as text: `src_ip = '10.0.0.1'`, `src_mac IN ('aa:…')`, `payload = 'GET'`.
//!
//! Where values stand together, to be compared or to be chosen from, a text literal beside an address becomes an
//! address, and one that is none is refused. A text that is no literal is read row by row where it is compared;
//! where a value is chosen, the addresses become text instead, since the text may be anything.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{Case, Expr, ExprSchemable};
use std::fmt;
use tapline_functions::{AddressKind, ip, is_octets, is_text, mac, text};

/// Why values stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    /// They are compared with one another.
    Compared,
    /// One of them is the result.
    Chosen,
}

/// A text literal where an address is expected, which is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadAddress {
    pub(crate) text: String,
    pub(crate) kind: AddressKind,
    pub(crate) together: Together,
    /// The column beside it, if it is one.
    pub(crate) column: Option<String>,
}

impl std::error::Error for BadAddress {}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not an address", self.text)
    }
}

/// The text of a literal.
pub(crate) fn text_literal(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Alias(alias) => text_literal(&alias.expr),
        Expr::Literal(literal, _) => literal.try_as_str().flatten(),
        _ => None,
    }
}

/// Makes values that stand together values of one type; says whether any had to change.
pub(crate) fn unify(values: &mut [&mut Expr], schema: &DFSchema, together: Together) -> Result<bool> {
    let types: Vec<DataType> =
        values.iter().map(|value| value.get_type(schema).unwrap_or(DataType::Null)).collect();
    let address = types.iter().position(|kind| AddressKind::of(kind).is_some());
    if let Some(place) = address
        && let Some(kind) = AddressKind::of(&types[place])
    {
        let column = values[place].try_as_col().map(|column| column.name.clone());
        return unify_addresses(values, &types, &Addresses { kind, together, column });
    }
    Ok(types.iter().any(is_octets) && unify_octets(values))
}

/// Makes what a CASE compares values of one type, and what it chooses from another; says whether any had to change.
pub(crate) fn unify_case(case: &mut Case, schema: &DFSchema) -> Result<bool> {
    let Case { expr, when_then_expr, else_expr } = case;
    let is_base = expr.is_some();
    let results = when_then_expr.iter_mut().map(|(when, then)| (&mut **when, &mut **then));
    let (mut compared, mut chosen): (Vec<_>, Vec<_>) = results.unzip();
    compared.extend(expr.as_deref_mut());
    chosen.extend(else_expr.as_deref_mut());
    let compared = is_base && unify(&mut compared, schema, Together::Compared)?;
    Ok(unify(&mut chosen, schema, Together::Chosen)? || compared)
}

/// What the addresses among some values are.
struct Addresses {
    kind: AddressKind,
    together: Together,
    column: Option<String>,
}

fn unify_addresses(values: &mut [&mut Expr], types: &[DataType], among: &Addresses) -> Result<bool> {
    let is_column = |(value, kind): (&&mut Expr, &DataType)| is_text(kind) && text_literal(value).is_none();
    let has_columns = values.iter().zip(types).any(is_column);
    let mut changed = false;
    for (value, kind) in values.iter_mut().zip(types) {
        let as_text = has_columns && among.together == Together::Chosen;
        let converted = match (as_text, is_text(kind)) {
            (true, false) => AddressKind::of(kind).map(|_| text(value.clone())),
            (false, true) => Some(among.read(value)?),
            (false, false) if matches!(value, Expr::Literal(ScalarValue::Null, _)) => Some(among.null()),
            _ => None,
        };
        changed |= converted.is_some();
        if let Some(converted) = converted {
            **value = converted;
        }
    }
    Ok(changed)
}

impl Addresses {
    /// NULL, as an address.
    const fn null(&self) -> Expr {
        Expr::Literal(self.kind.null(), None)
    }

    /// The address that a text names.
    fn read(&self, value: &Expr) -> Result<Expr> {
        let Some(text) = text_literal(value) else {
            return Ok(match self.kind {
                AddressKind::Ip => ip(value.clone()),
                AddressKind::Mac => mac(value.clone()),
            });
        };
        let literal = self.kind.literal(text).ok_or_else(|| {
            let (text, column) = (text.to_owned(), self.column.clone());
            let bad = BadAddress { text, kind: self.kind, together: self.together, column };
            DataFusionError::External(Box::new(bad))
        })?;
        Ok(Expr::Literal(literal, None))
    }
}

/// Makes text literals beside octets the octets of their text.
fn unify_octets(values: &mut [&mut Expr]) -> bool {
    let mut changed = false;
    for value in values {
        if let Some(text) = text_literal(value) {
            let octets = ScalarValue::Binary(Some(text.as_bytes().to_vec()));
            **value = Expr::Literal(octets, None);
            changed = true;
        }
    }
    changed
}
