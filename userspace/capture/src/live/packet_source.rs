//! Frames read as copies, through `AF_PACKET`.
//!
//! Takes an interface of any kind, gives what it received and sent, with the kernel's time and the VLAN tag in its
//! place. The host gets everything as before. What finds the ring full is counted by the kernel.

use std::io;
use std::iter;
use std::os::fd::AsFd as _;

use libc::PACKET_OUTGOING;
use socket2::Socket;
use tapline_decode::{Direction, Frame, LinkType};
use tapline_record::EventTime;

use super::packet_ring::{PacketRing, RingFrame};
use super::packet_socket::{self, RingShape};
use super::{Description, FrameSource, LiveCounters, LiveError, LiveMode, LiveOptions, WAIT_MS};
use crate::file::is_passing;
use crate::link::{self, Link};
use crate::poll::Poll;
use crate::socket_option;

/// Octets of a block of the ring: many frames at a time, and the longest that the kernel may have joined.
const BLOCK_OCTETS: usize = 1 << 20;
/// Longest time that a frame waits for others, ms.
const BLOCK_WAIT_MS: u32 = 20;

/// An interface that is read through `AF_PACKET`.
pub struct PacketSource {
    socket: Socket,
    ring: PacketRing,
    poll: Poll,
    link: Link,
    link_type: LinkType,
    description: Description,
    counters: LiveCounters,
}

impl PacketSource {
    /// Begins to read an interface that is there; `reasons` say why it is not read in a better way.
    pub(super) fn open(link: Link, options: &LiveOptions, reasons: Vec<String>) -> Result<Self, LiveError> {
        let failed = |what, error| LiveError::new(&link.name, what, error);
        let socket = packet_socket::new().map_err(|error| failed("opening a socket", error))?;
        let shape = RingShape {
            block_octets: BLOCK_OCTETS,
            blocks: (options.ring_octets / BLOCK_OCTETS).max(2),
            block_wait_ms: BLOCK_WAIT_MS,
        };
        packet_socket::make_ring(&socket, shape).map_err(|error| no_ring(&link.name, shape, error))?;
        let ring = PacketRing::map(&socket, shape).map_err(|error| failed("mapping the ring", error))?;
        set_up(&socket, &link, options).map_err(|error| failed("setting a socket up", error))?;
        let description = Description {
            interface: link.name.clone(),
            mode: LiveMode::Packet,
            queues: link.receive_queues,
            reasons,
        };
        Ok(Self {
            socket,
            ring,
            poll: Poll::default(),
            link_type: link_type(&link),
            link,
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
                link: self.link_type,
                direction: Some(direction(&found)),
                interface: Some(&self.link.name),
                original_octets: found.original_octets,
                bytes: found.bytes,
            };
            self.counters.count(&frame);
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
        match socket_option::taken_error(self.socket.as_fd())? {
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
        if let Some(link) = link::find(&self.link.name)? {
            self.counters.drops.interface = link.missed.saturating_sub(self.link.missed);
        }
        Ok(self.counters)
    }

    fn description(&self) -> &Description {
        &self.description
    }
}

/// Lets a socket receive.
fn set_up(socket: &Socket, link: &Link, options: &LiveOptions) -> io::Result<()> {
    packet_socket::cut_at(socket, options.snap_octets)?;
    if link.is_loopback() || options.is_receive_only {
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

/// What the frames of an interface begin with.
fn link_type(link: &Link) -> LinkType {
    match link {
        link if link.is_ethernet() || link.is_loopback() => LinkType::Ethernet,
        link if link.is_raw_ip() => LinkType::RawIp,
        link => LinkType::Other(link.hardware.into()),
    }
}
