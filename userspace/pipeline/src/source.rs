//! What a capture thread reads: packets of files or of the kernel, or flow exports.

use crate::exports::ExportSource;
use crate::kernel::KernelSource;
use crate::packets::PacketSource;
use crate::sink::Progress;
use arrow_array::RecordBatch;
use std::time::{SystemTime, UNIX_EPOCH};
use tapline_record::{EventTime, Stream};

/// How far one step of reading came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There was something.
    Read,
    /// Nothing for now; more may come.
    Idle,
    /// Nothing more will come.
    End,
}

/// Takes a batch of a stream; says whether to go on.
pub(crate) type Send<'a> = dyn FnMut(&'static Stream, RecordBatch) -> bool + 'a;

/// Makes batches of whatever it reads.
pub(crate) trait Source {
    /// Reads until a batch is full or nothing more comes for now.
    fn step(&mut self) -> Step;

    /// Sends the batches that are full, or all of them; says whether to go on.
    fn hand_over(&mut self, all: bool, send: &mut Send<'_>) -> bool;

    /// No record of any stream that is still to come is older.
    fn watermark(&mut self) -> EventTime;

    /// Records that went missing since the last call, by the exporters' numbers; late arrivals take them back.
    fn newly_missing(&mut self) -> i64;

    /// Notes that rows of it were dropped.
    fn note_dropped(&mut self, rows: u64);

    /// Whether its rows wait for room, though it is live: it counts by itself what it loses by that.
    fn waits(&self) -> bool {
        false
    }

    /// Makes rows of whatever waited for more input: there will be none.
    fn end(&mut self);

    /// Takes back a batch that the workers are done with.
    fn recycle(&mut self, stream: &'static Stream, batch: RecordBatch);

    /// How far the input was read.
    fn progress(&self) -> Progress;

    /// A batch without rows, to say by it how far a silent source has come.
    fn no_rows(&self) -> (&'static Stream, RecordBatch);
}

/// A source of either kind.
pub(crate) enum AnySource {
    Packets(Box<PacketSource>),
    Exports(Box<ExportSource>),
    Kernel(Box<KernelSource>),
}

impl AnySource {
    /// Whether it must never wait.
    pub(crate) fn is_live(&self) -> bool {
        match self {
            Self::Packets(source) => source.is_live(),
            Self::Exports(source) => source.is_live(),
            Self::Kernel(_) => true,
        }
    }

    fn inner(&self) -> &dyn Source {
        match self {
            Self::Packets(source) => source.as_ref(),
            Self::Exports(source) => source.as_ref(),
            Self::Kernel(source) => source.as_ref(),
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Source {
        match self {
            Self::Packets(source) => source.as_mut(),
            Self::Exports(source) => source.as_mut(),
            Self::Kernel(source) => source.as_mut(),
        }
    }
}

impl Source for AnySource {
    fn step(&mut self) -> Step {
        self.inner_mut().step()
    }

    fn hand_over(&mut self, all: bool, send: &mut Send<'_>) -> bool {
        self.inner_mut().hand_over(all, send)
    }

    fn watermark(&mut self) -> EventTime {
        self.inner_mut().watermark()
    }

    fn newly_missing(&mut self) -> i64 {
        self.inner_mut().newly_missing()
    }

    fn note_dropped(&mut self, rows: u64) {
        self.inner_mut().note_dropped(rows);
    }

    fn waits(&self) -> bool {
        self.inner().waits()
    }

    fn end(&mut self) {
        self.inner_mut().end();
    }

    fn recycle(&mut self, stream: &'static Stream, batch: RecordBatch) {
        self.inner_mut().recycle(stream, batch);
    }

    fn progress(&self) -> Progress {
        self.inner().progress()
    }

    fn no_rows(&self) -> (&'static Stream, RecordBatch) {
        self.inner().no_rows()
    }
}

/// What time it is; a clock before 1970 stands at its beginning.
pub(crate) fn now() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
