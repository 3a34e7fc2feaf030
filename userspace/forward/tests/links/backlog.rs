//! How fast a sensor catches up when its aggregator comes back.

use crate::proxy::Proxy;
use crate::scene::{Results, WIDTH_NS, begin_ns, cut, options, part, start, through, wait};
use std::time::Instant;

const CUTS: u64 = 600;
const PARTS: u64 = 20;
/// Of a part, which has two kilobytes by that.
const NUMBERS: u64 = 256;

#[test]
fn what_was_kept_for_long_comes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, begin) = (Proxy::new(), begin_ns());
    let sender = through(&proxy, "pop-1", &folder.path().join("pop-1"));
    let begun = Instant::now();
    for number in 0..CUTS {
        let pane = (number / 10) as i64;
        let parts = (0..PARTS).map(|place| {
            let first = (number * PARTS + place) * NUMBERS;
            let is_last = number % 10 == 9 && place == PARTS - 1;
            let watermark = if is_last { begin + (pane + 1) * WIDTH_NS } else { i64::MIN };
            part(begin, pane, &(first..first + NUMBERS).collect::<Vec<_>>(), watermark)
        });
        cut(&sender, parts.collect(), number.to_le_bytes().to_vec());
    }
    wait("all is written", || sender.status().unsafe_octets == 0);
    println!("{CUTS} cuts of {PARTS} parts were written in {:.1?}", begun.elapsed());
    let results = Results::default();
    let receiver = start(options(), &folder.path().join("hub"), &results).unwrap();
    let begun = Instant::now();
    proxy.lead(Some(receiver.address()));
    wait("all is acknowledged", || sender.status().acknowledged == CUTS * PARTS);
    let (took, status) = (begun.elapsed(), sender.status());
    println!(
        "{} records, {} MB, were caught up in {took:.1?}: {:.0} a second, {} were sent",
        CUTS * PARTS,
        status.octets_sent / 1_000_000,
        (CUTS * PARTS) as f64 / took.as_secs_f64(),
        status.sent
    );
    wait("all is taken", || results.0.lock().unwrap().numbers().len() as u64 == CUTS * PARTS * NUMBERS);
    assert_eq!(receiver.sensors().first().unwrap().taken, CUTS * PARTS);
}
