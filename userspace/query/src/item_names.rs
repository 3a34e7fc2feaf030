//! Names of what a SELECT list does not name: an item's text, as a person wrote it.
//!
//! DataFusion calls such a column by how it reads the expression, `sum(packets.octets)`. The texts are put in the place
//! of these names when everything is planned, so that no name inside of the plan changes.

use crate::elements::ELEMENT_FUNCTIONS;
use crate::syntax::hexadecimal_numbers;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Cte, Expr, ObjectName, Query, Select, SelectItem, SetExpr, Statement as SqlStatement, TableFactor,
    WildcardAdditionalOptions,
};
use std::iter::repeat_n;
use std::ops::Range;
use std::sync::Arc;

/// Subqueries within each other through which names are followed.
const DEPTH_MAX: usize = 16;
/// Items of a list, after stars are followed, of whose names something is said.
const ITEMS_MAX: usize = 4096;

/// What an item says of the names of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    /// It is one column, which has a name: by AS, or as a column.
    Named,
    /// It is one column, which has no name; this is its text.
    Unnamed(String),
    /// It is any number of columns, which have names.
    Star,
}

impl Item {
    fn text(&self) -> Option<&str> {
        if let Self::Unnamed(text) = self { Some(text) } else { None }
    }
}

/// What the outermost SELECT list, of a union the first one, says of the names of its columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct ItemNames(Vec<Item>);

impl ItemNames {
    /// Of a statement, before anything in it is written otherwise.
    pub(crate) fn of(statement: &Statement, sql: &str) -> Self {
        let Statement::Statement(statement) = statement else { return Self::default() };
        match statement.as_ref() {
            SqlStatement::Query(query) => {
                Self::limited(Scope { sql, subqueries: vec![], depth: 0 }.of_query(query))
            }
            _ => Self::default(),
        }
    }

    /// Of too many items nothing is said, so that all columns keep the names that they have.
    fn limited(items: Vec<Item>) -> Self {
        if items.len() > ITEMS_MAX { Self::default() } else { Self(items) }
    }

    /// These columns by their texts; where another column has that name, too, both keep those that they have.
    pub(crate) fn applied(&self, schema: &SchemaRef) -> SchemaRef {
        let Some(texts) = self.texts(schema.fields().len()) else { return Arc::clone(schema) };
        let named = schema.fields().iter().zip(texts);
        let named: Vec<(&Arc<Field>, &str)> =
            named.map(|(field, text)| (field, text.unwrap_or_else(|| field.name()))).collect();
        let is_only = |name: &str| named.iter().filter(|(_, other)| *other == name).count() == 1;
        let renamed = named.iter().map(|(field, name)| match is_only(name) {
            true => Arc::new(field.as_ref().clone().with_name(*name)),
            false => Arc::clone(field),
        });
        Arc::new(Schema::new(renamed.collect::<Vec<_>>()))
    }

    /// Which of so many columns a star stands for.
    pub(crate) fn starred(&self, columns: usize) -> Vec<bool> {
        let between = self.between(columns).unwrap_or_default();
        (0..columns).map(|place| between.contains(&place)).collect()
    }

    /// The texts of so many columns; nothing when it cannot be said whose they are.
    fn texts(&self, columns: usize) -> Option<Vec<Option<&str>>> {
        let between = self.between(columns)?;
        let behind = self.0.len() - (columns - between.end);
        let texts = self.0[..between.start].iter().map(Item::text).chain(repeat_n(None, between.len()));
        Some(texts.chain(self.0[behind..].iter().map(Item::text)).collect())
    }

    /// The columns from the first star to the last one; nothing when items and columns do not fit.
    fn between(&self, columns: usize) -> Option<Range<usize>> {
        let is_star = |item: &Item| *item == Item::Star;
        let Some(first) = self.0.iter().position(is_star) else {
            return (self.0.len() == columns).then_some(columns..columns);
        };
        let behind = self.0.iter().rev().take_while(|item| !is_star(item)).count();
        let end = columns.checked_sub(behind)?;
        (first <= end).then_some(first..end)
    }
}

/// Where a name is looked for.
#[derive(Clone)]
struct Scope<'a> {
    sql: &'a str,
    /// Those of WITH, the innermost last.
    subqueries: Vec<&'a Cte>,
    depth: usize,
}

