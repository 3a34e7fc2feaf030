//! `AF_PACKET` sockets: made, set up, bound.
//!
//! A socket receives nothing before it is bound to an interface, so that no frame comes in that was not asked for.
//! What it asks of its interface ends with it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _};

use libc::{c_int, sock_filter, sock_fprog, sockaddr_ll};
use socket2::{Domain, Socket, Type};

use tapline_socket::option;

/// Octets that the kernel leaves free in front of each frame, for the VLAN tag that it took out.
pub(super) const RESERVE_OCTETS: usize = 4;

/// Where the frames that a socket receives begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameStart {
    /// At their link header.
    Link,
    /// At their network header: what is in front of it, only the kernel knows.
    Network,
}

/// A ring that the kernel fills: blocks of frames, each handed over when it is full or when its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RingShape {
    /// Octets of a block.
    pub(super) block_octets: usize,
    /// Blocks.
    pub(super) blocks: usize,
    /// Longest time that a frame waits for others in its block, ms.
    pub(super) block_wait_ms: u32,
}

/// A socket that receives nothing yet.
pub(super) fn new(start: FrameStart) -> io::Result<Socket> {
    let kind = match start {
        FrameStart::Link => Type::RAW,
        FrameStart::Network => Type::DGRAM,
    };
    Socket::new(Domain::PACKET, kind, None)
}

/// Gives the socket a ring, which is to be mapped, and room in front of each frame.
pub(super) fn make_ring(socket: &Socket, shape: RingShape) -> io::Result<()> {
    let version = libc::tpacket_versions::TPACKET_V3 as c_int;
    set(socket, libc::PACKET_VERSION, &version)?;
    set(socket, libc::PACKET_RESERVE, &(RESERVE_OCTETS as c_int))?;
    let request = libc::tpacket_req3 {
        tp_block_size: shape.block_octets as _,
        tp_block_nr: shape.blocks as _,
        // The third version packs frames of any length; these two must only fit the blocks.
        tp_frame_size: shape.block_octets as _,
        tp_frame_nr: shape.blocks as _,
        tp_retire_blk_tov: shape.block_wait_ms,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    set(socket, libc::PACKET_RX_RING, &request)
}

/// Reads so many octets of each frame.
pub(super) fn cut_at(socket: &Socket, octets: u32) -> io::Result<()> {
    filter(socket, &mut [take(octets)])
}

/// Reads so many octets of each frame that the interface sends, and nothing of others.
pub(super) fn keep_outgoing(socket: &Socket, octets: u32) -> io::Result<()> {
    let way = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
    let load =
        sock_filter { code: (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: way };
    let is_outgoing = sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: 1,
        k: libc::PACKET_OUTGOING.into(),
    };
    let nothing = sock_filter { k: 0, ..take(octets) };
    filter(socket, &mut [load, is_outgoing, take(octets), nothing])
}

/// The end of a filter that keeps a frame.
fn take(octets: u32) -> sock_filter {
    sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: octets.max(1) }
}

fn filter(socket: &Socket, instructions: &mut [sock_filter]) -> io::Result<()> {
    let program = sock_fprog { len: instructions.len() as u16, filter: instructions.as_mut_ptr() };
    option::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Receives each frame once on an interface where sent ones come back.
pub(super) fn ignore_outgoing(socket: &Socket) -> io::Result<()> {
    set(socket, libc::PACKET_IGNORE_OUTGOING, &1_i32)
}

/// Asks the interface for frames to everybody, as long as the socket is open.
pub(super) fn be_promiscuous(socket: &Socket, interface_index: u32) -> io::Result<()> {
    let request = libc::packet_mreq {
        mr_ifindex: interface_index as c_int,
        mr_type: libc::PACKET_MR_PROMISC as _,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(socket, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// Begins to receive all frames of an interface.
pub(super) fn bind(socket: &Socket, interface_index: u32) -> io::Result<()> {
    bind_protocol(socket, interface_index, libc::ETH_P_ALL as u16)
}

/// Lets a socket send on an interface, and receive nothing.
pub(super) fn bind_to_send(socket: &Socket, interface_index: u32) -> io::Result<()> {
    bind_protocol(socket, interface_index, 0)
}

fn bind_protocol(socket: &Socket, interface_index: u32, protocol: u16) -> io::Result<()> {
    // SAFETY: a structure of integers; all zero is one of them.
    let mut address = unsafe { MaybeUninit::<sockaddr_ll>::zeroed().assume_init() };
    address.sll_family = libc::AF_PACKET as _;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = interface_index as c_int;
    let octets = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is alive during the call and has as many octets as said.
    let outcome = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), octets) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Frames that the kernel dropped in front of the ring since it was asked last.
pub(super) fn drops(socket: &Socket) -> io::Result<u32> {
    // Frames, drops of them, and times that the ring stood still.
    let [_, drops, _] = option::words(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
    Ok(drops)
}

fn set<T: Copy>(socket: &Socket, name: c_int, value: &T) -> io::Result<()> {
    option::set(socket.as_fd(), libc::SOL_PACKET, name, value)
}
