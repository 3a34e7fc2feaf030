//! What a frame is: octets in, key and IP length out. It begins as its interface's frames do, with Ethernet's header
//! or with that of IP.
//!
//! Says the same of every frame as the user-space decoder, NULLs included, as long as the frame has no more
//! headers than are looked through here; the tests compare the two. Any octets are legal input.

mod extension;
mod ip;
mod link;
mod transport;
mod walk;

use tapline_ebpf_common::{FlowKey, Network, Shape, Transport, flags};
use walk::Walk;
pub use walk::{NO_VLAN, Position};

/// The octets of a frame that can be read: all, or the first ones.
pub trait Octets {
    /// `N` octets from offset `at`, if all of them can be read.
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]>;

    /// Goes behind tags, labels and sessions, from an EtherType to that of an IP header; whether there is one.
    ///
    /// Rare, and a loop: in the kernel, a function that the verifier checks for itself.
    fn go_behind_link(&self, position: &mut Position) -> bool {
        go_behind_link(self, position)
    }

    /// Goes behind the extension headers of IPv6; whether something follows. Rare, and a loop.
    fn go_behind_extensions(&self, position: &mut Position) -> bool {
        go_behind_extensions(self, position)
    }

    /// Goes behind the extension headers that IPv4 may have; whether something follows.
    fn go_behind_extensions_v4(&self, position: &mut Position) -> bool {
        go_behind_extensions_v4(self, position)
    }
}

/// See [`Octets::go_behind_link`].
#[inline(always)]
pub fn go_behind_link<F: Octets + ?Sized>(frame: &F, position: &mut Position) -> bool {
    walk_on(frame, position, link::look_through)
}

/// See [`Octets::go_behind_extensions`].
#[inline(always)]
pub fn go_behind_extensions<F: Octets + ?Sized>(frame: &F, position: &mut Position) -> bool {
    walk_on(frame, position, extension::look_through)
}

/// See [`Octets::go_behind_extensions_v4`].
#[inline(always)]
pub fn go_behind_extensions_v4<F: Octets + ?Sized>(frame: &F, position: &mut Position) -> bool {
    walk_on(frame, position, extension::look_through_v4)
}

/// Goes on from a position with one part of the walk.
#[inline(always)]
fn walk_on<F: Octets + ?Sized>(
    frame: &F,
    position: &mut Position,
    part: impl FnOnce(&mut Walk<'_, F>) -> Option<()>,
) -> bool {
    let mut walk = Walk::resume(frame, *position);
    let is_there = part(&mut walk).is_some();
    *position = walk.position;
    is_there
}

impl Octets for [u8] {
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.get(at..)?.first_chunk().copied()
    }
}

/// Where the headers are of a frame that is cut into segments later: each has all of them, but for the jumbogram's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Where the IP header begins.
    pub ip_at: u32,
    /// Behind the header of TCP or UDP; zero where there is neither, or it is not whole.
    pub payload_at: u32,
    /// Octets of the header that makes it a jumbogram, which no segment has.
    pub jumbo_octets: u32,
    /// Where the transport header begins, which has 60 octets at the most: behind that nobody finds a header but one in a
    /// tunnel, and damage only by what is said of lengths. [`Headers::UNKNOWN`] or more where that does not hold: where
    /// headers are too many, not whole or may be longer (DCCP), and where the frame goes on behind the IP packet.
    pub transport_at: u32,
}

impl Headers {
    /// Further in than any header is.
    pub const UNKNOWN: u32 = 1 << 16;
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Its flow.
    pub key: FlowKey,
    /// Its TCP flags, whether they are part of the key or not.
    pub tcp_flags: Option<u16>,
    /// What the IP header claims, as the column `octets` defines it; zero when there is none.
    pub octets: u32,
    /// Where its headers are, for whoever cuts it.
    pub headers: Headers,
    /// Whether it has an IP header, whole or not.
    pub is_ip: bool,
    /// Whether there are more headers than are looked through.
    pub is_too_deep: bool,
}

/// Parses a frame of so many octets, of which some can be read, as the configuration's switches say: `RAW_IP`, that
/// it begins with the IP header, and `TCP_FLAGS`, that these become part of the key.
#[inline(always)]
pub fn parse<F: Octets + ?Sized>(frame: &F, frame_octets: u32, switches: u32) -> Parsed {
    parse_within(frame, frame_octets, switches, NO_VLAN)
}

/// Parses a frame that is within this VLAN already, or [`NO_VLAN`]: the outermost tag stands beside it. See [`parse`].
#[inline(always)]
pub fn parse_within<F: Octets + ?Sized>(frame: &F, frame_octets: u32, switches: u32, vlan: u16) -> Parsed {
    let mut walk = Walk::new(frame, frame_octets, vlan);
    if link::find_ip(&mut walk, switches & flags::RAW_IP != 0).is_some() {
        walk.ip_at = walk.position.at();
        // Whatever stops it, what was found until then counts.
        let _ = ip::strip(&mut walk);
    }
    finish(walk, frame_octets, switches & flags::TCP_FLAGS != 0)
}

#[inline(always)]
fn finish<F: Octets + ?Sized>(mut walk: Walk<'_, F>, frame_octets: u32, with_tcp_flags: bool) -> Parsed {
    let tcp_flags = if walk.transport == Transport::Tcp { Some(walk.tcp_flags) } else { None };
    if walk.transport == Transport::Tcp && !with_tcp_flags {
        walk.transport = Transport::Ports;
    }
    let shape = Shape { network: walk.network, transport: walk.transport, tcp_flags: walk.tcp_flags };
    let protocol = if walk.network.has_protocol() { walk.protocol } else { 0 };
    walk.key.set_rest(walk.ports, protocol, None, shape);
    walk.key.set_vlan(walk.position.vlan());
    let Walk { position, ip_at, payload_at, jumbo_octets, .. } = walk;
    // Without a branch, which the verifier would follow through all that comes after: not zero in the upper half.
    let behind = frame_octets.wrapping_sub(position.end()) | u32::from(position.is_too_deep);
    let transport_at = walk.transport_at | (behind | behind >> 16) << 16;
    Parsed {
        key: walk.key,
        tcp_flags,
        octets: walk.octets,
        headers: Headers { ip_at, payload_at, jumbo_octets, transport_at },
        is_ip: !matches!(walk.network, Network::None),
        is_too_deep: walk.position.is_too_deep != 0,
    }
}
