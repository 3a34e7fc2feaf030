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
const GET_STRINGS: u32 = 0x1b;
const GET_FLAGS: u32 = 0x25;
const GET_GRO: u32 = 0x2b;
const GET_STRING_COUNT: u32 = 0x37;
const GET_FEATURES: u32 = 0x3a;
const GET_CHANNELS: u32 = 0x3c;

/// Bits of the flags.
const FLAG_LRO: u32 = 1 << 15;

/// The names of the features, among the sets of names (`ETH_SS_FEATURES`).
const FEATURE_NAMES: u32 = 4;
/// Features that are asked for at the most; kernels have some sixty.
const FEATURES_MAX: usize = 256;

/// Octets of a text within an answer.
const TEXT_OCTETS: usize = 32;
const TEXT_WORDS: usize = TEXT_OCTETS / 4;
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
    /// The interface takes the VLAN tag of a customer (802.1Q) out of the frames that it receives; that of a
    /// provider (802.1ad).
    pub strips_tags: [bool; 2],
    /// The interface puts the VLAN tag of a customer into the frames that it sends; that of a provider. Until then
    /// the tag is beside the frame.
    pub inserts_tags: [bool; 2],
    /// What this host sends is cut to packets after a capture has seen it (TSO, GSO).
    pub cuts_late: bool,
}

/// Who drives an interface; `None` if nobody says.
#[must_use]
pub fn driver(interface: &str) -> Option<Driver> {
    let answer = ask::<DRIVER_WORDS>(interface, GET_DRIVER).ok()?;
    let octets = octets_of(&answer);
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
pub(crate) fn receive_ring(interface: &str) -> Option<ReceiveRing> {
    let [_, frames_max, _, _, _, frames, _, _, _] = ask(interface, GET_RINGS).ok()?;
    Some(ReceiveRing { frames, frames_max })
}

/// What is done to frames; `None` if the driver does not say.
#[must_use]
pub(crate) fn offloads(interface: &str) -> Option<Offloads> {
    let [_, flags] = ask(interface, GET_FLAGS).ok()?;
    let [_, gro] = ask(interface, GET_GRO).ok()?;
    let is_on = |question| ask(interface, question).is_ok_and(|[_, is_on]| is_on != 0);
    let names = ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse", "tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"];
    let [strips, strips_outer, inserts, inserts_outer] = features(interface, names).unwrap_or_default();
    Some(Offloads {
        joins_in_kernel: gro != 0,
        joins_in_hardware: flags & FLAG_LRO != 0,
        strips_tags: [strips, strips_outer],
        inserts_tags: [inserts, inserts_outer],
        cuts_late: is_on(GET_TSO) || is_on(GET_GSO),
    })
}

/// Whether features are on, by the names that ethtool(8) lists them under; `None` if the kernel does not say.
fn features<const N: usize>(interface: &str, names: [&str; N]) -> Option<[bool; N]> {
    let [.., count] = ask_of::<5>(interface, &[GET_STRING_COUNT, 0, 1 << FEATURE_NAMES]).ok()?;
    let count = (count as usize).min(FEATURES_MAX);
    let texts = ask_for(interface, &[GET_STRINGS, FEATURE_NAMES], 3 + count * TEXT_WORDS).ok()?;
    let known: Vec<_> = texts.get(3..)?.chunks(TEXT_WORDS).map(|words| text(&octets_of(words))).collect();
    let blocks = count.div_ceil(32);
    // A block has four words: what could be on, what should be, what is, and what cannot change.
    let bits = ask_for(interface, &[GET_FEATURES, blocks as u32], 2 + blocks * 4).ok()?;
    let is_on = |name| {
        let place = known.iter().position(|known| known == name)?;
        Some(bits.get(2 + place / 32 * 4 + 2)? >> (place % 32) & 1 == 1)
    };
    Some(names.map(|name| is_on(name).unwrap_or_default()))
}

fn octets_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The text that a field begins with.
fn text(octets: &[u8]) -> String {
    let octets = octets.get(..TEXT_OCTETS).unwrap_or(octets);
    let end = octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len());
    String::from_utf8_lossy(&octets[..end]).into_owned()
}

/// Asks a question whose answer has so many words, the first of which is the question.
fn ask<const WORDS: usize>(interface: &str, question: u32) -> io::Result<[u32; WORDS]> {
    ask_of(interface, &[question])
}

/// Asks a question of several words; its answer has so many, and begins with them.
fn ask_of<const WORDS: usize>(interface: &str, question: &[u32]) -> io::Result<[u32; WORDS]> {
    let answer = ask_for(interface, question, WORDS)?;
    answer.try_into().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// As [`ask_of`].
fn ask_for(interface: &str, question: &[u32], words: usize) -> io::Result<Vec<u32>> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    let mut answer = question.to_vec();
    answer.resize(words.max(question.len()), 0);
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

    #[test]
    fn features_are_found_by_their_names() {
        // The loopback never has the one, always has the other, and no kernel knows the third.
        let names = ["rx-vlan-hw-parse", "loopback", "tapline-nothing"];
        assert_eq!(features("lo", names), Some([false, true, false]));
    }
}
