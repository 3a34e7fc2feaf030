//! The results of a node's query as they come, until they end or somebody has seen enough.
//!
//! A thread reads the answer, which may be silent for long; whoever shows it looks meanwhile whether to go on.

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{BatchOutput, Format};
use crate::queries::path_of;
use arrow_ipc::reader::StreamReader;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Batches that wait to be shown.
const BATCHES_MAX: usize = 16;
/// How often it is looked whether to go on.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why following a query has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// There is nothing more.
    ToItsEnd,
    /// Nobody wants more.
    Enough,
}

/// What an answer consists of.
enum Piece {
    Columns(SchemaRef),
    Rows(RecordBatch),
}

type Pieces = Result<Piece, ArrowError>;

/// Shows the results of a query, of which `which` says how many, until `ends` says so.
pub(crate) fn follow(
    client: &Client,
    name: &str,
    which: &str,
    format: Format,
    ends: &dyn Fn() -> bool,
) -> Result<Followed, Failure> {
    let path = format!("{}/stream?{which}", path_of(name));
    let octets = client.stream(&path, "application/vnd.apache.arrow.stream")?;
    let (sender, pieces) = sync_channel(BATCHES_MAX);
    thread::spawn(move || {
        // Whoever does not listen any more wants nothing.
        let _ = read(octets, &sender);
    });
    show(&pieces, format, ends)
}

fn read(octets: impl Read, to: &SyncSender<Pieces>) -> Option<()> {
    let batches = match StreamReader::try_new(octets, None) {
        Ok(batches) => batches,
        Err(error) => return to.send(Err(error)).ok(),
    };
    to.send(Ok(Piece::Columns(batches.schema()))).ok()?;
    for batch in batches {
        to.send(batch.map(Piece::Rows)).ok()?;
    }
    Some(())
}

fn show(pieces: &Receiver<Pieces>, format: Format, ends: &dyn Fn() -> bool) -> Result<Followed, Failure> {
    let mut output: Option<BatchOutput> = None;
    let followed = loop {
        if ends() {
            break Ok(Followed::Enough);
        }
        match pieces.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break Ok(Followed::ToItsEnd),
            Ok(Err(error)) => break Err(Failure::Run(format!("the node's answer broke off: {error}"))),
            Ok(Ok(Piece::Columns(schema))) => output = Some(BatchOutput::new(format, &schema)?),
            Ok(Ok(Piece::Rows(batch))) => {
                match output.as_mut().map_or(Ok(()), |output| output.write(&batch)) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Followed::Enough),
                    written => written.map_err(|error| unwritten(&error))?,
                }
            }
        }
    };
    // Also what broke off gets its end: without one, nobody can read a Parquet file.
    let finished = output.map_or(Ok(()), |mut output| output.finish());
    followed.and_then(|followed| finished.map(|()| followed).map_err(|error| unwritten(&error)))
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::Run(format!("the results cannot be written: {error}"))
}
