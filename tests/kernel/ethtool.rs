//! What ethtool(8) does, done: `ethtool -K NAME FEATURE on|off …`.

use std::mem::MaybeUninit;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

const GET_STRINGS: u32 = 0x1b;
const GET_FEATURES: u32 = 0x3a;
const SET_FEATURES: u32 = 0x3b;
/// Features that the kernel has names for: more than there are.
const FEATURES: usize = 128;
const BLOCKS: usize = FEATURES / 32;
/// `ETH_SS_FEATURES`.
const FEATURE_NAMES: u32 = 4;

/// Carries a command of ethtool(8) out that switches features on or off.
pub(crate) fn run(command: &str) {
    let words: Vec<_> = command.split_whitespace().collect();
    assert!(words.len() >= 5 && words[..2] == ["ethtool", "-K"], "{command}");
    for switch in words[3..].chunks_exact(2) {
        assert!(["on", "off"].contains(&switch[1]), "{command}");
        long_names(switch[0]).into_iter().for_each(|name| set(words[2], name, switch[1] == "on"));
    }
}

/// What ethtool(8) takes a short name for.
fn long_names(feature: &str) -> Vec<&str> {
    match feature {
        "rxvlan" => vec!["rx-vlan-hw-parse"],
        "txvlan" => vec!["tx-vlan-hw-insert"],
        "gro" => vec!["rx-gro"],
        "gso" => vec!["tx-generic-segmentation"],
        "tso" => vec!["tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation"],
        name => vec![name],
    }
}

fn set(interface: &str, name: &str, is_on: bool) {
    let place = names(interface).iter().position(|known| known == name).expect("a feature of this name");
    let mut known = [GET_FEATURES, 0];
    call(interface, &mut known);
    let mut request = [0_u32; 2 + BLOCKS * 2];
    request[..2].copy_from_slice(&[SET_FEATURES, known[1]]);
    // Of each block, which features are meant, and which of them are to be on.
    request[2 + place / 32 * 2] = 1 << (place % 32);
    request[3 + place / 32 * 2] = u32::from(is_on) << (place % 32);
    call(interface, &mut request);
}

fn names(interface: &str) -> Vec<String> {
    let mut answer = [0_u32; 3 + FEATURES * 8];
    answer[..2].copy_from_slice(&[GET_STRINGS, FEATURE_NAMES]);
    call(interface, &mut answer);
    let text = |words: &[u32]| {
        let octets: Vec<_> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        String::from_utf8_lossy(&octets).trim_end_matches('\0').to_owned()
    };
    answer[3..].chunks(8).map(text).collect()
}

fn call(interface: &str, words: &mut [u32]) {
    let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("[::1]:0")).unwrap();
    // SAFETY: a structure of integers and pointers; all zero is one that asks for nothing.
    let mut request = unsafe { MaybeUninit::<libc::ifreq>::zeroed().assume_init() };
    for (place, octet) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *place = octet as libc::c_char;
    }
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: the request and its words are alive during the call, and these are as many as the kernel fills in.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    assert!(outcome >= 0, "{interface}: {}", std::io::Error::last_os_error());
}
