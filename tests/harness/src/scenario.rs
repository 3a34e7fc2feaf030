//! The synthetic capture that queries with known answers run over.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use tapline_trafficgen::pcap::PcapFormat;
use tapline_trafficgen::scenario::{SNAP_LENGTH_OCTETS, Scenario, Truth, branch_office};

/// The seed of every capture that the tests make.
pub const SEED: u64 = 1;

/// Three minutes at the branch office, or the beginning of them.
#[derive(Debug)]
pub struct Office {
    /// The capture file.
    pub capture: PathBuf,
    /// What is true of all three minutes.
    pub truth: Truth,
}

impl Office {
    /// Plays the scenario and writes at most `frames` of its frames to `path`.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn write(path: &Path, frames: usize) -> Self {
        let mut scenario = branch_office(SEED);
        scenario.frames.truncate(frames);
        Self::of(scenario, path)
    }

    /// Plays the scenario and writes every `step`-th of its frames to `path`.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn write_every(path: &Path, step: usize) -> Self {
        let mut scenario = branch_office(SEED);
        scenario.frames = scenario.frames.into_iter().step_by(step).collect();
        Self::of(scenario, path)
    }

    fn of(scenario: Scenario, path: &Path) -> Self {
        let file = File::create(path).expect("the target's folder for temporary files");
        let format = PcapFormat { snap_length_octets: SNAP_LENGTH_OCTETS, ..PcapFormat::default() };
        scenario.write_pcap(BufWriter::new(file), format).expect("room for a temporary file");
        Self { capture: path.to_path_buf(), truth: scenario.truth }
    }
}
