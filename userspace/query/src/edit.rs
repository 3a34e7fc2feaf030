//! Changes of a query's text: a filter, a key, an aggregate, a window, sources.
//!
//! Takes the text and what is to change, gives the text with that change and nothing else: what is between the words
//! stays as somebody wrote it. Filters and sources are changed where streams are read, keys and aggregates where their
//! rows are grouped, windows everywhere. What comes of it is planned before it is given.

mod select;
mod selects;
mod snippet;
mod text;

use crate::error::SqlError;
use crate::limits;
use crate::planner::{Planner, parse};
use select::{Select, normal};
use selects::{Found, Item, selects};
use std::collections::BTreeSet;
use std::ops::Range;
use text::{Clause, Part, Text};

/// What is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only rows in which a column has a value, or all others.
    AddFilter {
        /// A column of the stream, or one of the result that is computed row by row.
        column: String,
        /// The value.
        value: Literal,
        /// Whether these rows are left out.
        negated: bool,
    },
    /// Without one of its filters, by its place in [`Parts::filters`].
    DropFilter(usize),
    /// With one more key, an expression.
    AddKey(String),
    /// Without a key: its text, or its name in the result.
    DropKey(String),
    /// With one more aggregate, which may have a name.
    AddAggregate(String),
    /// Without an aggregate: its text, or its name in the result.
    DropAggregate(String),
    /// With this window, or without one.
    Window(Option<String>),
    /// Only rows of these sources; of all, where there are none.
    Sources(Vec<String>),
}

/// A value as SQL writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A number, in digits.
    Number(String),
    /// A text, an address or a time.
    Text(String),
}

/// A query's text, and what of it can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The text.
    pub sql: String,
    /// Its parts.
    pub parts: Parts,
}

/// What of a query can be changed, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Conditions that all hold, where streams are read.
    pub filters: Vec<String>,
    /// Keys without the window, where rows of streams are grouped.
    pub keys: Vec<String>,
    /// What is known of groups of rows, with the name that it is given.
    pub aggregates: Vec<String>,
    /// The window.
    pub window: Option<String>,
    /// The only sources that are read; all, where there are none.
    pub sources: Vec<String>,
}

impl Planner {
    /// A query's text with a change, if there is one, and what of it can be changed then. With `is_outermost`, filters,
    /// keys and aggregates are those of the SELECT that gives the result, whatever it reads.
    ///
    /// # Errors
    /// What is wrong with the text or the change, or why it cannot be made, and what would be right.
    pub fn edit(&self, sql: &str, change: Option<&Change>, is_outermost: bool) -> Result<Edited, SqlError> {
        self.plan(sql)?;
        limits::with_stack(|| {
            let is_aggregate = |name: &str| self.is_aggregate(name);
            let sql = match change {
                None => sql.to_owned(),
                Some(change) => {
                    let edits = self.look(sql, is_outermost)?.edits(change, &is_aggregate)?;
                    let edited = applied(sql, edits).ok_or_else(unreadable)?;
                    self.plan(&edited)?;
                    edited
                }
            };
            let parts = self.look(&sql, is_outermost)?.parts();
            Ok(Edited { sql, parts })
        })
    }

    fn look<'a>(&self, sql: &'a str, is_outermost: bool) -> Result<Look<'a>, SqlError> {
        let parsed = parse(sql).map_err(|refusal| self.explain_refusal(refusal, sql))?;
        let found =
            selects(&parsed.statement, &|name: &str| self.is_aggregate(name)).ok_or_else(unreadable)?;
        let Some(text) = Text::new(sql) else { return Err(unreadable()) };
        let with_clauses = |found: Found| {
            let clauses = text.clauses(found.start)?;
            let items = text.list(&clauses.list);
            (items.len() == found.items.len()).then_some(Select { found, clauses, items })
        };
        let matters = |found: &Found| found.groups || found.is_outermost || !found.streams.is_empty();
        let selects = found.into_iter().filter(matters).map(with_clauses).collect::<Option<Vec<_>>>();
        Ok(Look { selects: selects.ok_or_else(unreadable)?, text, is_outermost })
    }
}

fn unreadable() -> SqlError {
    SqlError::new("this query is written in a way that can only be changed by hand", "change its text")
}

/// What is put in the place of some octets of a text.
type Edit = (Range<usize>, String);

