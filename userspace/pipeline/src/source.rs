//! What a capture thread reads: packets of files or of the kernel, or flow exports.

use crate::exports::ExportSource;
use crate::kernel::KernelSource;
use crate::notice::Notice;
use crate::packets::PacketSource;
use crate::sink::Progress;
use arrow_array::RecordBatch;
use std::time::{SystemTime, UNIX_EPOCH};
use tapline_record::{EventTime, Stream, StreamId, Watermarks};

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

/// Makes batches of whatever it reads.
pub(crate) trait Source {
    /// Reads until a batch is full or nothing more comes for now.
    fn step(&mut self) -> Step;

    /// The streams that some query reads of it.
    fn streams(&self) -> Vec<&'static Stream>;

    /// The rows of `stream` that wait, where they fill a batch, or `all` are asked for.
    fn take(&mut self, stream: StreamId, all: bool) -> Option<RecordBatch>;

    /// How far its streams have come with the batches that were taken: no row that is taken later is older.
    fn watermarks(&self) -> Watermarks;

    /// Whether a row of `stream` stands for as many records as it has packets.
    fn counts_packets(&self, stream: StreamId) -> bool {
        stream == StreamId::PacketFlows
    }

    /// Records that went missing since the last call, by the exporters' numbers; late arrivals take them back.
    fn newly_missing(&mut self) -> i64;

    /// What somebody should hear of, one after the other.
    fn notice(&mut self) -> Option<Notice> {
        None
    }

    /// Notes that rows of `stream` were dropped.
    fn note_dropped(&mut self, stream: StreamId, rows: u64);

    /// Whether its rows wait for room, though it is live: it counts by itself what it loses by that.
    fn waits(&self) -> bool {
        false
    }

    /// Makes rows of whatever waited for more input: there will be none.
    fn end(&mut self);

    /// Takes back a batch that the workers are done with.
    fn recycle(&mut self, stream: StreamId, batch: RecordBatch);

    /// How far the input was read.
    fn progress(&self) -> Progress;
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

    fn streams(&self) -> Vec<&'static Stream> {
        self.inner().streams()
    }

    fn take(&mut self, stream: StreamId, all: bool) -> Option<RecordBatch> {
        self.inner_mut().take(stream, all)
    }

    fn watermarks(&self) -> Watermarks {
        self.inner().watermarks()
    }

    fn counts_packets(&self, stream: StreamId) -> bool {
        self.inner().counts_packets(stream)
    }

    fn newly_missing(&mut self) -> i64 {
        self.inner_mut().newly_missing()
    }

    fn notice(&mut self) -> Option<Notice> {
        self.inner_mut().notice()
    }

    fn note_dropped(&mut self, stream: StreamId, rows: u64) {
        self.inner_mut().note_dropped(stream, rows);
    }

    fn waits(&self) -> bool {
        self.inner().waits()
    }

    fn end(&mut self) {
        self.inner_mut().end();
    }

    fn recycle(&mut self, stream: StreamId, batch: RecordBatch) {
        self.inner_mut().recycle(stream, batch);
    }

    fn progress(&self) -> Progress {
        self.inner().progress()
    }
}

/// What time it is; a clock before 1970 stands at its beginning.
pub(crate) fn now() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
