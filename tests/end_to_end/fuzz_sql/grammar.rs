//! Statements that nobody would write: valid ones, nearly valid ones, and some that want too much.
//!
//! What they name is what a node says that there is. A seed gives the same statements in each run, as long as the node
//! says the same.

use super::super::node::http;
use harness::node::Node;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tapline_trafficgen::random::Random;

/// A table, as it stands behind FROM, and its columns.
type Table = (String, Vec<String>);

/// What there is to name.
pub(super) struct Words {
    scalars: Vec<String>,
    aggregates: Vec<String>,
    tables: Vec<Table>,
    streams: Vec<Table>,
    /// Functions of statements over streams.
    functions: Vec<String>,
}

impl Words {
    /// What a node says that there is.
    pub(super) fn of(node: &Node) -> Self {
        let routines = "SELECT routine_name AS a, function_type AS b FROM information_schema.routines";
        let columns = "SELECT table_name AS a, column_name AS b FROM information_schema.columns WHERE table_schema = 'public'";
        let routines = pairs(node, routines);
        let of = |is_scalar: bool| {
            let known = routines.iter().filter(|(_, kind)| (kind == "SCALAR") == is_scalar);
            let mut names: Vec<String> = known.map(|(name, _)| name.clone()).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column) in pairs(node, columns) {
            tables.entry(quoted(&table)).or_default().push(quoted(&column));
        }
        tables.insert("range(0, 100) AS r".to_owned(), vec!["r.value".to_owned()]);
        let (status, schema) = http(node, "GET", "/api/v1/schema", "");
        assert_eq!(status, 200, "{schema}");
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let names = |list: &Value| -> Vec<String> {
            list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
        };
        let streams = schema["streams"].as_array().unwrap().iter();
        let streams =
            streams.map(|stream| (stream["name"].as_str().unwrap().to_owned(), names(&stream["columns"])));
        Self {
            scalars: of(true),
            aggregates: of(false),
            tables: tables.into_iter().collect(),
            streams: streams.collect(),
            functions: names(&schema["functions"]),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The rows of a statement over two columns of text.
fn pairs(node: &Node, sql: &str) -> Vec<(String, String)> {
    let (status, answer) = http(node, "POST", "/api/v1/sql", &json!({ "sql": sql }).to_string());
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let text = |row: &Value, column: &str| row[column].as_str().unwrap().to_owned();
    let rows = answer["rows"].as_array().unwrap().iter();
    let mut pairs: Vec<_> = rows.map(|row| (text(row, "a"), text(row, "b"))).collect();
    pairs.sort_unstable();
    pairs
}

const LITERALS: [&str; 46] = [
    "0",
    "1",
    "-1",
    "2",
    "NULL",
    "true",
    "''",
    "'a'",
    "'10.0.0.1'",
    "'2001:db8::/32'",
    "'2020-01-31'",
    "'é'",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999999999999999999999",
    "1e308",
    "'NaN'::double",
    "'inf'::double",
    "CAST(5 AS decimal(38, 10))",
    "now()",
    "date '2020-01-31'",
    "timestamp '2262-04-11T23:47:16'",
    "interval '1 month'",
    "interval '-1 day'",
    "interval '9223372036854775807 nanoseconds'",
    "time '10:00'",
    "ARRAY[1, 2, NULL]",
    "ARRAY['a', NULL]",
    "ARRAY[ARRAY[1], NULL]",
    "[]",
    "X'00ff'",
    "named_struct('a', 1)",
    "map(['a'], [1])",
    "2147483647",
    "CAST(1 AS tinyint)",
    "arrow_cast(7, 'UInt8')",
    "arrow_cast('a', 'LargeUtf8')",
    "arrow_cast('a', 'Dictionary(Int8, Utf8)')",
    "arrow_cast(3, 'Duration(Second)')",
    "arrow_cast(now(), 'Timestamp(Second, Some(\"Nowhere/X\"))')",
    "'second'",
    "'%Y'",
    "'('",
    "'hex'",
    "0.5",
];

const TYPES: [&str; 15] = [
    "int",
    "bigint",
    "smallint",
    "double",
    "text",
    "date",
    "timestamp",
    "time",
    "interval",
    "boolean",
    "bytea",
    "decimal(10, 2)",
    "decimal(38, 38)",
    "bigint unsigned",
    "int[]",
];

const OPERATORS: [&str; 26] = [
    "+",
    "-",
    "*",
    "/",
    "%",
    "||",
    "=",
    "<",
    ">=",
    "<>",
    "AND",
    "OR",
    "IS DISTINCT FROM",
    "&",
    "|",
    "<<",
    ">>",
    "~",
    "!~*",
    "LIKE",
    "ILIKE",
    "SIMILAR TO",
    "@>",
    "<@",
    "^",
    "#",
];

const FRAMES: [&str; 5] = [
    "",
    " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
    " RANGE BETWEEN 1 PRECEDING AND 3 FOLLOWING",
    " GROUPS BETWEEN 1 PRECEDING AND UNBOUNDED FOLLOWING",
    " ROWS BETWEEN UNBOUNDED PRECEDING AND 18446744073709551615 FOLLOWING",
];

/// What is put into a statement that was valid.
const NOISE: [&str; 22] = [
    "--", "/*", "*/", "$$", "$1", "E'\\", "U&'\\", "\u{202e}", "\0", ";", "\r\n", "::", "0x", "1e", "..",
    "\u{feff}", "'", "\"", "(", "]", "😀", "\\",
];

/// Writes statements.
pub(super) struct Grammar {
    random: Random,
    words: Words,
}

impl Grammar {
    pub(super) fn new(seed: u64, words: Words) -> Self {
        Self { random: Random::new(seed, "sql"), words }
    }

    /// One of so many.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    /// Whether it is one of so many in a hundred.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.random.percent(percent)
    }

    pub(super) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        self.random.choose::<&'a str>(of)
    }

    /// A statement over tables.
    pub(super) fn over_tables(&mut self) -> String {
        let sql = self.query(3);
        self.maybe_spoilt(sql)
    }

    /// A statement over a stream.
    pub(super) fn over_streams(&mut self) -> String {
        let (stream, columns) = self.random.choose(&self.words.streams).clone();
        let key = self.expression(1, &columns, true);
        let aggregate = self.aggregate(2, &columns, true);
        let filter = if self.percent(40) {
            format!(" WHERE {}", self.expression(2, &columns, true))
        } else {
            String::new()
        };
        let window = self.one(&[
            "tumble('1 second')",
            "hop('1 second', '5 seconds')",
            "tumble_rows(100)",
            "tumble('1 nanosecond')",
            "hop('-1 second', '999999999 days')",
            "tumble(interval '1 month')",
            "1",
        ]);
        let having = if self.percent(15) { format!(" HAVING {aggregate} > 1") } else { String::new() };
        let sql = if self.percent(15) {
            format!("SELECT {key}, {aggregate} FROM {stream}{filter}")
        } else {
            format!(
                "SELECT {key} AS k, {aggregate} AS a FROM {stream}{filter} GROUP BY {key}, {window}{having}"
            )
        };
        self.maybe_spoilt(sql)
    }

    fn query(&mut self, depth: usize) -> String {
        let (table, columns) = self.relation(2);
        match self.below(100) {
            0..35 => format!("SELECT {}", self.expression(depth, &[], false)),
            35..60 => {
                let distinct = self.one(&["", "", "DISTINCT "]);
                let item = self.expression(depth, &columns, false);
                let filter = self.expression(2, &columns, false);
                let order = self.expression(1, &columns, false);
                let end =
                    self.one(&["", "", " LIMIT 5", " LIMIT 18446744073709551615 OFFSET 9223372036854775807"]);
                format!("SELECT {distinct}{item} FROM {table} WHERE {filter} ORDER BY {order}{end}")
            }
            60..85 => {
                let (key, aggregate) =
                    (self.expression(1, &columns, false), self.aggregate(2, &columns, false));
                let by = self.one(&[
                    " GROUP BY K",
                    " GROUP BY ROLLUP(K)",
                    " GROUP BY CUBE(K, 1)",
                    " GROUP BY ALL",
                    "",
                ]);
                format!("SELECT {aggregate} FROM {table}{}", by.replace('K', &key))
            }
            85..92 if depth > 0 => {
                let set = self.one(&[" UNION ", " UNION ALL ", " EXCEPT ", " INTERSECT "]);
                format!("{}{set}{}", self.query(depth - 1), self.query(depth - 1))
            }
            _ if depth > 0 => format!("WITH w AS ({}) SELECT * FROM w", self.query(depth - 1)),
            _ => format!("SELECT * FROM {table}"),
        }
    }

    /// What stands behind FROM, and its columns.
    fn relation(&mut self, depth: usize) -> Table {
        let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        match self.below(100) {
            50..70 => {
                let [a, b] = [self.literal(), self.literal()];
                (format!("(VALUES ({a}, {b}), ({b}, {a})) AS v(a, b)"), names(["a", "b"]))
            }
            70..80 if depth > 0 => {
                let [p, q] = [self.expression(2, &[], false), self.expression(2, &[], false)];
                (format!("(SELECT {p} AS p, {q} AS q FROM range(0, 5)) AS s"), names(["p", "q"]))
            }
            80..90 if depth > 0 => {
                let ((left, mut columns), (right, more)) =
                    (self.relation(depth - 1), self.relation(depth - 1));
                columns.extend(more);
                let how = self.one(&["JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN"]);
                let on = self.expression(1, &columns, false);
                (format!("{left} {how} {right} ON {on}"), columns)
            }
            90..100 => (format!("unnest({}) AS u(x)", self.expression(1, &[], false)), vec!["x".to_owned()]),
            _ => self.random.choose(&self.words.tables).clone(),
        }
    }

    fn literal(&mut self) -> &'static str {
        self.random.choose::<&'static str>(&LITERALS)
    }

