//! Which columns the batches of each stream have.
//!
//! Sources build only what some query reads. When queries come or go, a new layout follows, which sources take
//! between two batches: each batch says which one it was built by.

use crate::StreamId;

/// The number of a layout: a later one has a greater number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The columns of every stream's batches, until the next layout.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    epoch: Epoch,
    columns: [Option<Vec<usize>>; StreamId::COUNT],
}

impl Layout {
    /// The layout of this number, with the columns of each stream by their positions; `None` where it is not built.
    #[must_use]
    pub const fn new(epoch: Epoch, columns: [Option<Vec<usize>>; StreamId::COUNT]) -> Self {
        Self { epoch, columns }
    }

    /// The same columns under another number.
    #[must_use]
    pub fn renumbered(&self, epoch: Epoch) -> Self {
        Self { epoch, columns: self.columns.clone() }
    }

    /// Its number.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The columns of `stream`, as they stand side by side in its batches; none when it is not built.
    #[must_use]
    pub fn columns(&self, stream: StreamId) -> &[usize] {
        self.columns[stream as usize].as_deref().unwrap_or_default()
    }
}
