//! Where frames come from: capture files, an interface, or a folder in which captures appear.

use crate::captures::CaptureFolder;
use crate::notice::Notice;
use crate::packet_report::InterfaceReport;
use std::time::{Duration, Instant};
use tapline_capture::{CaptureFile, CaptureSet, End};
use tapline_decode::Frame;
use tapline_interface::kernel::FilterState;
use tapline_interface::live::{FrameSource, LiveCounters};
use tapline_record::ledger::SourceLedger;

/// Between two looks at what an interface lost.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where frames come from.
pub(crate) enum FrameInput {
    Files(CaptureSet),
    Interface(InterfaceFrames),
    Folder(Box<CaptureFolder>),
}

/// Frames of an interface.
pub(crate) struct InterfaceFrames {
    source: Box<dyn FrameSource>,
    /// Frames that were read.
    read: u64,
    /// What was read and lost until the last look.
    counters: LiveCounters,
    looked: Instant,
    /// Those that were lost, as far as was told.
    missing: u64,
    /// What its program does not get from the card, until that was told.
    drawback: Option<String>,
}

impl InterfaceFrames {
    /// Those of a source, of whose program another one may tell.
    pub(crate) fn new(source: Box<dyn FrameSource>, tells_of_program: bool) -> Self {
        let drawback = source.description().card.drawback.clone().filter(|_| tells_of_program);
        let (counters, looked) = (LiveCounters::default(), Instant::now());
        Self { source, read: 0, counters, looked, missing: 0, drawback }
    }

