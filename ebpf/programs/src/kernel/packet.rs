//! A packet that leaves the host, as the kernel hands it to what it sends by.
//!
//! Its octets may lie anywhere in memory, so that the kernel is asked for each part of it; it stays as it is. A VLAN tag
//! that the card is to put in stands beside it.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use tapline_ebpf_common::Tag;

use crate::parse::{
    NO_VLAN, Octets, Position, go_behind_extensions, go_behind_extensions_v4, go_behind_link,
};
use crate::segments::Outgoing;

/// A packet.
pub(super) struct Packet {
    context: *mut __sk_buff,
}

/// Reads a number of the context; the kernel lets programs read it whole and at its place only.
macro_rules! number {
    ($packet:expr, $name:ident) => {
        // SAFETY: the kernel lends the context to the program; the verifier checks what is read of it.
        unsafe { (&raw const (*$packet.context).$name).read_volatile() }
    };
}

impl Packet {
    /// The packet of a context.
    #[inline(always)]
    pub(super) const fn new(context: *mut __sk_buff) -> Self {
        Self { context }
    }

    /// The VLAN id of the tag beside it, or [`NO_VLAN`].
    #[inline(always)]
    pub(super) fn vlan(&self) -> u16 {
        if number!(self, vlan_present) == 0 { NO_VLAN } else { number!(self, vlan_tci) as u16 & 0xfff }
    }

    /// What it is cut by.
    #[inline(always)]
    pub(super) fn outgoing(&self) -> Outgoing {
        Outgoing {
            octets: number!(self, len),
            tag_octets: if self.vlan() == NO_VLAN { 0 } else { Tag::OCTETS },
            segment_octets: number!(self, gso_size),
            segments: number!(self, gso_segs),
            estimated_octets: number!(self, wire_len),
        }
    }
}

impl Octets for Packet {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        // The verifier wants to see something in each of them, also where nothing is read.
        let mut octets = [0; N];
        let to = octets.as_mut_ptr().cast();
        // SAFETY: the context is the kernel's, and there is room for so many octets.
        let outcome = unsafe { bpf_skb_load_bytes(self.context.cast(), at as u32, to, N as u32) };
        (outcome == 0).then_some(octets)
    }

    #[inline(always)]
    fn go_behind_link(&self, position: &mut Position) -> bool {
        tapline_sent_link(self.context, position) != 0
    }

    #[inline(always)]
    fn go_behind_extensions(&self, position: &mut Position) -> bool {
        tapline_sent_extensions(self.context, position) != 0
    }

    #[inline(always)]
    fn go_behind_extensions_v4(&self, position: &mut Position) -> bool {
        tapline_sent_extensions_v4(self.context, position) != 0
    }
}

/// As for frames that are received: functions of the object, which the verifier checks once.
macro_rules! functions {
    ($($name:ident = $part:ident;)+) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $name(context: *mut __sk_buff, position: *mut Position) -> u32 {
                // SAFETY: null, or a position on the stack of the caller.
                let Some(position) = (unsafe { position.as_mut() }) else { return 0 };
                u32::from($part(&Packet::new(context), position))
            }
        )+
    };
}

functions! {
    tapline_sent_link = go_behind_link;
    tapline_sent_extensions = go_behind_extensions;
    tapline_sent_extensions_v4 = go_behind_extensions_v4;
}
