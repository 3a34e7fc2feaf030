//! Frames read as copies, through `AF_PACKET`.
//!
//! Takes an interface of any kind, gives what it received and sent, with the kernel's time and the VLAN tag in its
//! place. Frames that do not begin with Ethernet's header are taken from their network header on. The host gets
//! everything as before. What finds the ring full is counted by the kernel.

use std::io;
use std::iter;
use std::os::fd::AsFd as _;

use libc::PACKET_OUTGOING;
use socket2::Socket;
use tapline_decode::{Direction, Frame, LinkType};
use tapline_record::EventTime;

use super::packet_ring::{PacketRing, RingFrame};
use super::packet_socket::{self, FrameStart, RingShape};
use super::{Description, FrameSource, LiveCounters, LiveError, LiveMode, LiveOptions};
use crate::Directions;
use crate::kernel::CardUse;
use crate::link::{self, Carries, Link};
use tapline_socket::Poll;
use tapline_socket::is_passing;
use tapline_socket::option;

/// Octets of a block of the ring: many frames at a time, and the longest that the kernel may have joined.
const BLOCK_OCTETS: usize = 1 << 20;
/// Octets of VLAN tags that a packet of the MTU's length may have besides.
const TAGS_OCTETS: u32 = 8;
/// Longest time that a frame waits for others, ms.
const BLOCK_WAIT_MS: u32 = 20;
/// Longest wait of one read, ms: where nothing comes within it, no frame waits for others any more.
const WAIT_MS: u16 = 100;

/// What may be behind a link header (`ETH_P_*`).
const IPV4: u16 = libc::ETH_P_IP as u16;
const IPV6: u16 = libc::ETH_P_IPV6 as u16;
const MPLS: u16 = libc::ETH_P_MPLS_UC as u16;
const MPLS_UPSTREAM: u16 = libc::ETH_P_MPLS_MC as u16;

/// The hardware type of monitors of netlink (`ARPHRD_NETLINK`).
const NETLINK: u16 = 824;

/// An interface that is read through `AF_PACKET`.
pub struct PacketSource {
    socket: Socket,
    ring: PacketRing,
    poll: Poll,
    link: Link,
    /// Whether it reads what the interface receives, of which that may miss some.
    is_of_received: bool,
    description: Description,
    counters: LiveCounters,
}

impl PacketSource {
    /// Begins to read an interface that is there; `reasons` say why it is not read in a better way.
    pub(super) fn open(link: Link, options: &LiveOptions, reasons: Vec<String>) -> Result<Self, LiveError> {
        let failed = |what, error| LiveError::new(&link.name, what, error);
        let start = if link.carries() == Carries::Ethernet { FrameStart::Link } else { FrameStart::Network };
        let socket = packet_socket::new(start).map_err(|error| failed("opening a socket", error))?;
        let shape = RingShape {
            block_octets: BLOCK_OCTETS,
            blocks: (options.ring_octets / BLOCK_OCTETS).max(2),
            block_wait_ms: BLOCK_WAIT_MS,
        };
        packet_socket::make_ring(&socket, shape).map_err(|error| no_ring(&link.name, shape, error))?;
        let ring =
            PacketRing::map(&socket, shape, start).map_err(|error| failed("mapping the ring", error))?;
        set_up(&socket, &link, options).map_err(|error| failed("setting a socket up", error))?;
        let description = Description {
            interface: link.name.clone(),
            mode: LiveMode::Packet,
            queues: link.receive_queues,
            readers: 1,
            card: CardUse::default(),
            reasons,
        };
        Ok(Self {
            socket,
            ring,
            poll: Poll::default(),
            link,
            is_of_received: options.directions.has_received(),
            description,
            counters: LiveCounters::default(),
        })
    }

