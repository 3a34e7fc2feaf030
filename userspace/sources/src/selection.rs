//! Which frames become rows, where somebody may change that while they are read.
//!
//! Whoever changes it leaves a predicate. The thread that reads frames looks before each turn whether there is another
//! one: that costs it a look at a number, which nobody writes meanwhile.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tapline_decode::Depth;
use tapline_filter::Predicate;
use tapline_record::PacketRow;

/// Which frames become rows: all of them, or those of which a predicate holds. Clones are the same one.
#[derive(Clone, Default)]
pub struct Selection(Arc<Shared>);

#[derive(Default)]
struct Shared {
    changes: AtomicU64,
    predicate: Mutex<Option<Arc<Predicate>>>,
}

impl Selection {
    /// Lets those become rows of which this holds, or all, from the next turn on of whoever reads.
    pub fn set(&self, predicate: Option<Arc<Predicate>>) {
        *self.0.predicate.lock().unwrap_or_else(PoisonError::into_inner) = predicate;
        self.0.changes.fetch_add(1, Ordering::Release);
    }

    fn predicate(&self) -> Option<Arc<Predicate>> {
        self.0.predicate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Selection {
    /// Without what it is now, which is no part of how a source reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Selection")
    }
}

/// A selection, as the thread has it that reads frames.
#[derive(Debug)]
pub(crate) struct Selecting {
    selection: Selection,
    seen: u64,
    predicate: Option<Arc<Predicate>>,
}

impl Selecting {
    pub(crate) fn by(selection: &Selection) -> Self {
        let mut selecting = Self { selection: selection.clone(), seen: u64::MAX, predicate: None };
        selecting.look();
        selecting
    }

    /// Takes up what has changed since the last look; says whether something has.
    pub(crate) fn look(&mut self) -> bool {
        let changes = self.selection.0.changes.load(Ordering::Acquire);
        if changes == self.seen {
            return false;
        }
        (self.seen, self.predicate) = (changes, self.selection.predicate());
        true
    }

    /// Whether a frame becomes a row.
    #[inline]
    pub(crate) fn keeps(&self, row: &PacketRow) -> bool {
        self.predicate.as_deref().is_none_or(|predicate| predicate.holds(row))
    }

    /// How far frames are read to know that.
    pub(crate) fn depth(&self) -> Depth {
        let fields = self.predicate.iter().flat_map(|predicate| predicate.fields());
        Depth::of_columns(&fields.map(|field| field.column() as usize).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_filter::pcap;
    use tapline_record::PacketColumn;

    fn predicate(text: &str) -> Arc<Predicate> {
        Arc::new(pcap::parse(text).unwrap().predicate())
    }

    #[test]
    fn what_is_changed_holds_from_the_next_look_on() {
        let selection = Selection::default();
        let mut selecting = Selecting::by(&selection);
        let tcp = PacketRow { protocol: 6, present: PacketColumn::Protocol.bit(), ..PacketRow::default() };
        assert!(selecting.keeps(&tcp) && !selecting.look());
        assert_eq!(selecting.depth(), Depth::Frame);
        selection.set(Some(predicate("udp port 53")));
        assert!(selecting.keeps(&tcp) && selecting.look() && !selecting.keeps(&tcp) && !selecting.look());
        assert_eq!(selecting.depth(), Depth::Transport);
        selection.clone().set(Some(predicate("tcp")));
        assert!(selecting.look() && selecting.keeps(&tcp));
        selection.set(None);
        assert!(selecting.look() && selecting.keeps(&PacketRow::default()));
        assert_eq!(format!("{selection:?}"), format!("{:?}", Selection::default()));
    }
}
