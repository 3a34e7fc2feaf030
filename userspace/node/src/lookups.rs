//! Lookup tables: which files the command line names, and how they are followed.

use crate::failure::Failure;
use clap::{Args, ValueHint};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tapline_catalog::{Level, Tell};
use tapline_lookup::{Refreshed, TableFile, Tables};

/// Between two looks at the files; one that has changed is read when it is the same at the next look.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The tables that queries may name.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LookupArguments {
    /// A table for lookup('NAME', key): a .csv, .parquet or .mmdb file, which is read again when it changes. Its keys
    /// are its first column, or KEY: addresses, prefixes, MAC addresses, whole numbers or texts. Several may be given.
    #[arg(long, value_name = "NAME=FILE[:KEY]", value_hint = ValueHint::FilePath)]
    pub(crate) lookup: Vec<TableFile>,
}

/// Reads all files.
pub(crate) fn open(files: Vec<TableFile>) -> Result<Arc<Tables>, Failure> {
    let said = |wrong: String| Failure::Usage(format!("a lookup table cannot be read: {wrong}"));
    Tables::open(files).map(Arc::new).map_err(said)
}

/// Reads files anew that change, in a thread of its own, until the program ends.
pub(crate) fn follow(tables: &Arc<Tables>, log: &Arc<dyn Tell>) {
    if tables.is_empty() {
        return;
    }
    let (tables, log) = (Arc::clone(tables), Arc::clone(log));
    thread::spawn(move || {
        loop {
            thread::sleep(LOOK_EVERY);
            tables.look().into_iter().for_each(|refreshed| tell(log.as_ref(), &refreshed));
        }
    });
}

fn tell(log: &dyn Tell, refreshed: &Refreshed) {
    let level = if matches!(refreshed, Refreshed::Taken(..)) { Level::Info } else { Level::Warning };
    log.say(level, &refreshed.to_string());
}
