//! Changes of a query's text, as JSON.

use crate::shapes::{object, whole};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tapline_query::{Change, Edited, Literal, Parts};

/// What is to be changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditBody {
    pub(crate) sql: String,
    /// Without one, only the parts of the text are told.
    #[serde(default)]
    pub(crate) change: Option<ChangeShape>,
    /// Whether the SELECT that gives the result is meant.
    #[serde(default)]
    pub(crate) outermost: bool,
}

/// A change.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeShape {
    AddFilter(#[serde(deserialize_with = "object")] FilterShape),
    DropFilter(#[serde(deserialize_with = "place")] usize),
    AddKey(String),
    DropKey(String),
    AddAggregate(String),
    DropAggregate(String),
    Window(Option<String>),
    Source(Option<SourceShape>),
}

/// A condition that a column has a value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilterShape {
    column: String,
    value: Value,
    #[serde(default)]
    negated: bool,
}

/// One source, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum SourceShape {
    One(String),
    Several(Vec<String>),
}

/// A text, and what of it can be changed.
#[derive(Debug, Serialize)]
pub(crate) struct EditedShape {
    sql: String,
    parts: PartsShape,
}

#[derive(Debug, Serialize)]
struct PartsShape {
    filters: Vec<String>,
    keys: Vec<String>,
    aggregates: Vec<String>,
    window: Option<String>,
    sources: Vec<String>,
}

impl TryFrom<ChangeShape> for Change {
    type Error = String;

    fn try_from(change: ChangeShape) -> Result<Self, String> {
        Ok(match change {
            ChangeShape::AddFilter(FilterShape { column, value, negated }) => {
                Self::AddFilter { column, value: literal(value)?, negated }
            }
            ChangeShape::DropFilter(place) => Self::DropFilter(place),
            ChangeShape::AddKey(key) => Self::AddKey(key),
            ChangeShape::DropKey(key) => Self::DropKey(key),
            ChangeShape::AddAggregate(aggregate) => Self::AddAggregate(aggregate),
            ChangeShape::DropAggregate(aggregate) => Self::DropAggregate(aggregate),
            ChangeShape::Window(window) => Self::Window(window),
            ChangeShape::Source(None) => Self::Sources(vec![]),
            ChangeShape::Source(Some(SourceShape::One(name))) => Self::Sources(vec![name]),
            ChangeShape::Source(Some(SourceShape::Several(names))) => Self::Sources(names),
        })
    }
}

fn literal(value: Value) -> Result<Literal, String> {
    match value {
        Value::Null => Ok(Literal::Null),
        Value::Bool(value) => Ok(Literal::Boolean(value)),
        Value::Number(number) => Ok(Literal::Number(number.to_string())),
        Value::String(text) => Ok(Literal::Text(text)),
        Value::Array(_) | Value::Object(_) => {
            Err("value: write a text, a number, true, false or null".to_owned())
        }
    }
}

/// Reads a place in a list, from 0.
fn place<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let place = whole(from)?.ok_or_else(|| D::Error::custom("write the place of a filter, from 0"))?;
    Ok(usize::try_from(place).unwrap_or(usize::MAX))
}

impl From<Edited> for EditedShape {
    fn from(edited: Edited) -> Self {
        let Edited { sql, parts: Parts { filters, keys, aggregates, window, sources } } = edited;
        Self { sql, parts: PartsShape { filters, keys, aggregates, window, sources } }
    }
}
