//! Three minutes at a branch office.
//!
//! Takes a seed, gives the frames that a mirrored port would see, in time order, and the truth about them.
//! Sixty people and thirty guests browse, look up names and watch videos, over IPv4 and IPv6; in the second
//! minute one computer sweeps the servers' network for an open port, and half a minute before that another
//! one uploads its backup.

mod backup;
mod housekeeping;
mod lookup;
mod office;
mod sweep;
mod tcp_session;
mod traffic;
mod truth;
mod video;
mod web;

use std::io::{self, Write};

pub use truth::{HeavyTalker, Sweep, Truth, Volume};

use crate::frame::Frame;
use crate::pcap::{PcapFormat, PcapWriter};
use crate::random::Random;
use office::Office;
use traffic::Traffic;

/// When the scenario begins, in nanoseconds since 1970: Monday, 2 March 2026, 09:00 UTC, a full minute.
pub const START_NS: u64 = 1_772_442_000 * SECOND_NS;

/// How long it lasts; no frame is at or after its end.
pub(crate) const DURATION_NS: u64 = 180 * SECOND_NS;

/// The snap length with which the scenario is usually written: headers, and DNS messages whole.
pub const SNAP_LENGTH_OCTETS: u32 = 200;

const SECOND_NS: u64 = 1_000_000_000;
const MILLISECOND_NS: u64 = 1_000_000;
const MICROSECOND_NS: u64 = 1_000;

/// A frame and when it was seen.
#[derive(Clone, Debug)]
pub struct TimedFrame {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// What was seen.
    pub frame: Frame,
}

/// Everything that happened.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The frames in time order.
    pub frames: Vec<TimedFrame>,
    /// What a right answer is.
    pub truth: Truth,
}

/// Plays the scenario; the same seed always gives the same frames.
#[must_use]
pub fn branch_office(seed: u64) -> Scenario {
    let office = Office::new(seed);
    let mut traffic = Traffic::default();
    web::play(&office, &mut Random::new(seed, "web"), &mut traffic);
    video::play(&office, &mut Random::new(seed, "video"), &mut traffic);
    lookup::play(&office, &mut Random::new(seed, "lookup"), &mut traffic);
    housekeeping::play(&office, &mut Random::new(seed, "housekeeping"), &mut traffic);
    let heavy_talker = backup::play(&office, &mut Random::new(seed, "backup"), &mut traffic);
    let sweep = sweep::play(&office, &mut Random::new(seed, "sweep"), &mut traffic);
    let frames = traffic.into_frames();
    let truth = Truth::new(&frames, sweep, heavy_talker);
    Scenario { frames, truth }
}

impl Scenario {
    /// Writes the frames as a capture file.
    ///
    /// # Errors
    /// When the sink cannot be written.
    pub fn write_pcap<W: Write>(&self, sink: W, format: PcapFormat) -> io::Result<W> {
        let mut writer = PcapWriter::new(sink, format)?;
        let mut bytes = Vec::new();
        for TimedFrame { time_ns, frame } in &self.frames {
            bytes.clear();
            frame.write(&mut bytes);
            writer.write(*time_ns, &bytes)?;
        }
        writer.finish()
    }
}

#[cfg(test)]
mod tests;
