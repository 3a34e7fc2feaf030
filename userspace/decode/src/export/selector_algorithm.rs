//! How packets are sampled (IANA, "PSAMP selectorAlgorithm Identifiers", RFC 5476), as far as rates follow from it.

pub(super) const SYSTEMATIC_COUNT_BASED_SAMPLING: u64 = 1;
pub(super) const SYSTEMATIC_TIME_BASED_SAMPLING: u64 = 2;
pub(super) const RANDOM_N_OUT_OF_N_SAMPLING: u64 = 3;
pub(super) const UNIFORM_PROBABILISTIC_SAMPLING: u64 = 4;
