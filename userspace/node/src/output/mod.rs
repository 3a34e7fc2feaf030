//! Results to their readers: one writer a format.
//!
//! Standard output carries results and nothing else. Addresses become text here, at the edge.

mod arrow;
mod csv;
mod json;
mod layout;
mod lines;
mod page;
mod parquet;
mod table;

use crate::failure::Failure;
use crate::message;
use crate::terminal;
use clap::ValueEnum;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use page::Page;
use std::fs::{File, create_dir_all};
use std::io::{self, BufWriter, IsTerminal as _, Write, stdout};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::{Company, Room};
use tapline_engine::{ResultColumns, WindowResult};
use tapline_query::ContinuousQuery;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for a person.
    Table,
    /// Comma-separated values with a header line; NULL is an empty field.
    Csv,
    /// One object a line.
    Json,
    /// Arrow's IPC stream; addresses stay binary.
    Arrow,
    /// A Parquet file; addresses are text.
    Parquet,
    /// A row in as many lines as it has columns.
    Lines,
}

impl Format {
    /// Whether results of several queries cannot share one output.
    pub(crate) const fn is_one_table_a_file(self) -> bool {
        matches!(self, Self::Csv | Self::Arrow | Self::Parquet)
    }

    /// Refuses standard output where a terminal would get what no person can read.
    pub(crate) fn check_stdout(self) -> Result<(), Failure> {
        let name = match self {
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
            Self::Table | Self::Csv | Self::Json | Self::Lines => return Ok(()),
        };
        if !stdout().is_terminal() {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "--format {name} is not for a terminal; send it to a file, by > FILE or --output DIR, or into a pipe"
        )))
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Table | Self::Lines => "txt",
            Self::Csv => "csv",
            Self::Json => "jsonl",
            Self::Arrow => "arrows",
            Self::Parquet => "parquet",
        }
    }
}

/// A query's name and the columns of its results.
pub(crate) struct QueryOutput {
    name: String,
    columns: ResultColumns,
    /// Of each column, whether a star stands for it.
    starred: Vec<bool>,
    is_live: bool,
}

impl QueryOutput {
    pub(crate) fn new(name: &str, query: &ContinuousQuery, is_live: bool) -> Self {
        let columns = ResultColumns::of(query, is_live);
        // Before the SELECT list stand the columns of the window, behind it those that tell what it saw of it.
        let mut starred = vec![false; if query.window.is_some() { 2 } else { 0 }];
        starred.extend(&query.starred);
        starred.resize(columns.schema().fields().len(), false);
        Self { name: name.to_owned(), columns, starred, is_live }
    }
}

/// Writes the results of one query.
trait Writer {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError>;

    /// Shows what was written so far to whoever reads it.
    fn flush(&mut self) -> Result<(), ArrowError>;

    fn finish(&mut self) -> Result<(), ArrowError>;
}

/// Where the results of all queries go.
pub(crate) struct Output {
    /// Of each query, and what it makes columns of results by.
    writers: Vec<(ResultColumns, Box<dyn Writer>)>,
    /// Standard output, as far as they write there.
    page: Page,
    /// When the first result came that nobody was shown yet.
    waiting_since: Option<Instant>,
}

/// How long a result waits for more before it is shown.
const WAIT_MAX: Duration = Duration::from_millis(500);

