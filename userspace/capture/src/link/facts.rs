//! What the kernel says of one interface.
//!
//! Takes a link message, gives what capturing needs to know of it. An attribute that is missing is zero or
//! empty, as older kernels leave some out.

use super::netlink::{LINK_HEADER_OCTETS, attribute, number_16, number_32, number_64};

/// Kinds of frames (`ARPHRD_*`).
const ETHERNET: u16 = 1;
const LOOPBACK: u16 = 772;
const RAW_IP: u16 = 519;
const NO_HEADER: u16 = 0xfffe;

/// Kinds of attributes within that about XDP.
const XDP_ATTACHED: u16 = 2;
const XDP_PROGRAM: u16 = 4;
/// How a program is attached (`XDP_ATTACHED_*`).
const ATTACHED_NATIVE: u8 = 1;
const ATTACHED_GENERIC: u8 = 2;
const ATTACHED_HARDWARE: u8 = 3;

/// Where the frames that the interface missed stand in `rtnl_link_stats64`.
const MISSED_AT: usize = 15 * 8;

/// How an XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpAttachment {
    /// The driver runs it.
    Native,
    /// The kernel runs it, later.
    Generic,
    /// The interface runs it itself.
    Hardware,
    /// Several programs, in several of these ways.
    Several,
}

/// The XDP program of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// Who runs it.
    pub attachment: XdpAttachment,
    /// Its number, as `bpftool prog` lists it; zero where there are several.
    pub program: u32,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// What its frames begin with (`ARPHRD_*`).
    pub hardware: u16,
    /// `IFF_*`.
    pub flags: u32,
    /// The longest IP packet, octets.
    pub mtu_octets: u32,
    /// Receive queues that it was made with; at least those in use.
    pub receive_queues: u32,
    /// How many ask it to take frames for everybody.
    pub promiscuity: u32,
    /// Frames that it could not hand over since it was made, as the host was too slow for it.
    pub missed: u64,
    /// Its XDP program.
    pub xdp: Option<AttachedXdp>,
}

impl Link {
    /// Reads a link message from its `ifinfomsg` on; `None` if it has no name.
    pub(super) fn of_message(message: &[u8]) -> Option<Self> {
        let (header, rest) = message.split_first_chunk::<LINK_HEADER_OCTETS>()?;
        let number = |kind| attribute(rest, kind).and_then(number_32).unwrap_or_default();
        let name = attribute(rest, libc::IFLA_IFNAME)?;
        let name = name.strip_suffix(&[0]).unwrap_or(name);
        let missed = attribute(rest, libc::IFLA_STATS64).and_then(|counts| counts.get(MISSED_AT..));
        Some(Self {
            name: String::from_utf8_lossy(name).into_owned(),
            index: number_32(&header[4..])?,
            hardware: number_16(&header[2..])?,
            flags: number_32(&header[8..])?,
            mtu_octets: number(libc::IFLA_MTU),
            receive_queues: number(libc::IFLA_NUM_RX_QUEUES),
            promiscuity: number(libc::IFLA_PROMISCUITY),
            missed: missed.and_then(number_64).unwrap_or_default(),
            xdp: attribute(rest, libc::IFLA_XDP).and_then(attached),
        })
    }

    /// Whether it is switched on.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Whether it is the one by which the host talks to itself.
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        self.hardware == LOOPBACK
    }

    /// Whether it is one for Ethernet.
    #[must_use]
    pub const fn is_ethernet(&self) -> bool {
        self.hardware == ETHERNET
    }

    /// Whether its frames are IP packets with nothing in front.
    #[must_use]
    pub const fn is_raw_ip(&self) -> bool {
        matches!(self.hardware, RAW_IP | NO_HEADER)
    }
}

fn attached(attributes: &[u8]) -> Option<AttachedXdp> {
    let attachment = match attribute(attributes, XDP_ATTACHED)?.first()? {
        0 => return None,
        &ATTACHED_NATIVE => XdpAttachment::Native,
        &ATTACHED_GENERIC => XdpAttachment::Generic,
        &ATTACHED_HARDWARE => XdpAttachment::Hardware,
        _ => XdpAttachment::Several,
    };
    let program = attribute(attributes, XDP_PROGRAM).and_then(number_32).unwrap_or_default();
    Some(AttachedXdp { attachment, program })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = (4 + value.len()) as u16;
        let mut octets = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        octets.extend(value);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    fn message() -> Vec<u8> {
        let mut header = vec![0; LINK_HEADER_OCTETS];
        (header[2], header[4], header[8]) = (1, 7, 1);
        let xdp =
            [with(XDP_ATTACHED, &[ATTACHED_GENERIC]), with(XDP_PROGRAM, &42_u32.to_ne_bytes())].concat();
        let parts = [
            header,
            with(libc::IFLA_IFNAME, b"eth0\0"),
            with(libc::IFLA_MTU, &1500_u32.to_ne_bytes()),
            with(libc::IFLA_XDP, &xdp),
        ];
        parts.concat()
    }

    #[test]
    fn a_message_is_an_interface() {
        let link = Link::of_message(&message()).expect("an interface");
        let xdp = Some(AttachedXdp { attachment: XdpAttachment::Generic, program: 42 });
        assert_eq!((link.name.as_str(), link.index, link.mtu_octets, link.xdp), ("eth0", 7, 1500, xdp));
        assert!(link.is_up() && link.is_ethernet());
    }

    #[test]
    fn a_message_may_end_anywhere() {
        let message = message();
        for octets in 0..message.len() {
            let _ = Link::of_message(&message[..octets]);
        }
    }
}
