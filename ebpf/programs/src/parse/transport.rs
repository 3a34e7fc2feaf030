//! The transport header, by IP protocol: ports, TCP flags, ICMP type and code.

use tapline_ebpf_common::Transport;

use super::walk::{Walk, be16};
use super::{Headers, Octets};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;
/// FIN to CWR, and AE (RFC 7560), in the 16 bits that begin with the data offset.
const TCP_FLAGS: u16 = 0x01ff;
const UDP_OCTETS: u32 = 8;
/// The least data offset, in units of four octets.
const TCP_DATA_OFFSET_MIN: u8 = 5;

/// Takes what the transport header gives.
#[inline(always)]
pub(super) fn strip<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    walk.transport_at = walk.position.at();
    match walk.position.next_header {
        TCP => tcp(walk),
        UDP => udp(walk),
        SCTP | UDP_LITE => ports(walk),
        DCCP => dccp(walk),
        ICMP | ICMPV6 => icmp(walk),
        _ => None,
    }
}

#[inline(always)]
fn ports<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let [a, b, c, d] = walk.peek()?;
    walk.ports = [be16(a, b), be16(c, d)];
    walk.transport = Transport::Ports;
    Some(())
}

/// Its header may have more octets than that of TCP.
#[inline(always)]
fn dccp<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    walk.transport_at = Headers::UNKNOWN;
    ports(walk)
}

#[inline(always)]
fn udp<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    ports(walk)?;
    walk.payload_at = walk.behind(UDP_OCTETS);
    Some(())
}

/// A data offset that lies makes the flags doubtful; sixteen octets have all of them.
#[inline(always)]
fn tcp<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    ports(walk)?;
    let header = walk.peek::<16>()?;
    if header[12] >> 4 >= TCP_DATA_OFFSET_MIN {
        walk.tcp_flags = be16(header[12], header[13]) & TCP_FLAGS;
        walk.transport = Transport::Tcp;
        walk.payload_at = walk.behind(u32::from(header[12] >> 4) * 4);
    }
    Some(())
}

#[inline(always)]
fn icmp<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let [kind, code] = walk.peek()?;
    walk.ports = [kind.into(), code.into()];
    walk.transport = Transport::Icmp;
    Some(())
}
