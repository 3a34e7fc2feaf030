//! What a sender sent and what came out of the programs, flow by flow.

use std::collections::HashMap;

use tapline_interface::kernel::{Counters, KernelFlow};

/// The first flow's source address.
pub(crate) const SRC_IP: u32 = u32::from_be_bytes([10, 0, 0, 0]);
/// Octets of a template's frame and of its IP packet.
pub(crate) const FRAME_OCTETS: u64 = 60;
pub(crate) const IP_OCTETS: u64 = 46;

/// A frame of UDP over IPv4.
pub(crate) fn template() -> Vec<u8> {
    let packet = harness::frames::ipv4(harness::frames::UDP, &harness::frames::udp(1234, 53, &[0; 18]));
    harness::frames::ethernet(harness::frames::IPV4, &packet)
}

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Frames by flow.
    pub(crate) frames: HashMap<u32, u64>,
    /// Frames, octets and octets of frames in all.
    pub(crate) sums: [u64; 3],
}

impl Received {
    pub(crate) fn take(&mut self, flow: &KernelFlow) {
        let [.., a, b, c, d] = flow.key.src_ip().unwrap();
        *self.frames.entry(u32::from_be_bytes([a, b, c, d]) - SRC_IP).or_default() += flow.packets;
        let sums = [flow.packets, flow.octets, flow.frame_octets];
        self.sums.iter_mut().zip(sums).for_each(|(sum, more)| *sum += more);
    }

    /// Asserts that what was sent came out or was counted, in all and flow by flow; `a_flow` is what each flow was
    /// sent. The interface dropped some before the program.
    pub(crate) fn assert_complete(&self, counted: &Counters, flows: u32, a_flow: u64, dropped: u64) {
        let seen = u64::from(flows) * a_flow - dropped;
        let [packets, octets, frame_octets] = self.sums;
        assert_eq!(counted.seen_packets, seen, "every frame is seen: {counted:?}");
        assert_eq!(counted.seen_octets, seen * FRAME_OCTETS);
        let unwanted = counted.unwanted_packets;
        assert_eq!(packets + counted.lost_packets + counted.filtered_packets + unwanted, seen, "{counted:?}");
        let octets_left_out = counted.lost_octets + counted.filtered_octets + unwanted * FRAME_OCTETS;
        assert_eq!(frame_octets + octets_left_out, seen * FRAME_OCTETS);
        assert_eq!(octets, packets * IP_OCTETS);
        let missing = (0..flows).map(|flow| {
            let received = self.frames.get(&flow).copied().unwrap_or(0);
            assert!(received <= a_flow, "flow {flow} has {received} of {a_flow} frames");
            a_flow - received
        });
        let left_out = counted.lost_packets + counted.filtered_packets + unwanted;
        assert_eq!(missing.sum::<u64>(), dropped + left_out);
    }
}
