//! What a packet comes to on the wire that is cut into segments after the program has seen it.
//!
//! Takes where the headers of the packet are and how the kernel will cut it, gives frames: how many, their octets, and which
//! of them have which TCP flags. Whoever cuts does as Linux and cards do (`tcp_gso_segment`): each segment has all headers,
//! the first one alone CWR, the last one alone FIN and PSH. Where the headers of what is cut are not known, as in a tunnel,
//! what the kernel estimates holds.

use crate::parse::{Headers, Parsed};

const FIN: u16 = 0x01;
const PSH: u16 = 0x08;
const CWR: u16 = 0x80;
/// The kernel counts no more of a packet.
const SEGMENTS_MAX: u32 = 0xffff;

/// A packet that leaves the host, and how it will be cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Octets of the frame in memory.
    pub octets: u32,
    /// Octets of the tag that stands beside it.
    pub tag_octets: u32,
    /// Octets of payload of each segment but the last; zero where it is not cut.
    pub segment_octets: u32,
    /// Segments, as the kernel counts them; zero where it does not know.
    pub segments: u32,
    /// Octets of the frames, as the kernel estimates them, without tags that stand beside them.
    pub estimated_octets: u32,
}

/// Frames of the same TCP flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Train {
    /// How many; 65,535 at the most.
    pub frames: u32,
    /// Octets of their IP packets.
    pub octets: u32,
    /// Octets of the frames.
    pub frame_octets: u32,
    /// Whether they have TCP flags.
    pub is_tcp: bool,
    /// Those of each; zero where there are none. What only is there sometimes, compilers leave out of registers that the
    /// verifier then knows nothing of.
    pub tcp_flags: u16,
}

/// All frames of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// All together, with the flags of the packet.
    pub all: Train,
    /// One that is full, where they are known one by one.
    full: Train,
}

impl Segments {
    /// What becomes of a packet.
    #[inline(always)]
    #[must_use]
    pub fn of(parsed: &Parsed, outgoing: &Outgoing) -> Self {
        let one = Train {
            frames: 1,
            octets: parsed.octets,
            frame_octets: outgoing.octets.wrapping_add(outgoing.tag_octets),
            is_tcp: parsed.key.has_tcp_flags(),
            tcp_flags: parsed.key.tcp_flag_bits(),
        };
        if outgoing.segment_octets == 0 {
            return Self { all: one, full: Train::default() };
        }
        cut(parsed, outgoing, &one).unwrap_or_else(|| estimate(parsed, outgoing, &one))
    }

    /// The frames, with the flags of the packet.
    #[inline(always)]
    #[must_use]
    pub fn together(&self) -> [Train; 3] {
        [self.all, Train::default(), Train::default()]
    }

    /// The frames by their flags; some of these may be none.
    #[inline(always)]
    #[must_use]
    pub fn trains(&self) -> [Train; 3] {
        let Self { all, full } = *self;
        if !all.is_tcp || all.frames < 2 || full.frames == 0 {
            return self.together();
        }
        let (before, flags) = (all.frames - 1, all.tcp_flags);
        let times = |frames: u32, tcp_flags| Train {
            frames,
            octets: full.octets.wrapping_mul(frames),
            frame_octets: full.frame_octets.wrapping_mul(frames),
            is_tcp: true,
            tcp_flags,
        };
        let (first, middle) = (times(1, flags & !(FIN | PSH)), times(before - 1, flags & !(FIN | PSH | CWR)));
        let last = Train {
            frames: 1,
            octets: all.octets.wrapping_sub(full.octets.wrapping_mul(before)),
            frame_octets: all.frame_octets.wrapping_sub(full.frame_octets.wrapping_mul(before)),
            is_tcp: true,
            tcp_flags: flags & !CWR,
        };
        [first, middle, last]
    }
}

/// The segments, where the headers of what is cut are those that were parsed.
#[inline(always)]
fn cut(parsed: &Parsed, outgoing: &Outgoing, one: &Train) -> Option<Segments> {
    let Headers { ip_at, payload_at, jumbo_octets, .. } = parsed.headers;
    let Outgoing { octets, tag_octets, segment_octets, estimated_octets, .. } = *outgoing;
    if payload_at == 0 || payload_at >= octets {
        return None;
    }
    let payload = octets - payload_at;
    let frames = payload.div_ceil(segment_octets);
    // What UDP carries may be a tunnel, whose inner headers each segment has, too; the kernel knows.
    let is_alone =
        one.is_tcp || estimated_octets == octets.wrapping_add((frames - 1).wrapping_mul(payload_at));
    if frames > SEGMENTS_MAX || !is_alone {
        return None;
    }
    // Both are in front of the payload, the jumbogram's behind the IP header.
    let headers = payload_at.wrapping_sub(jumbo_octets);
    let (of_ip, of_frame) = (headers.wrapping_sub(ip_at), headers.wrapping_add(tag_octets));
    let with = |headers: u32, payload: u32, frames: u32| headers.wrapping_mul(frames).wrapping_add(payload);
    Some(Segments {
        all: Train {
            frames,
            octets: with(of_ip, payload, frames),
            frame_octets: with(of_frame, payload, frames),
            ..*one
        },
        full: Train {
            frames: 1,
            octets: with(of_ip, segment_octets, 1),
            frame_octets: with(of_frame, segment_octets, 1),
            ..*one
        },
    })
}

