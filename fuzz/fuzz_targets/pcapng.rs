//! Any blocks after a section header of either byte order.
//!
//! The first octet chooses the byte order and the size of the pieces.
#![no_main]

mod reading;

use libfuzzer_sys::fuzz_target;

const BIG: [u8; 28] =
    *b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d\0\x01\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x1c";
const LITTLE: [u8; 28] =
    *b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0";

fuzz_target!(|input: &[u8]| {
    let [choice, rest @ ..] = input else { return };
    let section = if choice & 1 == 0 { BIG } else { LITTLE };
    reading::check(&[&section, rest].concat(), usize::from(*choice >> 1));
});
