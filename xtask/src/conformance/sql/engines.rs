//! Asks both engines.
//!
//! tapline answers many queries in one run; a query that it refuses or fails at stops the run, so it is taken out, its
//! error kept, and the others are asked again.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::answer::{Answer, Cell};
use super::question::Question;
use super::tables::Table;
use crate::process;

/// The program that asks the other engine.
const ASK: &str = include_str!("../ask_duckdb.py");

/// tapline over a capture.
#[derive(Debug)]
pub(super) struct Tapline {
    pub(super) program: PathBuf,
    pub(super) capture: PathBuf,
}

/// What came of one run.
enum Run {
    Answers(Vec<Answer>),
    /// The query at this place stopped it.
    Stopped(usize, String),
}

impl Tapline {
    /// The answers, in the order of the questions.
    pub(super) fn answer(&self, questions: &[Question]) -> Result<Vec<Answer>> {
        let mut answers: Vec<Option<Answer>> = questions.iter().map(|_| None).collect();
        loop {
            let open: Vec<usize> = (0..questions.len()).filter(|at| answers[*at].is_none()).collect();
            if open.is_empty() {
                return Ok(answers.into_iter().flatten().collect());
            }
            let asked: Vec<_> = open.iter().map(|at| &questions[*at]).collect();
            match self.run(&asked)? {
                Run::Stopped(at, error) => answers[open[at]] = Some(Err(error)),
                Run::Answers(found) => {
                    open.into_iter().zip(found).for_each(|(at, answer)| answers[at] = Some(answer));
                }
            }
        }
    }

    fn run(&self, questions: &[&Question]) -> Result<Run> {
        let mut command = Command::new(&self.program);
        command.args(["query", "--quiet", "--format", "json", "--pcap"]).arg(&self.capture);
        command.args(questions.iter().map(|question| &question.sql.ours));
        let output = command.output().with_context(|| process::does_not_start(&command))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return stopped(said.trim(), questions.len());
        }
        let mut rows: Vec<Vec<Vec<Cell>>> = questions.iter().map(|_| vec![]).collect();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let (at, row) = row(line, questions).with_context(|| format!("this is no row: {line}"))?;
            rows[at].push(row);
        }
        Ok(Run::Answers(rows.into_iter().map(Ok).collect()))
    }
}

/// The query that a message names.
fn stopped(said: &str, questions: usize) -> Result<Run> {
    let error = said.lines().next().unwrap_or_default().trim_start_matches("error: ");
    if questions == 1 {
        return Ok(Run::Stopped(0, error.to_owned()));
    }
    let name = error.strip_prefix("query_").unwrap_or_default();
    let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
    match digits.parse::<usize>() {
        Ok(number) if number > 0 && number <= questions => {
            let error = &name[digits.len()..];
            Ok(Run::Stopped(number - 1, error.trim_start_matches([':', ' ']).to_owned()))
        }
        _ => bail!("tapline names no query: {said}"),
    }
}

/// A row of the query that it names.
fn row(line: &str, questions: &[&Question]) -> Option<(usize, Vec<Cell>)> {
    let mut fields = split(line)?;
    let at = match questions.len() {
        1 => 0,
        _ => {
            let (_, name) = fields.remove(0);
            name.as_str()?.strip_prefix("query_")?.parse::<usize>().ok()?.checked_sub(1)?
        }
    };
    let kinds = &questions.get(at)?.kinds;
    Some((at, fields.iter().zip(kinds).map(|((_, value), kind)| Cell::of(value, *kind)).collect()))
}

/// The members of an object in their order, which a map would lose.
fn split(line: &str) -> Option<Vec<(String, Value)>> {
    let mut members = vec![];
    let mut rest = line.trim().strip_prefix('{')?.strip_suffix('}')?;
    while !rest.is_empty() {
        let mut name = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let text = name.next()?.ok()?;
        rest = rest[name.byte_offset()..].strip_prefix(':')?;
        let mut value = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        members.push((text, value.next()?.ok()?));
        rest = rest[value.byte_offset()..].trim_start_matches(',');
    }
    Some(members)
}

/// The answers of `DuckDB`, in the order of the questions.
pub(super) fn ask_duckdb(python: &Path, tables: &[Table], questions: &[Question]) -> Result<Vec<Answer>> {
    let mut command = Command::new(python);
    command.args(["-c", ASK]);
    for table in tables {
        command.arg(table.name).arg(&table.file).arg(&table.columns);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} does not start", python.display()))?;
    let lines: Vec<_> =
        questions.iter().map(|question| Value::from(question.sql.theirs.as_str()).to_string()).collect();
    let input = child.stdin.take();
    let writer = thread::spawn(move || {
        input.map_or(Ok(()), |mut input| input.write_all((lines.join("\n") + "\n").as_bytes()))
    });
    let output = child.wait_with_output()?;
    let _ = writer.join();
    if !output.status.success() {
        bail!("{} ended with {}", python.display(), output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let answers = text.lines().zip(questions).map(|(line, question)| theirs(line, question));
    answers.collect()
}

fn theirs(line: &str, question: &Question) -> Result<Answer> {
    let value: Value = serde_json::from_str(line).with_context(|| format!("this is no answer: {line}"))?;
    if let Some(error) = value["error"].as_str() {
        return Ok(Err(error.to_owned()));
    }
    let rows = value["rows"].as_array().context("an answer has rows")?;
    let cells = |row: &Value| {
        let values = row.as_array().into_iter().flatten().zip(&question.kinds);
        values.map(|(value, kind)| Cell::of(value, *kind)).collect()
    };
    Ok(Ok(rows.iter().map(cells).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order() {
        let members = split(r#"{"query":"query_2","z":1,"a":null,"m":"x,y"}"#).expect("it is an object");
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["query", "z", "a", "m"]);
        assert_eq!(members[3].1, "x,y");
        assert!(split("{\"a\":").is_none());
    }

    #[test]
    fn the_query_that_stops_a_run_is_named() {
        let Run::Stopped(at, error) =
            stopped("error: query_3: no such column\nhelp: x", 5).expect("it is named")
        else {
            panic!("it stopped");
        };
        assert_eq!((at, error.as_str()), (2, "no such column"));
        assert!(stopped("error: the disk is full", 5).is_err());
    }
}
