//! How many files and sockets a node may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;

/// As many are enough: connections of the API and of psql, sources, files of results.
const ENOUGH: u64 = 16_384;

/// Takes as many as a node needs, where it may. Shells and services are given a thousand, which are fewer than it has
/// connections.
///
/// # Errors
/// What the operating system says.
pub(crate) fn take_enough() -> io::Result<()> {
    let limits = getrlimit(Resource::Nofile);
    match raised(limits.current, limits.maximum) {
        None => Ok(()),
        current => Ok(setrlimit(Resource::Nofile, Rlimit { current, ..limits })?),
    }
}

/// What the limit in force is raised to, where it is; `None` within a limit is that there is none.
fn raised(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
    let possible = maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    current.filter(|current| *current < possible).map(|_| possible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_as_far_as_it_may_be() {
        assert_eq!(raised(Some(1024), Some(524_288)), Some(ENOUGH));
        assert_eq!(raised(Some(1024), None), Some(ENOUGH));
        assert_eq!(raised(Some(1024), Some(4096)), Some(4096));
        assert_eq!(raised(Some(1024), Some(1024)), None);
        assert_eq!(raised(Some(65_536), Some(524_288)), None, "what is more stays");
        assert_eq!(raised(None, None), None);
    }
}
