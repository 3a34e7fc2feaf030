//! Questions to the kernel over netlink.
//!
//! Takes a message, gives the kernel's answers one by one. What the kernel sends is read with its lengths
//! checked; an answer that ends early is as one with nothing in it.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Octets of the header of a message and of an attribute, and what both are aligned to.
const HEADER_OCTETS: usize = 16;
const ATTRIBUTE_HEADER_OCTETS: usize = 4;
const ALIGNMENT: usize = 4;

/// Answers of one read; the kernel fills no more than 32 KiB.
const BUFFER_OCTETS: usize = 1 << 15;
/// Longest wait for an answer; the kernel answers at once.
const WAIT: Duration = Duration::from_secs(1);

/// Octets of `ifinfomsg` and of `genlmsghdr`.
pub(super) const LINK_HEADER_OCTETS: usize = 16;
const GENERIC_HEADER_OCTETS: usize = 4;

/// The family that knows the numbers of the others (`GENL_ID_CTRL`), its question and its attributes.
const CONTROL_FAMILY: u16 = 16;
const CONTROL_GET_FAMILY: u8 = 3;
const CONTROL_FAMILY_ID: u16 = 1;
const CONTROL_FAMILY_NAME: u16 = 2;

/// Lends the description of each interface to `visit`, from its `ifinfomsg` on.
pub(super) fn links(mut visit: impl FnMut(&[u8])) -> io::Result<()> {
    let header = [0; LINK_HEADER_OCTETS];
    ask(libc::NETLINK_ROUTE, libc::RTM_GETLINK, libc::NLM_F_DUMP, &header, &mut visit)
}

/// The number of a generic family; an error if the kernel does not have it.
pub(super) fn family(name: &str) -> io::Result<u16> {
    let mut text = name.as_bytes().to_vec();
    text.push(0);
    let mut id = None;
    generic(CONTROL_FAMILY, CONTROL_GET_FAMILY, (CONTROL_FAMILY_NAME, &text), |answer| {
        id = attribute(answer, CONTROL_FAMILY_ID).and_then(number_16);
    })?;
    id.ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Asks a generic family with one attribute; lends the attributes of each answer to `visit`.
pub(super) fn generic(
    family: u16,
    command: u8,
    (kind, value): (u16, &[u8]),
    mut visit: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut body = vec![command, 1, 0, 0];
    body.extend(((ATTRIBUTE_HEADER_OCTETS + value.len()) as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(ALIGNMENT), 0);
    let mut visit = |answer: &[u8]| visit(answer.get(GENERIC_HEADER_OCTETS..).unwrap_or_default());
    ask(libc::NETLINK_GENERIC, family, libc::NLM_F_ACK, &body, &mut visit)
}

/// Asks, and lends what stands behind the header of each answer to `visit`.
fn ask(protocol: i32, kind: u16, flags: i32, body: &[u8], visit: &mut impl FnMut(&[u8])) -> io::Result<()> {
    let mut socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(protocol)))?;
    socket.set_read_timeout(Some(WAIT))?;
    let mut message = ((HEADER_OCTETS + body.len()) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    socket.write_all(&message)?;
    let mut buffer = vec![0; BUFFER_OCTETS];
    loop {
        let octets = socket.read(&mut buffer)?;
        if let Some(end) = answers(&buffer[..octets], visit) {
            return end;
        }
    }
}

/// Lends the answers in `octets` to `visit`; says how the last one ended them, if it did.
fn answers(mut octets: &[u8], visit: &mut impl FnMut(&[u8])) -> Option<io::Result<()>> {
    while let Some(header) = octets.first_chunk::<HEADER_OCTETS>() {
        let length = number_32(header)? as usize;
        let answer = octets.get(HEADER_OCTETS..length)?;
        match i32::from(u16::from_ne_bytes([header[4], header[5]])) {
            libc::NLMSG_DONE => return Some(Ok(())),
            libc::NLMSG_ERROR => return Some(outcome(answer)),
            _ => visit(answer),
        }
        octets = octets.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    None
}

/// What an error message says, whose number is negative, or zero where there is none.
fn outcome(answer: &[u8]) -> io::Result<()> {
    match number_32(answer).unwrap_or_default() as i32 {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
    }
}

/// The attributes, each with its kind.
pub(super) fn attributes(mut octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = octets.first_chunk::<ATTRIBUTE_HEADER_OCTETS>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & libc::NLA_TYPE_MASK as u16;
        let value = octets.get(ATTRIBUTE_HEADER_OCTETS..length)?;
        octets = octets.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of a kind.
pub(super) fn attribute(octets: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(octets).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A number at the start of `octets`.
pub(super) fn number_16(octets: &[u8]) -> Option<u16> {
    octets.first_chunk().copied().map(u16::from_ne_bytes)
}

/// A number at the start of `octets`.
pub(super) fn number_32(octets: &[u8]) -> Option<u32> {
    octets.first_chunk().copied().map(u32::from_ne_bytes)
}

/// A number at the start of `octets`.
pub(super) fn number_64(octets: &[u8]) -> Option<u64> {
    octets.first_chunk().copied().map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_lie_about_their_length_end_the_reading() {
        let mut octets = vec![6, 0, 3, 0, b'l', b'o', 0, 0, 8, 0, 4, 0, 1, 0, 0, 0];
        assert_eq!(attributes(&octets).count(), 2);
        assert_eq!(attribute(&octets, 4).and_then(number_32), Some(1));
        for length in [0, 3, 9, 255] {
            octets[8] = length;
            assert_eq!(attributes(&octets).collect::<Vec<_>>(), [(3, &b"lo"[..])], "{length}");
        }
    }

    #[test]
    fn answers_that_lie_about_their_length_are_not_read() {
        let mut seen = 0;
        let mut octets = [0_u8; 40];
        octets[0] = 20;
        octets[4] = 16;
        octets[20] = 200;
        assert!(answers(&octets, &mut |_| seen += 1).is_none());
        assert_eq!(seen, 1);
        for length in [0, 15, 41, 255] {
            octets[0] = length;
            assert!(answers(&octets, &mut |_| seen += 1).is_none(), "{length}");
        }
        assert_eq!(seen, 1);
    }

    #[test]
    fn the_kernel_knows_the_family_of_families() {
        assert_eq!(family("nlctrl").expect("netlink answers"), CONTROL_FAMILY);
        assert!(family("tapline-nothing").is_err());
    }
}
