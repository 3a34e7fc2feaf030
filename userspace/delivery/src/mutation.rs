//! Faults that can be put into the protocol, so that the simulation is seen to find them. Outside of tests there are none.

/// A rule of the protocol that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A sender sends what a crash may take from it.
    SendUnsafe,
    /// A sender goes on with cuts that are not whole.
    HalfCuts,
    /// A sender does not say what is missing with records that it dropped.
    SilentDrops,
    /// An aggregator acknowledges what no checkpoint has.
    AcknowledgeAtOnce,
    /// An aggregator takes what is below the highest number for seen.
    MarkOnly,
    /// An aggregator believes a watermark before all that is before it has come.
    WatermarkAtOnce,
    /// A checkpoint has the mark without the records above it.
    NoneAboveMark,
    /// An aggregator gives results that no checkpoint has.
    GiveAtOnce,
    /// A checkpoint takes the place of any other one.
    NoFence,
    /// An aggregator counts what is gone without looking whether it has it.
    CountGoneTwice,
    /// An aggregator that forwards gives all it has of a pane again.
    ForwardAgain,
    /// An aggregator that forwards begins its numbers anew after a crash.
    NumbersAnew,
    /// An aggregator does not see that a sensor began its numbers anew.
    NoLineage,
    /// A process that takes over goes on with what it found, whatever was written since.
    StaleClaim,
    /// A manifest takes its place before its bundle is safe.
    #[cfg(test)]
    ManifestFirst,
    /// Bundles are deleted before the manifest is safe that does not name them.
    #[cfg(test)]
    DeleteAtOnce,
    /// An aggregator takes places of a checkpoint for good that was not written.
    PlacesAtOnce,
    /// Bundles of a later epoch are deleted.
    DeleteLater,
}

#[cfg(test)]
std::thread_local! {
    static PUT_IN: std::cell::Cell<Option<Mutation>> = const { std::cell::Cell::new(None) };
}

/// Whether a rule is not kept here.
#[cfg(not(test))]
pub(crate) const fn is_mutated(_: Mutation) -> bool {
    false
}

/// Whether a rule is not kept on this thread.
#[cfg(test)]
pub(crate) fn is_mutated(mutation: Mutation) -> bool {
    PUT_IN.get() == Some(mutation)
}

/// Breaks a rule on this thread, or none.
#[cfg(test)]
pub(crate) fn put_in(mutation: Option<Mutation>) {
    PUT_IN.set(mutation);
}
