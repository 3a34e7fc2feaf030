//! Sequences of NetFlow and IPFIX messages of several senders: templates, records, new meanings, withdrawals.
#![no_main]

mod exporting;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| exporting::check(input, &[]));
