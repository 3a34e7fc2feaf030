//! What DataFusion says of a query as a refusal of ours.
//!
//! Takes its error and the names that queries may use; gives a sentence in words of SQL, the place in the text, and
//! what would be right.

use crate::advice::{bad_address, instead_of, plain_words, unread_literal, wrong_argument};
use crate::elements::function_of;
use crate::error::{SqlError, place_at};
use crate::literals::BadAddress;
use crate::names::{WINDOW_END, WINDOW_START};
use datafusion::common::{DataFusionError, SchemaError, Span};
use datafusion::sql::sqlparser::tokenizer::Location;

/// Names that are offered in place of an unknown one.
const SUGGESTIONS_MAX: usize = 3;

/// Tables that are named where none is like the one that is asked for.
const TABLES_SHOWN_MAX: usize = 20;

/// The names that an unknown one may have been meant to be.
pub(crate) struct KnownNames<'a> {
    pub(crate) tables: &'a [&'a str],
    pub(crate) functions: &'a [String],
}

/// Turns what DataFusion says of a statement over other tables than streams into a refusal.
#[must_use]
pub fn refusal_over(error: &DataFusionError, sql: &str, tables: &[String], functions: &[String]) -> SqlError {
    if let DataFusionError::SchemaError(error, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, valid_fields } = error.as_ref()
    {
        // There the columns of windows are columns as all others.
        let known = valid_fields.iter().map(|column| column.name.as_str());
        return unknown_name("column", &field.name, known, sql);
    }
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    from_datafusion(error, sql, &KnownNames { tables: &tables, functions })
}

/// Turns what DataFusion says of `sql` into a refusal.
pub(crate) fn from_datafusion(error: &DataFusionError, sql: &str, names: &KnownNames<'_>) -> SqlError {
    let root = error.find_root();
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    match root {
        DataFusionError::SchemaError(error, _) => return from_schema_error(error, sql, span),
        DataFusionError::External(error) if let Some(bad) = error.downcast_ref::<BadAddress>() => {
            return bad_address(bad).at_word(sql, &bad.text);
        }
        _ => {}
    }
    let told = root.strip_backtrace();
    // What a function takes no argument of is told below.
    let told = if told.contains(" requires ") { told } else { without_internals(&told) };
    let text = plain_words(&first_sentence(&told));
    if let Some((_, rest)) = text.split_once("unique expression names but the expression \"") {
        return two_columns(rest.split('"').next().unwrap_or_default(), sql);
    }
    if let Some(name) = quoted_after(&text, "table '") {
        return unknown_table(&name, sql, names);
    }
    if let Some(name) = quoted_after(&text, "Invalid function '") {
        return unknown_function(&name, sql, names);
    }
    if let Some(error) = unread_literal(&text).or_else(|| wrong_argument(&text)) {
        return error.placed(sql);
    }
    if let Some(name) = ungrouped(&text) {
        let message = format!("the column '{name}' must be in GROUP BY, or within an aggregate");
        let error = SqlError::new(message, "group by it, or take one of its values, such as max(x)");
        let start = span.map(|span| Location::new(span.start.line, span.start.column));
        return start.into_iter().fold(error, |error, start| error.at(sql, start)).at_word(sql, name);
    }
    let place = span.map(|span| span.start);
    let place = place.map(|start| (start.line, start.column)).or_else(|| written_place(&text));
    let place = place.and_then(|(line, column)| place_at(sql, line, column));
    SqlError { place, message: without_place(&text), help: None }.placed(sql)
}

/// What DataFusion says, without what only its authors want to know.
#[must_use]
pub fn without_internals(text: &str) -> String {
    let text = text.split("\nThis issue was likely caused by a bug").next().unwrap_or_default();
    no_signature(text).unwrap_or_else(|| text.replace("Internal error: ", ""))
}

/// In place of all that a function would take.
fn no_signature(text: &str) -> Option<String> {
    let (name, _) = text.split_once("' failed to match any signature")?;
    let (_, name) = name.rsplit_once('\'')?;
    Some(format!("{name} does not take these arguments: it takes others, or another number of them"))
}

/// The column that is neither grouped nor aggregated.
fn ungrouped(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("column \"").filter(|_| text.contains("must be in GROUP BY"))?;
    let name = rest.split_once("\" must appear").map(|(name, _)| name)?;
    Some(name.split_once('.').map_or(name, |(_, name)| name))
}

/// Columns that are put before the SELECT list.
const WINDOW_COLUMNS: [&str; 2] = [WINDOW_START, WINDOW_END];