    /// Lends up to so many frames; gives how many.
    fn read(&mut self, frames_max: usize, visit: &mut dyn FnMut(&Frame<'_>)) -> Result<usize, String> {
        let frames = self.source.read(frames_max, visit).map_err(|error| error.to_string())?;
        self.read += frames as u64;
        Ok(frames)
    }

    /// Asks what was lost, now and then, or at once.
    fn look(&mut self, at_once: bool) -> Result<(), String> {
        if at_once || self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            self.counters = self.source.counters().map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl FrameInput {
    /// What rows name as their source; of several files, the names of all.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Files(files) => files.files().iter().map(CaptureFile::name).collect::<Vec<_>>().join(", "),
            Self::Interface(interface) => interface.source.description().interface.clone(),
            Self::Folder(folder) => folder.name().to_owned(),
        }
    }

    /// The names of what the frames are of: the files as they were named, the interface, or the folder.
    pub(crate) fn sources(&self) -> Vec<String> {
        match self {
            Self::Files(files) => files.paths().to_vec(),
            Self::Interface(_) | Self::Folder(_) => vec![self.name()],
        }
    }

    /// Whether more may come at any time.
    pub(crate) const fn is_live(&self) -> bool {
        !matches!(self, Self::Files(_))
    }

    /// Whether it waits for room, though it is live: what it reads stays where it is until then.
    pub(crate) const fn waits(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// Lends up to so many frames; gives how many, or why there will be no more.
    pub(crate) fn read(
        &mut self,
        frames_max: usize,
        visit: &mut impl FnMut(&Frame<'_>),
    ) -> Result<usize, String> {
        match self {
            Self::Files(files) => Ok(files.read(frames_max, visit)),
            Self::Interface(interface) => interface.read(frames_max, visit),
            Self::Folder(folder) => Ok(folder.read(frames_max, visit)),
        }
    }

    /// All that came to an interface before this was read, on the clock of the programs in front of it, ns.
    pub(crate) fn lent_until_ns(&self) -> u64 {
        if let Self::Interface(interface) = self { interface.source.lent_until_ns() } else { u64::MAX }
    }

    /// Whether it has all queues that it is to read; frames wait in those that are on their way to it.
    pub(crate) fn has_all(&self) -> bool {
        self.may_gather(false)
    }

    /// Whether [`Self::gather`] may be said now.
    pub(crate) fn may_gather(&self, are_gathered: bool) -> bool {
        if let Self::Interface(interface) = self { interface.source.may_gather(are_gathered) } else { true }
    }

    /// Lets one of those who share an interface read all of its frames, or each its own.
    pub(crate) fn gather(&mut self, are_gathered: bool) {
        if let Self::Interface(interface) = self {
            interface.source.gather(are_gathered);
        }
    }

    /// Whether all was read.
    pub(crate) fn is_at_end(&self) -> bool {
        matches!(self, Self::Files(files) if files.is_at_end())
    }

    /// Looks at what was lost, now and then, or at once.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn look(&mut self, at_once: bool) -> Result<(), String> {
        if let Self::Interface(interface) = self { interface.look(at_once) } else { Ok(()) }
    }

    /// No more is read: what has to be known afterwards is noted.
    pub(crate) fn end(&mut self) {
        if let Self::Folder(folder) = self {
            folder.end();
        }
    }

    /// The fates of frames, so many of which were filtered and dropped behind it; those that the rules or the filter of a
    /// program in front of it left out are filtered, too.
    pub(crate) fn fates(&self, filtered: u64, frames_dropped: u64) -> SourceLedger {
        let (frames, undecodable, lost, left_out) = match self {
            Self::Files(files) => (files.counters().frames, files.counters().undecodable, 0, 0),
            Self::Folder(folder) => (folder.counters().frames, folder.counters().undecodable, 0, 0),
            Self::Interface(InterfaceFrames { read, counters, .. }) => {
                let LiveCounters { frames, drops, filtered, unwanted, .. } = counters;
                // Since the last look, more may have been read, of which some is filtered or dropped already.
                (*frames.max(read), 0, drops.sum(), filtered + unwanted)
            }
        };
        let filtered = filtered.min(frames);
        let delivered = (frames - filtered).saturating_sub(frames_dropped);
        let dropped = frames - filtered - delivered + lost;
        let offered = frames + undecodable + lost + left_out;
        let filtered = filtered + left_out;
        SourceLedger { offered, delivered, filtered, undecodable, dropped, ..SourceLedger::default() }
    }

    /// Frames that were lost since the last call; of a folder, about how many.
    pub(crate) fn newly_missing(&mut self) -> i64 {
        let missing = match self {
            Self::Files(_) => 0,
            Self::Interface(interface) => {
                let lost = interface.counters.drops.sum();
                lost - std::mem::replace(&mut interface.missing, lost)
            }
            Self::Folder(folder) => folder.newly_missing(),
        };
        i64::try_from(missing).unwrap_or(i64::MAX)
    }

    /// What somebody should hear of.
    pub(crate) fn notice(&mut self) -> Option<Notice> {
        match self {
            Self::Files(_) => None,
            Self::Interface(interface) => interface.drawback.take().map(Notice::Card),
            Self::Folder(folder) => folder.notice(),
        }
    }

    /// Octets in all, where known.
    pub(crate) fn total_octets(&self) -> Option<u64> {
        if let Self::Files(files) = self { files.total_octets() } else { None }
    }

    /// Octets of files that were read; `None` where frames are what is counted.
    pub(crate) fn position_octets(&self) -> Option<u64> {
        if let Self::Files(files) = self { Some(files.position_octets()) } else { None }
    }

    /// How each file ended.
    pub(crate) fn ends(&self) -> Vec<(String, Option<End>)> {
        let Self::Files(files) = self else { return vec![] };
        files.files().iter().map(|file| (file.name().to_owned(), file.end().cloned())).collect()
    }

    /// The account of an interface, whose program's filter stands so, and which could not be read any more if there is a
    /// failure.
    pub(crate) fn interface(
        &self,
        filter: Option<FilterState>,
        failure: Option<String>,
    ) -> Option<InterfaceReport> {
        let Self::Interface(InterfaceFrames { source, counters, .. }) = self else { return None };
        let description = source.description().clone();
        Some(InterfaceReport { description, counters: *counters, filter, failure })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use tapline_decode::LinkType;
    use tapline_interface::kernel::CardUse;
    use tapline_interface::live::{Description, LiveMode};
    use tapline_record::EventTime;

    /// Lends as many frames as it is asked for.
    struct Endless {
        description: Description,
        counters: LiveCounters,
    }

    impl FrameSource for Endless {
        fn read(&mut self, frames_max: usize, visit: &mut dyn FnMut(&Frame<'_>)) -> io::Result<usize> {
            let frame = Frame {
                ts: EventTime(0),
                link: LinkType::Ethernet,
                direction: None,
                interface: None,
                original_octets: 0,
                bytes: &[],
            };
            (0..frames_max).for_each(|_| visit(&frame));
            self.counters.frames += frames_max as u64;
            Ok(frames_max)
        }

        fn counters(&mut self) -> io::Result<LiveCounters> {
            Ok(self.counters)
        }

        fn description(&self) -> &Description {
            &self.description
        }

        fn share_out(self: Box<Self>, _: usize) -> Vec<Box<dyn FrameSource>> {
            vec![self]
        }
    }

    #[test]
    fn frames_that_were_read_since_the_last_look_have_their_fates() {
        let description = Description {
            interface: "eth0".to_owned(),
            mode: LiveMode::Packet,
            queues: 1,
            readers: 1,
            card: CardUse::default(),
            reasons: vec![],
        };
        let source = Endless { description, counters: LiveCounters::default() };
        let mut input = FrameInput::Interface(InterfaceFrames::new(Box::new(source), true));
        let fates = |input: &FrameInput, filtered, dropped| {
            let SourceLedger { offered, delivered, filtered, dropped, .. } = input.fates(filtered, dropped);
            [offered, delivered, filtered, dropped]
        };
        input.read(10, &mut |_| ()).unwrap();
        input.look(true).unwrap();
        assert_eq!(fates(&input, 4, 1), [10, 5, 4, 1]);
        // What was delivered never becomes less.
        input.read(10, &mut |_| ()).unwrap();
        assert_eq!(fates(&input, 9, 2), [20, 9, 9, 2]);
        input.look(true).unwrap();
        assert_eq!(fates(&input, 9, 2), [20, 9, 9, 2]);
    }
}
