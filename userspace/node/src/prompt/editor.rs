//! Reads lines from a terminal: editing, history, completion.

use super::words::Words;
use crate::failure::Failure;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::env;
use std::fs::create_dir_all;
use std::path::PathBuf;
use tapline_query::is_ended;

const PROMPT: &str = "tapline> ";
const HISTORY_LINES_MAX: usize = 1000;

/// What came of reading a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A command, or statements up to a semicolon, in one or more lines.
    Text(String),
    /// Ctrl-C: what was written is not wanted.
    Cancelled,
    /// Ctrl-D: there is nothing more.
    End,
}

/// The editor of a prompt.
pub(super) struct LineEditor {
    editor: Editor<Assistant, FileHistory>,
    /// Where lines are kept; nothing where there is no place for them.
    history: Option<PathBuf>,
}

impl LineEditor {
    pub(super) fn new(words: Words) -> Result<Self, Failure> {
        let config = Config::builder().completion_type(CompletionType::List).history_ignore_dups(true);
        let config = config
            .and_then(|config| config.max_history_size(HISTORY_LINES_MAX))
            .map_err(|error| failed(&error))?;
        let mut editor = Editor::with_config(config.build()).map_err(|error| failed(&error))?;
        editor.set_helper(Some(Assistant { words }));
        let history = history_file();
        if let Some(file) = &history {
            // What cannot be read is no history; the next line begins one.
            let _ = editor.load_history(file);
        }
        Ok(Self { editor, history })
    }

    /// Says what may be named besides tables.
    pub(super) fn know(&mut self, names: Vec<String>) {
        if let Some(assistant) = self.editor.helper_mut() {
            assistant.words.names = names;
        }
    }

    /// Reads an order, and keeps it in the history.
    pub(super) fn read(&mut self) -> Result<Line, Failure> {
        match self.editor.readline(PROMPT) {
            Ok(text) => {
                self.remember(&text);
                Ok(Line::Text(text))
            }
            Err(ReadlineError::Interrupted) => Ok(Line::Cancelled),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(failed(&error)),
        }
    }

    fn remember(&mut self, text: &str) {
        let is_new = !text.trim().is_empty() && self.editor.add_history_entry(text).unwrap_or(false);
        if let Some(file) = self.history.as_ref().filter(|_| is_new) {
            // A history that cannot be kept is no reason to stop answering.
            let _ = self.editor.append_history(file);
        }
    }
}

fn failed(error: &ReadlineError) -> Failure {
    Failure::Run(format!("the terminal cannot be read: {error}"))
}

/// The file of the history, in a folder that there is.
fn history_file() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let folder = state.join("tapline");
    create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

/// What the editor asks about the text.
struct Assistant {
    words: Words,
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, text: &str, end: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.words.complete(text, end))
    }
}

impl Validator for Assistant {
    /// Statements go on in further lines up to a semicolon; a command is one line.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim_start();
        let is_whole = text.is_empty() || text.starts_with('\\') || is_ended(text);
        Ok(if is_whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Highlighter for Assistant {}

impl Helper for Assistant {}
