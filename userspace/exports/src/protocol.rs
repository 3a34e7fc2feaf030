//! The export protocols, as far as it takes to tell where a message begins and ends.
//!
//! Takes octets, gives the protocol of the message they begin with, its length as its own lengths say,
//! and the time in its header. Nothing here decides what a record is.
//!
//! Sources: Cisco's NetFlow export formats (v5, v7), RFC 3954 (v9), RFC 7011 (IPFIX), sflow.org
//! "sFlow Version 5".

use tapline_record::EventTime;

/// No message is longer: UDP and IPFIX have lengths of 16 bits.
pub(super) const MESSAGE_OCTETS_MAX: usize = 65_535;

/// Octets of an IPFIX header.
pub(super) const IPFIX_HEADER_OCTETS: usize = 16;

/// Versions, as messages begin with them.
const V5: u16 = 5;
const V7: u16 = 7;
const V9: u16 = 9;
const IPFIX: u16 = 10;

const V9_HEADER_OCTETS: usize = 20;
/// NetFlow v5 and v7 have headers of the same length.
const V5_HEADER_OCTETS: usize = 24;
const V5_RECORD_OCTETS: usize = 48;
const V7_RECORD_OCTETS: usize = 52;
/// The second half of the version, which has 32 bits; no set is that short.
const SFLOW_VERSION: u16 = 5;
/// Sets of templates and of options templates.
const V9_TEMPLATES: [u16; 2] = [0, 1];
const IPFIX_TEMPLATES: [u16; 2] = [2, 3];
/// Data sets have ids above this one.
const RESERVED_SET_MAX: u16 = 255;
/// The kind of an agent's address in sFlow, which stands at this place of a datagram.
const SFLOW_AGENT_AT: usize = 4;
const SFLOW_IPV4: u32 = 1;
const SFLOW_IPV6: u32 = 2;
const NANOSECONDS_A_SECOND: u32 = 1_000_000_000;

/// A protocol for flow exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    NetflowV5,
    NetflowV7,
    NetflowV9,
    Ipfix,
    Sflow,
}

impl Protocol {
    /// By the version alone.
    pub(super) fn of_version(octets: &[u8]) -> Option<Self> {
        match (be16(octets, 0)?, be16(octets, 2)?) {
            (0, SFLOW_VERSION) => Some(Self::Sflow),
            (V5, _) => Some(Self::NetflowV5),
            (V7, _) => Some(Self::NetflowV7),
            (V9, _) => Some(Self::NetflowV9),
            (IPFIX, _) => Some(Self::Ipfix),
            _ => None,
        }
    }

    /// If a message of at most `octets_max` octets may well begin here; `octets` need not hold all of it.
    pub(super) fn of(octets: &[u8], octets_max: usize) -> Option<Self> {
        let protocol = Self::of_version(octets)?;
        let is_plausible = match protocol {
            Self::NetflowV5 => is_fixed(octets, V5_RECORD_OCTETS, octets_max),
            Self::NetflowV7 => is_fixed(octets, V7_RECORD_OCTETS, octets_max),
            Self::NetflowV9 => is_v9(octets, octets_max),
            Self::Ipfix => is_ipfix(octets, octets_max),
            Self::Sflow => is_sflow(octets, octets_max),
        };
        is_plausible.unwrap_or(false).then_some(protocol)
    }

    /// Length of the message that `octets` begin with, which may be more than there are.
    pub(super) fn message_octets(self, octets: &[u8]) -> usize {
        match self {
            Self::NetflowV5 => fixed_octets(octets, V5_RECORD_OCTETS),
            Self::NetflowV7 => fixed_octets(octets, V7_RECORD_OCTETS),
            Self::NetflowV9 => v9_octets(octets),
            Self::Ipfix => usize::from(be16(octets, 2).unwrap_or(0)).max(IPFIX_HEADER_OCTETS),
            Self::Sflow => sflow_octets(octets),
        }
    }

    /// When the message was sent, by its own header. sFlow only says how long the exporter has been
    /// running, which is taken for a time after the epoch.
    pub(super) fn export_time(self, octets: &[u8]) -> EventTime {
        let word = |at| be32(octets, at).unwrap_or(0).into();
        match self {
            Self::NetflowV5 | Self::NetflowV7 => EventTime::from_parts(word(8), word(12)),
            Self::NetflowV9 => EventTime::from_parts(word(8), 0),
            Self::Ipfix => EventTime::from_parts(word(4), 0),
            Self::Sflow => EventTime::from_parts(0, word(sflow_uptime_at(octets)) * 1_000_000),
        }
    }
}

/// The number at `at`, in the order of the network; `None` behind the end.
pub(super) fn be16(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().map(|field| u16::from_be_bytes(*field))
}

fn be32(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().map(|field| u32::from_be_bytes(*field))
}

/// A header and records of one length, as many as the header says.
fn fixed_octets(octets: &[u8], record_octets: usize) -> usize {
    V5_HEADER_OCTETS + usize::from(be16(octets, 2).unwrap_or(0)) * record_octets
}

fn is_fixed(octets: &[u8], record_octets: usize, octets_max: usize) -> Option<bool> {
    let has_records = be16(octets, 2)? > 0 && fixed_octets(octets, record_octets) <= octets_max;
    Some(has_records && be32(octets, 12)? < NANOSECONDS_A_SECOND)
}

