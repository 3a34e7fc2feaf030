//! How far sources were at the marks of cuts, as they tell it themselves.

use crate::lock::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tapline_operators::SourceId;
use tapline_record::Epoch;

/// What sources want to know if another run goes on behind some cut.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    told: Mutex<Vec<Told>>,
    /// Whether somebody takes them.
    are_wanted: AtomicBool,
}

/// What one source told.
#[derive(Debug)]
struct Told {
    source: SourceId,
    name: String,
    /// It is of the end of batches of this layout.
    epoch: Epoch,
    position: String,
}

impl Positions {
    /// From now on somebody takes them.
    pub(crate) fn want(&self) {
        self.are_wanted.store(true, Ordering::Relaxed);
    }

    /// Tells what a source wants to know behind its batches of this layout.
    pub(crate) fn tell(&self, source: SourceId, name: &str, epoch: Epoch, position: String) {
        if self.are_wanted.load(Ordering::Relaxed) {
            lock(&self.told).push(Told { source, name: name.to_owned(), epoch, position });
        }
    }

    /// Takes what is of layouts before this one: of each source, by its name, what it told last.
    pub(crate) fn take_before(&self, epoch: Epoch) -> Vec<(String, String)> {
        let mut told = lock(&self.told);
        let of_cut = told.extract_if(.., |told| told.epoch < epoch);
        let last: BTreeMap<_, _> = of_cut.map(|told| (told.source, (told.name, told.position))).collect();
        last.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_has_what_each_source_told_last_before_it() {
        let positions = Positions::default();
        let tell = |source, epoch, position: &str| {
            positions.tell(SourceId(source), &format!("source {source}"), Epoch(epoch), position.to_owned());
        };
        tell(0, 1, "nobody asks");
        positions.want();
        tell(1, 1, "at a mark");
        tell(0, 1, "at a mark, too");
        tell(0, 2, "at its end, behind the mark");
        tell(2, 1, "at its end, before the mark");
        let taken = |epoch| -> Vec<String> {
            let taken = positions.take_before(Epoch(epoch)).into_iter();
            taken.map(|(name, position)| format!("{name}: {position}")).collect()
        };
        let expected =
            ["source 0: at a mark, too", "source 1: at a mark", "source 2: at its end, before the mark"];
        assert_eq!(taken(2), expected);
        assert_eq!(taken(3), ["source 0: at its end, behind the mark"]);
        assert!(taken(u64::MAX).is_empty());
    }
}
