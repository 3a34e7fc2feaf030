//! Frames that are several packets, not yet cut by their sender; and frames in several parts of memory.

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use harness::frames;
use harness::run::{Finished, tapline_during};
use tapline_interface::doctor;
use tapline_interface::link;
use tapline_interface::live::PacketSender;

use crate::answers::{By, ask, rows};
use crate::ethtool;
use crate::namespace::{self, FAR, NEAR, ip};
use crate::queries::{totals, wait_for};

/// Octets of a segment, segments of a frame, and frames.
const SEGMENT: u16 = 1000;
const SEGMENTS: u16 = 5;
pub(crate) const FRAMES: usize = 10;
/// The kernel wants to be told how to cut a frame, in front of it (`PACKET_VNET_HDR`).
const PACKET_VNET_HDR: libc::c_int = 15;

/// A frame of TCP, and in front of it how to cut it (`struct virtio_net_hdr`).
fn uncut() -> Vec<u8> {
    // ACK alone: the kernel joins no segments that open a connection.
    let segment = frames::patched(frames::tcp(&[b'x'; (SEGMENT * SEGMENTS) as usize]), 12, "6010");
    let frame = frames::ethernet(frames::IPV4, &frames::ipv4(6, &segment));
    // A checksum is still to be made, from the TCP header on; TCP over IPv4; octets of all headers and of a segment.
    let how =
        [[1, 1, 58, 0].as_slice(), &SEGMENT.to_le_bytes(), &34_u16.to_le_bytes(), &16_u16.to_le_bytes()]
            .concat();
    [how, frame].concat()
}

/// Sends frames that the near end may cut, or not.
pub(crate) fn send_uncut() {
    // SAFETY: makes a socket.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
    assert!(socket >= 0, "{}", io::Error::last_os_error());
    // SAFETY: nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let (number, is_on) = (socket.as_raw_fd(), 1_i32);
    let on = (&raw const is_on).cast::<c_void>();
    // SAFETY: the option is a number, which is alive during the call.
    assert_eq!(unsafe { libc::setsockopt(number, libc::SOL_PACKET, PACKET_VNET_HDR, on, 4) }, 0);
    // SAFETY: a structure of integers; all zero is one of them.
    let mut address = unsafe { MaybeUninit::<libc::sockaddr_ll>::zeroed().assume_init() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = frames::IPV4.to_be();
    address.sll_ifindex = link::find(NEAR).unwrap().unwrap().index as i32;
    let frame = uncut();
    for _ in 0..FRAMES {
        let (to, octets) = ((&raw const address).cast(), size_of_val(&address) as u32);
        // SAFETY: frame and address are alive during the call and have as many octets as said.
        let sent = unsafe { libc::sendto(number, frame.as_ptr().cast(), frame.len(), 0, to, octets) };
        assert_eq!(sent, frame.len() as isize, "{}", io::Error::last_os_error());
    }
}

const SQL: &str = "SELECT protocol, count(*) FROM packets GROUP BY protocol";
const SQL_BY_COPIES: &str = "SELECT ttl, count(*) FROM packets GROUP BY ttl";

fn is_warned(run: &Finished) -> bool {
    run.stderr.contains("warning: 10 frames are longer than the packets of far")
}

#[test]
fn frames_that_were_not_cut_are_counted_and_told_until_it_is_mended() {
    if !namespace::enter() {
        return;
    }
    let run = ask(SQL_BY_COPIES, By::Copies, send_uncut);
    assert_eq!(rows(&run, 1, 1), ["64,10"], "{}", run.stderr);
    let findings = doctor::interface(FAR).unwrap();
    let mends: Vec<_> =
        findings.into_iter().filter(|found| found.is_problem).filter_map(|found| found.mend).collect();
    let mend = mends.iter().find(|mend| mend.contains("tso")).expect("a mend");
    assert_eq!(mend, "ethtool -K near tso off gso off");
    assert!(is_warned(&run) && run.stderr.contains(mend.as_str()), "{}", run.stderr);
    ethtool::run(mend);
    let run = ask(SQL_BY_COPIES, By::Copies, send_uncut);
    assert_eq!(rows(&run, 1, 1), ["64,50"], "{}", run.stderr);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    let findings = doctor::interface(FAR).unwrap();
    assert!(findings.iter().all(|found| !found.what.contains("cut what it sends")), "{findings:?}");
}

/// The kernel has them cut at the other end as soon as a program is attached.
#[test]
fn the_table_counts_what_is_cut() {
    if !namespace::enter() {
        return;
    }
    let run = ask(SQL, By::Table, send_uncut);
    assert_eq!(rows(&run, 1, 1), ["6,50"], "{}", run.stderr);
}

/// The table and copies in one run: the kernel may join behind the program what it counted one by one.
#[test]
fn what_is_joined_behind_the_program_is_told_until_it_is_mended() {
    let mend = "ethtool -K far gro off";
    for is_mended in [false, true] {
        if !namespace::enter() {
            return;
        }
        ethtool::run("ethtool -K far gro on");
        if is_mended {
            ethtool::run(mend);
        }
        let folder = tempfile::tempdir().unwrap();
        let queries = [SQL, SQL_BY_COPIES].map(|sql| format!("{sql}, tumble('24 hours')"));
        let output = folder.path().to_str().unwrap();
        let [of_table, of_copies] = &queries;
        let arguments = ["--interface", FAR, "--format", "csv", "--output", output, of_table, of_copies];
        let run = tapline_during(&[&["query"][..], &arguments].concat(), || {
            wait_for(namespace::is_attached);
            send_uncut();
        });
        let _ = run.success();
        let counts = ["query_1.csv", "query_2.csv"].map(|name| {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            totals(&text, 1, 1).into_values().flatten().sum::<i64>()
        });
        let is_told = run.stderr.contains("longer than the packets of far") && run.stderr.contains(mend);
        assert_eq!((counts[0], counts[1] == 50), (50, is_mended), "{counts:?}: {}", run.stderr);
        assert_eq!(is_told, !is_mended, "{}", run.stderr);
    }
}

/// A frame whose header claims no length, so long that its program gets it in parts.
#[test]
fn a_length_of_zero_is_that_of_all_parts_on_every_path() {
    let mut packet = frames::ipv4(6, &frames::tcp(&[b'j'; 4038]));
    packet[2..4].fill(0);
    let frame = frames::ethernet(frames::IPV4, &packet);
    let of_copies = "SELECT ttl, count(*), sum(octets) FROM packets GROUP BY ttl";
    let of_table = "SELECT protocol, count(*), sum(octets) FROM packets GROUP BY protocol";
    for (sql, by, expected) in [(of_table, By::Table, "6,1,4082"), (of_copies, By::Copies, "64,1,4082")] {
        if !namespace::enter() {
            return;
        }
        for end in [NEAR, FAR] {
            assert!(ip(&["link", "set", end, "mtu", "65000"]), "{end}");
        }
        namespace::wait_for_carrier();
        let run = ask(sql, by, || PacketSender::open(NEAR, false).unwrap().send(&frame).unwrap());
        assert_eq!(rows(&run, 1, 2), [expected], "{by:?}: {}", run.stderr);
    }
}
