//! What may stand at a place in a line: tables, columns, functions, keywords, commands.

use tapline_query::{Planner, STREAMS};

/// Words of the language that queries are likely to need.
const KEYWORDS: [&str; 47] = [
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "TRUE",
    "UNION",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Everything that can be completed.
pub(super) struct Words {
    commands: Vec<&'static str>,
    functions: Vec<String>,
    /// Besides tables, what commands may name.
    pub(super) names: Vec<String>,
}

impl Words {
    pub(super) fn new(commands: Vec<&'static str>) -> Self {
        let mut functions = Planner::new().functions().to_vec();
        functions
            .retain(|name| name.chars().all(|character| character.is_alphanumeric() || character == '_'));
        functions.sort_unstable();
        functions.dedup();
        Self { commands, functions, names: vec![] }
    }

    /// Where the word begins that ends at an octet of `text`, and what it may become.
    pub(super) fn complete(&self, text: &str, end: usize) -> (usize, Vec<String>) {
        let before = text.get(..end).unwrap_or(text);
        if before.starts_with('\\') && !before.contains(char::is_whitespace) {
            return (0, begun_by(before, self.commands.iter().map(|command| (*command).to_owned())));
        }
        let start = before
            .rfind(|character| !is_of_word(character))
            .map_or(0, |place| place + before[place..].chars().next().map_or(0, char::len_utf8));
        let (head, word) = before.split_at(start);
        let found = if head.starts_with('\\') && !head.starts_with("\\explain") {
            begun_by(word, tables().chain(self.names.iter().cloned()))
        } else {
            self.of_sql(text, head, word)
        };
        (start, found)
    }

    fn of_sql(&self, text: &str, head: &str, word: &str) -> Vec<String> {
        if head.matches('\'').count() % 2 == 1 {
            return vec![];
        }
        if head.ends_with('.') {
            return begun_by(word, columns(text));
        }
        let before = head.split(|character| !is_of_word(character)).rfind(|word| !word.is_empty());
        let is_behind = |keyword: &str| before.is_some_and(|before| before.eq_ignore_ascii_case(keyword));
        if is_behind("FROM") || is_behind("JOIN") {
            return begun_by(word, tables());
        }
        match (word, before) {
            ("", None) => vec!["SELECT ".to_owned(), "WITH ".to_owned()],
            ("", Some(_)) => begun_by("", columns(text)),
            _ => {
                let calls = self.functions.iter().map(|name| format!("{name}("));
                let keywords = KEYWORDS.iter().map(|keyword| (*keyword).to_owned());
                // Behind a whole statement, it says where that runs.
                let sensors = is_behind("ON").then(|| "SENSORS '".to_owned());
                let of_language = calls.chain(keywords).chain(sensors);
                let of_language = of_language.map(|written| in_case_of(word, &written));
                begun_by(word, columns(text).chain(tables()).chain(of_language))
            }
        }
    }
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Those that begin by `word`, in order, each once.
fn begun_by(word: &str, candidates: impl Iterator<Item = String>) -> Vec<String> {
    let begins = |candidate: &String| {
        candidate.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
    };
    let mut found: Vec<String> = candidates.filter(begins).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// In capitals where the word that is begun is.
fn in_case_of(word: &str, written: &str) -> String {
    let is_lower = word.contains(char::is_lowercase);
    if is_lower { written.to_lowercase() } else { written.to_uppercase() }
}

fn tables() -> impl Iterator<Item = String> {
    STREAMS.iter().map(|stream| stream.name.to_owned())
}

/// The columns of the tables that a text names; of all tables where it names none yet.
fn columns(text: &str) -> impl Iterator<Item = String> {
    let named = |name: &str| {
        text.split(|character| !is_of_word(character)).any(|word| word.eq_ignore_ascii_case(name))
    };
    let named: Vec<bool> = STREAMS.iter().map(|stream| named(stream.name)).collect();
    let is_any = named.contains(&true);
    let streams = STREAMS.iter().zip(named).filter(move |(_, is_named)| *is_named || !is_any);
    streams.flat_map(|(stream, _)| stream.named_columns().map(|column| column.name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> (usize, Vec<String>) {
        let (before, behind) = text.split_once('|').unwrap();
        let mut words = Words::new(vec!["\\d", "\\x", "\\explain"]);
        words.names = vec!["top_talkers".to_owned()];
        words.complete(&format!("{before}{behind}"), before.len())
    }

    #[test]
    fn a_word_becomes_what_may_stand_there() {
        for (text, start, expected) in [
            ("SELECT pay|", 7, &["payload"][..]),
            ("SELECT PAYL|", 7, &["payload"]),
            ("SELECT count(*) FROM pa|", 21, &["packets"]),
            ("select src_i| from packets", 7, &["src_ip"]),
            ("SELECT p.tcp_w| FROM packets p", 9, &["tcp_window"]),
            ("SELECT approx_d|", 7, &["approx_distinct("]),
            ("sel|", 0, &["select"]),
            ("SEL|", 0, &["SELECT"]),
            ("SELECT 'sel|", 8, &[]),
            ("SELECT x FROM flows ON SENS|", 23, &["SENSORS '", "sensor"]),
            ("SELECT x FROM flows WHERE SENS|", 26, &["sensor"]),
            ("|", 0, &["SELECT ", "WITH "]),
            ("\\e|", 0, &["\\explain"]),
            ("\\d to|", 3, &["top_talkers"]),
            ("\\d pac|", 3, &["packets"]),
            ("\\explain SELECT payl|", 16, &["payload"]),
            ("SELECT é.pay| FROM packets", 10, &["payload"]),
        ] {
            assert_eq!(
                complete(text),
                (start, expected.iter().map(|word| (*word).to_owned()).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn columns_are_those_of_the_tables_that_are_named() {
        let (_, of_flows) = complete("SELECT | FROM flows");
        assert!(of_flows.contains(&"exporter".to_owned()) && !of_flows.contains(&"tcp_window".to_owned()));
        let (_, of_all) = complete("SELECT x, t|");
        assert!(
            of_all.contains(&"tcp_window".to_owned()) && of_all.contains(&"tumble(".to_owned()),
            "{of_all:?}"
        );
    }
}
