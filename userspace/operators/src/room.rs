//! What lower halves may take.

/// Limits and mode of the operators of a run.
#[derive(Clone, Copy, Debug)]
pub struct OperatorLimits {
    /// Groups of one aggregate in one pane; more are folded into one.
    pub groups_max: usize,
    /// Whether this worker sees all of the stream, so that it may finish tumbling panes itself.
    pub is_only_worker: bool,
}

/// Octets that the states of open panes may take.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// All of them together may grow by so many.
    pub octets: usize,
    /// No pane of a window may take more.
    pub of_a_pane: usize,
    /// So many are each pane's own, whatever the others hold.
    pub own: usize,
}

impl Default for Room {
    /// As many as there are.
    fn default() -> Self {
        Self { octets: usize::MAX, of_a_pane: usize::MAX, own: 0 }
    }
}

impl Room {
    /// By how many octets a state may grow that takes so many.
    pub(crate) fn of_one_with(&self, octets: usize) -> usize {
        let left = |most: usize| most.saturating_sub(octets);
        self.octets.min(left(self.of_a_pane)).max(left(self.own))
    }

    pub(crate) const fn take(&mut self, octets: usize) {
        self.octets = self.octets.saturating_sub(octets);
    }
}
