//! `tapline query --history`: SQL over the results that a node stored.

use crate::arguments::{QueryArguments, StoredPlan};
use crate::failure::Failure;
use crate::output::BatchOutput;
use std::io;
use tapline_history::{Answer, History, HistoryOptions};

/// Answers one statement after the other.
pub(crate) fn ask(arguments: &QueryArguments) -> Result<(), Failure> {
    let StoredPlan { folder, queries: statements, format } = arguments.of_history()?;
    if statements.is_empty() {
        let help =
            "no query; give one, e.g. \"SELECT * FROM top_talkers ORDER BY window_start DESC LIMIT 10\"";
        return Err(Failure::Usage(help.to_owned()));
    }
    if !folder.is_dir() {
        return Err(Failure::Usage(format!("--history {}: there is no such folder", folder.display())));
    }
    if statements.len() > 1 && format.is_one_table_a_file() {
        let message = "several queries in csv, arrow or parquet need a file each; ask one after the other";
        return Err(Failure::Usage(message.to_owned()));
    }
    let history = History::new(HistoryOptions::new(folder));
    for (_, sql) in &statements {
        let answer = history.ask(sql).map_err(Failure::Usage)?;
        let mut output = BatchOutput::new(format, &answer.schema())?;
        print(answer, &mut output)?;
    }
    Ok(())
}

/// Prints an answer; a reader who has seen enough is no failure.
fn print(answer: Answer, output: &mut BatchOutput) -> Result<(), Failure> {
    let written = |outcome: io::Result<()>| match outcome {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Run(format!("the results cannot be written: {error}"))),
        Ok(()) => Ok(true),
    };
    for batch in answer {
        if !written(output.write(&batch.map_err(Failure::Run)?))? {
            return Ok(());
        }
    }
    written(output.finish()).map(|_| ())
}
