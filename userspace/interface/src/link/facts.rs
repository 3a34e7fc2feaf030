//! What the kernel says of one interface.
//!
//! Takes a link message, gives what capturing needs to know of it. An attribute that is missing is zero or
//! empty, as older kernels leave some out.

use super::netlink::{LINK_HEADER_OCTETS, attribute, number_16, number_32, number_64};

/// Kinds of frames (`ARPHRD_*`).
const ETHERNET: u16 = 1;
const RAW_IP: u16 = 519;
const TUNNEL: u16 = 768;
const TUNNEL6: u16 = 769;
const LOOPBACK: u16 = 772;
const SIT: u16 = 776;
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

/// What the frames of an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Ethernet's header.
    Ethernet,
    /// The IP header: tunnels, such as those of tun, WireGuard, IP in IP.
    RawIp,
    /// Another header, or one at times and at times none, such as PPP and GRE: only the kernel knows where it ends.
    Other,
}

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

/// Where the other end of an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherEnd {
    /// Its number.
    pub index: u32,
    /// Whether it is in this network namespace.
    pub is_here: bool,
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
    /// Which kind of interface it is, by its name in ip(8), such as `veth`; empty for most that have hardware.
    pub kind: String,
    /// The number of its other end, or of the interface that it lies upon, if it has one.
    pub other_end: Option<OtherEnd>,
    /// `IFF_*`.
    pub flags: u32,
    /// The longest IP packet, octets.
    pub mtu_octets: u32,
    /// Receive queues that it was made with; at least those in use.
    pub receive_queues: u32,
    /// How many ask it to take frames for everybody.
    pub promiscuity: u32,
    /// Frames that it received since it was made.
    pub received: u64,
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
        let counts = attribute(rest, libc::IFLA_STATS64);
        let missed = counts.and_then(|counts| counts.get(MISSED_AT..));
        Some(Self {
            name: String::from_utf8_lossy(name).into_owned(),
            index: number_32(&header[4..])?,
            hardware: number_16(&header[2..])?,
            kind: attribute(rest, libc::IFLA_LINKINFO).and_then(kind).unwrap_or_default(),
            other_end: other_end(rest),
            flags: number_32(&header[8..])?,
            mtu_octets: number(libc::IFLA_MTU),
            receive_queues: number(libc::IFLA_NUM_RX_QUEUES),
            promiscuity: number(libc::IFLA_PROMISCUITY),
            received: counts.and_then(number_64).unwrap_or_default(),
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
    pub(crate) const fn is_ethernet(&self) -> bool {
        self.hardware == ETHERNET
    }

    /// What its frames begin with.
    #[must_use]
    pub const fn carries(&self) -> Carries {
        match self.hardware {
            ETHERNET | LOOPBACK => Carries::Ethernet,
            RAW_IP | NO_HEADER | TUNNEL | TUNNEL6 | SIT => Carries::RawIp,
            _ => Carries::Other,
        }
    }

    /// Whether a program of XDP finds the IP header in its frames; if not, why not.
    ///
    /// # Errors
    /// The reason, in a sentence without its full stop.
    pub fn check_xdp(&self) -> Result<(), String> {
        match self.carries() {
            Carries::Ethernet | Carries::RawIp => Ok(()),
            Carries::Other => Err(format!(
                "only AF_PACKET knows where the IP header is on `{}`, which is no interface for Ethernet or for bare IP \
                 (hardware type {})",
                self.name, self.hardware
            )),
        }
    }
}

fn kind(attributes: &[u8]) -> Option<String> {
    let name = attribute(attributes, libc::IFLA_INFO_KIND)?;
    Some(String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned())
}

fn other_end(attributes: &[u8]) -> Option<OtherEnd> {
    let index = attribute(attributes, libc::IFLA_LINK).and_then(number_32).filter(|index| *index != 0)?;
    Some(OtherEnd { index, is_here: attribute(attributes, libc::IFLA_LINK_NETNSID).is_none() })
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
            with(libc::IFLA_LINK, &8_u32.to_ne_bytes()),
            with(libc::IFLA_LINKINFO, &with(libc::IFLA_INFO_KIND, b"veth\0")),
        ];
        parts.concat()
    }

    #[test]
    fn a_message_is_an_interface() {
        let link = Link::of_message(&message()).expect("an interface");
        let xdp = Some(AttachedXdp { attachment: XdpAttachment::Generic, program: 42 });
        assert_eq!((link.name.as_str(), link.index, link.mtu_octets, link.xdp), ("eth0", 7, 1500, xdp));
        assert!(link.is_up() && link.is_ethernet());
        let other_end = Some(OtherEnd { index: 8, is_here: true });
        assert_eq!((link.kind.as_str(), link.other_end), ("veth", other_end));
        let elsewhere = [message(), with(libc::IFLA_LINK_NETNSID, &[0; 4])].concat();
        let other_end = Link::of_message(&elsewhere).and_then(|link| link.other_end);
        assert_eq!(other_end, Some(OtherEnd { index: 8, is_here: false }));
    }

    #[test]
    fn frames_begin_as_the_hardware_says() {
        let carries = |hardware| Link { hardware, ..Link::default() }.carries();
        assert_eq!([1, 772].map(carries), [Carries::Ethernet; 2]);
        assert_eq!([519, 768, 769, 776, 0xfffe].map(carries), [Carries::RawIp; 5]);
        // Infiniband, PPP, IEEE 802.11, GRE over IPv4 and IPv6.
        assert_eq!([32, 512, 801, 778, 823].map(carries), [Carries::Other; 5]);
    }

    #[test]
    fn a_message_may_end_anywhere() {
        let message = message();
        for octets in 0..message.len() {
            let _ = Link::of_message(&message[..octets]);
        }
    }
}
