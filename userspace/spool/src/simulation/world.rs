//! A spool on a disk that fails, whoever uses it, and what must be there.

use super::disk::{Disk, Faults};
use super::random::Random;
use crate::error::SpoolError;
use crate::limits::SpoolLimits;
use crate::recovery::Recovered;
use crate::spool::{Spool, SpoolOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

/// What a record is: of which cut, as which one of it.
type Id = (usize, usize);

/// What a seed makes of a world. Chances are of a thousand.
#[derive(Clone, Debug)]
struct Plan {
    steps: usize,
    syncs: usize,
    crashes: usize,
    power_cuts: usize,
    faults: usize,
    damages: usize,
    forgets: usize,
    records_max: usize,
    octets_max: usize,
}

impl Plan {
    fn new(random: &mut Random) -> Self {
        let some = |random: &mut Random, often, most| {
            if random.permille(often) { random.within(1, most) } else { 0 }
        };
        Self {
            steps: random.within(20, 300),
            syncs: random.within(20, 500),
            crashes: some(random, 800, 60),
            power_cuts: random.below(1001),
            faults: some(random, 600, 120),
            damages: some(random, 250, 500),
            forgets: some(random, 800, 200),
            records_max: random.within(1, 8),
            octets_max: if random.permille(300) { 3000 } else { 150 },
        }
    }
}

/// A spool and its truth.
pub(super) struct World {
    plan: Plan,
    random: Random,
    pub(super) disk: Disk,
    options: SpoolOptions,
    spool: Option<Spool>,
    /// Records of each cut that was ever appended, or tried to be.
    cuts: Vec<usize>,
    /// Cuts that are not safe, though they may come to be.
    unsettled: BTreeSet<usize>,
    /// Cuts that are not there though a later one is safe: they never are.
    gone: BTreeSet<usize>,
    /// What is safe and not forgotten.
    safe: BTreeMap<u64, Id>,
    /// What was appended since.
    waiting: Vec<(Range<u64>, usize)>,
    /// What was ever read.
    read: BTreeMap<u64, Id>,
    /// Numbers that may be missing, since somebody damaged their file.
    doubtful: BTreeSet<u64>,
    /// Numbers that were told to be missing.
    told: BTreeSet<u64>,
    floor: u64,
    now_ns: i64,
    pub(super) trace: Option<Vec<String>>,
}

/// What a record of a cut is.
fn payload((cut, index): Id, octets_max: usize) -> Vec<u8> {
    let mut random = Random((cut as u64) << 20 | index as u64);
    let length = random.below(octets_max);
    let mut octets = [cut as u64, index as u64].map(u64::to_le_bytes).concat();
    octets.extend((0..length).map(|_| random.bits() as u8));
    octets
}

fn id_of(octets: &[u8]) -> Option<Id> {
    let number = |octets: &[u8]| usize::try_from(u64::from_le_bytes(octets.try_into().ok()?)).ok();
    Some((number(octets.get(..8)?)?, number(octets.get(8..16)?)?))
}

fn ensure(is_so: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(why()) }
}

impl World {
    pub(super) fn new(seed: u64, is_traced: bool) -> Self {
        let mut random = Random(seed);
        let plan = Plan::new(&mut random);
        let limits = SpoolLimits {
            record_octets_max: 8192,
            segment_octets: [4096, 4096, 8192, 16384][random.below(4)],
            octets_max: [32768, 65536, 1 << 20][random.below(3)],
            age_max_ns: if random.permille(300) { random.within(8, 400) as i64 } else { i64::MAX },
        };
        let options =
            SpoolOptions { folder: PathBuf::from("spool"), kind: "test", drawn: random.bits(), limits };
        let trace = is_traced.then(|| vec![format!("{plan:?} {options:?}")]);
        let disk = Disk::new(random.bits());
        Self {
            plan,
            random,
            disk,
            options,
            spool: None,
            cuts: vec![],
            unsettled: BTreeSet::new(),
            gone: BTreeSet::new(),
            safe: BTreeMap::new(),
            waiting: vec![],
            read: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            told: BTreeSet::new(),
            floor: 0,
            now_ns: 0,
            trace,
        }
    }