    fn atom(&mut self, columns: &[String]) -> String {
        if columns.is_empty() || self.percent(40) {
            return self.literal().to_owned();
        }
        self.random.choose(columns).clone()
    }

    fn function(&mut self, is_over_streams: bool) -> String {
        let of = if is_over_streams { &self.words.functions } else { &self.words.scalars };
        self.random.choose(of).clone()
    }

    fn expression(&mut self, depth: usize, columns: &[String], is_over_streams: bool) -> String {
        let Some(below) = depth.checked_sub(1) else { return self.atom(columns) };
        let next = |grammar: &mut Self| grammar.expression(below, columns, is_over_streams);
        match self.below(100) {
            0..25 => self.atom(columns),
            25..62 => {
                let (name, count) = (self.function(is_over_streams), self.below(5));
                let arguments: Vec<String> = (0..count).map(|_| next(self)).collect();
                format!("{name}({})", arguments.join(", "))
            }
            62..78 => format!("({} {} {})", next(self), self.one(&OPERATORS), next(self)),
            78..84 => format!("CAST({} AS {})", next(self), self.one(&TYPES)),
            84..87 => format!("CASE WHEN {} THEN {} ELSE {} END", next(self), next(self), next(self)),
            87..90 => format!("{} NOT IN ({}, {})", next(self), next(self), self.literal()),
            90..92 => format!("{} BETWEEN {} AND {}", next(self), self.literal(), next(self)),
            92..95 => format!("({})[{}]", next(self), self.literal()),
            95..97 => format!(
                "extract({} FROM {})",
                self.one(&["epoch", "doy", "century", "nanosecond"]),
                next(self)
            ),
            97..99 if !is_over_streams => {
                format!("EXISTS (SELECT 1 FROM range(0, 3) AS z WHERE z.value = {})", self.atom(columns))
            }
            _ => format!("{} IS NOT NULL", next(self)),
        }
    }