/// What the kernel says of it: each segment more has as many octets of headers as any, those of its link included.
#[inline(always)]
fn estimate(parsed: &Parsed, outgoing: &Outgoing, one: &Train) -> Segments {
    let frames = outgoing.segments.clamp(1, SEGMENTS_MAX);
    let headers = outgoing.estimated_octets.saturating_sub(outgoing.octets);
    let of_links = parsed.headers.ip_at.wrapping_mul(frames - 1);
    let of_ip = if parsed.is_ip { headers.saturating_sub(of_links) } else { 0 };
    let tags = outgoing.tag_octets.wrapping_mul(frames);
    Segments {
        all: Train {
            frames,
            octets: one.octets.wrapping_add(of_ip),
            frame_octets: outgoing.octets.wrapping_add(headers).wrapping_add(tags),
            ..*one
        },
        full: Train::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_ebpf_common::{FlowKey, Network, Shape, Transport};

    const ACK: u16 = 0x10;

    /// A packet of TCP over IPv4 behind Ethernet, headers of 66 octets.
    fn parsed(octets: u32, tcp_flags: Option<u16>) -> Parsed {
        let transport = if tcp_flags.is_some() { Transport::Tcp } else { Transport::Ports };
        let shape = Shape { network: Network::V4, transport, tcp_flags: tcp_flags.unwrap_or(0) };
        let mut key = FlowKey::default();
        key.set_rest([443, 50_000], 6, None, shape);
        Parsed {
            key,
            tcp_flags,
            octets: octets - 14,
            headers: Headers { ip_at: 14, payload_at: 66, jumbo_octets: 0, transport_at: 0 },
            is_ip: true,
            is_too_deep: false,
        }
    }

    fn train(frames: u32, octets: u32, frame_octets: u32, flags: u16) -> Train {
        Train { frames, octets, frame_octets, is_tcp: true, tcp_flags: flags }
    }

    #[test]
    fn a_packet_that_is_not_cut_is_one_frame() {
        let outgoing =
            Outgoing { octets: 1066, tag_octets: 4, estimated_octets: 1066, ..Outgoing::default() };
        let segments = Segments::of(&parsed(1066, Some(ACK | PSH)), &outgoing);
        assert_eq!(segments.all, train(1, 1052, 1070, ACK | PSH));
        assert_eq!(segments.trains(), [segments.all, Train::default(), Train::default()]);
    }

    #[test]
    fn only_the_last_segment_has_fin_and_psh_and_only_the_first_has_cwr() {
        let outgoing = Outgoing { octets: 66 + 3500, segment_octets: 1000, ..Outgoing::default() };
        let segments = Segments::of(&parsed(66 + 3500, Some(ACK | PSH | FIN | CWR)), &outgoing);
        assert_eq!(segments.all, train(4, 4 * 52 + 3500, 4 * 66 + 3500, ACK | PSH | FIN | CWR));
        let trains =
            [train(1, 1052, 1066, ACK | CWR), train(2, 2104, 2132, ACK), train(1, 552, 566, ACK | PSH | FIN)];
        assert_eq!(segments.trains(), trains);
    }

    #[test]
    fn each_segment_has_the_tag_that_stands_beside_and_none_the_header_of_the_jumbogram() {
        let octets = 74 + 200_000;
        let outgoing = Outgoing { octets, tag_octets: 4, segment_octets: 1400, ..Outgoing::default() };
        let mut jumbogram = parsed(octets, Some(ACK));
        jumbogram.headers = Headers { ip_at: 14, payload_at: 74, jumbo_octets: 8, transport_at: 0 };
        let all = Segments::of(&jumbogram, &outgoing).all;
        assert_eq!(all, train(143, 143 * 52 + 200_000, 143 * 70 + 200_000, ACK));
    }

    #[test]
    fn datagrams_are_cut_as_the_kernel_says_and_tunnels_are_estimated() {
        let mut datagrams = parsed(42 + 2500, None);
        datagrams.headers.payload_at = 42;
        let outgoing = |estimated_octets| Outgoing {
            octets: 42 + 2500,
            segment_octets: 1000,
            segments: 3,
            estimated_octets,
            ..Outgoing::default()
        };
        let all = Segments::of(&datagrams, &outgoing(2542 + 2 * 42)).all;
        assert_eq!((all.frames, all.octets, all.frame_octets), (3, 3 * 28 + 2500, 3 * 42 + 2500));
        // Inner headers of 50 octets more.
        let all = Segments::of(&datagrams, &outgoing(2542 + 2 * 92)).all;
        assert_eq!((all.frames, all.octets, all.frame_octets), (3, 2528 + 2 * 78, 2542 + 2 * 92));
    }

    #[test]
    fn whatever_is_said_of_a_packet_it_is_a_frame_at_least() {
        let numbers = [0, 1, 13, 66, 67, 1500, 0xffff, 0x10_0000, u32::MAX];
        let pairs = || numbers.into_iter().flat_map(|one| numbers.map(|other| (one, other)));
        let packets = pairs().flat_map(|(octets, segment_octets)| {
            numbers.map(|segments| Outgoing { octets, segment_octets, segments, ..Outgoing::default() })
        });
        for (outgoing, flags) in packets.flat_map(|outgoing| [(outgoing, None), (outgoing, Some(0x1ff))]) {
            let segments = Segments::of(&parsed(80, flags), &outgoing);
            let frames: u32 = segments.trains().iter().map(|train| train.frames).sum();
            assert!((1..=SEGMENTS_MAX).contains(&frames), "{outgoing:?}");
            assert_eq!(frames, segments.all.frames);
        }
    }
}
