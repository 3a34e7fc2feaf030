//! How the queues of an interface are shared out among readers, and what these have in common.
//!
//! Each reader has queues of its own, which nobody else looks at; so reading takes no lock. Somebody may need one reader
//! to see all frames: then the queues go to the first one, with what waits in them, and later come back. Whoever is to have
//! a queue says so when he is awake, and not before he is given any: until then who has it reads it on. So a queue is on its
//! way for as long as it takes to look up for somebody who does that all the time. What a reader has whose end comes before
//! others' goes to those whose it is, and is read by the first one as long as he reads all.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Promiscuous;
use crate::kernel::KernelCapture;

/// The reader to whom all queues may go.
const FIRST: u32 = 0;

/// A queue, as far as it matters who reads it.
pub(super) trait Numbered {
    /// Its number on the interface.
    fn number(&self) -> u32;
}

/// Who reads which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Queues of the interface, at least one.
    queues: u32,
    /// Readers, each with a queue at least.
    readers: u32,
    /// Whether the first reader reads all of them.
    are_gathered: bool,
}

impl Shares {
    /// All queues for one reader.
    pub(super) const fn of_one(queues: u32) -> Self {
        Self { queues, readers: 1, are_gathered: false }
    }

    /// The same queues for so many readers, as far as there is one for each.
    pub(super) fn among(self, readers: u32) -> Self {
        Self { readers: readers.clamp(1, self.queues.max(1)), ..self }
    }

    /// The same, all read by the first one, or each by its own.
    pub(super) const fn gathered(self, are_gathered: bool) -> Self {
        Self { are_gathered, ..self }
    }

    pub(super) const fn readers(self) -> u32 {
        self.readers
    }

    /// Who reads the queue of this number.
    pub(super) const fn reader_of(self, queue: u32) -> u32 {
        if self.are_gathered { FIRST } else { queue % self.readers }
    }

    /// How many queues this reader reads.
    pub(super) fn queues_of(self, reader: u32) -> usize {
        (0..self.queues).filter(|queue| self.reader_of(*queue) == reader).count()
    }
}

/// The queues that one of the readers has.
pub(super) struct Share<Q: Numbered> {
    /// Which of the readers it is, and what each of them reads.
    reader: u32,
    shares: Shares,
    /// How many queues it is to read; those that are missing are on their way, or read by somebody else still, and those that
    /// are too many wait until somebody is ready for them.
    expected: usize,
    queues: Vec<Q>,
    common: Arc<Common<Q>>,
}

impl<Q: Numbered> Share<Q> {
    /// All queues, of the only reader.
    pub(super) fn of_one(queues: Vec<Q>, common: Common<Q>) -> Self {
        let (shares, expected) = (Shares::of_one(queues.len() as u32), queues.len());
        Self { reader: FIRST, shares, expected, queues, common: Arc::new(common) }
    }

    /// Shares them out among so many readers, as far as there is one for each; gives what the others have.
    pub(super) fn share_out(&mut self, readers: u32) -> Vec<Self> {
        let shares = self.shares.among(readers);
        self.shares = shares;
        let mut others = vec![];
        for reader in 1..shares.readers() {
            let is_its = |queue: &mut Q| shares.reader_of(queue.number()) == reader;
            let queues: Vec<_> = self.queues.extract_if(.., is_its).collect();
            let (expected, common) = (queues.len(), Arc::clone(&self.common));
            others.push(Self { reader, shares, expected, queues, common });
        }
        self.expected = self.queues.len();
        others
    }

    /// How many share the queues.
    pub(super) const fn readers(&self) -> u32 {
        self.shares.readers()
    }

    pub(super) fn queues(&self) -> &[Q] {
        &self.queues
    }

    pub(super) fn queues_mut(&mut self) -> &mut [Q] {
        &mut self.queues
    }

    pub(super) fn common(&self) -> &Common<Q> {
        &self.common
    }

    /// Whether it has the queues that it is to read, and no others.
    pub(super) const fn has_its(&self) -> bool {
        self.queues.len() == self.expected
    }

    /// Whether [`Self::gather`] may be said now: all that was said before is done, and who is to take queues is awake.
    pub(super) fn may_gather(&self, are_gathered: bool) -> bool {
        let gives = self.reader != FIRST && are_gathered && !self.shares.are_gathered;
        self.has_its() && (!gives || self.common.held().is_ready(FIRST))
    }