impl<'a> Scope<'a> {
    fn of_query(mut self, query: &'a Query) -> Vec<Item> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return vec![Item::Star];
        }
        self.subqueries.extend(query.with.iter().flat_map(|with| &with.cte_tables));
        self.of_body(&query.body)
    }

    fn of_body(self, body: &'a SetExpr) -> Vec<Item> {
        match body {
            SetExpr::Select(select) => self.of_list(select),
            SetExpr::Query(query) => self.of_query(query),
            SetExpr::SetOperation { left, .. } => self.of_body(left),
            _ => vec![Item::Star],
        }
    }

    /// Of a SELECT list, at most one more than the limit.
    fn of_list(&self, select: &'a Select) -> Vec<Item> {
        // Several stars are not followed: lists that read each other would have exponentially many items.
        let is_followed = select.projection.iter().filter(|item| is_star(item)).count() == 1;
        let items = select.projection.iter().flat_map(|item| match item {
            SelectItem::Wildcard(options) if is_followed && is_plain(options) => self.of_tables(select),
            other => vec![self.of_item(other)],
        });
        items.take(ITEMS_MAX + 1).collect()
    }

    fn of_item(&self, item: &SelectItem) -> Item {
        match item {
            SelectItem::UnnamedExpr(expression) => self.of_expression(expression),
            other if is_star(other) => Item::Star,
            _ => Item::Named,
        }
    }

    fn of_expression(&self, expression: &Expr) -> Item {
        match expression {
            Expr::Nested(inner) => self.of_expression(inner),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Item::Named,
            Expr::Function(call) if is_element(&call.name) => Item::Named,
            other => Item::Unnamed(hexadecimal_numbers(other, self.sql).to_string()),
        }
    }

    /// Of all columns of what is read, if that is one subquery.
    fn of_tables(&self, select: &'a Select) -> Vec<Item> {
        let [table] = select.from.as_slice() else { return vec![Item::Star] };
        match &table.relation {
            _ if !table.joins.is_empty() => vec![Item::Star],
            TableFactor::Derived { subquery, alias, .. }
                if alias.as_ref().is_none_or(|alias| alias.columns.is_empty()) =>
            {
                self.clone().of_query(subquery)
            }
            TableFactor::Table { name, alias, .. }
                if alias.as_ref().is_none_or(|alias| alias.columns.is_empty()) =>
            {
                self.of_name(name)
            }
            _ => vec![Item::Star],
        }
    }

    /// Of a table, if that is a subquery of WITH.
    fn of_name(&self, name: &ObjectName) -> Vec<Item> {
        let name = name.to_string();
        let is_it = |cte: &&Cte| cte.alias.name.to_string().eq_ignore_ascii_case(&name);
        let Some(place) = self.subqueries.iter().rposition(is_it) else { return vec![Item::Star] };
        let found = self.subqueries[place];
        if !found.alias.columns.is_empty() {
            return vec![Item::Star];
        }
        let before = Self { subqueries: self.subqueries[..place].to_vec(), ..self.clone() };
        before.of_query(&found.query)
    }
}

fn is_star(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
}

fn is_plain(options: &WildcardAdditionalOptions) -> bool {
    let wildcard_token = options.wildcard_token.clone();
    *options == WildcardAdditionalOptions { wildcard_token, ..WildcardAdditionalOptions::default() }
}

