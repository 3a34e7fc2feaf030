//! How a node stands, for a person: what its API says, in tables.

use crate::arguments::Shape;
use crate::client::{Client, NodeArguments};
use crate::failure::Failure;
use crate::output::Output;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;
use tapline_catalog::Allowance;

/// Prints the sources of a node.
pub(crate) fn print_sources(node: &NodeArguments, format: Shape) -> Result<(), Failure> {
    let answer = Client::new(node)?.get("/api/v1/sources")?;
    match format {
        Shape::Json => print_json(&answer["sources"]),
        Shape::Table => Output::to_stdout_text(&sources(&answer["sources"])),
    }
}

/// Prints what became of every record.
pub(crate) fn print_ledger(node: &NodeArguments, format: Shape) -> Result<(), Failure> {
    let answer = Client::new(node)?.get("/api/v1/ledger")?;
    if format == Shape::Json {
        return print_json(&answer);
    }
    let fates = ["offered", "delivered", "filtered", "control", "undecodable", "dropped", "lost"];
    let of_sources = table_of(&answer["sources"], &["name", "kind", "unit"], &fates);
    let fates = ["delivered", "used", "filtered", "late", "dropped", "folded", "results_lost"];
    let of_queries = table_of(&answer["queries"], &["name"], &fates);
    Output::to_stdout_text(&format!("{of_sources}\n\n{of_queries}\n"))
}

/// Prints how a node stands.
pub(crate) fn print_status(node: &NodeArguments, format: Shape) -> Result<(), Failure> {
    let status = Client::new(node)?.get("/api/v1/status")?;
    if format == Shape::Json {
        return print_json(&status);
    }
    let mut all = format!("tapline {}, up since {}\n\n", text(&status["version"]), text(&status["started"]));
    let _ = writeln!(all, "{}\n{}", sources(&status["sources"]), queries(&status["queries"]));
    if status["outlets"].as_array().is_some_and(|outlets| !outlets.is_empty()) {
        let counts = ["given", "waiting", "lost"];
        let _ = writeln!(all, "{}\n", table_of(&status["outlets"], &["name", "kind", "state"], &counts));
    }
    all.push_str(&forwarding(&status["forwards"]));
    for wrong in wrongs(&status) {
        let _ = writeln!(all, "! {wrong}");
    }
    if let Some(refused @ 1..) = status["tokens_refused"].as_u64() {
        let _ = writeln!(all, "{refused} requests brought a wrong token");
    }
    Output::to_stdout_text(&all)
}

/// Whom a sensor forwards to, in a line; nothing where it is none.
fn forwarding(forwards: &Value) -> String {
    let [to, name, state] = ["to", "name", "state"].map(|key| text(&forwards[key]));
    if to.is_empty() {
        return String::new();
    }
    let waiting = format!("{} octets wait, of {}", forwards["spool_octets"], forwards["spool_octets_max"]);
    format!("forwards to {to} as {name}: {state}; {waiting}; {} records lost\n\n", forwards["lost"])
}

/// Lets a node read its folder of queries anew.
pub(crate) fn reload(node: &NodeArguments) -> Result<(), Failure> {
    let answer = Client::new(node)?.ask(ureq::http::Method::POST, "/api/v1/reload", None)?;
    let mut all = String::new();
    for what in [
        "sources_added",
        "sources_removed",
        "filters",
        "lookups",
        "access",
        "added",
        "replaced",
        "dropped",
        "later",
        "refused",
    ] {
        for name in texts(&answer[what]) {
            let _ = writeln!(all, "{}: {name}", what.replace('_', " "));
        }
    }
    if all.is_empty() {
        all.push_str("nothing has changed\n");
    }
    Output::to_stdout_text(&all)?;
    let is_whole = texts(&answer["refused"]).is_empty();
    if is_whole {
        Ok(())
    } else {
        Err(Failure::Run("not all could be taken up; the rest runs as it did".to_owned()))
    }
}

/// One object on a line.
pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    Output::to_stdout_text(&format!("{value}\n"))
}

/// Queries, a line each.
pub(crate) fn queries(queries: &Value) -> String {
    let words = ["name", "state", "last_window_start"];
    let counts = ["delivered", "used", "late", "dropped", "groups_held", "octets_held", "ns_a_row"];
    format!("{}\n", table_of(queries, &words, &counts))
}

/// One query in lines.
pub(crate) fn query(query: &Value) -> String {
    let options = &query["options"];
    let fates = ["delivered", "used", "filtered", "late", "dropped", "folded", "results_lost"];
    let mut all = String::new();
    for (name, value) in [
        ("name", text(&query["name"])),
        ("note", text(&options["note"])),
        ("early", text(&options["early"])),
        ("metrics", if options["metrics"] == true { "on".to_owned() } else { String::new() }),
        ("may take", allowance(options)),
        ("history", text(&options["history"])),
        ("alerts", alerts(&options["alerts"])),
        ("state", text(&query["state"])),
        ("reason", text(&query["reason"])),
        ("since", text(&query["since"])),
        ("reads", texts(&query["streams"]).join(", ")),
        ("runs on", parts(&query["parts"])),
        ("last window", text(&query["last_window_start"])),
        (
            "holds",
            format!("{} octets, {} groups for open windows", query["octets_held"], query["groups_held"]),
        ),
        ("works", query["ns_a_row"].as_u64().map_or_else(String::new, |ns| format!("{ns} ns a row"))),
        ("rows", fates.map(|fate| format!("{} {fate}", query[fate])).join(", ")),
    ] {
        if !value.is_empty() {
            let _ = writeln!(all, "{name:<12}{}", value.replace('\n', "\n            "));
        }
    }
    let _ = writeln!(all, "\n{}", text(&query["sql"]));
    all
}

