//! `tapline shell`: the prompt over a node.
//!
//! A statement is a query of the node for as long as its windows are watched: it is added, shown until Ctrl-C, and
//! dropped, also when the terminal goes away meanwhile.

use super::{Asked, Explained, Look, converse};
use crate::client::{Client, NodeArguments, part};
use crate::failure::Failure;
use crate::following::{Followed, follow};
use crate::message::say;
use crate::output::{Format, Output};
use crate::signals::{Interrupt, Leaving};
use crate::{queries, schema, standing, terminal};
use serde_json::{Value, json};
use tapline_query::{STREAMS, split_statements};
use ureq::http::Method;

/// Of a query that was just added, everything is shown.
const KEPT_ALL: u64 = 1000;

/// Answers what is asked at a prompt about a node.
pub(crate) fn run(node: &NodeArguments) -> Result<(), Failure> {
    if !terminal::is_interactive() {
        let message =
            "the shell needs a terminal; without one, take `tapline queries add` and `tapline queries watch`";
        return Err(Failure::Usage(message.to_owned()));
    }
    let client = Client::new(node)?;
    let status = client.get("/api/v1/status")?;
    say!("tapline {} at {}", standing::text(&status["version"]), client.url());
    say!("SQL up to a ; asks until Ctrl-C; \\d lists tables and queries, \\? commands; Ctrl-D leaves");
    converse(&mut Shell { client, leaving: Leaving::listen()?, asked: 0 }, Format::Table)
}

struct Shell {
    client: Client,
    leaving: Leaving,
    /// Queries so far.
    asked: u64,
}

static COMMANDS: [Explained; 3] = [
    ("\\queries", "queries of the node"),
    ("\\sources", "what the node reads"),
    ("\\watch NAME", "the results of a query, as they come"),
];

impl Shell {
    /// Shows results until Ctrl-C.
    fn follow(
        &self,
        name: &str,
        kept: u64,
        format: Format,
        interrupt: &Interrupt,
    ) -> Result<Followed, Failure> {
        let ends = || interrupt.is_set() || self.leaving.is_asked();
        follow(&self.client, name, &format!("kept={kept}"), format, &ends)
    }

    fn ask_one(&mut self, sql: &str, format: Format) -> Result<(), Failure> {
        self.asked += 1;
        let name = format!("shell_{}_{}", std::process::id(), self.asked);
        // Both before the node is asked: no signal from then on ends the program before the query is dropped.
        let interrupt = Interrupt::listen()?;
        let busy = self.leaving.hold();
        let followed = match self.add(&name, sql) {
            // What was refused is no query; what was not answered may be one.
            Err(refusal @ Failure::Usage(_)) => return Err(refusal),
            added => added.and_then(|()| self.follow(&name, KEPT_ALL, format, &interrupt)),
        };
        let dropped = self.client.ask(Method::DELETE, &queries::path_of(&name), None);
        drop(busy);
        followed?;
        // A query that has ended may be gone.
        dropped.map(drop)
    }

    fn add(&self, name: &str, sql: &str) -> Result<(), Failure> {
        let note = "Asked at a prompt, which drops it when it was seen.";
        let body = json!({ "name": name, "sql": sql, "options": { "note": note } });
        self.client.ask(Method::POST, queries::QUERIES, Some(&body)).map(drop)
    }

    fn queries(&self) -> Result<Value, Failure> {
        Ok(self.client.get(queries::QUERIES)?["queries"].take())
    }

    /// A command without argument.
    fn show(&self, command: &str) -> Option<Result<(), Failure>> {
        let show = |path: &str, list: &str, text: fn(&Value) -> String| {
            Output::to_stdout_text(&text(&self.client.get(path)?[list]))
        };
        match command {
            "queries" => Some(show(queries::QUERIES, "queries", standing::queries)),
            "sources" => Some(show("/api/v1/sources", "sources", standing::sources)),
            _ => None,
        }
    }

    fn watch(&self, name: &str, format: Format) -> Result<(), Failure> {
        let interrupt = Interrupt::listen()?;
        if self.follow(name, 1, format, &interrupt)? == Followed::ToItsEnd {
            say!("{name} gives nothing more: it was dropped or replaced, or the node has ended");
        }
        Ok(())
    }
}

impl Asked for Shell {
    fn ask(&mut self, sql: &str, look: Look) -> Result<(), Failure> {
        for statement in split_statements(sql) {
            self.ask_one(statement.trim_end().trim_end_matches(';'), look.format)?;
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn explain(&mut self, sql: &str) -> Result<(), Failure> {
        queries::explain(&self.client, sql)
    }

    fn describe(&mut self, name: Option<&str>) -> Result<(), Failure> {
        match name {
            None => {
                let names = self.names().into_iter().map(|name| format!("query {name}\n"));
                Output::to_stdout_text(&format!("{}{}", schema::tables(), names.collect::<String>()))
            }
            Some(name) if STREAMS.iter().any(|stream| stream.name.eq_ignore_ascii_case(name)) => {
                schema::print(Some(name))
            }
            Some(name) => {
                let query = self.client.get(&format!("{}/{}", queries::QUERIES, part(name)))?;
                Output::to_stdout_text(&standing::query(&query))
            }
        }
    }

    fn own_commands(&self) -> &'static [Explained] {
        &COMMANDS
    }

    fn run_own(&mut self, command: &str, argument: &str, look: Look) -> Option<Result<(), Failure>> {
        match (command, argument) {
            (_, "") => self.show(command),
            ("watch", name) => Some(self.watch(name, look.format)),
            _ => None,
        }
    }

    /// The queries of the node; none where it does not answer, which the next order says.
    fn names(&self) -> Vec<String> {
        let queries = self.queries().unwrap_or_default();
        queries.as_array().into_iter().flatten().map(|query| standing::text(&query["name"])).collect()
    }

    fn is_over(&self) -> bool {
        self.leaving.is_asked()
    }
}
