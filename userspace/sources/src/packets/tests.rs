//! When a source of packets gives what queries begin to read, over a kernel and an interface that are made up.

use super::PacketSource;
use crate::demand::Demand;
use crate::kernel_filter::ReaderFilter;
use crate::kernel_filter::fake::{FakeKernel, until};
use crate::options::SourceOptions;
use crate::source::Source as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tapline_decode::Frame;
use tapline_interface::kernel::CardUse;
use tapline_interface::live::{Description, FrameSource, LiveCounters, LiveMode};
use tapline_record::{PACKETS, PacketColumn};

/// Has lent nothing, and all that came before a time.
struct Silent {
    description: Description,
    lent_until_ns: Arc<AtomicU64>,
}

impl FrameSource for Silent {
    fn read(&mut self, _: usize, _: &mut dyn FnMut(&Frame<'_>)) -> io::Result<usize> {
        Ok(0)
    }

    fn counters(&mut self) -> io::Result<LiveCounters> {
        Ok(LiveCounters::default())
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn share_out(self: Box<Self>, _: usize) -> Vec<Box<dyn FrameSource>> {
        vec![self]
    }

    fn lent_until_ns(&self) -> u64 {
        self.lent_until_ns.load(Ordering::Relaxed)
    }
}

fn demand(column: PacketColumn) -> Demand {
    let mut demand = Demand::default();
    demand.add(&PACKETS, &[column as usize], None);
    demand
}

#[test]
fn who_reads_payload_waits_until_all_that_was_cut_was_read() {
    let lent_until_ns = Arc::new(AtomicU64::new(0));
    let description = Description {
        interface: "made0".to_owned(),
        mode: LiveMode::XdpCopy,
        queues: 1,
        readers: 1,
        card: CardUse::default(),
        reasons: vec![],
    };
    let frames = Silent { description, lent_until_ns: Arc::clone(&lent_until_ns) };
    let (kernel, options) = (FakeKernel::new(), SourceOptions::default());
    let mut source = PacketSource::of_interface(vec![Box::new(frames)], false, &options).remove(0);
    source.kernel = Some(kernel.filter(Arc::clone(&options.clock)));
    source.bind(&demand(PacketColumn::Ttl)).unwrap();
    until(|| kernel.gives_whole() == Some(false));
    let payload = demand(PacketColumn::Payload);
    assert!(!source.prepare(&payload));
    let since_ns = |source: &PacketSource| source.kernel.as_ref().map(ReaderFilter::since_ns);
    until(|| source.prepare(&payload) || since_ns(&source) == Some(FakeKernel::SETTLED_NS));
    assert_eq!((kernel.gives_whole(), source.prepare(&payload)), (Some(true), false));
    lent_until_ns.store(FakeKernel::SETTLED_NS - 1, Ordering::Relaxed);
    assert!(!source.prepare(&payload), "what was cut may wait in a ring");
    lent_until_ns.store(FakeKernel::SETTLED_NS, Ordering::Relaxed);
    assert!(source.prepare(&payload));
    // Who reads no more than headers waits for nothing.
    source.relayout(&payload).unwrap();
    lent_until_ns.store(0, Ordering::Relaxed);
    assert!(source.prepare(&demand(PacketColumn::Ttl)));
}