    /// Lends what is in the ring; returns how many frames that were.
    fn lend(&mut self, frames_max: usize, visit: &mut dyn FnMut(&Frame<'_>)) -> usize {
        let before = self.counters.frames;
        for _ in 0..frames_max {
            let Some(found) = self.ring.next() else { break };
            let frame = Frame {
                ts: EventTime::from_parts(found.time.0.into(), found.time.1.into()),
                link: link_type(&self.link, found.protocol),
                direction: Some(direction(&found)),
                interface: Some(&self.link.name),
                original_octets: found.original_octets,
                bytes: found.bytes,
            };
            self.counters.count(&frame, 0);
            self.counters.joined += u64::from(is_joined(&found, self.link.mtu_octets));
            visit(&frame);
        }
        (self.counters.frames - before) as usize
    }

    /// Waits for frames, or for the interface to come back.
    fn wait(&mut self) -> io::Result<()> {
        match self.poll.wait(iter::once(self.socket.as_fd()), WAIT_MS) {
            Err(error) if !is_passing(&error) => return Err(error),
            _ => {}
        }
        match option::taken_error(self.socket.as_fd())? {
            Some(error) if error.raw_os_error() == Some(libc::ENETDOWN) => self.interrupted(),
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// An interface that is switched off may come back, one that is gone does not.
    fn interrupted(&mut self) -> io::Result<()> {
        self.counters.interruptions += 1;
        match link::find(&self.link.name)? {
            Some(link) if link.index == self.link.index => Ok(()),
            _ => {
                let message = format!("interface `{}` is gone", self.link.name);
                Err(io::Error::new(io::ErrorKind::NotFound, message))
            }
        }
    }
}

impl FrameSource for PacketSource {
    fn read(&mut self, frames_max: usize, visit: &mut dyn FnMut(&Frame<'_>)) -> io::Result<usize> {
        match self.lend(frames_max, visit) {
            0 => {
                self.wait()?;
                Ok(self.lend(frames_max, visit))
            }
            frames => Ok(frames),
        }
    }

    fn counters(&mut self) -> io::Result<LiveCounters> {
        self.counters.drops.ring += u64::from(packet_socket::drops(&self.socket)?);
        if self.is_of_received
            && let Some(link) = link::find(&self.link.name)?
        {
            self.counters.drops.miss(&link, &self.link);
        }
        Ok(self.counters)
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn share_out(self: Box<Self>, _: usize) -> Vec<Box<dyn FrameSource>> {
        vec![self]
    }
}

/// Lets a socket receive.
fn set_up(socket: &Socket, link: &Link, options: &LiveOptions) -> io::Result<()> {
    match options.directions {
        Directions::Out => packet_socket::keep_outgoing(socket, options.snap_octets)?,
        Directions::In | Directions::Both => packet_socket::cut_at(socket, options.snap_octets)?,
    }
    if link.is_loopback() || options.directions == Directions::In {
        packet_socket::ignore_outgoing(socket)?;
    }
    if options.is_promiscuous {
        packet_socket::be_promiscuous(socket, link.index)?;
    }
    packet_socket::bind(socket, link.index)
}

/// Why there is no ring.
fn no_ring(interface: &str, shape: RingShape, error: io::Error) -> LiveError {
    if error.raw_os_error() == Some(libc::ENOMEM) {
        let octets = shape.block_octets * shape.blocks;
        return LiveError::NoMemory { interface: interface.to_owned(), octets };
    }
    LiveError::new(interface, "making a ring", error)
}

fn direction(frame: &RingFrame<'_>) -> Direction {
    if frame.way == PACKET_OUTGOING { Direction::Egress } else { Direction::Ingress }
}

/// Whether a frame holds several packets: the kernel says so, or none of its length comes over this interface.
fn is_joined(frame: &RingFrame<'_>, mtu_octets: u32) -> bool {
    let longest = mtu_octets.saturating_add(frame.link_octets + TAGS_OCTETS);
    frame.is_joined || frame.original_octets > longest
}

/// What a frame begins with, as it is read.
fn link_type(link: &Link, protocol: u16) -> LinkType {
    match (link.carries(), protocol) {
        (Carries::Ethernet, _) => LinkType::Ethernet,
        (Carries::RawIp, _) | (_, IPV4 | IPV6) => LinkType::RawIp,
        (_, MPLS | MPLS_UPSTREAM) => LinkType::Mpls,
        _ => LinkType::Other(registry_number(link.hardware)),
    }
}

/// The number that the registry of link types has for a hardware type, for those that are met; other numbers stay as
/// they are.
fn registry_number(hardware: u16) -> u32 {
    match hardware {
        libc::ARPHRD_INFINIBAND => 247,
        libc::ARPHRD_IEEE1394 => 138,
        libc::ARPHRD_CAN => 227,
        libc::ARPHRD_PPP => 9,
        libc::ARPHRD_CISCO => 104,
        libc::ARPHRD_FRAD => 107,
        libc::ARPHRD_FDDI => 10,
        libc::ARPHRD_IEEE80211 => 105,
        libc::ARPHRD_IEEE80211_PRISM => 119,
        libc::ARPHRD_IEEE80211_RADIOTAP => 127,
        libc::ARPHRD_IEEE802154 => 195,
        NETLINK => 253,
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_begins_with_what_the_kernel_says_is_behind_the_link_header() {
        let link_type = |hardware, protocol| link_type(&Link { hardware, ..Link::default() }, protocol);
        assert_eq!([1, 772].map(|hardware| link_type(hardware, IPV4)), [LinkType::Ethernet; 2]);
        assert_eq!([65534, 776].map(|hardware| link_type(hardware, 0)), [LinkType::RawIp; 2]);
        let ppp = [IPV4, IPV6, MPLS, 0xc021].map(|protocol| link_type(512, protocol));
        assert_eq!(ppp, [LinkType::RawIp, LinkType::RawIp, LinkType::Mpls, LinkType::Other(9)]);
    }

    #[test]
    fn frames_longer_than_the_mtu_are_several() {
        let frame = |original_octets, is_joined| {
            let (time, way, protocol) = ((0, 0), 0, IPV4);
            RingFrame { time, original_octets, way, protocol, link_octets: 14, is_joined, bytes: &[] }
        };
        let cases = [(1514, false, false), (1522, false, false), (1523, false, true), (80, true, true)];
        for (octets, says_so, expected) in cases {
            assert_eq!(is_joined(&frame(octets, says_so), 1500), expected, "{octets} {says_so}");
        }
    }
}
