//! Something that a node reads.

use crate::wanted::WantedFrames;
use std::path::PathBuf;
use tapline_query::FlowTable;
use tapline_record::{EventTime, Stream, StreamId};
use tapline_sources::{Demand, Source};

/// What is known of what an input would have brought between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Nothing.
    Unknown,
    /// Its sources will tell what went missing.
    Told,
    /// So many records went missing.
    Missed(u64),
}

/// Whether a node can tell which flows of an input are active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meters {
    /// No: it brings records of flows that have ended.
    Never,
    /// While some query reads flows of it: what is read of it is read once.
    WhileRead,
    /// While some query lets its flows be metered, or for whoever asks.
    WhenAsked,
}

/// Something that a node reads: it is opened, and opened anew when it was gone.
pub trait Input: Send {
    /// What its rows name as their source.
    fn name(&self) -> String;

    /// What is the same for another one that reads the same in the same way.
    fn identity(&self) -> String;

    /// What it is, in a word or two.
    fn kind(&self) -> &'static str;

    /// The streams that it carries while it is open.
    fn streams(&self) -> Vec<&'static Stream>;

    /// How many threads read what it gives, besides what is counted in the kernel.
    fn readers(&self) -> usize {
        1
    }

    /// That fewer threads read it than was said, and why, if so: `by one thread, and not by 4, since …`.
    fn lacks_readers(&self) -> Option<String> {
        None
    }

    /// Whether it is open only while some query reads one of its streams.
    fn is_on_demand(&self) -> bool;

    /// Whether it can be told which flows of it are active.
    fn meters(&self) -> Meters {
        Meters::Never
    }

    /// Which of its frames are wanted, where it has some.
    fn wanted(&self) -> Option<&WantedFrames> {
        None
    }

    /// Wants these frames from now on, also while it is open.
    ///
    /// # Errors
    /// What stands in the way; then it wants those that it did, but for rules that were changed before.
    fn want(&mut self, _frames: &WantedFrames) -> Result<(), String> {
        Ok(())
    }

    /// How far its records lie behind their arrival at most, in nanoseconds.
    fn lateness_ns(&self) -> i64;

    /// Whether the kernel is told which of its packets queries need that read them as this stream.
    fn tells_kernel(&self, _stream: StreamId) -> bool {
        false
    }

    /// Looks whether it can be opened, as far as that can be said before.
    ///
    /// # Errors
    /// What stands in the way, with the mend.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// What it wants to know at the next start, to say what went missing until then; `None` as long as it is open.
    fn memory(&self) -> Option<String> {
        None
    }

    /// What is known of the time since an earlier run, which left this memory.
    fn gap(&self, _memory: Option<&str>) -> Gap {
        Gap::Unknown
    }

    /// Whether it is read by a source of this name.
    fn is_read_as(&self, source: &str) -> bool {
        self.name() == source
    }

    /// When it is opened next, it goes on from where its source said that it was (`Source::position`), in an earlier run
    /// that left nothing else, as after a loss of power.
    fn go_on_from(&mut self, _position: &str) {}

    /// What is known of records of `stream` since that position, until it is opened.
    fn gap_behind(&self, _stream: StreamId) -> Gap {
        Gap::Unknown
    }

    /// When it was there.
    fn was_there(&self) -> Option<EventTime> {
        None
    }

    /// Whether it may come later: a node starts without it, and until it is there it says nothing about time.
    fn may_come_later(&self) -> bool {
        false
    }

    /// No record that it gave before, or that nobody will give any more, is later; it is `now` by our clock.
    fn given_until(&self, now: EventTime) -> EventTime {
        now
    }

    /// What is to be kept in a file of its own, where that has changed since it was asked for last.
    fn take_unkept(&mut self) -> Option<(PathBuf, String)> {
        None
    }

    /// Opens it for what queries need.
    ///
    /// # Errors
    /// What stands in the way, with the mend.
    fn open(&mut self, demand: &Demand) -> Result<Vec<Box<dyn Source>>, String>;
}

/// What a node reads, as its configuration says.
pub struct InputSet {
    /// All of it.
    pub inputs: Vec<Box<dyn Input>>,
    /// Who counts the packets of interfaces by flow.
    pub table: Option<FlowTable>,
}