    fn aggregate(&mut self, depth: usize, columns: &[String], is_over_streams: bool) -> String {
        let of = if is_over_streams { &self.words.functions } else { &self.words.aggregates };
        let (name, count) = (self.random.choose(of).clone(), 1 + self.below(3));
        let arguments: Vec<String> =
            (0..count).map(|_| self.expression(depth, columns, is_over_streams)).collect();
        let distinct = self.one(&["", "", "", "DISTINCT "]);
        let (order, by) = (self.one(&["", "", "", " ORDER BY 1"]), self.atom(columns));
        let over = if self.percent(25) {
            format!(" OVER (ORDER BY {by}{})", self.one(&FRAMES))
        } else {
            String::new()
        };
        format!("{name}({distinct}{}{order}){over}", arguments.join(", "))
    }

    fn maybe_spoilt(&mut self, sql: String) -> String {
        if self.percent(75) {
            return sql;
        }
        let mut letters: Vec<char> = sql.chars().collect();
        for _ in 0..=self.below(4) {
            let place = self.below(letters.len().max(1)).min(letters.len());
            let end = (place + 1 + self.below(20)).min(letters.len());
            match self.below(4) {
                0 => drop(letters.drain(place..end)),
                1 => {
                    let again = letters[place..end].to_vec();
                    drop(letters.splice(place..place, again));
                }
                2 => {
                    let noise = self.one(&NOISE);
                    drop(letters.splice(place..place, noise.chars()));
                }
                _ if end > place => letters.swap(place, end - 1),
                _ => {}
            }
        }
        letters.into_iter().collect()
    }
}