    /// The same from a seed, but with nothing that goes wrong by itself.
    pub(super) fn calm(seed: u64) -> Self {
        let mut world = Self::new(seed, false);
        let Plan { steps, .. } = world.plan;
        world.plan = Plan { steps: steps.min(60), crashes: 0, faults: 0, damages: 0, ..world.plan };
        world
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(what());
        }
    }

    pub(super) fn run(&mut self) -> Result<(), String> {
        self.start()?;
        for _ in 0..self.plan.steps {
            self.step()?;
        }
        // What is told to be safe is there at the end, whatever happened.
        self.disk.set(Faults::default());
        if self.disk.is_down() {
            self.crash();
            self.start()?;
        }
        self.sync()?;
        self.goes_on()?;
        self.read_all(self.floor)?;
        self.crash();
        self.start()
    }

    /// Without faults there is room for a cut as soon as all before it is forgotten.
    fn goes_on(&mut self) -> Result<(), String> {
        let safe = self.spool()?.safe();
        self.forget(safe + 1)?;
        let (octets_max, now_ns) = (self.plan.octets_max, self.now_ns);
        let cut = self.cuts.len();
        self.cuts.push(1);
        self.unsettled.insert(cut);
        let appended = self.spool()?.append(&[payload((cut, 0), octets_max)], now_ns);
        let numbers = appended.map_err(|error| error.to_string())?;
        self.waiting.push((numbers, cut));
        self.sync()
    }

    pub(super) fn step(&mut self) -> Result<(), String> {
        self.now_ns += self.random.below(30) as i64;
        let Plan { syncs, crashes, faults, forgets, .. } = self.plan;
        if self.random.permille(faults) {
            self.break_something();
        }
        if self.random.permille(crashes) || self.disk.is_down() {
            self.crash();
            self.start()?;
        }
        if self.random.permille(syncs) {
            self.sync()?;
        }
        if self.random.permille(forgets) {
            let safe = self.spool()?.safe();
            let from = self.floor.saturating_sub(2);
            let number = from + self.random.below(usize::try_from(safe + 5 - from.min(safe)).unwrap()) as u64;
            self.forget(number)?;
        }
        if self.random.permille(100) {
            let now_ns = self.now_ns;
            let aged = self.spool()?.aged_before(now_ns);
            self.forget(aged)?;
        }
        if self.random.permille(150) {
            self.read_some()?;
        }
        self.append()
    }

    fn spool(&mut self) -> Result<&mut Spool, String> {
        self.spool.as_mut().ok_or_else(|| "there is no spool".to_owned())
    }

    fn break_something(&mut self) {
        let random = &mut self.random;
        let fails_in = random.permille(500).then(|| (random.below(12), random.below(4)));
        let crashes_in = random.permille(150).then(|| random.below(12));
        let used = usize::try_from(self.disk.octets_on_disk("")).unwrap();
        let room = random.permille(300).then(|| (used / 2 + random.below(8192)).min(used + 4096));
        let is_read_only = random.permille(50);
        let faults = Faults { fails_in, crashes_in, room, is_read_only };
        self.say(|| format!("faults {faults:?}"));
        self.disk.set(faults);
    }

    fn append(&mut self) -> Result<(), String> {
        let (cut, count) = (self.cuts.len(), self.random.within(1, self.plan.records_max));
        self.cuts.push(count);
        self.unsettled.insert(cut);
        let octets_max = self.plan.octets_max;
        let records: Vec<_> = (0..count).map(|index| payload((cut, index), octets_max)).collect();
        let now_ns = self.now_ns;
        let appended = self.spool()?.append(&records, now_ns);
        self.say(|| format!("append cut {cut} of {count}: {appended:?}"));
        match appended {
            Ok(numbers) => {
                ensure(numbers.end - numbers.start == count as u64, || format!("{numbers:?} for {count}"))?;
                let highest = self.read.last_key_value().map_or(0, |(number, _)| *number);
                ensure(numbers.start > highest, || format!("{numbers:?} again, {highest} was read"))?;
                self.waiting.push((numbers, cut));
                // A file that is full was synced.
                self.note_safe()?;
                let (used, most) = (self.disk.octets_on_disk(".segment"), self.options.limits.octets_max);
                ensure(used <= most, || format!("{used} octets, of {most} at most"))
            }
            Err(SpoolError::Full { .. }) => {
                self.note_error()?;
                let oldest = self.spool()?.oldest().map(|oldest| oldest.numbers.end);
                let number = oldest.unwrap_or(self.floor);
                if self.random.permille(700) { self.forget(number) } else { Ok(()) }
            }
            Err(SpoolError::TooLong { .. }) => Ok(()),
            Err(_) => self.note_error(),
        }
    }

    /// What is safe by now.
    fn note_safe(&mut self) -> Result<(), String> {
        let safe = self.spool()?.safe();
        for (numbers, cut) in std::mem::take(&mut self.waiting) {
            if numbers.end - 1 <= safe {
                self.settle(cut);
                self.safe.extend(numbers.enumerate().map(|(index, number)| (number, (cut, index))));
            } else {
                ensure(numbers.start > safe, || format!("{safe} is within {numbers:?}"))?;
                self.waiting.push((numbers, cut));
            }
        }
        self.safe.retain(|number, _| *number >= self.floor);
        Ok(())
    }

    /// A cut is safe: those before it are, or never will be.
    fn settle(&mut self, cut: usize) {
        self.unsettled.remove(&cut);
        self.gone.extend(self.unsettled.range(..cut));
    }

    /// After an error less may be there, but all that was safe.
    fn note_error(&mut self) -> Result<(), String> {
        self.note_safe()?;
        let last = self.spool()?.last();
        self.waiting.retain(|(numbers, _)| numbers.end - 1 <= last);
        let safe = self.safe.last_key_value().map_or(0, |(number, _)| *number);
        ensure(safe <= last, || format!("{safe} was safe, and {last} is the last"))
    }

    fn sync(&mut self) -> Result<(), String> {
        let synced = self.spool()?.sync();
        self.say(|| format!("sync: {synced:?}"));
        match synced {
            Ok(safe) => {
                let last = self.waiting.last().map_or(safe, |(numbers, _)| numbers.end - 1);
                ensure(last == safe, || format!("{last} was appended, and {safe} is safe"))?;
                self.note_safe()
            }
            Err(_) => self.note_error(),
        }
    }

    fn forget(&mut self, number: u64) -> Result<(), String> {
        let safe = self.spool()?.safe();
        let forgot = self.spool()?.forget_before(number);
        self.say(|| format!("forget before {number}: {forgot:?}"));
        self.floor = self.floor.max(number.min(safe + 1));
        self.note_error()
    }

    fn read_some(&mut self) -> Result<(), String> {
        let highest = usize::try_from(self.spool()?.last()).unwrap();
        let from = self.random.below(highest + 3) as u64;
        self.read_all(from)
    }

    /// Reads from a number on; all that is safe must come, in order, octet for octet.
    fn read_all(&mut self, from: u64) -> Result<(), String> {
        let octets = [0, 100, 5000, 1 << 20][self.random.below(4)];
        let Some((found, damaged)) = self.found(from, octets)? else { return Ok(()) };
        let expected: BTreeMap<_, _> = self.safe.range(from..).map(|(number, id)| (*number, *id)).collect();
        for number in damaged {
            ensure(self.doubtful.contains(&number), || format!("{number} is damaged"))?;
            self.safe.remove(&number);
        }
        let missing = expected
            .iter()
            .find(|(number, id)| found.get(number) != Some(id) && self.safe.contains_key(number));
        ensure(missing.is_none(), || format!("{missing:?} is missing from {from} on"))?;
        let extra = found.keys().find(|number| !expected.contains_key(number));
        ensure(extra.is_none(), || format!("{extra:?} is there, and should not be"))
    }

    /// What is read from a number on, and what is damaged of it; `None` when the disk fails.
    #[expect(clippy::type_complexity, reason = "two sets, used at two places")]
    fn found(&mut self, from: u64, octets: usize) -> Result<Option<(BTreeMap<u64, Id>, Vec<u64>)>, String> {
        let (mut found, mut damaged, mut next) = (BTreeMap::new(), vec![], from);
        let (mut ids, octets_max) = (vec![], self.plan.octets_max);
        loop {
            let spool = self.spool()?;
            let Ok(records) = spool.read(next, octets) else { return Ok(None) };
            let safe = spool.safe();
            damaged.extend_from_slice(records.damaged());
            for (number, octets) in records.iter() {
                ensure(number >= next && number <= safe, || format!("{number} from {next} to {safe}"))?;
                next = number + 1;
                let id = id_of(octets).filter(|id| payload(*id, octets_max) == octets);
                ids.push((number, id.ok_or_else(|| format!("{number} is no record"))?));
            }
            next = records.next();
            if next > safe {
                break;
            }
        }
        for (number, id) in ids {
            let before = *self.read.entry(number).or_insert(id);
            ensure(before == id, || format!("{number} is {id:?}, and was {before:?}"))?;
            found.insert(number, id);
        }
        Ok(Some((found, damaged)))
    }

    pub(super) fn crash(&mut self) {
        self.spool = None;
        let is_power_cut = self.random.permille(self.plan.power_cuts);
        self.say(|| if is_power_cut { "power cut".to_owned() } else { "killed".to_owned() });
        self.disk.crash(is_power_cut);
        if self.random.permille(self.plan.damages) {
            self.damage();
        }
    }

    /// Changes some octets of a file.
    fn damage(&mut self) {
        let names: Vec<_> = self.disk.names().into_iter().filter(|name| name.ends_with(".segment")).collect();
        let Some(place) = self.random.below(names.len() + 1).checked_sub(1) else { return };
        let first: u64 = names[place].trim_end_matches(".segment").parse().unwrap();
        let next = names.get(place + 1).and_then(|name| name.trim_end_matches(".segment").parse().ok());
        let waiting = self.waiting.last().map_or(0, |(numbers, _)| numbers.end);
        let highest = self.safe.last_key_value().map_or(self.floor, |(number, _)| *number).max(waiting) + 50;
        self.doubtful.extend(first..next.unwrap_or(highest));
        self.say(|| format!("damage to {}", names[place]));
        self.disk.damage(&names[place], |octets, random| {
            if octets.is_empty() {
                return;
            }
            let from = random.below(octets.len());
            let most = if random.permille(700) { 30 } else { 5000 };
            let to = (from + random.within(1, most)).min(octets.len());
            let is_zeroed = random.permille(300);
            octets[from..to]
                .iter_mut()
                .for_each(|octet| *octet = if is_zeroed { 0 } else { random.bits() as u8 });
        });
    }

    /// Opens what is there, and looks at all of it.
    pub(super) fn start(&mut self) -> Result<(), String> {
        if self.random.permille(self.plan.faults) {
            self.break_something();
        }
        let opened = (0..6).find_map(|attempt| {
            if self.disk.is_down() {
                let is_power_cut = self.random.permille(self.plan.power_cuts);
                self.disk.crash(is_power_cut);
            }
            if attempt == 4 {
                self.disk.set(Faults::default());
            }
            let opened = Spool::open_on(Box::new(self.disk.clone()), &self.options);
            let said = opened.as_ref().map(|(spool, recovered)| (spool.safe(), recovered.clone()));
            let said = said.map_err(ToString::to_string);
            self.say(|| format!("open: {said:?}"));
            opened.ok()
        });
        let (spool, recovered) = opened.ok_or("it cannot be opened")?;
        self.spool = Some(spool);
        if self.plan.faults > 0 && self.random.permille(500) {
            self.disk.set(Faults::default());
        }
        self.check_found(&recovered)
    }

    fn check_found(&mut self, recovered: &Recovered) -> Result<(), String> {
        let Some((found, damaged)) = self.found(0, 4000)? else {
            // It cannot be read now: the faults end, and it can.
            self.disk.set(Faults::default());
            if self.disk.is_down() {
                self.crash();
                return self.start();
            }
            return self.check_found(recovered);
        };
        ensure(damaged.is_empty(), || format!("{damaged:?} are damaged, and a start did not say so"))?;
        let missing: BTreeSet<u64> = recovered.missing.iter().cloned().flatten().collect();
        let last = self.spool()?.last();
        for (number, id) in &self.safe {
            let is_there = found.get(number) == Some(id);
            let is_told = missing.contains(number) || *number > last;
            ensure(is_there || (self.doubtful.contains(number) && is_told), || {
                format!("{number}, {id:?}, was safe: {:?}", found.get(number))
            })?;
        }
        let known =
            |number: &u64| *number < self.floor && !self.told.contains(number) && self.doubtful.is_empty();
        let forgotten = missing.iter().find(|number| known(number));
        ensure(forgotten.is_none(), || format!("{forgotten:?} was forgotten, and is told to be missing"))?;
        let both = missing.iter().find(|number| found.contains_key(number));
        ensure(both.is_none(), || format!("{both:?} is there, and told to be missing"))?;
        self.check_cuts(&found)?;
        let cuts: BTreeSet<usize> = found.values().map(|(cut, _)| *cut).collect();
        let back = cuts.intersection(&self.gone).next();
        // Where a file's header is damaged, nothing says what is before it.
        ensure(back.is_none() || !self.doubtful.is_empty(), || {
            format!("{back:?} was given up, and comes back")
        })?;
        cuts.into_iter().for_each(|cut| self.settle(cut));
        self.told.extend(missing);
        self.floor = found.first_key_value().map_or(last + 1, |(number, _)| *number);
        (self.safe, self.waiting) = (found, vec![]);
        Ok(())
    }

    /// Cuts are there as a whole, in the order in which they were appended.
    fn check_cuts(&self, found: &BTreeMap<u64, Id>) -> Result<(), String> {
        let mut cuts: Vec<(usize, Vec<(u64, usize)>)> = vec![];
        for (number, (cut, index)) in found {
            match cuts.last_mut().filter(|(last, _)| last == cut) {
                Some((_, records)) => records.push((*number, *index)),
                None => cuts.push((*cut, vec![(*number, *index)])),
            }
        }
        ensure(cuts.is_sorted_by(|(one, _), (other, _)| one < other), || format!("not in order: {found:?}"))?;
        for (cut, records) in cuts {
            let (first, index) = records[0];
            let is_in_row =
                records.iter().all(|(number, at)| number - first == (at.wrapping_sub(index)) as u64);
            ensure(is_in_row, || format!("cut {cut} is {records:?}"))?;
            let is_doubtful = self.doubtful.contains(&first);
            ensure(records.len() == self.cuts[cut] || is_doubtful, || {
                format!("cut {cut} of {} is {records:?}", self.cuts[cut])
            })?;
        }
        Ok(())
    }
}