    /// The first reader has all queues from now on, or each its own again. Where the first one has ended, each keeps its own.
    pub(super) fn gather(&mut self, are_gathered: bool) {
        let (reader, shares) = (self.reader, self.shares.gathered(are_gathered));
        if shares == self.shares {
            return;
        }
        let mut held = self.common.held();
        if reader != FIRST && are_gathered && held.ended.contains(&FIRST) {
            return;
        }
        (self.shares, self.expected) = (shares, shares.queues_of(reader));
        // It is not awake for what is said now before it looks up the next time.
        held.awake.remove(&reader);
        if reader != FIRST && are_gathered {
            self.queues.drain(..).for_each(|queue| held.give(FIRST, queue));
        }
    }

    /// Takes queues that it is to read, and gives those that others are to read who are ready to.
    pub(super) fn look_up(&mut self) {
        let reader = self.reader;
        if reader != FIRST && self.shares.are_gathered && self.common.held().ended.contains(&FIRST) {
            self.shares = self.shares.gathered(false);
            self.expected = self.shares.queues_of(reader);
        }
        match self.queues.len().cmp(&self.expected) {
            Ordering::Equal => {}
            Ordering::Less => self.take(),
            Ordering::Greater => self.give(),
        }
    }

    /// Says that it is awake, and takes what is there for it.
    fn take(&mut self) {
        let (reader, shares) = (self.reader, self.shares);
        let mut held = self.common.held();
        held.awake.insert(reader);
        self.queues.extend(held.given_to(reader));
        // Of those who have ended, the first one reads the queues when he reads all.
        let is_its = |queue: &mut Q| shares.reader_of(queue.number()) == reader;
        self.queues.extend(held.left.extract_if(.., is_its));
    }

    /// Gives others what is theirs, as far as they are ready for it.
    fn give(&mut self) {
        let (reader, shares) = (self.reader, self.shares);
        let mut held = self.common.held();
        let is_given = |queue: &mut Q| {
            let to = shares.reader_of(queue.number());
            to != reader && held.is_ready(to)
        };
        let given: Vec<_> = self.queues.extract_if(.., is_given).collect();
        given.into_iter().for_each(|queue| held.give(shares.reader_of(queue.number()), queue));
    }
}

impl<Q: Numbered> Drop for Share<Q> {
    /// What it has, and was to be given, goes to whose it is; its own are kept, so that the program finds their sockets.
    fn drop(&mut self) {
        let shares = self.shares.gathered(false);
        let mut held = self.common.held();
        held.ended.insert(self.reader);
        let mut queues = std::mem::take(&mut self.queues);
        queues.extend(held.given_to(self.reader));
        queues.into_iter().for_each(|queue| held.give(shares.reader_of(queue.number()), queue));
    }
}

/// What the readers of an interface have in common; it goes with the last of them.
pub(super) struct Common<Q> {
    held: Mutex<Held<Q>>,
    /// Whether the interface is there no more.
    is_gone: AtomicBool,
}

/// What is held for all readers.
struct Held<Q> {
    // In this order: the program comes off first, so that it does not look for sockets that are gone.
    _program: Option<KernelCapture>,
    /// Asks the interface for all frames.
    _promiscuous: Option<Promiscuous>,
    /// Queues that are on their way, and to whom.
    moving: Vec<(u32, Q)>,
    /// Those of readers that have ended: while others read, the program finds their sockets.
    left: Vec<Q>,
    /// Readers that are awake and take what they are given, and those that have ended.
    awake: BTreeSet<u32>,
    ended: BTreeSet<u32>,
}

impl<Q: Numbered> Held<Q> {
    /// Whether a reader may be given queues. One that has ended leaves them.
    fn is_ready(&self, reader: u32) -> bool {
        self.awake.contains(&reader) || self.ended.contains(&reader)
    }

    fn give(&mut self, to: u32, queue: Q) {
        if self.ended.contains(&to) {
            self.left.push(queue);
        } else {
            self.moving.push((to, queue));
        }
    }

