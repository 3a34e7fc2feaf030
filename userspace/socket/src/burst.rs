//! Many datagrams with one system call.
//!
//! Takes a socket, gives the messages that wait there: payload, sender, and the length of the segments
//! where the kernel merged several datagrams into one message. The buffers are allocated once; a
//! message is valid until the next call.

use std::io;
use std::mem::{offset_of, zeroed};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::null_mut;

use libc::{c_int, cmsghdr, iovec, mmsghdr};

/// Messages of one call.
pub const MESSAGES_MAX: usize = 64;

/// Octets between the buffers of two messages, so that their beginnings do not compete for the same
/// lines of the cache.
const APART_OCTETS: usize = 192;

/// A socket address of either family: `sockaddr_in6` is the longer one.
const NAME_OCTETS: usize = size_of::<libc::sockaddr_in6>();

/// A control message with one integer, padded.
const CONTROL_OCTETS: usize = size_of::<cmsghdr>() + size_of::<u64>();

/// Buffers for a burst of messages, and what the last call put into them.
pub struct Burst {
    payloads: Vec<u8>,
    payload_octets_max: usize,
    names: Box<[[u8; NAME_OCTETS]; MESSAGES_MAX]>,
    controls: Box<[[u8; CONTROL_OCTETS]; MESSAGES_MAX]>,
    arrived: Vec<Arrived>,
}

/// What the kernel says about one message.
#[derive(Clone, Copy)]
struct Arrived {
    octets: usize,
    control_octets: usize,
    flags: c_int,
}

/// One message, which is several datagrams if `segment_octets` is shorter than it.
pub struct Message<'a> {
    /// What was sent.
    pub payload: &'a [u8],
    /// Who sent it.
    pub sender: SocketAddr,
    /// Length of all datagrams but the last.
    pub segment_octets: usize,
    /// The buffer was too short for it.
    pub is_cut: bool,
}

impl Burst {
    /// Messages longer than `payload_octets_max` will be cut.
    #[must_use]
    pub fn new(payload_octets_max: usize) -> Self {
        Self {
            payloads: vec![0; MESSAGES_MAX * (payload_octets_max + APART_OCTETS)],
            payload_octets_max,
            names: Box::new([[0; NAME_OCTETS]; MESSAGES_MAX]),
            controls: Box::new([[0; CONTROL_OCTETS]; MESSAGES_MAX]),
            arrived: Vec::with_capacity(MESSAGES_MAX),
        }
    }

    /// Waits for one message as long as the socket's timeout says, and takes those that wait behind it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.arrived.clear();
        let mut slices = [iovec { iov_base: null_mut(), iov_len: 0 }; MESSAGES_MAX];
        let buffers = self.payloads.chunks_exact_mut(self.payload_octets_max + APART_OCTETS);
        for (slice, buffer) in slices.iter_mut().zip(buffers) {
            *slice = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: self.payload_octets_max };
        }
        // SAFETY: a header of integers and pointers; all zero is the one that asks for nothing.
        let mut headers: [mmsghdr; MESSAGES_MAX] = unsafe { zeroed() };
        let parts = slices.iter_mut().zip(self.names.iter_mut()).zip(self.controls.iter_mut());
        for (header, ((slice, name), control)) in headers.iter_mut().zip(parts) {
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = name.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = NAME_OCTETS as _;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_OCTETS;
        }
        let count = receive(socket, &mut headers)?;
        self.arrived.extend(headers[..count].iter().map(Arrived::of));
        Ok(())
    }

    /// How many messages the last call took.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.arrived.len()
    }

    /// Whether the last call took none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    /// The messages of the last call, in the order of their arrival.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        let payloads = self.payloads.chunks_exact(self.payload_octets_max + APART_OCTETS);
        let parts = payloads.zip(self.names.iter()).zip(self.controls.iter());
        self.arrived.iter().zip(parts).map(|(arrived, ((payload, name), control))| {
            let payload = &payload[..arrived.octets.min(self.payload_octets_max)];
            let control = &control[..arrived.control_octets.min(CONTROL_OCTETS)];
            Message {
                payload,
                sender: socket_address(name),
                segment_octets: segment_octets(control).unwrap_or(payload.len()),
                is_cut: arrived.flags & libc::MSG_TRUNC != 0,
            }
        })
    }
}

impl Arrived {
    fn of(header: &mmsghdr) -> Self {
        Self {
            octets: header.msg_len as usize,
            control_octets: header.msg_hdr.msg_controllen,
            flags: header.msg_hdr.msg_flags,
        }
    }
}

/// How many of `headers` were filled; each of them points to buffers of its own.
fn receive(socket: BorrowedFd<'_>, headers: &mut [mmsghdr; MESSAGES_MAX]) -> io::Result<usize> {
    let (first, count) = (headers.as_mut_ptr(), MESSAGES_MAX as _);
    // SAFETY: `receive` above made `count` headers whose buffers, with their lengths, are borrowed
    // mutably by it for the time of this call.
    let count =
        unsafe { libc::recvmmsg(socket.as_raw_fd(), first, count, libc::MSG_WAITFORONE as _, null_mut()) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// The address in a `sockaddr_in` or `sockaddr_in6`.
fn socket_address(name: &[u8; NAME_OCTETS]) -> SocketAddr {
    let port = u16::from_be_bytes([name[2], name[3]]);
    let ip = if c_int::from(u16::from_ne_bytes([name[0], name[1]])) == libc::AF_INET {
        IpAddr::from([name[4], name[5], name[6], name[7]])
    } else {
        let octets: [u8; 16] = std::array::from_fn(|index| name[8 + index]);
        Ipv6Addr::from_octets(octets).into()
    };
    SocketAddr::new(ip, port)
}

/// Length of the datagrams that were merged, from the one control message that the socket gives.
fn segment_octets(control: &[u8]) -> Option<usize> {
    let integer = |at: usize| control.get(at..)?.first_chunk().map(|octets| c_int::from_ne_bytes(*octets));
    let kind = (integer(offset_of!(cmsghdr, cmsg_level))?, integer(offset_of!(cmsghdr, cmsg_type))?);
    let octets = integer(size_of::<cmsghdr>()).filter(|_| kind == (libc::SOL_UDP, libc::UDP_GRO))?;
    usize::try_from(octets).ok().filter(|octets| *octets > 0)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_message_longer_than_its_buffer_is_cut_and_says_so() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for octets in [1000, 999, 0] {
            sender.send_to(&vec![7; octets], receiver.local_addr().unwrap()).unwrap();
        }
        let mut burst = Burst::new(999);
        burst.receive(receiver.as_fd()).unwrap();
        let seen: Vec<_> = burst.messages().map(|message| (message.payload.len(), message.is_cut)).collect();
        assert_eq!(seen, [(999, true), (999, false), (0, false)]);
        assert!(burst.messages().all(|message| message.sender == sender.local_addr().unwrap()));
    }

    #[test]
    fn a_control_message_of_another_kind_says_nothing_about_segments() {
        assert_eq!(segment_octets(&[]), None);
        assert_eq!(segment_octets(&[0; CONTROL_OCTETS]), None);
    }
}
