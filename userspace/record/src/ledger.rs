//! The account of every record: one fate each, and the fates add up.
//!
//! For a source, offered = delivered + filtered + control + undecodable + dropped + lost before us.
//! For a query, delivered = used + filtered + late + dropped.
//!
//! Counters are plain cells of one thread; sums of them are merged when a thread reports.

use std::ops::AddAssign;

/// Fates of what a source offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceLedger {
    /// Records that reached the box, or that are known to have been sent to it.
    pub offered: u64,
    /// Records that became rows.
    pub delivered: u64,
    /// Frames that a filter or a rule left out, or that no query needs.
    pub filtered: u64,
    /// Templates and options, which are no rows.
    pub control: u64,
    /// Records that could not be decoded.
    pub undecodable: u64,
    /// Records dropped inside the box, for want of room.
    pub dropped: u64,
    /// Records that never arrived, by their sequence numbers.
    pub lost_before_us: u64,
}

impl SourceLedger {
    /// Whether every record has one fate.
    #[must_use]
    pub const fn adds_up(&self) -> bool {
        let known = self.delivered + self.filtered + self.control + self.undecodable;
        self.offered == known + self.dropped + self.lost_before_us
    }

    /// What was offered and its fates, which add up to it, by the names that everybody outside calls them.
    #[must_use]
    pub const fn by_name(&self) -> [(&'static str, u64); 7] {
        [
            ("offered", self.offered),
            ("delivered", self.delivered),
            ("filtered", self.filtered),
            ("control", self.control),
            ("undecodable", self.undecodable),
            ("dropped", self.dropped),
            ("lost", self.lost_before_us),
        ]
    }
}

impl AddAssign for SourceLedger {
    fn add_assign(&mut self, other: Self) {
        self.offered += other.offered;
        self.delivered += other.delivered;
        self.filtered += other.filtered;
        self.control += other.control;
        self.undecodable += other.undecodable;
        self.dropped += other.dropped;
        self.lost_before_us += other.lost_before_us;
    }
}

/// Fates of the rows that were delivered to a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryLedger {
    /// Rows that reached the query.
    pub delivered: u64,
    /// Rows that count in a result.
    pub used: u64,
    /// Rows that WHERE left out, or that came after LIMIT was reached.
    pub filtered: u64,
    /// Rows whose window was closed already.
    pub late: u64,
    /// Rows that are in no result for want of room: they came when others waited no longer for their turn, were more
    /// than the query may give in a second, or are not in its sample.
    pub dropped: u64,
    /// Of the rows used, those whose group is beyond the cap and counts in the folded row.
    pub folded: u64,
}

impl QueryLedger {
    /// Whether every row has one fate.
    #[must_use]
    pub const fn adds_up(&self) -> bool {
        self.delivered == self.used + self.filtered + self.late + self.dropped && self.folded <= self.used
    }

    /// What was delivered, its fates, which add up to it, and those of the used ones that were folded, by the names
    /// that everybody outside calls them.
    #[must_use]
    pub const fn by_name(&self) -> [(&'static str, u64); 6] {
        [
            ("delivered", self.delivered),
            ("used", self.used),
            ("filtered", self.filtered),
            ("late", self.late),
            ("dropped", self.dropped),
            ("folded", self.folded),
        ]
    }
}

impl AddAssign for QueryLedger {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.used += other.used;
        self.filtered += other.filtered;
        self.late += other.late;
        self.dropped += other.dropped;
        self.folded += other.folded;
    }
}
