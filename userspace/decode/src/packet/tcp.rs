//! TCP (RFC 9293).

use super::columns::present;
use super::damage::Damage;
use super::fields::Fields as _;
use super::ports::fill_ports;
use super::walk::Walk;
use tapline_record::PacketColumn::{TcpAck, TcpFlags, TcpSeq, TcpWindow};

/// Length of the header without options.
const HEADER_OCTETS: usize = 20;
/// FIN to CWR, and AE (RFC 7560), in the 16 bits that begin with the data offset.
const FLAGS: u16 = 0x01ff;

/// Fills the columns and gives the segment's data.
///
/// A segment that is cut short keeps its ports, and all columns when only checksum, urgent pointer
/// or options are missing. A data offset that lies makes flags doubtful, and with them the rest.
#[inline]
pub(super) fn strip<'a>(segment: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (ports, rest) = walk.header::<4>(segment, Damage::TcpTruncated)?;
    fill_ports(*ports, walk);
    let (header, _) = walk.header::<12>(rest, Damage::TcpTruncated)?;
    let row = &mut *walk.row;
    row.tcp_seq = header.be32::<0>();
    row.present |= present([TcpSeq]);
    let header_octets = usize::from(header[8] >> 4) * 4;
    if header_octets < HEADER_OCTETS {
        return walk.stop(Damage::TcpDataOffsetTooShort);
    }
    row.tcp_ack = header.be32::<4>();
    row.tcp_flags = header.be16::<8>() & FLAGS;
    row.tcp_window = header.be16::<10>();
    row.present |= present([TcpAck, TcpFlags, TcpWindow]);
    walk.skip(segment, header_octets, Damage::TcpTruncated)
}