/// Statements that were found to end a node, to hold up its threads, or to take its memory; some stand for many.
pub(super) fn hostile() -> Vec<String> {
    let chain = |first: &str, how: &str, end: &str| {
        let level = |level: usize| format!("a{level} AS (SELECT {how} AS x FROM a{})", level - 1);
        let all: Vec<String> = (1..40).map(level).collect();
        format!("WITH a0 AS (SELECT {first} AS x FROM range(0, 2)), {} SELECT {end}", all.join(", "))
    };
    let grown = |how: &str| chain("CAST(value AS text)", how, "octet_length(CAST(x AS text)) FROM a39");
    let tables: Vec<String> = (0..60).map(|number| format!("range(0, 9) AS q{number}")).collect();
    let columns: Vec<String> = (0..30).map(|number| format!("value + {number}")).collect();
    let constants: Vec<String> =
        (0..3000).map(|number| format!("repeat('a', {})", 250_000 + number)).collect();
    let mut all = vec![
        format!("SELECT count(*) FROM {}", tables.join(", ")),
        format!("SELECT count(*) FROM range(0, 3) GROUP BY CUBE({})", columns.join(", ")),
        format!("SELECT {}", constants.join(", ")),
        "SELECT approx_percentile_cont(value, 0.5, 1000000000) FROM range(0, 3)".to_owned(),
        "SELECT var_pop(value ORDER BY value) FROM range(0, 9) GROUP BY value % 3".to_owned(),
        "SELECT levenshtein(repeat('a', 60000), repeat('b', 60000))".to_owned(),
        "SELECT arrow_cast(now(), 'Timestamp(Second, Some(\"Nowhere/X\"))')".to_owned(),
        "SELECT network('10.0.0.1', 8), cidr(NULL), service(6)".to_owned(),
        "SELECT 1e308 BETWEEN now() AND ARRAY[1]".to_owned(),
        "SELECT md5(1, 2, 3)".to_owned(),
        "WITH RECURSIVE t AS (SELECT 'x' AS x UNION ALL SELECT x || x FROM t) SELECT max(length(x)) FROM t".to_owned(),
        "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT a.x FROM t a, range(0, 1000)) SELECT count(*) FROM t".to_owned(),
        "SELECT string_agg(repeat('x', 10000), ',') FROM generate_series(1, 1000000)".to_owned(),
        "SELECT * FROM generate_series(1, 9223372036854775807) LIMIT 3".to_owned(),
        format!("SELECT 1 FROM range(0, 3) WHERE value IN ({})", "7, ".repeat(20_000) + "8"),
        format!("SELECT {}1{}", "array[".repeat(46), "]".repeat(46)),
        format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(400)),
        "x".repeat(100_000),
        String::new(),
    ];
    all.extend(read_again());
    all.extend(planned(&chain));
    all.extend(written().map(str::to_owned));
    all.push(chain("arrow_cast(CAST(value AS text), 'Utf8View')", "x || x", "octet_length(x) FROM a39"));
    all.push(chain("make_array(value)", "arrays_zip(x, x)", "1 FROM a39"));
    for how in [
        "x || x",
        "concat(x, x)",
        "concat_ws(x, x, x)",
        "encode(x, 'hex')",
        "replace(x, '0', x)",
        "regexp_replace(x, '.', x, 'g')",
        "OVERLAY(x PLACING x FROM 2)",
        "struct(x, x)",
        "make_array(x, x)",
        "array_to_string(string_to_array(x, NULL), x)",
    ] {
        all.push(grown(how));
    }
    all
}

