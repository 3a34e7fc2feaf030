//! An interface whose frames this process makes.

use std::fs::File;
use std::io::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;

use crate::namespace::{FAR, ip, unshare};

/// Sets the kind of a tun, and what its frames begin with (`ARPHRD_*`), while it is switched off.
const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNSETLINK: libc::Ioctl = 0x4004_54cd;
/// Packets with nothing in front of them.
const TUN_WITHOUT_INFO: i16 = 0x1001;

/// What is written to it, the interface receives.
pub(crate) struct Tun(File);

impl Tun {
    /// Makes one, in a network namespace of this thread, under the far end's name; `None`, and a line that says why,
    /// where that is not allowed.
    pub(crate) fn make(hardware: u16) -> Option<Self> {
        if !unshare() {
            return None;
        }
        let Ok(file) = File::options().read(true).write(true).open("/dev/net/tun") else {
            println!("skipped: no tun interfaces: the kernel lacks them");
            return None;
        };
        // SAFETY: a structure of integers; all zero is one of them.
        let mut request = unsafe { MaybeUninit::<libc::ifreq>::zeroed().assume_init() };
        for (place, octet) in request.ifr_name.iter_mut().zip(FAR.bytes()) {
            *place = octet as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = TUN_WITHOUT_INFO;
        // SAFETY: the request is alive during the call, and the kernel fills in the name.
        assert_eq!(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) }, 0);
        // SAFETY: takes a number.
        assert_eq!(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETLINK, libc::c_ulong::from(hardware)) }, 0);
        assert!(ip(&["link", "set", FAR, "addrgenmode", "none"]) && ip(&["link", "set", FAR, "up"]));
        Some(Self(file))
    }

    /// Lets the interface receive a packet.
    pub(crate) fn send(&self, packet: &[u8]) {
        (&self.0).write_all(packet).unwrap();
    }
}
