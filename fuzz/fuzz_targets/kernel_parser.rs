//! Any octets through the parser of the kernel programs: what it says is what the decoder says.
#![no_main]

use harness::columns;
use libfuzzer_sys::fuzz_target;
use tapline_decode::LinkType;
use tapline_ebpf_common::flags;
use tapline_ebpf_programs::parse::parse;

fuzz_target!(|input: (u16, &[u8])| {
    let (beyond, frame) = input;
    let octets = frame.len() as u32 + u32::from(beyond);
    for (link, switches) in [(LinkType::Ethernet, 0), (LinkType::RawIp, flags::RAW_IP)] {
        let parsed = parse(frame, octets, switches | flags::TCP_FLAGS);
        if !parsed.is_too_deep {
            let expected = columns::of_frame(link, frame, octets);
            assert_eq!((columns::of_key(&parsed.key), parsed.octets.into()), expected);
        }
        let coarser = parse(frame, octets, switches);
        assert_eq!((coarser.octets, coarser.is_too_deep), (parsed.octets, parsed.is_too_deep));
    }
});
