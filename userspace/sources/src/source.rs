//! What a capture thread reads.

use crate::active::{FlowsAsk, FlowsTold};
use crate::demand::Demand;
use crate::notice::Notice;
use arrow_array::RecordBatch;
use std::io;
use tapline_record::ledger::SourceLedger;
use tapline_record::{EventTime, Stream, StreamId, Watermarks};

/// How far one step of reading came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There was something.
    Read,
    /// Nothing for now; more may come.
    Idle,
    /// Nothing more will come.
    End,
}

/// How far a source has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Octets of the files that were read, after decompression where there is one; of frames or messages elsewhere.
    pub octets: u64,
    /// Octets in all, where known.
    pub total_octets: Option<u64>,
    /// Frames or messages that were read.
    pub frames: u64,
}

/// What went wrong with a live input, and the mend.
pub(crate) fn gone_wrong(failure: &str) -> String {
    format!("{failure}; read it anew once it is back")
}

/// What is done when an input has ended, on the thread that read it.
pub type AtEnd = Box<dyn FnOnce() + Send>;

/// Records that went missing while nobody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Of which stream.
    pub stream: StreamId,
    /// In which span of time: from then on,
    pub since: EventTime,
    /// and before then.
    pub until: EventTime,
    /// How many; `None` where nobody knows.
    pub records: Option<u64>,
}

/// Makes batches of whatever it reads.
pub trait Source: Send {
    /// What its rows name as their source; of several files, the names of all.
    fn name(&self) -> String {
        String::new()
    }

    /// What [`Self::fates`] counts: frames, or rows.
    fn unit(&self) -> &'static str {
        "rows"
    }

    /// The fates of what it read so far, as the table `ledger` has them of the source as a whole. It is asked after
    /// every step.
    fn fates(&self) -> SourceLedger {
        SourceLedger::default()
    }

    /// Why it ended before its input did, if that is so, and what to do about it.
    fn failure(&self) -> Option<String> {
        None
    }

    /// Prepares for what queries need of it, before the first step.
    ///
    /// # Errors
    /// When something that it needs for that cannot be read.
    fn bind(&mut self, demand: &Demand) -> io::Result<()>;

    /// Begins to prepare for what queries need next, while it reads on as before; says whether it has done so. It is asked
    /// again until it has, before it goes over to that.
    fn prepare(&mut self, _demand: &Demand) -> bool {
        true
    }

    /// Makes rows of what it keeps to add more to: its streams get another layout next.
    ///
    /// # Errors
    /// When that cannot be read any more.
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Goes over to what queries need now, between two batches: it was settled before, and all rows were taken. What
    /// it knows of its input, and its account, stay.
    ///
    /// # Errors
    /// When it cannot give that; then it goes on as before.
    fn relayout(&mut self, demand: &Demand) -> io::Result<()>;

    /// Whether it must never wait: what there is no room for is dropped, and counted.
    fn is_live(&self) -> bool;

    /// Reads until a batch is full or nothing more comes for now.
    fn step(&mut self) -> Step;

    /// The streams that some query reads of it.
    fn streams(&self) -> Vec<&'static Stream>;

    /// The rows of `stream` that wait, where they fill a batch, or `all` are asked for.
    fn take(&mut self, stream: StreamId, all: bool) -> Option<RecordBatch>;

    /// How far its streams have come with the batches that were taken: no row that is taken later is older.
    fn watermarks(&self) -> Watermarks;

    /// How far the watermark of `stream` stays behind what has arrived, so that what is late is no later than that;
    /// in nanoseconds.
    fn lateness_ns(&self, _stream: StreamId) -> i64 {
        0
    }

    /// No row that was taken so far is later than this.
    fn latest(&self) -> EventTime;

    /// Whether a row of `stream` stands for as many records as it has packets.
    fn counts_packets(&self, stream: StreamId) -> bool {
        stream == StreamId::PacketFlows
    }

    /// Records that went missing since the last call, by the exporters' numbers; late arrivals take them back.
    fn newly_missing(&mut self) -> i64;

    /// Records that went missing between an earlier run and this one, as far as it found out since the last call; they
    /// are not among those of [`Self::newly_missing`].
    fn missed_before(&mut self) -> Vec<Missed> {
        vec![]
    }

    /// What it wants to know if another run goes on behind all that was taken of it so far, to say then what went
    /// missing. It is asked for now and then between two batches, and at the end.
    fn position(&self) -> Option<String> {
        None
    }

    /// What somebody should hear of, one after the other.
    fn notice(&mut self) -> Option<Notice> {
        None
    }

    /// Notes that rows of `stream` were dropped, which stand for so many records.
    fn note_dropped(&mut self, stream: StreamId, records: u64);

    /// Whether rows of `stream` stay in it until there is room for them, though it is live, and it reads on.
    fn keeps(&self, stream: StreamId) -> bool {
        stream.is_lossless()
    }

    /// Whether rows of `stream` are of few groups that come again and again, with the largest ones first: who has taken
    /// the first ones of a pane takes the others, too, so that a large group has a place whatever there is no room for.
    fn gathers(&self, _stream: StreamId) -> bool {
        false
    }

    /// Whether its rows wait for room, though it is live: it counts by itself what it loses by that.
    fn waits(&self) -> bool {
        false
    }

    /// Whether it may be left alone as long as results of it wait to be taken: what it has not read stays where it is, and
    /// nobody waits for its time who reads others, too.
    fn stays(&self) -> bool {
        false
    }

    /// Tells somebody of the flows that are active, as many as may be told at once; says whether that was all. From then
    /// on it keeps for him what it needs for that.
    fn tell_flows(&mut self, ask: &mut FlowsAsk) -> bool {
        ask.end(FlowsTold::Nothing)
    }

    /// Nobody asks for active flows any more.
    fn forget_flows(&mut self) {}

    /// Makes rows of whatever waited for more input: there will be none.
    fn end(&mut self);

    /// Takes back a batch that the workers are done with.
    fn recycle(&mut self, stream: StreamId, batch: RecordBatch);

    /// How far the input was read.
    fn progress(&self) -> Progress;

    /// Tells its account, as it stands now, to whoever asks for it.
    fn report(&mut self);
}
