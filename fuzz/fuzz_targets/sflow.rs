//! Sequences of sFlow datagrams of several senders; their version is not part of the input.
#![no_main]

mod exporting;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| exporting::check(input, &[0, 0, 0, 5]));