impl Output {
    /// One writer a query: on standard output, or in files of `folder`.
    pub(crate) fn open(
        format: Format,
        folder: Option<&Path>,
        queries: Vec<QueryOutput>,
    ) -> Result<Self, Failure> {
        if let Some(folder) = folder {
            create_dir_all(folder).map_err(|error| cannot_create(folder, &error))?;
        }
        if folder.is_none() {
            format.check_stdout()?;
        }
        let is_shared = queries.len() > 1 && folder.is_none();
        if is_shared && format == Format::Json {
            queries.iter().try_for_each(check_names)?;
        }
        let page = Page::default();
        let open = |query: QueryOutput| {
            let target: Box<dyn Write> = match folder {
                None => Box::new(page.clone()),
                Some(folder) => {
                    let path = folder.join(format!("{}.{}", query.name, format.extension()));
                    Box::new(BufWriter::new(
                        File::create(&path).map_err(|error| cannot_create(&path, &error))?,
                    ))
                }
            };
            let QueryOutput { name, columns, starred, is_live } = query;
            let shared = is_shared.then_some((name, is_live));
            let room = if folder.is_none() { room(starred) } else { None };
            writer(format, target, columns.schema(), shared, room).map(|writer| (columns, writer))
        };
        let writers = queries.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { writers, page, waiting_since: None })
    }

    /// Writes what the query at this place answers.
    pub(crate) fn write(&mut self, query: usize, result: &WindowResult) -> io::Result<()> {
        self.waiting_since.get_or_insert_with(Instant::now);
        let (columns, writer) = &mut self.writers[query];
        let batches = columns.batches(result).map_err(into_io)?;
        batches.iter().try_for_each(|batch| writer.write(batch)).map_err(into_io)?;
        self.page.turn_over()
    }

    /// Shows results that have waited long enough; for when there is nothing else to do.
    pub(crate) fn show(&mut self) -> io::Result<()> {
        if self.waiting_since.is_none_or(|since| since.elapsed() < WAIT_MAX) {
            return Ok(());
        }
        self.waiting_since = None;
        self.writers.iter_mut().try_for_each(|(_, writer)| writer.flush()).map_err(into_io)
    }

    /// Writes what is left.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.writers.iter_mut().try_for_each(|(_, writer)| writer.finish()).map_err(into_io)
    }

    /// Prints text that is the whole output; a reader who has seen enough is no failure.
    pub(crate) fn to_stdout_text(text: &str) -> Result<(), Failure> {
        let _turn = message::turn();
        match stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Run(error.to_string())),
            _ => Ok(()),
        }
    }
}

/// A run that failed shows what came before, as far as it still can.
impl Drop for Output {
    fn drop(&mut self) {
        let _ = self.page.flush();
    }
}

/// Refuses a column of the name under which each object says whose it is.
fn check_names(query: &QueryOutput) -> Result<(), Failure> {
    if query.columns.schema().column_with_name(json::QUERY).is_none() {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{}: of several queries, each JSON object says in `{}` whose it is; give the column of that name another one by AS",
        query.name,
        json::QUERY
    )))
}

/// The terminal that standard output is, for columns of which a star stands for some.
fn room(starred: Vec<bool>) -> Option<Room> {
    terminal::width().map(|_| Room { width: || terminal::width().unwrap_or(usize::MAX), starred })
}

/// Writes batches of these columns; where several queries share the output, with the name of this one, and whether it is
/// live.
fn writer(
    format: Format,
    target: Box<dyn Write>,
    schema: &SchemaRef,
    shared: Option<(String, bool)>,
    room: Option<Room>,
) -> Result<Box<dyn Writer>, Failure> {
    Ok(match format {
        Format::Table => {
            let company = shared.map_or(Company::Alone, |(name, is_live)| Company::Others { name, is_live });
            Box::new(table::TableWriter::new(target, company, Arc::clone(schema), room))
        }
        Format::Csv => Box::new(csv::CsvWriter::new(target, schema)),
        Format::Json => Box::new(json::JsonWriter::new(target, shared.map(|(name, _)| name))),
        Format::Arrow => Box::new(arrow::ArrowWriter::new(target, schema)?),
        Format::Parquet => Box::new(parquet::ParquetWriter::new(target, schema)?),
        Format::Lines => Box::new(lines::LinesWriter::new(target, shared.map(|(name, _)| name))),
    })
}

/// Standard output for batches of one kind, each of which is shown at once.
pub(crate) struct BatchOutput {
    writer: Box<dyn Writer>,
    page: Page,
}

impl BatchOutput {
    /// For batches of these columns.
    pub(crate) fn new(format: Format, schema: &SchemaRef) -> Result<Self, Failure> {
        format.check_stdout()?;
        let (page, room) = (Page::default(), room(vec![false; schema.fields().len()]));
        Ok(Self { writer: writer(format, Box::new(page.clone()), schema, None, room)?, page })
    }

    /// Writes a batch.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.writer.write(batch).and_then(|()| self.writer.flush()).map_err(into_io)?;
        self.page.flush()
    }

    /// Writes what is left.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.writer.finish().map_err(into_io)?;
        self.page.flush()
    }
}

fn cannot_create(path: &Path, error: &io::Error) -> Failure {
    Failure::Run(format!("{} cannot be created: {error}", path.display()))
}

/// Keeps an I/O error's kind, so that a closed pipe is told from a full disk.
fn into_io(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other.to_string()),
    }
}
