//! `tapline queries`: the queries of a node that runs.

use crate::arguments::{NewQueryArguments, QueriesCommand, Shape};
use crate::client::{Client, NodeArguments, part};
use crate::failure::Failure;
use crate::following::{Followed, follow};
use crate::message::say;
use crate::output::{Format, Output};
use crate::{signals, standing};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use tapline_catalog::{AlertOption, Definition, QueryOptions, duration_text, parse_switch, switch_text};
use ureq::http::Method;

/// Where the API has its queries.
pub(crate) const QUERIES: &str = "/api/v1/queries";

/// Runs the command.
pub(crate) fn run(command: QueriesCommand, node: &NodeArguments) -> Result<(), Failure> {
    let client = Client::new(node)?;
    match command {
        QueriesCommand::Add(arguments) => add(&client, &arguments),
        QueriesCommand::Replace(arguments) => replace(&client, &arguments),
        QueriesCommand::List { format } => list(&client, format),
        QueriesCommand::Show { name, format } => show(&client, &name, format),
        QueriesCommand::Explain { sql } => explain(&client, &sql),
        QueriesCommand::Watch { name, format, windows } => watch(&client, &name, format, windows),
        QueriesCommand::Drop { name } => {
            client.ask(Method::DELETE, &path_of(&name), None)?;
            say!("{name} is dropped");
            Ok(())
        }
    }
}

/// Where the API has a query.
pub(crate) fn path_of(name: &str) -> String {
    format!("{QUERIES}/{}", part(name))
}

fn add(client: &Client, arguments: &NewQueryArguments) -> Result<(), Failure> {
    let mut body = body_of(arguments)?;
    body["name"] = arguments.name.clone().into();
    let added = client.ask(Method::POST, QUERIES, Some(&body))?;
    say!("{} runs; `tapline queries watch {}` shows its results", arguments.name, arguments.name);
    Output::to_stdout_text(&explanation(&added))
}

fn replace(client: &Client, arguments: &NewQueryArguments) -> Result<(), Failure> {
    let replaced = client.ask(Method::PUT, &path_of(&arguments.name), Some(&body_of(arguments)?))?;
    say!("{} is another one from now on", arguments.name);
    Output::to_stdout_text(&explanation(&replaced))
}

/// A query as a node takes it.
fn body_of(arguments: &NewQueryArguments) -> Result<Value, Failure> {
    let NewQueryArguments { name, sql, file, early, metrics, note, history, allowance } = arguments;
    let (allowance, note) = (allowance.allowance(), note.clone().unwrap_or_default());
    let history = history.as_deref().map(parse_switch).transpose();
    let history = history.map_err(|wrong| Failure::Usage(format!("--history: {wrong}")))?;
    let (early, metrics, alerts) = (*early, *metrics, vec![]);
    let options = QueryOptions { early, metrics, allowance, history, alerts, note };
    let given = || Ok(Definition { name: name.clone(), sql: sql.clone().unwrap_or_default(), options });
    let Definition { sql, options, .. } = file.as_ref().map_or_else(given, |file| read(name, file))?;
    let mut said = json!({ "note": options.note, "metrics": options.metrics });
    if let Some(early) = options.early {
        said["early"] = duration_text(early).into();
    }
    if let Some(is_on) = options.history {
        said["history"] = switch_text(is_on).into();
    }
    if !options.alerts.is_empty() {
        said["alerts"] = options.alerts.iter().map(alert).collect();
    }
    for (key, value) in options.allowance.said() {
        said[key] = value.parse::<u64>().map_or_else(|_| value.clone().into(), Value::from);
    }
    Ok(json!({ "sql": sql, "options": said }))
}

/// An alert as a node takes it.
fn alert(alert: &AlertOption) -> Value {
    let AlertOption { condition, by, cool_down, resolve_after, sinks } = alert;
    json!({
        "condition": condition.to_string(),
        "by": by.name(),
        "cool_down": duration_text(*cool_down),
        "resolve_after": resolve_after,
        "sinks": sinks,
    })
}

fn read(name: &str, file: &Path) -> Result<Definition, Failure> {
    let said = |what: String| Failure::Usage(format!("--file {}: {what}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| said(error.to_string()))?;
    Definition::of_text(name, &text).map_err(|error| said(error.to_string()))
}

/// Says what a query would do.
pub(crate) fn explain(client: &Client, sql: &str) -> Result<(), Failure> {
    let explained = client.ask(Method::POST, "/api/v1/explain", Some(&json!({ "sql": sql })))?;
    Output::to_stdout_text(&explanation(&explained))
}

/// What a query does, for a person.
fn explanation(explained: &Value) -> String {
    let mut text = explained["text"].as_str().unwrap_or_default().to_owned();
    let sources = standing::texts(&explained["sources"]);
    let sources = if sources.is_empty() { "none of this node".to_owned() } else { sources.join(", ") };
    let _ = writeln!(text, "sources: {sources}");
    for column in explained["schema"].as_array().into_iter().flatten() {
        let (name, kind) = (standing::text(&column["name"]), standing::text(&column["type"]));
        let _ = writeln!(text, "result: {name} {kind}");
    }
    text
}

fn list(client: &Client, format: Shape) -> Result<(), Failure> {
    let answer = client.get(QUERIES)?;
    match format {
        Shape::Json => standing::print_json(&answer["queries"]),
        Shape::Table => {
            let both = [&answer["queries"], &answer["forwarded"]];
            let all: Vec<Value> = both.into_iter().filter_map(Value::as_array).flatten().cloned().collect();
            Output::to_stdout_text(&standing::queries(&all.into()))
        }
    }
}

fn show(client: &Client, name: &str, format: Shape) -> Result<(), Failure> {
    let query = client.get(&path_of(name))?;
    match format {
        Shape::Json => standing::print_json(&query),
        Shape::Table => Output::to_stdout_text(&standing::query(&query)),
    }
}

/// Prints the newest window, and those that come, until Ctrl-C.
fn watch(client: &Client, name: &str, format: Format, windows: Option<u64>) -> Result<(), Failure> {
    let limit = windows.map_or_else(String::new, |windows| format!("&windows={windows}"));
    let interrupts = signals::interrupts()?;
    let ends = || interrupts.load(Ordering::Relaxed);
    let followed = follow(client, name, &format!("kept=1{limit}"), format, &ends)?;
    if windows.is_none() && followed == Followed::ToItsEnd {
        say!("{name} gives nothing more: it was dropped or replaced, or the node has ended");
    }
    Ok(())
}