fn from_schema_error(error: &SchemaError, sql: &str, span: Option<Span>) -> SqlError {
    match error {
        SchemaError::FieldNotFound { field, .. } if let Some(function) = function_of(&field.name) => {
            let message = format!("{} can be read from flows only", field.name);
            let help =
                "write it in the SELECT whose FROM names flows; there, AS gives it a name for the others";
            let error = SqlError::new(message, help);
            let start = span.map(|span| Location::new(span.start.line, span.start.column));
            start.into_iter().fold(error, |error, start| error.at(sql, start)).at_word(sql, function)
        }
        SchemaError::FieldNotFound { field, .. } if WINDOW_COLUMNS.contains(&field.name.as_str()) => {
            let message = format!("{} cannot be named in the query", field.name);
            let help = "every row of a windowed query begins with window_start and window_end, and windows \
                come in the order of time: leave it out";
            SqlError::new(message, help).at_word(sql, &field.name)
        }
        SchemaError::FieldNotFound { field, valid_fields } => {
            let known = valid_fields.iter().map(|column| column.name.as_str());
            unknown_name("column", &field.name, known, sql)
        }
        SchemaError::AmbiguousReference { field } => {
            let help = format!("qualify it with its table, e.g. t.{}", field.name);
            SqlError::new(format!("the column '{}' could be one of several", field.name), help)
                .at_word(sql, function_of(&field.name).unwrap_or(&field.name))
        }
        SchemaError::DuplicateUnqualifiedField { name }
        | SchemaError::DuplicateQualifiedField { name, .. } => two_columns(name, sql),
    }
}

fn two_columns(name: &str, sql: &str) -> SqlError {
    let name = name.rsplit_once('.').map_or(name, |(_, name)| name);
    let help = "give one of them a name of its own: AS other";
    SqlError::new(format!("two columns are called '{name}'"), help).at_word(sql, name)
}

fn unknown_table(name: &str, sql: &str, names: &KnownNames<'_>) -> SqlError {
    let table = name.rsplit('.').next().unwrap_or(name);
    let mut error = unknown_name("table", table, names.tables.iter().copied(), sql);
    let shown = names.tables.get(..TABLES_SHOWN_MAX).unwrap_or(names.tables);
    error.help = error.help.or_else(|| Some(format!("the tables are {}", shown.join(", "))));
    error
}

fn unknown_function(name: &str, sql: &str, names: &KnownNames<'_>) -> SqlError {
    let known = names.functions.iter().map(String::as_str);
    let error = unknown_name("function", name, known, sql);
    let instead = instead_of(name).map(|instead| format!("use {instead}"));
    SqlError { help: instead.or(error.help), ..error }
}

fn unknown_name<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>, sql: &str) -> SqlError {
    let nearest = nearest_names(name, known);
    let help = (!nearest.is_empty()).then(|| format!("did you mean {}?", nearest.join(" or ")));
    SqlError { message: format!("there is no {kind} '{name}'"), help, place: None }.at_word(sql, name)
}

/// The known names that look most like `name`, best first.
fn nearest_names<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_ascii_lowercase();
    let score = |candidate: &str| strsim::normalized_damerau_levenshtein(&wanted, candidate);
    let mut scored: Vec<(f64, &str)> =
        known.map(|candidate| (score(candidate), candidate)).filter(|(score, _)| *score >= 0.5).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup();
    scored.into_iter().take(SUGGESTIONS_MAX).map(|(_, name)| name.to_owned()).collect()
}

/// What stands between `before` and the next quote.
fn quoted_after(text: &str, before: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once('\'').map(|(name, _)| name.to_owned())
}

/// The sentence for a person: without the names of error types, without what follows the first line.
fn first_sentence(text: &str) -> String {
    if text.contains("RecursionLimitExceeded") {
        return "the query is nested too deeply".to_owned();
    }
    const PREFIXES: [&str; 9] = [
        "Error during planning: ",
        "This feature is not implemented: ",
        "SQL error: ",
        "Schema error: ",
        "Execution error: ",
        "type_coercion",
        "caused by",
        "Optimizer rule '",
        "Arrow error: ",
    ];
    let mut line = text.lines().next().unwrap_or_default();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| line.strip_prefix(prefix)) {
        line = rest;
    }
    let line = line.strip_prefix("ParserError(\"").map_or(line, |rest| rest.trim_end_matches("\")"));
    line.strip_prefix("TokenizerError(\"").map_or(line, |rest| rest.trim_end_matches("\")")).to_owned()
}

/// The place in `… at Line: 1, Column: 8`.
fn written_place(text: &str) -> Option<(u64, u64)> {
    let (_, rest) = text.rsplit_once("Line: ")?;
    let (line, column) = rest.split_once(", Column: ")?;
    let digits = column.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((line.parse().ok()?, digits.parse().ok()?))
}

fn without_place(text: &str) -> String {
    text.rsplit_once(" at Line: ").map_or(text, |(message, _)| message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_authors_want_to_know_is_left_out() {
        let told = "Internal error: Function 'md5' failed to match any signature, errors: Error during planning: Function \
                    'md5' expects 1 arguments but received 2.";
        let expected = "md5 does not take these arguments: it takes others, or another number of them";
        assert_eq!(without_internals(told), expected);
        let told =
            "Failed to coerce types.\nThis issue was likely caused by a bug in DataFusion's code. Please …";
        assert_eq!(without_internals(told), "Failed to coerce types.");
        assert_eq!(without_internals("Internal error: Expected a Map type."), "Expected a Map type.");
    }

    #[test]
    fn near_names_come_best_first() {
        let known = ["src_ip", "src_port", "dst_ip", "octets"];
        assert_eq!(nearest_names("src_pi", known.into_iter()), ["src_ip", "src_port"]);
        assert!(nearest_names("zzz", known.into_iter()).is_empty());
    }
}
