//! Whole queries from a seed, in the shapes that people write.
//!
//! Windows are not said alike: tapline has them in GROUP BY and gives each window an answer of its own; the other
//! engine gets the window's start as one more key, `w`, which every level of the query groups and joins by.

use tapline_trafficgen::random::Random;

use super::both::Both;
use super::expression::Draw;
use super::field::{Field, Kind};

const SECOND_NS: u64 = 1_000_000_000;

/// Windows: their slide and their size in seconds.
const WINDOWS: [(u64, u64); 6] = [(10, 10), (30, 30), (60, 60), (7, 7), (10, 30), (20, 60)];

/// A query, and what is known of its answer.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) sql: Both,
    /// Of the columns of the answer.
    pub(super) kinds: Vec<Kind>,
    /// Whether the order of the rows is part of the answer.
    pub(super) is_ordered: bool,
}

/// A stream and what may be said of it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) stream: &'static str,
    pub(super) fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    slide: u64,
    size: u64,
}

impl Window {
    fn call(self) -> String {
        if self.slide == self.size {
            return format!("tumble('{} seconds')", self.size);
        }
        format!("hop('{} seconds', '{} seconds')", self.slide, self.size)
    }

    /// The stream with a row for each window that a row of it is in.
    fn rows(self, stream: &str) -> String {
        let (slide, panes) = (self.slide * SECOND_NS, self.size / self.slide);
        format!("(SELECT *, (ts // {slide} - i) * {slide} AS w FROM {stream}, range(0, {panes}) AS r(i))")
    }
}

/// A query without its order: the columns of its answer are its fields, and `w` beside them where it has a window.
struct Block {
    sql: Both,
    fields: Vec<(String, Kind)>,
}

/// One query.
pub(super) fn question(random: &mut Random, sources: &[Source]) -> Question {
    let source = random.choose(sources);
    match random.below(20) {
        0..=2 => rows(random, source),
        3 => distinct(random, source),
        4 if random.percent(50) => finished(random, derived_aggregate, source, None),
        4 => finished(random, shares, source, None),
        shape => {
            let windowed = random.percent(50);
            let (slide, size) = *random.choose(&WINDOWS);
            let window = windowed.then_some(Window { slide, size });
            match shape {
                5..=6 => finished(random, nested, source, window),
                7..=8 => finished(random, joined, source, window),
                9..=10 => finished(random, united, source, window),
                _ => finished(random, aggregate, source, window),
            }
        }
    }
}

/// Rows of the stream, filtered and projected.
fn rows(random: &mut Random, source: &Source) -> Question {
    let block = select(random, source, "SELECT {} FROM {} WHERE {}");
    with_order(random, block, None)
}

fn distinct(random: &mut Random, source: &Source) -> Question {
    let block = select(random, source, "SELECT DISTINCT {} FROM {} WHERE {}");
    unordered(block, None)
}

fn select(random: &mut Random, source: &Source, template: &str) -> Block {
    let mut draw = Draw { random, scope: &source.fields };
    let columns = 1 + draw.random.below(3) as usize;
    let values: Vec<_> = (0..columns).map(|_| draw.value()).collect();
    let (list, fields) = named("a", values);
    let condition = draw.condition(0);
    Block { sql: Both::join(template, &[&list, &Both::same(source.stream), &condition]), fields }
}

/// The block as a query: with an order and perhaps a limit, or without.
fn finished(
    random: &mut Random,
    shape: fn(&mut Random, &Source, Option<Window>) -> Block,
    source: &Source,
    window: Option<Window>,
) -> Question {
    let block = shape(random, source, window);
    if random.percent(35) { with_order(random, block, window) } else { unordered(block, window) }
}

fn unordered(block: Block, window: Option<Window>) -> Question {
    let kinds = kinds(&block, window);
    let names = names(&block);
    let theirs = match window {
        None => block.sql.theirs,
        Some(Window { size, .. }) => {
            format!("SELECT {}, {names}, 'final' FROM ({})", bounds(size), block.sql.theirs)
        }
    };
    Question { sql: Both::new(block.sql.ours, theirs), kinds, is_ordered: false }
}

