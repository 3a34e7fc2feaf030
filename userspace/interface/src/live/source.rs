//! What all live sources have in common.

use std::fmt;
use std::io;
use std::ops::AddAssign;

use tapline_decode::Frame;

use crate::kernel::{CardUse, SharedFilter, SharedPreFilter};
use crate::link::Link;

/// How frames reach this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveMode {
    /// `AF_XDP`: the interface writes frames into this process's memory.
    XdpZeroCopy,
    /// `AF_XDP`: the kernel copies frames into this process's memory before it makes packets of them.
    XdpCopy,
    /// `AF_PACKET`: the kernel copies what its packets hold; the host gets them as well.
    Packet,
}

impl fmt::Display for LiveMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::XdpZeroCopy => "AF_XDP without copying",
            Self::XdpCopy => "AF_XDP with copying",
            Self::Packet => "AF_PACKET",
        })
    }
}

/// What was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The interface.
    pub interface: String,
    /// How frames are read.
    pub mode: LiveMode,
    /// Queues of the interface that are read.
    pub queues: u32,
    /// Who read them, each some of them.
    pub readers: u32,
    /// What the program in front of it takes from the card.
    pub card: CardUse,
    /// Why it is not the better mode, one sentence each.
    pub reasons: Vec<String>,
}

/// Frames that were lost, by the place where that happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// In the interface, as the host was too slow for it; only where its driver counts them.
    pub interface: u64,
    /// In the XDP program, as no socket was there for the queue.
    pub program: u64,
    /// In front of an `AF_XDP` socket: no free memory, or a frame longer than a piece of it.
    pub memory: u64,
    /// In front of a ring or a socket that was full.
    pub ring: u64,
}

impl Drops {
    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.interface + self.program + self.memory + self.ring
    }

    /// Notes what an interface has missed since it was opened; nothing of another one that has its name by now, and no less
    /// than before where its driver counts anew.
    pub(super) fn miss(&mut self, now: &Link, opened: &Link) {
        if now.index == opened.index {
            self.interface = self.interface.max(now.missed.saturating_sub(opened.missed));
        }
    }
}

impl AddAssign for Drops {
    fn add_assign(&mut self, other: Self) {
        self.interface += other.interface;
        self.program += other.program;
        self.memory += other.memory;
        self.ring += other.ring;
    }
}

/// What a live source read and lost since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveCounters {
    /// Frames lent.
    pub frames: u64,
    /// Octets that the frames lent had on the wire.
    pub octets: u64,
    /// Frames lent that lost their end, being longer than what is read of one.
    pub cut: u64,
    /// Frames lent that hold several packets of a connection, joined before or not yet cut: longer than the
    /// interface's packets, or the kernel says so.
    pub joined: u64,
    /// Frames that the rules of the program's pre-filter refused.
    pub filtered: u64,
    /// Frames that the filter of the program left out, as nobody who reads packets wants them.
    pub unwanted: u64,
    /// Frames whose time is that of the card that received them.
    pub stamped: u64,
    /// Frames whose time by the card is not near to our clock, which they have instead.
    pub mistrusted: u64,
    /// Frames that were lost.
    pub drops: Drops,
    /// Times that an `AF_XDP` socket had no memory for a frame.
    pub starved: u64,
    /// Times that the interface was switched off meanwhile.
    pub interruptions: u64,
}

impl LiveCounters {
    /// Counts a frame that is lent, of which so many octets were cut off as nobody needs them.
    pub(super) fn count(&mut self, frame: &Frame<'_>, unneeded_octets: u32) {
        self.frames += 1;
        self.octets += u64::from(frame.original_octets);
        let needed_octets = frame.original_octets.saturating_sub(unneeded_octets) as usize;
        self.cut += u64::from(frame.bytes.len() < needed_octets);
    }
}

impl AddAssign for LiveCounters {
    /// Adds what another reader of the same interface counted.
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.octets += other.octets;
        self.cut += other.cut;
        self.joined += other.joined;
        self.filtered += other.filtered;
        self.unwanted += other.unwanted;
        self.stamped += other.stamped;
        self.mistrusted += other.mistrusted;
        self.drops += other.drops;
        self.starved += other.starved;
        self.interruptions += other.interruptions;
    }
}

/// A live source of frames; it moves to the thread that reads it.
pub trait FrameSource: Send {
    /// Lends up to `frames_max` (at least 1) next frames to `visit`; returns how many.
    ///
    /// Waits a tenth of a second at most, and gives none if nothing came.
    ///
    /// # Errors
    /// What the operating system says, such as that the interface is gone; not about single frames.
    fn read(&mut self, frames_max: usize, visit: &mut dyn FnMut(&Frame<'_>)) -> io::Result<usize>;

    /// What was read so far, and what was lost. To be asked often enough for the kernel's 32 bits not to wrap.
    ///
    /// # Errors
    /// What the operating system says.
    fn counters(&mut self) -> io::Result<LiveCounters>;

    /// What was opened, and why nothing better.
    fn description(&self) -> &Description;

    /// Shares its queues out among so many readers, of which it is the first, if there are enough: what they give and count
    /// together is what it would have given and counted. Where nothing can be shared out it stays the only one.
    fn share_out(self: Box<Self>, readers: usize) -> Vec<Box<dyn FrameSource>>;

    /// Whether [`Self::gather`] may be said now: what was said before is done, and who is to take queues is ready to.
    fn may_gather(&self, _are_gathered: bool) -> bool {
        true
    }

    /// Of readers that share an interface, lets the first one read all its queues from now on, or each its own again. It is
    /// to be said to all of them, to the first one first.
    fn gather(&mut self, _are_gathered: bool) {}

    /// The pre-filter of the program in front of it; `None` if there is no program, or if another reader has it.
    fn prefilter(&self) -> Option<SharedPreFilter> {
        None
    }

    /// All that came before this, on the programs' clock in ns, was lent; always, where nothing waits between a program and
    /// this.
    fn lent_until_ns(&self) -> u64 {
        u64::MAX
    }

    /// The filter of the program in front of it, whose `FrameReader::Packets` it is; `None` if there is no program.
    fn filter(&self) -> Option<SharedFilter> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interface_missed_never_becomes_less() {
        let link = |index, missed| Link { index, missed, ..Link::default() };
        let (mut drops, opened) = (Drops::default(), link(7, 100));
        for (now, expected) in [(link(7, 130), 30), (link(7, 5), 30), (link(8, 500), 30), (link(7, 140), 40)]
        {
            drops.miss(&now, &opened);
            assert_eq!(drops.sum(), expected, "{now:?}");
        }
    }
}
