//! Any records after a pcap file header of any kind, and any file header.
//!
//! The first octet chooses the magic and the size of the pieces.
#![no_main]

mod reading;

use libfuzzer_sys::fuzz_target;

const MAGICS: [[u8; 4]; 6] = [
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0xa1, 0xb2, 0xcd, 0x34],
    [0x34, 0xcd, 0xb2, 0xa1],
];

fuzz_target!(|input: &[u8]| {
    let [choice, rest @ ..] = input else { return };
    let magic = MAGICS[usize::from(*choice) % MAGICS.len()];
    reading::check(&[&magic, rest].concat(), usize::from(*choice >> 3));
});