/// Orders by all columns, some of them first, so that nothing is left open.
fn with_order(random: &mut Random, block: Block, window: Option<Window>) -> Question {
    let mut columns: Vec<_> = block.fields.iter().collect();
    random.shuffle(&mut columns);
    // What is computed in another order differs in its last digits, and must decide nothing.
    columns.sort_by_key(|(_, kind)| *kind == Kind::Float);
    let order: Vec<_> = columns
        .iter()
        .map(|(name, _)| format!("{name}{}", if random.percent(50) { " DESC" } else { "" }))
        .collect();
    let (order, limit) = (order.join(", "), 1 + random.below(12));
    let (kinds, names) = (kinds(&block, window), names(&block));
    let Both { ours, theirs } = block.sql;
    let theirs = match window {
        None => format!("{theirs} ORDER BY {order} LIMIT {limit}"),
        Some(Window { size, .. }) => format!(
            "SELECT {}, {names}, 'final' FROM ({theirs}) \
             QUALIFY row_number() OVER (PARTITION BY w ORDER BY {order}) <= {limit} ORDER BY w, {order}",
            bounds(size)
        ),
    };
    let ours = format!("{ours} ORDER BY {order} LIMIT {limit}");
    Question { sql: Both::new(ours, theirs), kinds, is_ordered: true }
}

fn bounds(size: u64) -> String {
    format!("w, w + {}", size * SECOND_NS)
}

