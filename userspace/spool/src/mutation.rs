//! Faults that can be put into a spool, so that its tests are seen to find them. Outside of tests there are none.

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// What is appended is said to be safe without syncing it.
    NoDataSync,
    /// A new file is said to be safe without syncing the folder that names it.
    NoFolderSync,
    /// What is found at a start is said to be safe without syncing it.
    NoSyncAtStart,
    /// What is found at a start is read from memory, though a sync may have failed before.
    TrustMemory,
    /// Octets are taken for a record whatever their checksum says.
    NoChecksum,
    /// Records of a cut that is not whole are taken.
    HalfCuts,
    /// What is not safe may be forgotten.
    ForgetUnsafe,
    /// Several files are removed without making safe that those before them are.
    RemoveAtOnce,
    /// After a sync that failed, what was to be made safe stays, and is said to be by the next one.
    KeepDoubtful,
    /// What was given up after a sync that failed comes back when its file has it still.
    GivenUpComesBack,
    /// After an append that failed its numbers are given again, and the file is appended to.
    GoOnAfterError,
    /// What is behind the last whole cut takes no numbers.
    NumbersAgain,
    /// The last file that is safe is removed when nothing of it is left.
    LoseNumbers,
    /// A file is let in beyond what all may take.
    NoBound,
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
