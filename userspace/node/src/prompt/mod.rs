//! The prompt: SQL and commands, line by line, on a terminal.
//!
//! What is asked stands behind [`Asked`]: files, which answer to their end (`files.rs`), or a node, whose windows come
//! until somebody has seen enough (`shell.rs`). Whatever goes wrong with a line is said, and the next one is read.

mod editor;
mod files;
mod order;
mod shell;
mod words;

pub(crate) use files::run as over_files;
pub(crate) use shell::run as over_node;

use crate::failure::Failure;
use crate::message::say;
use crate::output::{Format, Output};
use editor::{Line, LineEditor};
use order::Order;
use std::fmt::Write as _;
use std::time::Instant;
use words::Words;

/// A command and what it does.
type Explained = (&'static str, &'static str);

/// What is asked.
trait Asked {
    /// Answers the statements in `sql`, up to Ctrl-C.
    fn ask(&mut self, sql: &str, look: Look) -> Result<(), Failure>;

    /// Says what a query would do.
    fn explain(&mut self, sql: &str) -> Result<(), Failure>;

    /// Says what can be asked; of one table or query, its columns.
    fn describe(&mut self, name: Option<&str>) -> Result<(), Failure>;

    /// Commands that no other prompt has.
    fn own_commands(&self) -> &'static [Explained] {
        &[]
    }

    /// Does one of them; nothing when it has none of that name.
    fn run_own(&mut self, _command: &str, _argument: &str, _look: Look) -> Option<Result<(), Failure>> {
        None
    }

    /// What else may be named than tables.
    fn names(&self) -> Vec<String> {
        vec![]
    }

    /// Whether the program was told to end.
    fn is_over(&self) -> bool {
        false
    }
}

/// How answers look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    format: Format,
    /// Whether it is said what a run saw, and how long it took.
    has_timing: bool,
}

static COMMANDS: [Explained; 6] = [
    ("\\d [NAME]", "tables; of one, its columns"),
    ("\\x", "each row as lines, or as a table again"),
    ("\\timing", "say how long each answer took, and what was read"),
    ("\\explain SQL", "say what a query would do"),
    ("\\?", "this list"),
    ("\\q", "leave, as Ctrl-D does"),
];

/// Reads lines and answers them until somebody leaves; `format` is how answers look at first.
fn converse(asked: &mut dyn Asked, format: Format) -> Result<(), Failure> {
    let commands = COMMANDS.iter().chain(asked.own_commands()).map(|(command, _)| word_of(command));
    let words = Words::new(commands.collect());
    let mut editor = LineEditor::new(words)?;
    let mut conversation = Conversation { asked, look: Look { format, has_timing: false }, format };
    while !conversation.asked.is_over() {
        editor.know(conversation.asked.names());
        match editor.read()? {
            Line::End => break,
            Line::Cancelled => {}
            Line::Text(text) => {
                if conversation.answer(&text) == Next::Leave {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// A command without what it takes.
fn word_of(command: &'static str) -> &'static str {
    command.split(' ').next().unwrap_or(command)
}

struct Conversation<'a> {
    asked: &'a mut dyn Asked,
    look: Look,
    /// In which answers are not in lines.
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Line,
    Leave,
}

impl Conversation<'_> {
    fn answer(&mut self, text: &str) -> Next {
        let order = Order::of(text);
        if order == (Order::Command { name: "q", argument: "" }) {
            return Next::Leave;
        }
        let started = Instant::now();
        match self.carry_out(&order) {
            Ok(()) | Err(Failure::Told) => {}
            Err(failure) => say!("error: {failure}"),
        }
        if self.look.has_timing && matches!(order, Order::Sql(_)) {
            say!("{:.3} s", started.elapsed().as_secs_f64());
        }
        Next::Line
    }

    fn carry_out(&mut self, order: &Order<'_>) -> Result<(), Failure> {
        let (name, argument) = match *order {
            Order::Nothing => return Ok(()),
            Order::Sql(sql) => return self.asked.ask(sql, self.look),
            Order::Command { name, argument } => (name, argument),
        };
        match (name, argument) {
            ("x", "") => self.turn(),
            ("timing", "") => self.time(),
            _ => return self.say_or_ask(name, argument),
        }
        Ok(())
    }

    fn say_or_ask(&mut self, name: &str, argument: &str) -> Result<(), Failure> {
        match (name, argument) {
            ("d", "") => self.asked.describe(None),
            ("d", name) => self.asked.describe(Some(name)),
            ("explain", sql) if !sql.is_empty() => self.asked.explain(sql),
            ("?" | "h" | "help", "") => Output::to_stdout_text(&self.help()),
            _ => self.asked.run_own(name, argument, self.look).unwrap_or_else(|| Err(self.unknown(name))),
        }
    }

    fn turn(&mut self) {
        let in_lines = self.look.format != Format::Lines;
        self.look.format = if in_lines { Format::Lines } else { self.format };
        say!("rows are shown {}", if in_lines { "as lines" } else { "as before" });
    }

    fn time(&mut self) {
        self.look.has_timing = !self.look.has_timing;
        say!("timing is {}", if self.look.has_timing { "on" } else { "off" });
    }

    fn explained(&self) -> impl Iterator<Item = &'static Explained> + use<> {
        COMMANDS.iter().chain(self.asked.own_commands())
    }

    fn help(&self) -> String {
        let mut all =
            "SQL, in as many lines as it needs, up to a ; asks. TAB completes, Ctrl-C ends an answer.\n"
                .to_owned();
        for (command, what) in self.explained() {
            let _ = writeln!(all, "  {command:<14} {what}");
        }
        all
    }

    /// Why a command cannot be carried out: there is none of that name, or it takes something else.
    fn unknown(&self, name: &str) -> Failure {
        let same = self.explained().find(|(command, _)| word_of(command).strip_prefix('\\') == Some(name));
        Failure::Usage(match same {
            Some((command, what)) => format!("it is {command}: {what}"),
            None => format!("there is no command \\{name}; \\? lists all"),
        })
    }
}
