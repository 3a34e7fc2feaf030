//! `tapline query --history`: SQL over the results that a node stored, in a folder or in a bucket.

use crate::arguments::{QueryArguments, StoredPlace, StoredPlan};
use crate::failure::Failure;
use crate::message::say;
use crate::output::BatchOutput;
use std::io;
use tapline_history::History;
use tapline_tables::{Answer, AskError, Database};

/// Answers one statement after the other.
pub(crate) fn ask(arguments: &QueryArguments) -> Result<(), Failure> {
    let StoredPlan { place, queries: statements, format } = arguments.of_history()?;
    if statements.is_empty() {
        let help =
            "no query; give one, e.g. \"SELECT * FROM top_talkers ORDER BY window_start DESC LIMIT 10\"";
        return Err(Failure::Usage(help.to_owned()));
    }
    if statements.len() > 1 && format.is_one_table_a_file() {
        let message = "several queries in csv, arrow or parquet need a file each; ask one after the other";
        return Err(Failure::Usage(message.to_owned()));
    }
    let history = open(place)?;
    let database = Database::of_history(history.clone());
    let database = database.map_err(|error| Failure::Run(error.to_string()))?;
    let answered = statements.iter().try_for_each(|(_, sql)| {
        let answer = database.ask(sql).map_err(failure)?;
        let mut output = BatchOutput::new(format, &answer.schema())?;
        print(answer, &mut output)
    });
    // What was printed lacks their rows, which is a failure, as a capture file is that is damaged.
    let left_out = history.left_out();
    left_out.iter().for_each(|left_out| say!("error: {left_out}"));
    answered.and(left_out.map_or(Ok(()), |_| Err(Failure::Told)))
}

/// What is stored there.
fn open(place: StoredPlace<'_>) -> Result<History, Failure> {
    match place {
        StoredPlace::Bucket(options) => History::of_bucket(options).map_err(Failure::Run),
        StoredPlace::Folder(folder) if folder.is_dir() => Ok(History::of_folder(folder)),
        StoredPlace::Folder(folder) => {
            Err(Failure::Usage(format!("--history {}: there is no such folder", folder.display())))
        }
    }
}

/// Prints an answer; a reader who has seen enough is no failure.
fn print(answer: Answer, output: &mut BatchOutput) -> Result<(), Failure> {
    let written = |outcome: io::Result<()>| match outcome {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Run(format!("the results cannot be written: {error}"))),
        Ok(()) => Ok(true),
    };
    for batch in answer {
        if !written(output.write(&batch.map_err(failure)?))? {
            return Ok(());
        }
    }
    written(output.finish()).map(|_| ())
}

/// Why a statement is not answered.
fn failure(error: AskError) -> Failure {
    match error {
        AskError::Wrong(error) => Failure::Usage(error.to_string()),
        AskError::Stream(stream) => Failure::Usage(format!(
            "{stream} is a stream, of which nothing is stored; the tables are the queries of the node that stored results"
        )),
        AskError::Failed(why) => Failure::Run(why),
    }
}