    /// Takes what is on its way to a reader.
    fn given_to(&mut self, reader: u32) -> Vec<Q> {
        self.moving.extract_if(.., |(to, _)| *to == reader).map(|(_, queue)| queue).collect()
    }
}

impl<Q> Common<Q> {
    /// Keeps a program and a question as long as somebody reads.
    pub(super) fn keeping(program: Option<KernelCapture>, promiscuous: Option<Promiscuous>) -> Self {
        let held = Held {
            _program: program,
            _promiscuous: promiscuous,
            moving: vec![],
            left: vec![],
            awake: BTreeSet::new(),
            ended: BTreeSet::new(),
        };
        Self { held: Mutex::new(held), is_gone: AtomicBool::new(false) }
    }

    fn held(&self) -> MutexGuard<'_, Held<Q>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the interface is gone, of which those do not hear who have no queue.
    pub(super) fn note_gone(&self) {
        self.is_gone.store(true, Relaxed);
    }

    /// That it is gone, if so.
    pub(super) fn check(&self, interface: &str) -> io::Result<()> {
        if self.is_gone.load(Relaxed) { Err(gone(interface)) } else { Ok(()) }
    }
}

/// That there is no such interface any more.
pub(super) fn gone(interface: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("interface `{interface}` is gone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_has_one_reader_and_each_reader_a_queue() {
        for queues in 1..20 {
            for readers in 0..25_u32 {
                let shares = Shares::of_one(queues).among(readers);
                assert_eq!(shares.readers(), readers.clamp(1, queues));
                let of = |reader| shares.queues_of(reader);
                let of_all: Vec<_> = (0..shares.readers()).map(of).collect();
                assert_eq!(of_all.iter().sum::<usize>(), queues as usize);
                let (least, most) = (of_all.iter().min().unwrap(), of_all.iter().max().unwrap());
                assert!(*least > 0 && most - least <= 1, "{queues} for {readers}: {of_all:?}");
            }
        }
    }

    #[test]
    fn what_is_gathered_is_read_by_the_first() {
        let shares = Shares::of_one(5).among(2);
        assert_eq!([0, 1].map(|reader| shares.queues_of(reader)), [3, 2]);
        assert_eq!([0, 1].map(|reader| shares.gathered(true).queues_of(reader)), [5, 0]);
        assert_eq!(shares.gathered(true).gathered(false), shares);
    }

    impl Numbered for u32 {
        fn number(&self) -> u32 {
            *self
        }
    }

    /// Readers of so many queues.
    fn readers(queues: u32, readers: u32) -> Vec<Share<u32>> {
        let mut first: Share<u32> = Share::of_one((0..queues).collect(), Common::keeping(None, None));
        let others = first.share_out(readers);
        std::iter::once(first).chain(others).collect()
    }

    /// The queues that each of them reads.
    fn read(readers: &[Share<u32>]) -> Vec<Vec<u32>> {
        let mut read: Vec<_> = readers.iter().map(|reader| reader.queues().to_vec()).collect();
        read.iter_mut().for_each(|queues| queues.sort_unstable());
        read
    }

    #[test]
    fn who_has_a_queue_reads_on_until_who_is_to_have_it_is_awake() {
        let mut readers = readers(4, 2);
        readers[0].gather(true);
        assert!(
            !readers[0].may_gather(false) && !readers[1].may_gather(true),
            "the first one may rest still"
        );
        readers[0].look_up();
        assert!(readers[1].may_gather(true));
        readers[1].gather(true);
        readers[0].look_up();
        assert_eq!(read(&readers), [vec![0, 1, 2, 3], vec![]]);
        assert!(readers[1].may_gather(true), "it is said again");
        readers[0].gather(false);
        for _ in 0..3 {
            readers[0].look_up();
            assert_eq!(read(&readers), [vec![0, 1, 2, 3], vec![]], "the other one rests");
        }
        assert!(!readers[0].may_gather(true), "it reads what is another one's");
        assert!(readers[1].may_gather(true) && readers[1].may_gather(false));
        readers[1].gather(false);
        readers[0].look_up();
        assert_eq!(read(&readers), [vec![0, 1, 2, 3], vec![]], "it has not looked up");
        readers[1].look_up();
        readers[0].look_up();
        readers[1].look_up();
        assert_eq!(read(&readers), [vec![0, 2], vec![1, 3]]);
        // That it was awake then does not count for the next time.
        readers.iter_mut().for_each(|reader| reader.gather(true));
        readers[0].look_up();
        readers.iter_mut().for_each(|reader| reader.gather(false));
        readers[0].look_up();
        assert_eq!(read(&readers), [vec![0, 1, 2, 3], vec![]]);
    }

    #[test]
    fn each_takes_back_his_own_when_the_first_has_ended() {
        for is_given in [false, true] {
            let mut readers = readers(5, 3);
            readers.iter_mut().for_each(|reader| reader.gather(true));
            if is_given {
                readers[0].look_up();
            }
            drop(readers.remove(0));
            readers.iter_mut().for_each(Share::look_up);
            assert_eq!(read(&readers), [vec![1, 4], vec![2]], "{is_given}");
            // There is nobody to whom they could go.
            assert!(readers[0].may_gather(true));
            readers.iter_mut().for_each(|reader| reader.gather(true));
            assert_eq!(read(&readers), [vec![1, 4], vec![2]]);
            assert!(readers.iter().all(|reader| reader.may_gather(false)));
        }
    }

    #[test]
    fn what_another_one_leaves_is_read_by_the_first_as_long_as_it_reads_all() {
        let mut readers = readers(4, 2);
        drop(readers.pop());
        readers[0].gather(true);
        readers[0].look_up();
        assert_eq!(read(&readers), [[0, 1, 2, 3]]);
        readers[0].gather(false);
        readers[0].look_up();
        assert_eq!(read(&readers), [[0, 2]]);
        assert!(readers[0].may_gather(true));
    }

    /// SplitMix64.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ mixed >> 31) as usize % limit
        }
    }

    /// A reader, how much of what is said it has followed, and whether it has looked up since it last did.
    type Player = (Share<u32>, usize, bool);

    /// Each queue is in one place, and on its way to nobody who rests, but from who has ended.
    fn check(players: &[Player], queues: u32) {
        let held = players[0].0.common.held();
        let read = players.iter().flat_map(|(share, ..)| share.queues());
        let moving = held.moving.iter().map(|(_, queue)| queue);
        let mut all: Vec<u32> = read.chain(moving).chain(&held.left).copied().collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..queues));
        for (share, _, has_looked_up) in players {
            let is_given = held.moving.iter().any(|(to, _)| *to == share.reader);
            assert!(!is_given || *has_looked_up || !held.ended.is_empty(), "{} rests", share.reader);
        }
    }

    /// Lets one of them follow what is said, if it can and is to, or look up.
    fn play((share, followed, has_looked_up): &mut Player, said: &[bool], follows: bool) {
        match said.get(*followed) {
            Some(&are_gathered) if follows && share.may_gather(are_gathered) => {
                let before = share.shares;
                share.gather(are_gathered);
                (*followed, *has_looked_up) = (*followed + 1, *has_looked_up && before == share.shares);
            }
            _ => {
                share.look_up();
                *has_looked_up = true;
            }
        }
    }

    #[test]
    fn queues_move_in_any_order_and_nobody_waits_for_good() {
        const SAID: usize = 40;
        for seed in 0..100_u64 {
            let mut random = Random(seed);
            let (queues, count) = (2 + random.below(6) as u32, 2 + random.below(3) as u32);
            let mut players: Vec<Player> =
                readers(queues, count).into_iter().map(|share| (share, 0, false)).collect();
            // Each other one ends somewhere on the way, maybe the first.
            let ends = random.below(2_000);
            let said: Vec<bool> = (0..SAID).map(|_| random.below(2) == 0).chain([false]).collect();
            for step in 0..8_000 {
                if step == ends && seed.is_multiple_of(2) && players.len() > 1 {
                    drop(players.swap_remove(random.below(players.len())));
                }
                let player = random.below(players.len());
                play(&mut players[player], &said, random.below(2) == 0);
                check(&players, queues);
            }
            for (share, followed, _) in &players {
                let own = (0..queues).filter(|queue| queue % share.readers() == share.reader);
                assert_eq!(*followed, said.len(), "seed {seed}: {} waits for good", share.reader);
                assert!(own.eq(read(std::slice::from_ref(share)).remove(0)), "seed {seed}: {}", share.reader);
            }
        }
    }
}
