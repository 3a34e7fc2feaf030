//! What a right answer to a question about the scenario is.
//!
//! Takes the descriptions of the frames, never their bytes, and counts them: so it does not depend on the
//! code that writes or reads frames.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{SECOND_NS, TimedFrame};

/// Packets and their octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Number of packets.
    pub packets: u64,
    /// Octets of the IP packets, headers included.
    pub octets: u64,
}

impl Volume {
    fn add(&mut self, octets: usize) {
        self.packets += 1;
        self.octets += octets as u64;
    }
}

/// A computer that looks for an open port on many others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The computer.
    pub source: IpAddr,
    /// The port that it looks for.
    pub port: u16,
    /// The addresses that it tried, each with one SYN, all within one minute; no address twice.
    pub targets: Vec<IpAddr>,
}

/// A computer that takes most of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeavyTalker {
    /// The computer.
    pub source: IpAddr,
    /// Where it sends.
    pub destination: IpAddr,
    /// When it begins, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When its last packet is seen.
    pub end_ns: u64,
}

/// The truth about a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Number of frames.
    pub frames: u64,
    /// Octets of the frames as sent, without check sequences.
    pub frame_octets: u64,
    /// Frames with an IEEE 802.1Q tag.
    pub tagged_frames: u64,
    /// All IP packets.
    pub ip: Volume,
    /// IP packets by protocol number.
    pub protocols: BTreeMap<u8, Volume>,
    /// IP packets by the start of their minute, in nanoseconds since 1970, and protocol number.
    pub minutes: BTreeMap<(u64, u8), Volume>,
    /// IP packets by sender.
    pub sources: BTreeMap<IpAddr, Volume>,
    /// The port sweep that is hidden in the traffic.
    pub sweep: Sweep,
    /// The upload that is hidden in the traffic.
    pub heavy_talker: HeavyTalker,
}

impl Truth {
    pub(super) fn new(frames: &[TimedFrame], sweep: Sweep, heavy_talker: HeavyTalker) -> Self {
        let mut truth = Self {
            frames: 0,
            frame_octets: 0,
            tagged_frames: 0,
            ip: Volume::default(),
            protocols: BTreeMap::new(),
            minutes: BTreeMap::new(),
            sources: BTreeMap::new(),
            sweep,
            heavy_talker,
        };
        for frame in frames {
            truth.count(frame);
        }
        truth
    }

    fn count(&mut self, TimedFrame { time_ns, frame }: &TimedFrame) {
        self.frames += 1;
        self.frame_octets += frame.frame_octets() as u64;
        self.tagged_frames += u64::from(frame.link.vlan.is_some());
        let Some(packet) = frame.packet() else { return };
        let (minute_ns, octets) = (time_ns - time_ns % (60 * SECOND_NS), packet.octets());
        self.ip.add(octets);
        self.protocols.entry(packet.protocol()).or_default().add(octets);
        self.minutes.entry((minute_ns, packet.protocol())).or_default().add(octets);
        self.sources.entry(packet.src_ip).or_default().add(octets);
    }
}
