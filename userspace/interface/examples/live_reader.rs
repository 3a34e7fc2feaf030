//! Reads the packets of a mirror port as tapline does, and does nothing with them: what `cargo xtask bench live`
//! compares SQL with.
//!
//! Takes the name of an interface; prints how many frames it read, as CSV, when it is interrupted.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use tapline_interface::live::{self, LiveOptions};

/// Frames of a read.
const FRAMES: usize = 8192;

fn main() -> Result<(), Box<dyn Error>> {
    let interface = std::env::args().nth(1).ok_or("which interface?")?;
    let is_over = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, Arc::clone(&is_over))?;
    let options = LiveOptions { is_mirror: true, is_promiscuous: true, ..LiveOptions::default() };
    let mut source = live::open(&interface, &options)?;
    while !is_over.load(Ordering::Relaxed) {
        source.read(FRAMES, &mut |_| {})?;
    }
    println!("packets\n{}", source.counters()?.frames);
    Ok(())
}
