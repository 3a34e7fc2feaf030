//! What tests of live sources have in common: frames to send, and what was read of them.

use std::time::{Duration, Instant, SystemTime};

use tapline_decode::{Direction, LinkType};
use tapline_interface::live::{self, FrameSource, LiveError, LiveOptions, PacketSender};

use harness::frames;

/// A frame as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadFrame {
    pub(crate) ts_ns: i64,
    pub(crate) direction: Option<Direction>,
    pub(crate) original_octets: u32,
    pub(crate) bytes: Vec<u8>,
}

/// Longest time without a frame before a test takes it that there are no more.
const QUIET: Duration = Duration::from_millis(250);

/// Opens an interface; `None`, and a line that says why, where the rights are missing.
pub(crate) fn open(interface: &str, options: &LiveOptions) -> Option<Box<dyn FrameSource>> {
    match live::open(interface, options) {
        Ok(source) => Some(source),
        Err(LiveError::Kernel(error)) => crate::rights::or_skipped(Err(error)),
        Err(error) => {
            assert!(matches!(error, LiveError::NoRights(_)), "{error}");
            println!("skipped: needs CAP_NET_RAW: {error}");
            None
        }
    }
}

/// A frame of UDP with a number of its own, of a length that depends on it; every third has a VLAN tag, every
/// fifth two.
pub(crate) fn numbered(number: u32) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(22 + number as usize * 37 % 1400, number as u8);
    let packet = frames::ipv4(frames::UDP, &frames::udp(1234, 53, &payload));
    if number.is_multiple_of(5) {
        let inner = frames::tag(7, frames::IPV4, &packet);
        return frames::ethernet(0x88a8, &frames::tag(100, 0x8100, &inner));
    }
    if number.is_multiple_of(3) {
        return frames::ethernet(0x8100, &frames::tag(42, frames::IPV4, &packet));
    }
    frames::ethernet(frames::IPV4, &packet)
}

/// Sends frames with these numbers.
pub(crate) fn send(interface: &str, numbers: std::ops::Range<u32>) {
    let sender = PacketSender::open(interface, false).unwrap();
    for number in numbers {
        sender.send(&numbered(number)).unwrap();
    }
}

/// Reads until nothing comes any more.
pub(crate) fn read_all(source: &mut dyn FrameSource) -> Vec<ReadFrame> {
    let mut read = Vec::new();
    let mut last = Instant::now();
    while last.elapsed() < QUIET {
        let frames = source.read(100, &mut |frame| {
            assert_eq!((frame.link, frame.interface.is_some()), (LinkType::Ethernet, true));
            read.push(ReadFrame {
                ts_ns: frame.ts.0,
                direction: frame.direction,
                original_octets: frame.original_octets,
                bytes: frame.bytes.to_vec(),
            });
        });
        if frames.unwrap() > 0 {
            last = Instant::now();
        }
    }
    read
}

/// The wall clock, ns since 1970.
pub(crate) fn now_ns() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64
}

/// Asserts that exactly these frames were read, in order, at times in order within a span of the wall clock.
pub(crate) fn assert_read(read: &[ReadFrame], numbers: std::ops::Range<u32>, span_ns: [i64; 2]) {
    let sent: Vec<_> = numbers.map(numbered).collect();
    assert_eq!(read.len(), sent.len());
    for (read, sent) in read.iter().zip(&sent) {
        assert_eq!(&read.bytes, sent);
        assert_eq!(read.original_octets as usize, sent.len());
    }
    assert!(read.is_sorted_by_key(|frame| frame.ts_ns), "times go back");
    // The program's clock is cut to µs.
    let [first, last] = [read.first(), read.last()].map(|frame| frame.unwrap().ts_ns);
    assert!(first >= span_ns[0] - 10_000 && last <= span_ns[1] + 10_000, "{first}..{last} of {span_ns:?}");
}
