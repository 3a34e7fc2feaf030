//! Which rows of a column are present.
//!
//! Takes bits, or runs of equal ones, gives them as Arrow has them. As long as every row is present, nothing is
//! written.

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use std::mem::take;

/// One bit a row: set when the value is present.
#[derive(Debug, Default)]
pub(crate) struct Validity {
    /// None as long as every row is present.
    words: Vec<u64>,
    rows: usize,
    present: usize,
}

impl Validity {
    /// Rows since the last [`Self::finish`].
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// Makes room for `rows` more rows.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.words.reserve(rows.div_ceil(64));
    }

    /// The memory of the bits, which counts for nothing between [`Self::finish`] and the next row.
    pub(crate) const fn words_mut(&mut self) -> &mut Vec<u64> {
        &mut self.words
    }

    /// Appends `rows` bits, at most 64; the bits above them are zero.
    #[inline]
    pub(crate) fn push(&mut self, bits: u64, rows: usize) {
        let present = bits.count_ones() as usize;
        if present == rows && self.present == self.rows {
            self.rows += rows;
            self.present += rows;
        } else {
            self.push_mixed(bits, rows);
        }
    }

    /// As [`Self::push`], where some row is absent.
    fn push_mixed(&mut self, bits: u64, rows: usize) {
        if rows == 0 {
            return;
        }
        if self.present == self.rows {
            self.write_ones();
        }
        let used = self.rows % 64;
        if used == 0 {
            self.words.push(bits);
        } else {
            if let Some(last) = self.words.last_mut() {
                *last |= bits << used;
            }
            if used + rows > 64 {
                self.words.push(bits >> (64 - used));
            }
        }
        self.rows += rows;
        self.present += bits.count_ones() as usize;
    }

    /// Writes the bits of rows that are all present.
    fn write_ones(&mut self) {
        self.words.clear();
        self.words.resize(self.rows / 64, u64::MAX);
        if !self.rows.is_multiple_of(64) {
            self.words.push(u64::MAX >> (64 - self.rows % 64));
        }
    }

    /// Appends `rows` bits that are all set.
    #[inline]
    pub(crate) fn push_present(&mut self, rows: usize) {
        if self.present == self.rows {
            self.rows += rows;
            self.present += rows;
        } else {
            self.push_run(u64::MAX, rows);
        }
    }

    /// Appends `rows` bits that are all set or all zero, as in `word`.
    pub(crate) fn push_run(&mut self, word: u64, mut rows: usize) {
        while rows > 0 {
            let step = rows.min(64);
            self.push(word >> (64 - step), step);
            rows -= step;
        }
    }

    /// The bits as Arrow has them, `None` when every row is present.
    pub(crate) fn finish(&mut self) -> Option<NullBuffer> {
        let (rows, present) = (take(&mut self.rows), take(&mut self.present));
        if present == rows {
            self.words.clear();
            return None;
        }
        let bits = BooleanBuffer::new(Buffer::from_vec(take(&mut self.words)), 0, rows);
        Some(NullBuffer::new(bits))
    }
}
