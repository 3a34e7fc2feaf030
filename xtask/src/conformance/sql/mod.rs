//! `cargo xtask conformance sql`: tapline beside another engine over the same rows.
//!
//! Takes a seed and a number of queries, makes the queries, asks tapline over the capture of the branch office and
//! `DuckDB` over the rows that tapline reads of it, and lists every answer that differs. What is explained stands in one
//! table, with reasons.

mod answer;
mod both;
mod engines;
mod expression;
mod field;
mod known;
mod question;
mod tables;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use tapline_trafficgen::random::Random;

use self::answer::{Answer, Cell, agree};
use self::engines::{Tapline, ask_duckdb};
use self::question::{Question, Source, question};
use crate::{setup, style, workspace};

/// The seed of the queries that every check asks, and how many they are.
pub(super) const CHECKED: Arguments = Arguments { seed: 1, queries: 300 };

/// Queries of one run of tapline.
const QUERIES_A_RUN: usize = 60;

/// Rows that a report shows of one answer.
const ROWS_SHOWN: usize = 5;

/// Compare answers with another SQL engine.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What the queries are drawn from; the same seed gives the same queries
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many
    #[arg(long, default_value_t = 2000)]
    queries: usize,
}

/// What came of all queries.
#[derive(Debug, Default)]
struct Report {
    equal: usize,
    rows: usize,
    different: usize,
    explained: BTreeMap<&'static str, (usize, &'static str)>,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let python = match setup::duckdb() {
        Ok(python) => python,
        Err(error) => {
            println!("skipped: DuckDB is not there: {error:#}");
            return Ok(());
        }
    };
    let folder = workspace::scratch("conformance")?;
    let program = workspace::build_whole_tapline()?;
    let capture = tables::write_capture(&folder)?;
    let (tables, sources) = tables::export(&program, &capture, &folder)?;
    let tapline = Tapline { program, capture };
    let questions = draw(arguments, &sources);
    eprintln!("{} {} queries of seed {}", style::step("Asking"), questions.len(), arguments.seed);
    let theirs = ask_duckdb(&python, &tables, &questions)?;
    let mut report = Report::default();
    for (number, (questions, theirs)) in
        questions.chunks(QUERIES_A_RUN).zip(theirs.chunks(QUERIES_A_RUN)).enumerate()
    {
        let ours = tapline.answer(questions)?;
        for (at, (question, (ours, theirs))) in questions.iter().zip(ours.iter().zip(theirs)).enumerate() {
            let name = format!("seed {}, query {}", arguments.seed, number * QUERIES_A_RUN + at);
            report.take(&name, question, ours, theirs);
        }
    }
    report.end()
}

/// The queries of a seed.
fn draw(arguments: &Arguments, sources: &[Source]) -> Vec<Question> {
    let mut random = Random::new(arguments.seed, "queries");
    (0..arguments.queries).map(|_| question(&mut random, sources)).collect()
}

impl Report {
    fn take(&mut self, name: &str, question: &Question, ours: &Answer, theirs: &Answer) {
        self.rows += ours.as_ref().map_or(0, Vec::len);
        if agree(ours, theirs, question.is_ordered) {
            self.equal += 1;
        } else if let Some(class) = known::class(question, ours, theirs) {
            self.explained.entry(class.name).or_insert((0, class.reason)).0 += 1;
        } else {
            self.different += 1;
            println!("\n{name}");
            println!("  tapline: {}\n  DuckDB:  {}", question.sql.ours, question.sql.theirs);
            println!("  tapline answers: {}", shown(ours));
            println!("  DuckDB answers:  {}", shown(theirs));
        }
    }

    fn end(&self) -> Result<()> {
        for (name, (queries, reason)) in &self.explained {
            println!("{name}: {queries} queries: {reason}");
        }
        let explained: usize = self.explained.values().map(|(queries, _)| queries).sum();
        println!(
            "\n{} queries equal ({} rows), {explained} explained, {} different",
            self.equal, self.rows, self.different
        );
        match self.different {
            0 => Ok(()),
            different => bail!("{different} queries are answered differently by DuckDB"),
        }
    }
}

/// The first rows of an answer, or its error.
fn shown(answer: &Answer) -> String {
    match answer {
        Err(error) => format!("error: {error}"),
        Ok(rows) => {
            let row = |row: &Vec<Cell>| row.iter().map(text).collect::<Vec<_>>().join(" ");
            let first: Vec<_> = rows.iter().take(ROWS_SHOWN).map(row).collect();
            format!("{} rows: {}", rows.len(), first.join(" | "))
        }
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Int(number) => number.to_string(),
        Cell::Float(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
    }
}
