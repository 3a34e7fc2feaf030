//! More than the listener can take: what is lost is counted, exactly.

use super::account::{fates, matrix, records};
use super::live::listen;
use super::sender::Load;
use tapline_trafficgen::exports::{ExportPlan, Protocol};

#[test]
fn what_is_lost_is_counted() {
    for protocol in [Protocol::NetflowV5, Protocol::NetflowV9, Protocol::Ipfix] {
        // The kernel's queue holds a few datagrams, and nobody naps: most of them find it full.
        let load =
            Load { plan: ExportPlan::new(protocol, 5), exporters: 2, datagrams: 5000, datagrams_a_nap: 0 };
        let (run, truth) = listen(&load, &["--receive-buffer", "8192"]);
        let [offered, delivered, .., lost] = fates(&run);
        assert!(lost > 0, "{protocol} was not overloaded: {}", run.stderr);
        let sent = match protocol {
            Protocol::NetflowV9 => truth.datagrams(),
            Protocol::Ipfix => truth.sent.records + truth.control.options_records,
            _ => truth.sent.records,
        };
        // A template that was lost leaves its records waiting; they are known by their numbers.
        assert_eq!(offered, sent, "{protocol}: {}", run.stderr);
        if protocol != Protocol::NetflowV9 {
            assert_eq!(records(&matrix(&run)), delivered, "{protocol}: {}", run.stderr);
        }
    }
}
