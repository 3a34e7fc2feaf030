//! The walk through a frame's headers: where it is, and what was found.

use tapline_ebpf_common::{FlowKey, Network, Transport};

use super::{Headers, Octets};

/// Where a walk is; numbers only, so that a function of its own can go on from there.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Position {
    /// The next octet.
    at: u32,
    /// Behind the last octet that headers may claim.
    end: u32,
    /// What the next octets are, in front of the IP header.
    pub(super) ethertype: u16,
    /// The id of the outermost VLAN tag, or [`NO_VLAN`].
    vlan: u16,
    /// What the next octets are, behind the IP header.
    pub(super) next_header: u8,
    /// Not zero when there are more headers than are looked through.
    pub(super) is_too_deep: u8,
    /// Not zero in a fragment that is not the first.
    pub(super) is_later_fragment: u8,
    reserved: u8,
}

/// In the place of a VLAN id where there is none.
pub const NO_VLAN: u16 = u16::MAX;

impl Position {
    /// The id of the outermost VLAN tag, or [`NO_VLAN`].
    #[inline(always)]
    pub(super) const fn vlan(&self) -> u16 {
        self.vlan
    }

    /// Where the next octet is.
    #[inline(always)]
    pub(super) const fn at(&self) -> u32 {
        self.at
    }

    /// Behind the last octet that headers may claim.
    #[inline(always)]
    pub(super) const fn end(&self) -> u32 {
        self.end
    }

    /// Notes a VLAN tag; the first one counts.
    #[inline(always)]
    pub(super) const fn enter_vlan(&mut self, vlan: u16) {
        if self.vlan == NO_VLAN {
            self.vlan = vlan & 0xfff;
        }
    }
}

/// One walk.
pub(super) struct Walk<'f, F: ?Sized> {
    pub(super) frame: &'f F,
    pub(super) position: Position,
    pub(super) key: FlowKey,
    pub(super) octets: u32,
    pub(super) network: Network,
    pub(super) protocol: u8,
    pub(super) ports: [u16; 2],
    pub(super) transport: Transport,
    pub(super) tcp_flags: u16,
    /// Where the IP header begins.
    pub(super) ip_at: u32,
    /// Behind the header of TCP or UDP; zero where there is neither.
    pub(super) payload_at: u32,
    /// Behind the IP header and its extension headers, or [`Headers::UNKNOWN`].
    pub(super) transport_at: u32,
    /// Octets of the option that makes it a jumbogram.
    pub(super) jumbo_octets: u32,
}

impl<'f, F: Octets + ?Sized> Walk<'f, F> {
    #[inline(always)]
    pub(super) fn new(frame: &'f F, frame_octets: u32, vlan: u16) -> Self {
        let position = Position {
            at: 0,
            end: frame_octets,
            ethertype: 0,
            vlan,
            next_header: 0,
            is_too_deep: 0,
            is_later_fragment: 0,
            reserved: 0,
        };
        Self::resume(frame, position)
    }

    /// A walk that has come this far.
    #[inline(always)]
    pub(super) fn resume(frame: &'f F, position: Position) -> Self {
        Self {
            frame,
            position,
            key: FlowKey::default(),
            octets: 0,
            network: Network::None,
            protocol: 0,
            ports: [0; 2],
            transport: Transport::None,
            tcp_flags: 0,
            ip_at: 0,
            payload_at: 0,
            transport_at: Headers::UNKNOWN,
            jumbo_octets: 0,
        }
    }

    /// Goes on elsewhere; what is there works on a copy, so that all of this can stay in registers.
    #[inline(always)]
    pub(super) fn go_on(&mut self, part: impl FnOnce(&F, &mut Position) -> bool) -> bool {
        let mut position = self.position;
        let is_there = part(self.frame, &mut position);
        self.position = position;
        is_there
    }

    /// Octets from here to the end, of which not all need be readable.
    #[inline(always)]
    pub(super) fn left(&self) -> u32 {
        self.position.end.saturating_sub(self.position.at)
    }

    /// Where it is so many octets behind here.
    #[inline(always)]
    pub(super) fn behind(&self, octets: u32) -> u32 {
        self.position.at.wrapping_add(octets)
    }

    /// `N` octets, without going on.
    #[inline(always)]
    pub(super) fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        self.peek_at(0)
    }

    /// `N` octets that begin `ahead` of here.
    #[inline(always)]
    pub(super) fn peek_at<const N: usize>(&self, ahead: u32) -> Option<[u8; N]> {
        let at = self.position.at.wrapping_add(ahead);
        if at.wrapping_add(N as u32) > self.position.end {
            return None;
        }
        self.frame.read(at as usize)
    }

    /// `N` octets.
    #[inline(always)]
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let octets = self.peek()?;
        self.position.at = self.position.at.wrapping_add(N as u32);
        Some(octets)
    }

    /// Goes on by so many octets, if they are there.
    #[inline(always)]
    pub(super) fn skip(&mut self, octets: u32) -> Option<()> {
        if octets > self.left() {
            return None;
        }
        self.position.at = self.position.at.wrapping_add(octets);
        Some(())
    }

    /// Headers may claim no more than the next `octets` octets from now on.
    #[inline(always)]
    pub(super) fn limit(&mut self, octets: u32) {
        if octets < self.left() {
            self.position.end = self.position.at.wrapping_add(octets);
        }
    }
}

/// Two octets in network order.
#[inline(always)]
pub(super) const fn be16(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}