/// What a parser would read again and again.
fn read_again() -> Vec<String> {
    let nested = |open: &str| format!("SELECT {}1", open.repeat(30));
    let opens = [
        "array[",
        "cast(",
        "position(",
        "interval ",
        "substring(",
        "try_convert(",
        "(select ",
        "(select * from ((",
        "(",
        "abs(",
        "not(",
        "not - ",
        "case - ",
        "not (1) - ",
        "1 + and(",
    ];
    let names = ["a.", "a[1]."].map(|name| format!("SELECT 1 + {})", name.repeat(30)));
    opens.into_iter().map(nested).chain(names).collect()
}

/// What planning would write again and again.
fn planned(chain: &dyn Fn(&str, &str, &str) -> String) -> Vec<String> {
    let within = |levels: usize, first: &str, how: &str| {
        let all = (0..levels).fold(first.to_owned(), |inner, _| how.replace('?', &inner));
        format!("SELECT {all} AS x FROM range(0, 3)")
    };
    let columns: Vec<String> = (0..12).map(|number| format!("v + {number}")).collect();
    let levels: Vec<String> =
        (1..1000).map(|level| format!("a{level} AS (SELECT * FROM a{})", level - 1)).collect();
    let list: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    vec![
        within(20, "value = 1", "(? BETWEEN false AND true)"),
        within(30, "value = 1", "CASE WHEN ? THEN value = 2 ELSE value = 3 END"),
        within(30, "value", "coalesce(?, 7)"),
        within(11, "true", "1 = ALL (SELECT value FROM range(0, 2) WHERE ?)"),
        within(20, "1", "(value = ANY (make_array(?)))"),
        chain("value", "x + x", "x FROM a39 WHERE x > 1"),
        chain("value", "x + x", "x FROM a39 ORDER BY x LIMIT 1"),
        chain("value", "x + x", "count(*) FROM a39 JOIN a0 ON a39.x = a0.x"),
        format!(
            "SELECT 1 FROM range(0, 3) AS r(v) GROUP BY {} CUBE({})",
            "v, ".repeat(15_000),
            columns.join(", ")
        ),
        format!("WITH a0 AS (VALUES ({} 1)), {} SELECT 1 FROM a999", "1, ".repeat(10_000), levels.join(", ")),
        format!(
            "SELECT count(*) FROM ({}) WHERE a IN ({})",
            ["SELECT 1 AS a"; 300].join(" UNION ALL "),
            list.join(", ")
        ),
        format!("SELECT arrow_cast(NULL, '{}Int8{}')", "List(".repeat(8000), ")".repeat(8000)),
    ]
}

/// Statements that would take all memory at once.
fn written() -> impl Iterator<Item = &'static str> {
    let all = [
        "SELECT CAST(NULL AS INT[2000000000]) AS x FROM range(0, 4096)",
        "SELECT arrow_cast(NULL, 'FixedSizeBinary(2000000000)') AS x FROM range(0, 4096)",
        "SELECT max(octet_length(t)), count(value) FROM (SELECT arrow_cast(string_agg(repeat('x', 16000), ''), 'LargeUtf8') AS t FROM range(0, 3000)) AS a JOIN range(0, 40960) AS b ON octet_length(t) > b.value",
        "SELECT max(octet_length(y)) FROM (SELECT string_agg(repeat('x', 1000), '') OVER () AS y FROM range(0, 50000))",
        "SELECT count(a), max(b) FROM (SELECT unnest(l) AS a, arrow_cast(repeat('x', 60000), 'LargeUtf8') AS b FROM (SELECT array_agg(value) AS l FROM range(0, 4000000)))",
        "SELECT count(x), max(y) FROM (SELECT unnest(string_to_array(repeat('a,', 8000), ',')) AS x, repeat('x', 2000) || CAST(value AS text) AS y FROM range(0, 4096))",
        "SELECT max(y) FROM (SELECT max(value) OVER () AS y FROM range(0, 2000000000))",
        "SELECT count(*) FROM range(0, 4096) WHERE 'a' ~ concat('(a{90}){', CAST(50 + value % 40 AS text), '}', CAST(value AS text))",
        "SELECT count(*) FROM range(0, 4096) WHERE regexp_like('a', concat('(a{90}){', CAST(50 + value % 40 AS text), '}', CAST(value AS text)))",
    ];
    all.into_iter()
}