/// Whether a set that may follow a header of `header_octets` octets does.
fn has_set(octets: &[u8], header_octets: usize, reserved: [u16; 2], octets_max: usize) -> Option<bool> {
    let (id, set_octets) = (be16(octets, header_octets)?, be16(octets, header_octets + 2)?);
    let is_set = id > RESERVED_SET_MAX || reserved.contains(&id);
    Some(is_set && set_octets >= 4 && header_octets + usize::from(set_octets) <= octets_max)
}

fn is_v9(octets: &[u8], octets_max: usize) -> Option<bool> {
    has_set(octets, V9_HEADER_OCTETS, V9_TEMPLATES, octets_max)
}

fn is_ipfix(octets: &[u8], octets_max: usize) -> Option<bool> {
    let message_octets = usize::from(be16(octets, 2)?);
    if message_octets == IPFIX_HEADER_OCTETS {
        return Some(octets.len() >= IPFIX_HEADER_OCTETS);
    }
    let is_set = has_set(octets, IPFIX_HEADER_OCTETS, IPFIX_TEMPLATES, message_octets)?;
    Some(is_set && message_octets <= octets_max)
}

/// A v9 message does not say its length: its sets end where a new header begins, or the octets do. Zeros
/// behind the last set are padding and belong to it.
fn v9_octets(octets: &[u8]) -> usize {
    let mut at = V9_HEADER_OCTETS;
    while let (Some(id), Some(set_octets)) = (be16(octets, at), be16(octets, at + 2)) {
        match (id, set_octets) {
            (2..=RESERVED_SET_MAX, _) | (0, SFLOW_VERSION) => break,
            (_, 4..) => at += usize::from(set_octets),
            (0, 0) => return zeros_end(octets, at),
            _ => break,
        }
    }
    at
}

/// Where the zeros at `at` end, which they do at an even distance.
fn zeros_end(octets: &[u8], at: usize) -> usize {
    let rest = octets.get(at..).unwrap_or(&[]);
    let words = rest.chunks(2).take_while(|word| word.iter().all(|octet| *octet == 0));
    at + words.map(<[u8]>::len).sum::<usize>()
}

/// Where the uptime stands in an sFlow header, behind an address of either family.
fn sflow_uptime_at(octets: &[u8]) -> usize {
    if be32(octets, SFLOW_AGENT_AT) == Some(SFLOW_IPV6) { 32 } else { 20 }
}

fn is_sflow(octets: &[u8], octets_max: usize) -> Option<bool> {
    let samples_at = sflow_uptime_at(octets) + 8;
    let samples = be32(octets, samples_at - 4)? as usize;
    let has_agent = matches!(be32(octets, SFLOW_AGENT_AT)?, SFLOW_IPV4 | SFLOW_IPV6);
    if samples == 0 {
        return Some(has_agent);
    }
    let sample_octets = be32(octets, samples_at + 4)? as usize;
    let has_sample = samples_at.saturating_add(8).saturating_add(sample_octets) <= octets_max;
    Some(has_agent && has_sample && samples <= octets_max / 8)
}

/// A header, and samples of the lengths that they say.
fn sflow_octets(octets: &[u8]) -> usize {
    let mut at = sflow_uptime_at(octets) + 8;
    for _ in 0..be32(octets, at - 4).unwrap_or(0) {
        let Some(sample_octets) = be32(octets, at + 4) else { break };
        at = at.saturating_add(8).saturating_add(sample_octets as usize);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A v9 header and these sets, given by id and length.
    fn v9(sets: &[(u16, u16)]) -> Vec<u8> {
        let mut message = [&[0, 9, 0, 1][..], &[1; 16]].concat();
        for (id, octets) in sets {
            message.extend([id.to_be_bytes(), octets.to_be_bytes()].concat());
            message.resize(message.len() + usize::from(*octets).saturating_sub(4), 7);
        }
        message
    }

    #[test]
    fn a_v9_message_ends_at_the_next_header_or_behind_zeros() {
        let one = v9(&[(0, 24), (256, 44)]);
        let padded = [&one[..], &[0; 10]].concat();
        for first in [&one, &padded] {
            for second in [v9(&[(257, 8)]), vec![0, 5, 0, 1], vec![]] {
                let both = [&first[..], &second].concat();
                assert_eq!(Protocol::NetflowV9.message_octets(&both), first.len(), "{second:?}");
            }
        }
    }

    #[test]
    fn lengths_that_lie_end_the_walk() {
        for octets in [v9(&[(256, 2)]), v9(&[(256, 0)])] {
            assert_eq!(Protocol::NetflowV9.message_octets(&octets), V9_HEADER_OCTETS);
        }
        assert_eq!(Protocol::NetflowV9.message_octets(&[0, 9]), V9_HEADER_OCTETS);
        assert_eq!(Protocol::Ipfix.message_octets(&[0, 10, 0, 3]), IPFIX_HEADER_OCTETS);
        assert!(Protocol::Sflow.message_octets(&[0xff; 40]) >= 40);
    }

    #[test]
    fn what_begins_like_a_message_is_not_one() {
        let cases: &[&[u8]] = &[
            b"\0\x05\0\x02Access violation, as a TFTP server says it, with some words more about it\0",
            b"\0\x09\0\x01................\x00\x05....",
            b"\0\x0a\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01",
            b"\0\0\0\x05\0\0\0\x03....................................",
            b"\0\x0a\0\x10",
            b"\0\x09",
            b"",
        ];
        for octets in cases {
            assert_eq!(Protocol::of(octets, octets.len()), None, "{octets:?}");
        }
    }
}
