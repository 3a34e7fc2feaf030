//! Which core a thread runs on.

use core_affinity::CoreId;

/// Where threads run.
#[derive(Clone, Debug)]
pub(crate) struct Affinity {
    chosen: Vec<usize>,
    there: Vec<CoreId>,
    threads: usize,
}

impl Affinity {
    /// So many threads on the chosen cores; without any, on a core each where there are enough.
    pub(crate) fn new(chosen: &[usize], threads: usize) -> Self {
        let there = core_affinity::get_core_ids().unwrap_or_default();
        Self { chosen: chosen.to_vec(), there, threads }
    }

    /// The core of the thread of this number, if it is to stay on one.
    pub(crate) fn core(&self, number: usize) -> Option<CoreId> {
        match self.chosen[..] {
            [] if self.there.len() < self.threads => None,
            [] => self.there.get(number).copied(),
            ref chosen => Some(CoreId { id: chosen[number % chosen.len()] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cores that a thread may run on after it took its core.
    fn cores_of(chosen: &[usize], threads: usize, number: usize) -> Vec<usize> {
        let core = Affinity::new(chosen, threads).core(number);
        let cores = move || {
            core.map(core_affinity::set_for_current);
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect()
        };
        std::thread::scope(|scope| scope.spawn(cores).join().unwrap_or_default())
    }

    #[test]
    fn threads_take_the_cores_that_were_chosen() {
        let there: Vec<usize> =
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
        let [first, .., last] = there[..] else { return println!("skipped: a machine of one core") };
        assert_eq!(cores_of(&[last], 3, 0), [last]);
        assert_eq!(cores_of(&[last, first], 3, 1), [first]);
        assert_eq!(cores_of(&[last, first], 3, 2), [last]);
        assert_eq!(cores_of(&[], 2, 1), [there[1]]);
        assert_eq!(cores_of(&[], there.len() + 1, 1), there, "not enough for all");
    }
}
