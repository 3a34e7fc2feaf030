//! An aggregator that forwards is a sensor to the next one.

use crate::proxy::Proxy;
use crate::scene::{Results, WIDTH_NS, begin_ns, cut, options, part, start, through, upstream, wait};
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;
use tapline_delivery::{OutgoingLimits, Role, SensorName};
use tapline_forward::{Receiver, ReceiverOptions};

const CUTS: u64 = 40;

fn regional(central: &Proxy) -> ReceiverOptions {
    let mut plan = options();
    plan.aggregator.role = Role::Forward(SensorName::new("region"), OutgoingLimits::default());
    plan.forward = Some(upstream(central.url()));
    plan
}

#[test]
fn sums_go_over_two_links_though_both_are_cut_and_the_middle_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (lower, upper, begin) = (Proxy::new(), Proxy::new(), begin_ns());
    let (results, of_region) = (Results::default(), Results::default());
    let central = start(options(), &folder.path().join("central"), &results).unwrap();
    upper.lead(Some(central.address()));
    central.assign(b"queries".to_vec()).unwrap();
    let place = folder.path().join("region");
    let mut region = start(regional(&upper), &place, &of_region).unwrap();
    lower.lead(Some(region.address()));
    let senders = ["a", "b"].map(|name| through(&lower, name, &folder.path().join(name)));
    for number in 0..CUTS {
        for (of, sender) in (0..).zip(&senders) {
            let pane = (number / 5) as i64;
            let watermark = begin + (pane + i64::from(number % 5 == 4)) * WIDTH_NS;
            cut(sender, vec![part(begin, pane, &[number * 2 + of], watermark)], vec![]);
        }
        thread::sleep(Duration::from_millis(50));
        match number % 10 {
            3 => upper.cut(),
            5 => lower.cut(),
            8 => {
                // The next one takes its place while it lives.
                let next = start(regional(&upper), &place, &of_region).unwrap();
                lower.lead(Some(next.address()));
                let before: Receiver = std::mem::replace(&mut region, next);
                drop(before);
            }
            _ => {}
        }
    }
    let truth: BTreeSet<u64> = (0..2 * CUTS).collect();
    wait("all is taken", || {
        let taken = results.0.lock().unwrap();
        taken.numbers() == truth && taken.missing() == 0
    });
    wait("what is assigned comes to the middle", || of_region.0.lock().unwrap().assigned == b"queries");
    region.report(b"a region".to_vec()).unwrap();
    wait("its report comes", || central.sensors().first().is_some_and(|sensor| sensor.report == b"a region"));
    wait("nothing is on its way", || {
        region.status().uplink.is_some_and(|uplink| uplink.waiting_octets == 0 && uplink.sent > 0)
    });
    let uplink = region.status().uplink.unwrap();
    assert!(uplink.connected_since_ns.is_some() && uplink.octets_sent > 0 && uplink.to == upper.url());
    assert_eq!(central.sensors().iter().map(|sensor| sensor.name.clone()).collect::<Vec<_>>(), ["region"]);
}
