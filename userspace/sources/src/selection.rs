//! Which frames become rows, where somebody may change that while they are read.
//!
//! Whoever changes it leaves a predicate. The thread that reads frames looks before each turn whether there is another
//! one: that costs it a look at a number, which nobody writes meanwhile. It takes it up when it is ready to.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tapline_decode::Depth;
use tapline_filter::{Predicate, Values};

/// Which frames become rows: all of them, or those of which a predicate holds. Clones are the same one.
#[derive(Clone, Default)]
pub struct Selection(Arc<Shared>);

#[derive(Default)]
struct Shared {
    changes: AtomicU64,
    predicate: Mutex<Option<Arc<Predicate>>>,
}

impl Selection {
    /// Lets those become rows of which this holds, or all, as soon as whoever reads takes it up.
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
#[derive(Debug, Default)]
pub(crate) struct Selecting {
    selection: Selection,
    seen: u64,
    predicate: Option<Arc<Predicate>>,
}

/// What is to hold in place of what does.
#[derive(Debug)]
pub(crate) struct Change {
    changes: u64,
    predicate: Option<Arc<Predicate>>,
}

impl Change {
    /// What holds of the frames that become rows then.
    pub(crate) fn kept(&self) -> Arc<Predicate> {
        kept(self.predicate.as_ref())
    }
}

impl Selecting {
    pub(crate) fn by(selection: &Selection) -> Self {
        let mut selecting = Self { selection: selection.clone(), ..Self::default() };
        selecting.change().into_iter().for_each(|change| selecting.take_up(change));
        selecting
    }

    /// What is to hold by now, if it has changed.
    pub(crate) fn change(&self) -> Option<Change> {
        let changes = self.selection.0.changes.load(Ordering::Acquire);
        (changes != self.seen).then(|| Change { changes, predicate: self.selection.predicate() })
    }

    /// Lets that hold from now on.
    pub(crate) fn take_up(&mut self, change: Change) {
        (self.seen, self.predicate) = (change.changes, change.predicate);
    }

    /// What holds of the frames that become rows.
    pub(crate) fn kept(&self) -> Arc<Predicate> {
        kept(self.predicate.as_ref())
    }

    /// Whether a frame, or a flow's, becomes a row.
    #[inline]
    pub(crate) fn keeps(&self, values: &impl Values) -> bool {
        self.predicate.as_deref().is_none_or(|predicate| predicate.holds(values))
    }

    /// How far frames are read to know that.
    pub(crate) fn depth(&self) -> Depth {
        let fields = self.predicate.iter().flat_map(|predicate| predicate.fields());
        Depth::of_columns(&fields.map(|field| field.column() as usize).collect::<Vec<_>>())
    }
}

fn kept(predicate: Option<&Arc<Predicate>>) -> Arc<Predicate> {
    predicate.map_or_else(|| Arc::new(Predicate::ALWAYS), Arc::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_filter::pcap;
    use tapline_record::{PacketColumn, PacketRow};

    fn predicate(text: &str) -> Arc<Predicate> {
        Arc::new(pcap::parse(text).unwrap().predicate())
    }

    fn look(selecting: &mut Selecting) -> bool {
        let change = selecting.change();
        change.map(|change| selecting.take_up(change)).is_some()
    }

    #[test]
    fn what_is_changed_holds_when_it_is_taken_up() {
        let selection = Selection::default();
        let mut selecting = Selecting::by(&selection);
        let tcp = PacketRow { protocol: 6, present: PacketColumn::Protocol.bit(), ..PacketRow::default() };
        assert!(selecting.keeps(&tcp) && !look(&mut selecting) && selecting.kept().is_always());
        assert_eq!(selecting.depth(), Depth::Frame);
        let dns = predicate("udp port 53");
        selection.set(Some(Arc::clone(&dns)));
        assert_eq!((selecting.change().unwrap().kept(), selecting.keeps(&tcp)), (Arc::clone(&dns), true));
        assert!(look(&mut selecting) && !selecting.keeps(&tcp) && !look(&mut selecting));
        assert_eq!((selecting.depth(), selecting.kept()), (Depth::Transport, dns));
        selection.clone().set(Some(predicate("tcp")));
        assert!(look(&mut selecting) && selecting.keeps(&tcp));
        selection.set(None);
        assert!(look(&mut selecting) && selecting.keeps(&PacketRow::default()));
        assert_eq!(format!("{selection:?}"), format!("{:?}", Selection::default()));
        selection.set(Some(predicate("tcp")));
        assert!(!Selecting::by(&selection).keeps(&PacketRow::default()), "what was there before");
    }
}
