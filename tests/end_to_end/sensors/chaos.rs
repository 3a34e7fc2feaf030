//! Twenty processes are killed, others paused and cut off, at random. `cargo xtask chaos` does it for longer.

use harness::run::binary;
use std::time::Duration;
use tapline_fleet::chaos::{Options, run};

#[test]
fn whatever_dies_each_window_is_exact_or_says_what_it_lacks() {
    let time = Duration::from_secs(300);
    let options = Options { tapline: binary(), seed: 1, time, kills_max: 20, check: &|| Ok(()) };
    let mut happened = vec![];
    let report = run(&options, &mut |what| happened.push(what.to_owned()));
    let report = report.map_err(|error| format!("{error:#}; {}", happened.join("; "))).unwrap();
    println!("{report}");
    assert_eq!(report.kills(), 20, "{happened:?}");
}
