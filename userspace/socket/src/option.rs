//! Socket options that have no safe function elsewhere.
//!
//! Takes a socket, gives what the kernel says about it, or tells the kernel what is wanted of it.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use libc::{c_int, socklen_t};

/// Words that `SO_MEMINFO` gives.
const MEMINFO_WORDS: usize = libc::SK_MEMINFO_DROPS as usize + 1;

/// Sets the receive buffer beyond the limit of the system; needs `CAP_NET_ADMIN`.
///
/// # Errors
/// What the operating system says.
pub fn force_receive_buffer(socket: BorrowedFd<'_>, octets: usize) -> io::Result<()> {
    let octets = c_int::try_from(octets).unwrap_or(c_int::MAX);
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &octets)
}

/// Lets the kernel hand over datagrams of equal length that came in a row as one.
///
/// # Errors
/// What the operating system says.
pub fn merge_segments(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::SOL_UDP, libc::UDP_GRO, &1_i32)
}

/// Packets that the kernel dropped in front of this socket, modulo 2^32.
///
/// # Errors
/// What the operating system says.
pub fn drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let words: [u32; MEMINFO_WORDS] = words(socket, libc::SOL_SOCKET, libc::SO_MEMINFO)?;
    Ok(words[MEMINFO_WORDS - 1])
}

/// The error that the socket met since it was last asked, if any.
///
/// # Errors
/// What the operating system says.
pub fn taken_error(socket: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    let [code] = words(socket, libc::SOL_SOCKET, libc::SO_ERROR)?;
    Ok((code != 0).then(|| io::Error::from_raw_os_error(code as i32)))
}

/// What the kernel says of an option, as words of 32 bits; those that it says nothing of are zero.
///
/// # Errors
/// What the operating system says.
pub fn words<const N: usize>(socket: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<[u32; N]> {
    let mut words = [0_u32; N];
    let mut octets = size_of_val(&words) as socklen_t;
    let value = words.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `octets` octets at `value`, which is all of `words`.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, value, &raw mut octets) };
    succeeded(result).map(|()| words)
}

/// Sets an option to an integer, or to the structure that it takes.
///
/// # Errors
/// What the operating system says.
pub fn set<T: Copy>(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let octets = size_of_val(value) as socklen_t;
    // SAFETY: the kernel reads `octets` octets of `value`, which is alive during the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const *value).cast(), octets) };
    succeeded(result)
}

fn succeeded(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
