//! `tapline alerts`: which alarms of a node fire, and by which alerts.

use crate::arguments::{AlertsCommand, NewAlertArguments, Shape};
use crate::client::{Client, NodeArguments, part};
use crate::failure::Failure;
use crate::message::say;
use crate::output::Output;
use crate::overview::each;
use crate::standing::{self, line, table, texts};
use serde_json::{Map, Value, json};
use tapline_catalog::duration_text;
use tapline_sinks::AlertBy;
use ureq::http::Method;

const ALERTS: &str = "/api/v1/alerts";

/// Runs the command.
pub(crate) fn run(
    command: Option<AlertsCommand>,
    node: &NodeArguments,
    format: Shape,
) -> Result<(), Failure> {
    let client = Client::new(node)?;
    match command {
        None => print(&client, format),
        Some(AlertsCommand::List) => list(&client, format),
        Some(AlertsCommand::Add(arguments)) => add(&client, &arguments),
        Some(AlertsCommand::Drop { query, condition }) => {
            let path = format!("{ALERTS}?query={}&condition={}", part(&query), part(&condition.to_string()));
            client.ask(Method::DELETE, &path, None)?;
            say!("{query} has no alert on {condition} any more");
            Ok(())
        }
    }
}

fn add(client: &Client, arguments: &NewAlertArguments) -> Result<(), Failure> {
    let NewAlertArguments { query, condition, sink, by, cool_down, resolve_after } = arguments;
    let body = json!({
        "query": query,
        "condition": condition.to_string(),
        "by": by.map(AlertBy::name),
        "cool_down": cool_down.map(duration_text),
        "resolve_after": resolve_after,
        "sinks": sink,
    });
    client.ask(Method::POST, ALERTS, Some(&body))?;
    let told = if sink.is_empty() { String::new() } else { format!("; {} tells of it", sink.join(" and ")) };
    say!("{query} has an alert on {condition}{told}; `tapline alerts` says what fires");
    Ok(())
}

/// Prints the alarms that fire.
fn print(client: &Client, format: Shape) -> Result<(), Failure> {
    let answer = client.get(ALERTS)?;
    let alerts = &answer["alerts"];
    match format {
        Shape::Json => standing::print_json(alerts),
        Shape::Table if each(alerts).next().is_none() => Output::to_stdout_text("nothing fires\n"),
        Shape::Table => {
            let mut lines =
                table(["query", "condition", "key", "since", "last", "told", "row", "sinks"].into_iter());
            for alert in each(alerts) {
                let [query, condition, since, last, told] =
                    ["query", "condition", "since", "last", "told"].map(|name| line(&alert[name]));
                let [key, row] = ["key", "row"].map(|name| values(&alert[name]));
                let sinks = texts(&alert["sinks"]).join(", ");
                lines.add_row([query, condition, key, since, last, told, row, sinks]);
            }
            Output::to_stdout_text(&format!("{lines}\n"))
        }
    }
}

/// Prints all alerts.
fn list(client: &Client, format: Shape) -> Result<(), Failure> {
    let answer = client.get(ALERTS)?;
    let rules = &answer["rules"];
    match format {
        Shape::Json => standing::print_json(rules),
        Shape::Table if each(rules).next().is_none() => {
            Output::to_stdout_text("there is no alert; `tapline alerts add QUERY CONDITION` makes one\n")
        }
        Shape::Table => {
            let names = ["query", "condition", "by", "cool_down", "resolve_after", "sinks", "from", "firing"];
            let mut lines = table(names.into_iter());
            for rule in each(rules) {
                let [query, condition, by, cool_down] =
                    ["query", "condition", "by", "cool_down"].map(|name| line(&rule[name]));
                let [resolve_after, firing] = ["resolve_after", "firing"].map(|name| rule[name].to_string());
                let sinks = texts(&rule["sinks"]).join(", ");
                let from = if rule["configured"] == true { "configuration" } else { "query" }.to_owned();
                lines.add_row([query, condition, by, cool_down, resolve_after, sinks, from, firing]);
            }
            Output::to_stdout_text(&format!("{lines}\n"))
        }
    }
}

/// Columns and their values, as a person reads them; what packets said stays on its line.
fn values(row: &Value) -> String {
    let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let columns = row.as_object().into_iter().flat_map(Map::iter);
    let columns = columns.map(|(name, one)| format!("{name} {}", value(one)).replace(char::is_control, " "));
    columns.collect::<Vec<_>>().join(", ")
}