fn names(block: &Block) -> String {
    block.fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

fn kinds(block: &Block, window: Option<Window>) -> Vec<Kind> {
    let own = block.fields.iter().map(|(_, kind)| *kind);
    match window {
        None => own.collect(),
        Some(_) => [Kind::Time; 2].into_iter().chain(own).chain([Kind::Text]).collect(),
    }
}

/// Values under names of their own.
fn named(prefix: &str, values: Vec<(Both, Kind)>) -> (Both, Vec<(String, Kind)>) {
    let names = (0..values.len()).map(|number| format!("{prefix}{number}"));
    let (list, fields): (Vec<_>, Vec<_>) = names
        .zip(values)
        .map(|(name, (value, kind))| (Both::join(&format!("{{}} AS {name}"), &[&value]), (name, kind)))
        .unzip();
    (Both::list(&list), fields)
}

/// Keys, aggregates, a filter, perhaps HAVING.
fn aggregate(random: &mut Random, source: &Source, window: Option<Window>) -> Block {
    let keys = random.below(4) as usize;
    let keys = (0..keys).map(|_| Draw { random, scope: &source.fields }.value()).collect();
    let outcomes = 1 + random.below(3);
    let outcomes = (0..outcomes).map(|_| Draw { random, scope: &source.fields }.outcome()).collect();
    grouped(random, source, window, keys, outcomes)
}

fn grouped(
    random: &mut Random,
    source: &Source,
    window: Option<Window>,
    keys: Vec<(Both, Kind)>,
    outcomes: Vec<(Both, Kind)>,
) -> Block {
    let mut draw = Draw { random, scope: &source.fields };
    let condition = if draw.random.percent(60) { Some(draw.condition(0)) } else { None };
    // HAVING over no rows at all is another question, which windows answer differently.
    let having = if !keys.is_empty() && draw.random.percent(20) { Some(draw.having()) } else { None };
    let groups: Vec<_> = keys.iter().map(|(key, _)| key.clone()).collect();
    let (list, fields) = named("a", keys.into_iter().chain(outcomes).collect());
    let from = match window {
        None => Both::same(source.stream),
        Some(window) => Both::new(source.stream, window.rows(source.stream)),
    };
    let mut sql = Both::join("SELECT {} FROM {}", &[&selected(list, window), &from]);
    if let Some(condition) = condition {
        sql = Both::join("{} WHERE {}", &[&sql, &condition]);
    }
    sql = with_groups(&sql, groups, window);
    if let Some(having) = having {
        sql = Both::join("{} HAVING {}", &[&sql, &having]);
    }
    Block { sql, fields }
}

/// The list with the window's start beside it, where only the other engine has to say so.
fn selected(list: Both, window: Option<Window>) -> Both {
    match window {
        None => list,
        Some(_) => Both { theirs: format!("{}, w", list.theirs), ..list },
    }
}

fn with_groups(sql: &Both, mut groups: Vec<Both>, window: Option<Window>) -> Both {
    groups.extend(window.map(|window| Both::new(window.call(), "w")));
    match groups.is_empty() {
        true => sql.clone(),
        false => Both::join("{} GROUP BY {}", &[sql, &Both::list(&groups)]),
    }
}

/// Groups by some columns of a subquery, whose windows are the subquery's.
fn above(random: &mut Random, inner: &Block, alias: &str, window: Option<Window>) -> Block {
    let scope: Vec<_> = inner.fields.iter().map(|(name, kind)| Field::derived(name.clone(), *kind)).collect();
    let keys: Vec<_> = match random.percent(70) {
        true => scope[..1].iter().map(|field| (field.sql(), field.kind)).collect(),
        false => vec![],
    };
    let groups: Vec<_> = keys.iter().map(|(key, _)| key.clone()).collect();
    let outcomes: Vec<_> = (0..2).map(|_| Draw { random, scope: &scope }.outcome()).collect();
    let (list, fields) = named("b", keys.into_iter().chain(outcomes).collect());
    let sql =
        Both::join(&format!("SELECT {{}} FROM ({{}}) AS {alias}"), &[&selected(list, window), &inner.sql]);
    let mut groups = groups;
    let sql = match window {
        None if groups.is_empty() => sql,
        None => Both::join("{} GROUP BY {}", &[&sql, &Both::list(&groups)]),
        Some(_) => {
            let ours = if groups.is_empty() {
                String::new()
            } else {
                format!(" GROUP BY {}", Both::list(&groups).ours)
            };
            groups.push(Both::same("w"));
            Both::new(sql.ours + &ours, format!("{} GROUP BY {}", sql.theirs, Both::list(&groups).theirs))
        }
    };
    Block { sql, fields }
}

/// An aggregate of aggregates.
fn nested(random: &mut Random, source: &Source, window: Option<Window>) -> Block {
    let keys = (0..2).map(|_| Draw { random, scope: &source.fields }.value()).collect();
    let outcomes = vec![(Both::same("count(*)"), Kind::Int), sum(random, source)];
    let inner = grouped(random, source, window, keys, outcomes);
    above(random, &inner, "s", window)
}

fn sum(random: &mut Random, source: &Source) -> (Both, Kind) {
    let value = Draw { random, scope: &source.fields }.int(1);
    (Both::join("sum({})", &[&value]), Kind::Int)
}

/// One key and two numbers, the key being of a kind that others have too.
fn keyed(random: &mut Random, source: &Source, window: Option<Window>) -> Block {
    let is_key = |field: &&Field| ["src_ip", "dst_ip"].contains(&field.name.as_str());
    let keys: Vec<_> = source.fields.iter().filter(is_key).collect();
    let key = (*random.choose(&keys)).clone();
    let outcomes = vec![(Both::same("count(*)"), Kind::Int), sum(random, source)];
    grouped(random, source, window, vec![(key.sql(), key.kind)], outcomes)
}

/// Two aggregates joined by their key.
fn joined(random: &mut Random, source: &Source, window: Option<Window>) -> Block {
    let (left, right) = (keyed(random, source, window), keyed(random, source, window));
    let join = *random.choose(&["JOIN", "LEFT JOIN"]);
    let values = ["l.a0", "l.a1", "l.a2", "r.a1"].map(Both::same);
    let kinds = [Kind::Address, Kind::Int, Kind::Int, Kind::Int];
    let (list, fields) = named("b", values.into_iter().zip(kinds).collect());
    let on =
        Both::new("l.a0 = r.a0", if window.is_some() { "l.a0 = r.a0 AND l.w = r.w" } else { "l.a0 = r.a0" });
    let list = match window {
        None => list,
        Some(_) => Both { theirs: format!("{}, l.w AS w", list.theirs), ..list },
    };
    let template = format!("SELECT {{}} FROM ({{}}) AS l {join} ({{}}) AS r ON {{}}");
    Block { sql: Both::join(&template, &[&list, &left.sql, &right.sql, &on]), fields }
}

/// Two aggregates one behind the other, and what they add up to.
fn united(random: &mut Random, source: &Source, window: Option<Window>) -> Block {
    let (first, second) = (keyed(random, source, window), keyed(random, source, window));
    let both = Block {
        sql: Both::join("{} UNION ALL {}", &[&first.sql, &second.sql]),
        fields: first.fields.clone(),
    };
    above(random, &both, "u", window)
}

/// What part of all each key has.
fn shares(random: &mut Random, source: &Source, window: Option<Window>) -> Block {
    let key = Draw { random, scope: &source.fields }.value();
    let whole = format!("(SELECT sum(octets) FROM {})", source.stream);
    let share = Both::new(format!("sum(octets) * 100.0 / {whole}"), format!("sum(octets) * 100e0 / {whole}"));
    grouped(random, source, window, vec![key], vec![(share, Kind::Float)])
}

/// An aggregate of what is computed of rows first.
fn derived_aggregate(random: &mut Random, source: &Source, window: Option<Window>) -> Block {
    let inner = select(random, source, "SELECT {} FROM {} WHERE {}");
    above(random, &inner, "d", window)
}

#[cfg(test)]
mod tests {
    use super::super::field::STREAMS;
    use super::*;

    /// Queries over streams whose columns have a few values each.
    fn queries(seed: u64) -> Vec<Both> {
        let sample = |kind| match kind {
            Kind::Int => vec![Both::same("1"), Both::same("2")],
            _ => vec![Both::new("'a'", "'b'")],
        };
        let fields = |columns: &[(&str, Kind)]| {
            let field = |(name, kind): &(&str, Kind)| Field {
                name: (*name).to_owned(),
                kind: *kind,
                samples: sample(*kind),
            };
            columns.iter().map(field).collect()
        };
        let sources =
            STREAMS.each_ref().map(|stream| Source { stream: stream.name, fields: fields(stream.columns) });
        let mut random = Random::new(seed, "queries");
        (0..300).map(|_| question(&mut random, &sources).sql).collect()
    }

    #[test]
    fn a_seed_gives_the_same_queries_of_every_shape() {
        let all = queries(1);
        assert_eq!(all, queries(1));
        assert_ne!(all, queries(2));
        let shapes = [
            "UNION ALL",
            " JOIN ",
            "LEFT JOIN",
            "tumble(",
            "hop(",
            "SELECT DISTINCT",
            "HAVING",
            "FILTER (WHERE",
            "CASE WHEN",
            "BETWEEN",
            "IS NULL",
            "NOT IN",
            "ORDER BY",
            "avg(",
            "count(DISTINCT",
            "cidr(",
            "network(",
            "coalesce(",
            "nullif(",
            "AS s",
            " % ",
            "* 100.0 / count(*)",
        ];
        for shape in shapes {
            assert!(all.iter().any(|sql| sql.ours.contains(shape)), "no query has {shape}");
        }
    }

    #[test]
    fn windows_are_keys_of_the_other_engine() {
        for sql in queries(3) {
            let is_windowed = sql.ours.contains("tumble(") || sql.ours.contains("hop(");
            assert_eq!(is_windowed, sql.theirs.starts_with("SELECT w, w + "), "{sql:?}");
            assert!(!sql.theirs.contains("tumble(") && !sql.theirs.contains("hop("), "{sql:?}");
        }
    }
}