/// A text with its changes; nothing where one of them lies within another one.
fn applied(sql: &str, mut edits: Vec<Edit>) -> Option<String> {
    edits.sort_by_key(|(octets, _)| octets.start);
    if edits.windows(2).any(|pair| matches!(pair, [(one, _), (next, _)] if one.end > next.start)) {
        return None;
    }
    let mut edited = sql.to_owned();
    for (octets, by) in edits.into_iter().rev() {
        edited.replace_range(octets, &by);
    }
    Some(edited)
}

/// A query that is looked at to be changed.
struct Look<'a> {
    text: Text<'a>,
    selects: Vec<Select>,
    is_outermost: bool,
}

impl Look<'_> {
    fn edits(&self, change: &Change, is_aggregate: &dyn Fn(&str) -> bool) -> Result<Vec<Edit>, SqlError> {
        match change {
            Change::AddFilter { column, value, negated } => self.add_filter(column, value, *negated),
            Change::DropFilter(number) => self.drop_filter(*number),
            Change::AddKey(key) => self.add_key(snippet::key(key, is_aggregate)?),
            Change::DropKey(key) => self.drop_key(key),
            Change::AddAggregate(aggregate) => {
                self.add_aggregate(snippet::aggregate(aggregate, is_aggregate)?)
            }
            Change::DropAggregate(aggregate) => self.drop_aggregate(aggregate),
            Change::Window(Some(window)) => self.set_window(snippet::window(window)?),
            Change::Window(None) => self.drop_window(),
            Change::Sources(names) => self.set_sources(names),
        }
    }

    fn parts(&self) -> Parts {
        let mut parts = Parts::default();
        for (_, condition) in self.conditions() {
            parts.filters.push(self.text.text(&condition).to_owned());
            parts.sources.extend(self.text.sources(&condition).into_iter().flatten());
        }
        for select in self.grouping() {
            let keys = select.keys(&self.text).into_iter().map(|key| select.meant(&self.text, &key));
            let keys = keys.filter(|key| !self.text.is_window(key));
            parts.keys.extend(keys.map(|key| self.text.text(&key).to_owned()));
            let items = select.items.iter().zip(&select.found.items);
            let aggregates = items.filter(|(_, item)| item.is_aggregate);
            parts.aggregates.extend(aggregates.map(|(part, _)| self.text.text(part).to_owned()));
        }
        let windows = self.text.window_calls(&self.text.all());
        parts.window = windows.first().map(|window| self.text.text(window).to_owned());
        parts
    }

    /// The SELECTs that read streams.
    fn reading(&self) -> impl Iterator<Item = &Select> {
        let is_outermost = self.is_outermost;
        self.selects.iter().filter(move |select| match is_outermost {
            true => select.found.is_outermost,
            false => !select.found.streams.is_empty(),
        })
    }

    /// The SELECTs that group rows of streams.
    fn grouping(&self) -> impl Iterator<Item = &Select> {
        let is_outermost = self.is_outermost;
        self.selects.iter().filter(move |select| match is_outermost {
            true => select.found.is_outermost,
            false => select.found.is_lowest(),
        })
    }

    /// The only SELECT that groups rows of streams.
    fn only_grouping(&self) -> Result<&Select, SqlError> {
        let mut grouping = self.grouping();
        match (grouping.next(), grouping.next()) {
            (Some(select), None) if select.found.groups_by_all => Err(SqlError::new(
                "GROUP BY ALL says no keys that could be changed",
                "name the keys behind GROUP BY",
            )),
            (Some(select), None) => self.check_places().map(|()| select),
            (None, _) => Err(SqlError::new(
                "the query groups no rows, so that it has neither keys nor aggregates",
                "write e.g. SELECT src_ip, count(*) FROM packets GROUP BY src_ip, tumble('60 seconds')",
            )),
            (Some(_), Some(_)) => Err(SqlError::new(
                "the query groups rows in several places, and nobody can say which one is meant",
                "change its text",
            )),
        }
    }

    /// Refuses to move columns that something names by their places which is not moved with them.
    fn check_places(&self) -> Result<(), SqlError> {
        let known = self.selects.iter().filter(|select| !select.found.has_star);
        let known: usize = known.map(|select| select.places(&self.text).len()).sum();
        if self.text.count_places() == known {
            return Ok(());
        }
        let message = "columns are named by their places, which would be those of others";
        Err(SqlError::new(message, "name them behind GROUP BY and ORDER BY before"))
    }

    /// The conditions of all filters, each with its SELECT.
    fn conditions(&self) -> Vec<(&Select, Part)> {
        let of = |select| {
            let conditions = Select::conditions(select, &self.text);
            conditions.into_iter().map(move |condition| (select, condition))
        };
        self.reading().flat_map(of).collect()
    }

    /// A filter in all places that are meant: in some of them only, it would say something else.
    fn add_filter(&self, column: &str, value: &Literal, negated: bool) -> Result<Vec<Edit>, SqlError> {
        self.check_above(column)?;
        let mut edits = vec![];
        for select in self.reading() {
            let expression = self.column(select, column)?;
            edits.extend(self.with_condition(select, &snippet::condition(&expression, value, negated)));
        }
        if edits.is_empty() { Err(unreadable()) } else { Ok(edits) }
    }

    /// Refuses a column of the result that is something else where streams are read.
    fn check_above(&self, column: &str) -> Result<(), SqlError> {
        let is_above = |select: &&Select| select.found.is_outermost && select.found.streams.is_empty();
        let above = self.selects.iter().filter(|select| !self.is_outermost && is_above(select));
        let mut called = above.filter_map(|select| select.item(&self.text, column));
        let is_other = |(part, item): (&Part, &Item)| {
            let text = self.text.normal(&self.text.unnamed(part, item.name.is_some()));
            let (table, own) = text.rsplit_once(" . ").unwrap_or(("", &text));
            table.contains(' ') || !own.eq_ignore_ascii_case(column)
        };
        if called.any(is_other) {
            let message = format!("{column} is computed above the SELECT that reads a stream");
            return Err(SqlError::new(message, "filter by a column of the stream, or change the text"));
        }
        Ok(())
    }

    /// The expression that is called so where rows are read.
    fn column(&self, select: &Select, column: &str) -> Result<String, SqlError> {
        if let Some((part, item)) = select.item(&self.text, column) {
            if item.is_aggregate {
                let message = format!(
                    "{column} is known of groups only, and rows are filtered before they are grouped"
                );
                return Err(SqlError::new(message, "filter by a key, or write HAVING into the text"));
            }
            let part = self.text.unnamed(part, item.name.is_some());
            let text = self.text.text(&part).to_owned();
            return Ok(if self.text.is_one(&part) { text } else { format!("({text})") });
        }
        let mut columns = select.found.streams.iter().flat_map(|stream| stream.named_columns());
        if self.is_outermost || columns.any(|known| known.name == column) {
            return Ok(name(column));
        }
        let streams: Vec<&str> = select.found.streams.iter().map(|stream| stream.name).collect();
        let message = format!("there is no column {column} where {} is read", streams.join(", "));
        Err(SqlError::new(message, "name a column of the stream, or one that the query computes of it"))
    }

    /// A condition beside those that are there.
    fn with_condition(&self, select: &Select, condition: &str) -> Vec<Edit> {
        let Some(filter) = &select.clauses.filter else {
            let end = self.text.octets(&select.clauses.from.body).end;
            return vec![(end..end, format!(" WHERE {condition}"))];
        };
        let Range { start, end } = self.text.octets(&filter.body);
        if self.text.has_or(&filter.body) {
            return vec![(start..start, "(".to_owned()), (end..end, format!(") AND {condition}"))];
        }
        vec![(end..end, format!(" AND {condition}"))]
    }

    fn drop_filter(&self, number: usize) -> Result<Vec<Edit>, SqlError> {
        let conditions = self.conditions();
        let Some((select, condition)) = conditions.get(number) else {
            let message =
                format!("there is no filter {number}: the query has {}, counted from 0", conditions.len());
            return Err(SqlError::new(message, "take one of its filters"));
        };
        Ok(self.without_condition(select, condition))
    }

    fn without_condition(&self, select: &Select, condition: &Part) -> Vec<Edit> {
        let all = select.conditions(&self.text);
        let Some(filter) = &select.clauses.filter else { return vec![] };
        let gone = all.iter().position(|one| one == condition).into_iter().collect();
        self.without(filter, &all, &gone)
    }

    /// A list, or a chain of conditions, without some of its parts; without the clause when nothing is left.
    fn without(&self, clause: &Clause, all: &[Part], gone: &BTreeSet<usize>) -> Vec<Edit> {
        if gone.len() == all.len() {
            let end = self.text.octets(&clause.body).end;
            return vec![(self.text.end_before(clause.start)..end, String::new())];
        }
        self.without_parts(all, gone)
    }

    /// A list, of which something is left, without some of its parts.
    fn without_parts(&self, all: &[Part], gone: &BTreeSet<usize>) -> Vec<Edit> {
        let octets = |place: usize| all.get(place).map(|part| self.text.octets(part));
        let edit = |&place: &usize| {
            let stays_before = (0..place).any(|before| !gone.contains(&before));
            let own = octets(place)?;
            let range = match stays_before {
                true => octets(place.checked_sub(1)?)?.end..own.end,
                false => own.start..octets(place + 1)?.start,
            };
            Some((range, String::new()))
        };
        gone.iter().filter_map(edit).collect()
    }

    fn add_key(&self, key: &str) -> Result<Vec<Edit>, SqlError> {
        let select = self.only_grouping()?;
        let (keys, wanted) = (select.keys(&self.text), normal(key));
        let meant = |key: &Part| self.text.normal(&select.meant(&self.text, key));
        if keys.iter().any(|known| meant(known) == wanted) {
            return Err(SqlError::new(format!("{key} is a key already"), "take another one"));
        }
        let window = keys.iter().find(|key| self.text.is_window(&select.meant(&self.text, key)));
        let mut edits = vec![match (window, &select.clauses.group) {
            (Some(window), _) => {
                let start = self.text.octets(window).start;
                (start..start, format!("{key}, "))
            }
            (None, Some(group)) => {
                let end = self.text.octets(&group.body).end;
                (end..end, format!(", {key}"))
            }
            (None, None) => self.new_group(select, key),
        }];
        let is_selected = select.item(&self.text, key).is_some();
        if !is_selected {
            edits.push(self.selected(select, key));
        }
        Ok(edits)
    }

    /// A GROUP BY where there is none.
    fn new_group(&self, select: &Select, key: &str) -> Edit {
        let last = select.clauses.filter.as_ref().unwrap_or(&select.clauses.from);
        let end = self.text.octets(&last.body).end;
        (end..end, format!(" GROUP BY {key}"))
    }

    /// A key among what is selected: before the aggregates, unless columns are named by their places.
    fn selected(&self, select: &Select, key: &str) -> Edit {
        let first = select.found.items.iter().position(|item| item.is_aggregate);
        let has_places = !select.places(&self.text).is_empty();
        if let Some(first) = first.filter(|_| !has_places).and_then(|first| select.items.get(first)) {
            let start = self.text.octets(first).start;
            (start..start, format!("{key}, "))
        } else {
            let end = self.text.octets(&select.clauses.list).end;
            (end..end, format!(", {key}"))
        }
    }

    fn drop_key(&self, key: &str) -> Result<Vec<Edit>, SqlError> {
        let select = self.only_grouping()?;
        let (keys, wanted) = (select.keys(&self.text), normal(key));
        let named = select.item(&self.text, key).filter(|(_, item)| !item.is_aggregate);
        let named = named.map(|(part, item)| self.text.normal(&self.text.unnamed(part, item.name.is_some())));
        let is_it = |part: &Part| {
            let meant = select.meant(&self.text, part);
            let text = self.text.normal(&meant);
            !self.text.is_window(&meant) && (text == wanted || named.as_ref() == Some(&text))
        };
        let places = (0..).zip(&keys).filter(|&(_, part)| is_it(part));
        let gone: BTreeSet<usize> = places.map(|(place, _)| place).collect();
        let (Some(group), false) = (&select.clauses.group, gone.is_empty()) else {
            let keys: Vec<&str> = keys.iter().map(|key| self.text.text(key)).collect();
            let message = format!("the query has no key {key}");
            return Err(SqlError::new(message, format!("it groups by {}", keys.join(", "))));
        };
        let keys_gone = gone.iter().filter_map(|&place| keys.get(place));
        let meant: Vec<String> =
            keys_gone.map(|part| self.text.normal(&select.meant(&self.text, part))).collect();
        let items = select
            .gone(&self.text, |text, item| !item.is_aggregate && meant.iter().any(|meant| meant == text));
        let mut edits = self.without(group, &keys, &gone);
        edits.extend(self.without_items(select, &items, &gone)?);
        Ok(edits)
    }

    /// A SELECT list without some items, and what is named by its place by its new one, but for keys that go.
    fn without_items(
        &self,
        select: &Select,
        gone: &BTreeSet<usize>,
        keys_gone: &BTreeSet<usize>,
    ) -> Result<Vec<Edit>, SqlError> {
        if gone.len() == select.items.len() {
            let message = "nothing else is selected, so that the query would have no columns";
            return Err(SqlError::new(message, "add another key or aggregate before"));
        }
        let mut edits = self.without_parts(&select.items, gone);
        let keys = select.keys(&self.text);
        let dropped: Vec<&Part> = keys_gone.iter().filter_map(|&place| keys.get(place)).collect();
        for (part, place) in select.places(&self.text) {
            if dropped.contains(&&part) {
                continue;
            }
            if place.checked_sub(1).is_some_and(|item| gone.contains(&item)) {
                let message = format!("ORDER BY {place} sorts by what would be gone");
                return Err(SqlError::new(message, "sort by something else before"));
            }
            let before = gone.iter().filter(|&&gone| gone + 1 < place).count();
            if before > 0 {
                edits.push((self.text.octets(&part), (place - before).to_string()));
            }
        }
        Ok(edits)
    }

    fn add_aggregate(&self, aggregate: &str) -> Result<Vec<Edit>, SqlError> {
        let select = self.only_grouping()?;
        let end = self.text.octets(&select.clauses.list).end;
        Ok(vec![(end..end, format!(", {aggregate}"))])
    }

    fn drop_aggregate(&self, aggregate: &str) -> Result<Vec<Edit>, SqlError> {
        let select = self.only_grouping()?;
        let wanted = normal(aggregate);
        let is_it = |part: &Part, item: &Item| {
            let is_named = item.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(aggregate.trim()));
            let is_written = self.text.normal(&self.text.unnamed(part, item.name.is_some())) == wanted;
            item.is_aggregate && (is_named || is_written || self.text.normal(part) == wanted)
        };
        let items = (0..).zip(select.items.iter().zip(&select.found.items));
        let gone: BTreeSet<usize> =
            items.filter(|&(_, (part, item))| is_it(part, item)).map(|(place, _)| place).collect();
        if gone.is_empty() {
            let message = format!("the query has no aggregate {}", aggregate.trim());
            return Err(SqlError::new(message, "name it as the SELECT list has it"));
        }
        self.without_items(select, &gone, &BTreeSet::new())
    }

    fn set_window(&self, window: &str) -> Result<Vec<Edit>, SqlError> {
        let calls = self.text.window_calls(&self.text.all());
        if !calls.is_empty() {
            return Ok(calls.iter().map(|call| (self.text.octets(call), window.to_owned())).collect());
        }
        let mut edits = vec![];
        for select in self.selects.iter().filter(|select| select.found.is_lowest()) {
            edits.push(match &select.clauses.group {
                Some(group) => {
                    let end = self.text.octets(&group.body).end;
                    (end..end, format!(", {window}"))
                }
                None => self.new_group(select, window),
            });
        }
        if edits.is_empty() { Err(self.only_grouping().err().unwrap_or_else(unreadable)) } else { Ok(edits) }
    }

    fn drop_window(&self) -> Result<Vec<Edit>, SqlError> {
        let (mut edits, mut left) = (vec![], self.text.window_calls(&self.text.all()).len());
        for select in self.selects.iter().filter(|select| select.found.is_lowest()) {
            let Some(group) = &select.clauses.group else { continue };
            let keys = select.keys(&self.text);
            let windows = (0..).zip(&keys).filter(|(_, key)| self.text.is_window(key));
            let gone: BTreeSet<usize> = windows.map(|(place, _)| place).collect();
            left = left.saturating_sub(gone.len());
            edits.extend(self.without(group, &keys, &gone));
        }
        if left == 0 {
            return Ok(edits);
        }
        let message = "the window does not stand behind GROUP BY alone";
        Err(SqlError::new(message, "take it out of the text"))
    }

    fn set_sources(&self, names: &[String]) -> Result<Vec<Edit>, SqlError> {
        let (mut edits, condition) = (vec![], snippet::source(names));
        if self.reading().next().is_none() {
            return Err(unreadable());
        }
        for select in self.reading() {
            let mut conditions = select.conditions(&self.text).into_iter();
            let known = conditions.find(|condition| self.text.sources(condition).is_some());
            match (known, &condition) {
                (Some(known), Some(condition)) => edits.push((self.text.octets(&known), condition.clone())),
                (Some(known), None) => edits.extend(self.without_condition(select, &known)),
                (None, Some(condition)) => {
                    self.column(select, "source")?;
                    edits.extend(self.with_condition(select, condition));
                }
                (None, None) => {}
            }
        }
        Ok(edits)
    }
}

/// A name as SQL reads it.
fn name(column: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    let begins = column.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    if begins && column.chars().all(is_plain) {
        return column.to_owned();
    }
    format!("\"{}\"", column.replace('"', "\"\""))
}

#[cfg(test)]
mod tests;
