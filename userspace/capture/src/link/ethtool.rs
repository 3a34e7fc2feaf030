//! What a driver says of its interface (`SIOCETHTOOL`).
//!
//! Takes a name, gives numbers; `None` where the driver does not say.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;

use socket2::{Domain, Socket, Type};

/// Questions (`ETHTOOL_G*`).
const GET_DRIVER: u32 = 0x03;
const GET_RINGS: u32 = 0x10;
const GET_TSO: u32 = 0x1e;
const GET_GSO: u32 = 0x23;
const GET_FLAGS: u32 = 0x25;
const GET_GRO: u32 = 0x2b;
const GET_CHANNELS: u32 = 0x3c;

/// Bits of the flags.
const FLAG_VLAN_STRIP: u32 = 1 << 8;
const FLAG_LRO: u32 = 1 << 15;

/// Octets of a text within an answer.
const TEXT_OCTETS: usize = 32;
/// Words of the longest answer, `ethtool_drvinfo`.
const DRIVER_WORDS: usize = 49;

/// Who drives an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// Name of the driver.
    pub name: String,
    /// Its version, which today is most often that of the kernel.
    pub version: String,
    /// Where the interface is, such as `0000:01:00.0`; empty for one without a place.
    pub bus: String,
}

/// Queues in use, and how many there could be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Queues that receive.
    pub receive: u32,
    /// Queues that could.
    pub receive_max: u32,
}

/// Frames that wait in the interface for the kernel, and how many there could be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveRing {
    /// Frames of a queue.
    pub frames: u32,
    /// The most that it could be.
    pub frames_max: u32,
}

/// What is done to frames before, or after, a capture sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// The kernel joins packets of a connection (GRO).
    pub joins_in_kernel: bool,
    /// The interface joins packets of a connection (LRO).
    pub joins_in_hardware: bool,
    /// The interface takes the VLAN tag out of the frame.
    pub strips_vlan: bool,
    /// What this host sends is cut to packets after a capture has seen it (TSO, GSO).
    pub cuts_late: bool,
}

/// Who drives an interface; `None` if nobody says.
#[must_use]
pub fn driver(interface: &str) -> Option<Driver> {
    let answer = ask::<DRIVER_WORDS>(interface, GET_DRIVER).ok()?;
    let octets: Vec<u8> = answer.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let text = |number: usize| text(octets.get(4 + number * TEXT_OCTETS..).unwrap_or_default());
    Some(Driver { name: text(0), version: text(1), bus: text(3) })
}

/// Queues of an interface; `None` if its driver has no notion of them.
#[must_use]
pub fn channels(interface: &str) -> Option<Channels> {
    let [_, receive_max, _, _, combined_max, receive, _, _, combined] = ask(interface, GET_CHANNELS).ok()?;
    Some(Channels { receive: receive + combined, receive_max: receive_max.max(combined_max) })
}

/// The receive ring of an interface; `None` if its driver has no notion of it.
#[must_use]
pub fn receive_ring(interface: &str) -> Option<ReceiveRing> {
    let [_, frames_max, _, _, _, frames, _, _, _] = ask(interface, GET_RINGS).ok()?;
    Some(ReceiveRing { frames, frames_max })
}

/// What is done to frames; `None` if the driver does not say.
#[must_use]
pub fn offloads(interface: &str) -> Option<Offloads> {
    let [_, flags] = ask(interface, GET_FLAGS).ok()?;
    let [_, gro] = ask(interface, GET_GRO).ok()?;
    let is_on = |question| ask(interface, question).is_ok_and(|[_, is_on]| is_on != 0);
    Some(Offloads {
        joins_in_kernel: gro != 0,
        joins_in_hardware: flags & FLAG_LRO != 0,
        strips_vlan: flags & FLAG_VLAN_STRIP != 0,
        cuts_late: is_on(GET_TSO) || is_on(GET_GSO),
    })
}

/// The text that a field begins with.
fn text(octets: &[u8]) -> String {
    let octets = octets.get(..TEXT_OCTETS).unwrap_or(octets);
    let end = octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len());
    String::from_utf8_lossy(&octets[..end]).into_owned()
}

/// Asks a question whose answer has so many words, the first of which is the question.
fn ask<const WORDS: usize>(interface: &str, question: u32) -> io::Result<[u32; WORDS]> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    let mut answer = [0; WORDS];
    answer[0] = question;
    let mut request = request(interface)?;
    request.ifr_ifru.ifru_data = answer.as_mut_ptr().cast();
    // SAFETY: the request names an interface and an answer as long as the question's structure, both alive
    // during the call.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// A request about an interface.
fn request(interface: &str) -> io::Result<libc::ifreq> {
    // SAFETY: a structure of integers and pointers; all zero is one that asks for nothing.
    let mut request = unsafe { MaybeUninit::<libc::ifreq>::zeroed().assume_init() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, octet) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *place = octet as libc::c_char;
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_where_it_says_or_where_it_must() {
        assert_eq!(text(b"veth\0\0garbage"), "veth");
        assert_eq!(text(&[b'x'; 40]), "x".repeat(TEXT_OCTETS));
        assert_eq!(text(b""), "");
    }

    #[test]
    fn an_interface_that_is_not_there_has_nothing_to_say() {
        for name in ["no-such-one", "a-name-that-is-longer-than-any", ""] {
            assert_eq!((driver(name), channels(name), offloads(name)), (None, None, None), "{name}");
        }
    }
}