/// Whether a call stands for a column of its own.
fn is_element(function: &ObjectName) -> bool {
    let last = function.0.last().and_then(|part| part.as_ident());
    last.is_some_and(|name| ELEMENT_FUNCTIONS.iter().any(|known| known.eq_ignore_ascii_case(&name.value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Planner;
    use datafusion::sql::parser::DFParser;

    fn items(sql: &str) -> Vec<Item> {
        let statements = DFParser::parse_sql(sql).unwrap();
        ItemNames::of(&statements[0], sql).0
    }

    fn names(sql: &str) -> Vec<String> {
        let query = Planner::new().plan(sql).unwrap();
        query.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    #[test]
    fn what_has_no_name_is_called_by_its_text() {
        for (sql, expected) in [
            ("SELECT count(*), SUM( octets ) FROM packets", vec!["count(*)", "SUM(octets)"]),
            (
                "SELECT p.src_ip, sum(p.octets) FROM packets p GROUP BY p.src_ip",
                vec!["src_ip", "sum(p.octets)"],
            ),
            (
                "SELECT date_trunc('second', ts), 1, 'a' FROM packets",
                vec!["date_trunc('second', ts)", "1", "'a'"],
            ),
            ("SELECT tcp_flags & 0x1F FROM packets", vec!["tcp_flags & 0x1F"]),
            ("SELECT (octets), ((octets + 1)) FROM packets", vec!["octets", "octets + 1"]),
            ("SELECT octets::DOUBLE FROM packets", vec!["octets::DOUBLE"]),
            ("SELECT ELEMENT(95), element(95) + 1 FROM flows", vec!["element(95)", "element(95) + 1"]),
            (
                "SELECT count(*) FILTER (WHERE protocol = 6), (octets, 1) = (2, 1) FROM packets GROUP BY octets",
                vec!["count(*) FILTER (WHERE protocol = 6)", "(octets, 1) = (2, 1)"],
            ),
        ] {
            assert_eq!(names(sql), expected, "{sql}");
        }
    }

    #[test]
    fn orders_and_conditions_may_repeat_what_has_no_name() {
        let sql = "SELECT protocol, sum(octets) FROM packets GROUP BY 1 HAVING sum(octets) > 5
                   ORDER BY sum(octets) DESC, 2 LIMIT 3";
        assert_eq!(names(sql), ["protocol", "sum(octets)"]);
        let sql =
            "SELECT date_trunc('hour', ts), count(*) FROM packets GROUP BY date_trunc('hour', ts) ORDER BY 1";
        assert_eq!(names(sql), ["date_trunc('hour', ts)", "count(*)"]);
    }

    #[test]
    fn of_a_union_the_first_list_says_the_names() {
        let sql = "SELECT max(octets) FROM packets UNION ALL SELECT min(octets) AS m FROM packets";
        assert_eq!(names(sql), ["max(octets)"]);
        let sql = "(SELECT sum(octets) FROM packets) UNION ALL (SELECT 1 FROM packets GROUP BY protocol) ORDER BY 1";
        assert_eq!(names(sql), ["sum(octets)"]);
    }

    #[test]
    fn a_star_is_what_its_subquery_says() {
        let inner = "SELECT protocol, sum(octets) FROM packets GROUP BY protocol";
        let with = format!("WITH a AS ({inner}), b AS (SELECT * FROM a) SELECT * FROM b");
        for sql in [format!("SELECT * FROM ({inner})"), format!("SELECT * FROM ({inner}) AS x"), with] {
            assert_eq!(names(&sql), ["protocol", "sum(octets)"], "{sql}");
        }
        let renamed = format!("SELECT * FROM ({inner}) AS x (a, b)");
        assert_eq!(names(&renamed), ["a", "b"]);
        let beside = "SELECT octets + 1, *, octets + 2 FROM (SELECT octets, ttl FROM packets)";
        assert_eq!(names(beside), ["octets + 1", "octets", "ttl", "octets + 2"]);
        let twice = "SELECT ttl + 1, packets.*, ttl + 2 FROM packets";
        let found = names(twice);
        assert_eq!((found[0].as_str(), found.last().unwrap().as_str()), ("ttl + 1", "ttl + 2"));
        assert!(found.contains(&"src_ip".to_owned()));
    }

    #[test]
    fn several_stars_of_a_list_are_not_followed() {
        let stars = ["*"; 8].join(", ");
        let mut with = format!("WITH a0 AS (SELECT {stars} FROM packets)");
        for place in 1..15 {
            with.push_str(&format!(", a{place} AS (SELECT {stars} FROM a{})", place - 1));
        }
        assert_eq!(items(&format!("{with} SELECT * FROM a14")), vec![Item::Star; 8]);
        let beside = "SELECT a.*, *, 1 FROM (SELECT 2 FROM packets) AS a";
        assert_eq!(items(beside), [Item::Star, Item::Star, Item::Unnamed("1".to_owned())]);
    }

    #[test]
    fn of_too_many_items_nothing_is_said() {
        let inner = |count: usize| format!("SELECT {} FROM packets", vec!["1"; count].join(", "));
        assert_eq!(items(&format!("SELECT * FROM ({})", inner(ITEMS_MAX))).len(), ITEMS_MAX);
        assert!(items(&format!("SELECT * FROM ({})", inner(ITEMS_MAX + 1))).is_empty());
        assert!(items(&format!("SELECT 1, * FROM ({})", inner(ITEMS_MAX))).is_empty());
    }

    #[test]
    fn a_text_that_is_another_columns_name_is_not_taken() {
        let found = names("SELECT count(*) AS \"sum(octets)\", sum(octets) FROM packets");
        assert_eq!(found, ["sum(octets)", "sum(packets.octets)"]);
    }
}
