//! Any octets through the parser of the kernel programs: what it says is what the decoder says.
#![no_main]

#[path = "../../ebpf/programs/tests/agreement/columns.rs"]
mod columns;

use libfuzzer_sys::fuzz_target;
use tapline_ebpf_programs::parse::parse;

fuzz_target!(|frame: &[u8]| {
    let parsed = parse(frame, true);
    if !parsed.is_too_deep {
        assert_eq!((columns::of_key(&parsed.key), parsed.octets.into()), columns::of_frame(frame));
    }
    let coarser = parse(frame, false);
    assert_eq!((coarser.octets, coarser.is_too_deep), (parsed.octets, parsed.is_too_deep));
});