/// The sensors that run a query, each with its state where that is another one.
fn parts(parts: &Value) -> String {
    let part = |part: &Value| {
        let [name, state, reason] = ["name", "state", "reason"].map(|key| line(&part[key]));
        match (state.as_str(), reason.as_str()) {
            ("running", "") => name,
            (_, "") => format!("{name} ({state})"),
            _ => format!("{name} ({state}: {reason})"),
        }
    };
    parts.as_array().into_iter().flatten().map(part).collect::<Vec<_>>().join(", ")
}

/// What a query may take, as far as that was said of it.
fn allowance(options: &Value) -> String {
    let said = Allowance::KEYS.into_iter().filter(|key| !options[*key].is_null());
    let said = said.map(|key| format!("{key} {}", options[key].to_string().trim_matches('"')));
    said.collect::<Vec<_>>().join(", ")
}

/// What makes rows of a query alarms, a line each.
fn alerts(alerts: &Value) -> String {
    let one = |alert: &Value| match texts(&alert["sinks"]).join(", ") {
        sinks if sinks.is_empty() => line(&alert["condition"]),
        sinks => format!("{}, told by {sinks}", line(&alert["condition"])),
    };
    alerts.as_array().into_iter().flatten().map(one).collect::<Vec<_>>().join("\n")
}

/// Sources, a line each.
pub(crate) fn sources(sources: &Value) -> String {
    let counts = ["offered", "delivered", "filtered", "dropped", "lost", "undecodable", "records_missing"];
    let mut all = format!("{}\n", table_of(sources, &["name", "kind", "state", "unit"], &counts));
    let mut told = BTreeSet::new();
    for source in sources.as_array().into_iter().flatten() {
        // An interface may be read as two.
        let wanted = wanted(source);
        if !wanted.is_empty() && told.insert(wanted.clone()) {
            all.push_str(&wanted);
        }
    }
    all
}

/// Which frames of a source are wanted, in lines; nothing, where all are.
fn wanted(source: &Value) -> String {
    let (name, filter, rules) = (line(&source["name"]), line(&source["filter"]), texts(&source["rules"]));
    let mut all = String::new();
    if !filter.is_empty() {
        let _ = writeln!(all, "{name} keeps: {filter}");
    }
    if !rules.is_empty() {
        let in_force = source["rules_in_force"].as_u64().unwrap_or_default();
        let further = match in_force.saturating_sub(rules.len() as u64) {
            0 => String::new(),
            further => format!(" and {further} further ones"),
        };
        let _ = writeln!(all, "{name} has rules: {}{further}", rules.join(", "));
    }
    all
}

/// What is wrong, in sentences.
pub(crate) fn wrongs(status: &Value) -> Vec<String> {
    let of = |list: &str| status[list].as_array().cloned().unwrap_or_default();
    let all = of("sources").into_iter().chain(of("queries")).chain(of("outlets")).chain(of("forwarded"));
    let all = all.chain([status["forwards"].clone()]);
    let with_reason = all.filter(|one| one["reason"].is_string());
    with_reason.map(|one| format!("{}: {}", text(&one["name"]), text(&one["reason"]))).collect()
}

/// Objects as lines of a table: words on the left, numbers on the right.
fn table_of(objects: &Value, words: &[&str], counts: &[&str]) -> Table {
    let mut lines = table(words.iter().chain(counts).copied());
    for object in objects.as_array().into_iter().flatten() {
        let cells = words.iter().map(|word| text(&object[*word]));
        lines.add_row(cells.chain(counts.iter().map(|count| object[*count].to_string())));
    }
    to_the_right(&mut lines, words.len()..words.len() + counts.len());
    lines
}

/// A table without lines, as wide as it needs to be.
pub(crate) fn table(header: impl Iterator<Item = impl Into<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.map(Into::into).collect::<Vec<String>>());
    table
}

/// Puts columns of numbers on the right.
pub(crate) fn to_the_right(table: &mut Table, columns: Range<usize>) {
    for number in columns {
        table
            .column_mut(number)
            .into_iter()
            .for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    }
}

/// A text; nothing where it is none.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A text that another machine may have said, for a line of a terminal.
pub(crate) fn line(value: &Value) -> String {
    text(value).replace(char::is_control, " ")
}

/// The texts of an array.
pub(crate) fn texts(values: &Value) -> Vec<String> {
    values.as_array().into_iter().flatten().map(text).collect()
}
