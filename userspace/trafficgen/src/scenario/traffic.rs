//! Collects what the parts of the scenario send.
//!
//! Takes packets in any order of time, gives frames in time order; frames of the same time keep the order in
//! which they came. What would be sent after the scenario's end was not seen.

use std::net::IpAddr;

use super::{DURATION_NS, START_NS, TimedFrame};
use crate::frame::{Body, Frame, Link, Packet, Transport};
use crate::payload::Payload;

/// The frames so far.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    frames: Vec<TimedFrame>,
}

/// One direction between two addresses over one link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) link: Link,
    pub(super) src_ip: IpAddr,
    pub(super) dst_ip: IpAddr,
    pub(super) ttl: u8,
}

impl Path {
    /// From inside to outside: the sender is near, so that its time to live is whole.
    pub(super) fn outward(link: Link, src_ip: IpAddr, dst_ip: IpAddr) -> Self {
        Self { link, src_ip, dst_ip, ttl: 64 }
    }

    /// The way back, from some hops away.
    pub(super) fn back(self) -> Self {
        const TTL_AFTER_SOME_HOPS: u8 = 54;
        Self {
            link: self.link.reversed(),
            src_ip: self.dst_ip,
            dst_ip: self.src_ip,
            ttl: TTL_AFTER_SOME_HOPS,
        }
    }
}

impl Traffic {
    /// A frame is seen, `at_ns` after the scenario's start.
    pub(super) fn see(&mut self, at_ns: u64, link: Link, body: Body) {
        if at_ns < DURATION_NS {
            self.frames.push(TimedFrame { time_ns: START_NS + at_ns, frame: Frame { link, body } });
        }
    }

    /// A packet is seen, `at_ns` after the scenario's start.
    pub(super) fn send(&mut self, at_ns: u64, path: Path, transport: Transport, payload: Payload) {
        let Path { link, src_ip, dst_ip, ttl } = path;
        self.see(at_ns, link, Body::Ip(Packet { src_ip, dst_ip, ttl, transport, payload }));
    }

    /// All frames, in time order.
    pub(super) fn into_frames(mut self) -> Vec<TimedFrame> {
        self.frames.sort_by_key(|frame| frame.time_ns);
        self.frames
    }
}
