//! A sensor: what its aggregator asks is run, and what came of it is cut each second and handed over.
//!
//! ```text
//! aggregator ──► Sender ──assignments──► Told ──► thread "forwarding" ──► Catalog::assign, begin_cut, take_cut
//!                  ▲                                     │
//!                  └────────── parts, positions ─────────┴── report
//! ```
//! Nothing here waits for the aggregator. What the sender has no room for is held, and no other cut is asked for until it
//! is gone: what is open in the engine grows on meanwhile, within its limits.

use crate::forward_plan::{ForwardPlan, TOKEN_VARIABLE};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};
use tapline_aggregate::{PartMaker, fingerprint};
use tapline_catalog::{
    Assignments, Catalog, CutPositions, ForwardStatus, ForwardedCut, ForwardedQuery, Level, Log, SensorEnd,
    Versions, clock_reason,
};
use tapline_delivery::SensorName;
use tapline_engine::Cut;
use tapline_exports::{keep_names, put_whole};
use tapline_forward::{
    NotKept, PAYLOAD_OCTETS_MAX, Part, Sender, SenderEvents, SenderOptions, SenderStatus, SpoolPlan, Upstream,
};
use tapline_query::{ContinuousQuery, Identity};

/// Between two cuts, and between two reports.
const CUT_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at a cut that is under way, or at whether there is room for what is held.
const LOOK: Duration = Duration::from_millis(20);
/// Octets of parts beyond which a cut goes in pieces: a sender takes no cut at once that is as long as all that may wait.
/// In a crash between two pieces some of a cut counts though its positions do not: its records are told to be missing.
const PIECE_OCTETS_MAX: u64 = 48 << 20;
/// Octets that a part takes besides its payload while it waits for the disk, at most: of many short parts these are the
/// most of it.
const PART_OCTETS: u64 = 256;
/// Octets of what sources want to know that go with a cut: of many exporters, some of whom may be forged, it is more.
const POSITIONS_OCTETS_MAX: usize = 3 << 20;
/// How long there may be no room for the last cut.
const LAST_CUT_WITHIN: Duration = Duration::from_secs(10);

/// A sensor's end of its link, as long as it forwards.
pub(crate) struct Forwarding {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Worker>,
}

/// What is asked, as the aggregator told it, and nobody has looked at yet.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Option<Vec<u8>>>);

/// Hears what the sender tells.
struct Listener {
    told: Arc<Told>,
    /// Who looks at it, as soon as he does.
    looks: Arc<OnceLock<Thread>>,
    log: Log,
}

/// What the thread works with.
struct Worker {
    catalog: Arc<Catalog>,
    sender: Arc<Sender>,
    told: Arc<Told>,
    /// What makes parts of each query.
    makers: BTreeMap<u64, PartMaker>,
    name: String,
    identity: Identity,
    tags: BTreeMap<String, String>,
    /// Where it is kept what was asked last.
    assigned: PathBuf,
    /// What was cut, and there was no room for: parts, and how far sources were.
    held: VecDeque<(Vec<Part>, Vec<u8>)>,
    /// How far sources were at the cut before, and of which ones that is not said.
    positions: Vec<u8>,
    unsaid: Vec<String>,
    piece_octets_max: u64,
    /// When the last cut was begun, and whether it is under way.
    cut_at: Instant,
    is_cutting: bool,
    reported_at: Instant,
    log: Log,
}

impl Forwarding {
    /// Opens the spool, runs what was asked last, and begins to cut. It is called before the catalog opens its inputs, which
    /// go on behind the last cut that is safe.
    ///
    /// # Errors
    /// A sentence: the address is none, the spool or the token cannot be used, or there is no thread.
    pub(crate) fn start(
        plan: &ForwardPlan,
        catalog: &Arc<Catalog>,
        (identity, tags): (&Identity, &BTreeMap<String, String>),
        log: &Log,
    ) -> Result<Self, String> {
        let (told, looks) = (Arc::<Told>::default(), Arc::<OnceLock<Thread>>::default());
        let listener = Listener { told: Arc::clone(&told), looks: Arc::clone(&looks), log: Arc::clone(log) };
        let (sender, before) = Sender::start(options(plan)?, Box::new(listener))?;
        let sender = Arc::new(sender);
        let positions =
            before.as_ref().map(|octets| serde_json::from_slice::<CutPositions>(octets)).transpose();
        match positions {
            Ok(positions) => catalog.go_on_from(positions.unwrap_or_default()),
            Err(error) => log.say(
                Level::Warning,
                &format!("where the last cut ended cannot be read, so that what is missing since is not known: {error}"),
            ),
        }
        let (of_status, most) = (Arc::downgrade(&sender), plan.octets_max);
        let (to, name) = (plan.to.clone(), plan.name.clone());
        catalog.forwards(move || status(&of_status, (&to, &name), most));
        let now = Instant::now();
        let worker = Worker {
            catalog: Arc::clone(catalog),
            sender,
            told,
            makers: BTreeMap::new(),
            name: plan.name.clone(),
            identity: identity.clone(),
            tags: tags.clone(),
            assigned: plan.assigned.clone(),
            held: VecDeque::new(),
            positions: before.unwrap_or_else(|| b"{}".to_vec()),
            unsaid: vec![],
            piece_octets_max: PIECE_OCTETS_MAX.min(plan.octets_max / 16),
            cut_at: now,
            is_cutting: false,
            reported_at: now,
            log: Arc::clone(log),
        };
        worker.run_what_was_asked();
        let ends = Arc::<AtomicBool>::default();
        let until = Arc::clone(&ends);
        let run = move || {
            looks.get_or_init(thread::current);
            worker.run(&until)
        };
        let spawned = thread::Builder::new().name("forwarding".to_owned()).spawn(run);
        let thread = spawned.map_err(|error| format!("a thread cannot be started: {error}"))?;
        Ok(Self { ends, thread })
    }

    /// Hands over the last cuts, which the engine left at its end, and waits until all that was cut is on the disk.
    ///
    /// # Errors
    /// A sentence, when it is not.
    pub(crate) fn finish(self, cuts: Vec<Cut>) -> Result<(), String> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let worker = self.thread.join();
        worker.map_err(|_| "the thread that forwards died; please report this".to_owned())?.finish(cuts)
    }
}

impl SenderEvents for Listener {
    fn assigned(&mut self, octets: &[u8]) {
        self.told.put(octets.to_vec());
        if let Some(thread) = self.looks.get() {
            thread.unpark();
        }
    }

    fn ended(&mut self, why: &str) {
        self.log.say(Level::Error, &format!("nothing is forwarded any more: {why}"));
    }

    fn tell(&mut self, sentence: &str) {
        self.log.say(Level::Warning, sentence);
    }
}

impl Told {
    pub(crate) fn put(&self, octets: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(octets);
    }

    /// The same, unless there is something newer.
    pub(crate) fn put_back(&self, octets: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(octets);
    }

    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Worker {
    fn run(mut self, ends: &AtomicBool) -> Self {
        while !ends.load(Ordering::Relaxed) {
            self.turn();
            thread::park_timeout(self.rest());
        }
        self
    }

    /// How long there is nothing to do, unless somebody asks for something.
    fn rest(&self) -> Duration {
        if self.is_cutting || !self.held.is_empty() {
            return LOOK;
        }
        let since = self.cut_at.elapsed().max(self.reported_at.elapsed());
        CUT_EVERY.saturating_sub(since).max(LOOK)
    }

    fn turn(&mut self) {
        if let Some(octets) = self.told.take() {
            self.take_assigned(&octets);
        }
        self.give_held();
        if self.held.is_empty() {
            if self.cut_at.elapsed() >= CUT_EVERY {
                self.begin_cut();
            }
            if let Some(cut) = self.catalog.take_cut() {
                self.is_cutting = false;
                self.give(cut);
            }
        }
        if self.reported_at.elapsed() >= CUT_EVERY {
            self.report();
        }
    }

    /// Begins a cut. Where nothing is forwarded it is tried a second later; else as soon as the one before was taken.
    fn begin_cut(&mut self) {
        let has_begun = self.catalog.begin_cut();
        if has_begun || !self.is_cutting {
            (self.cut_at, self.is_cutting) = (Instant::now(), has_begun);
        }
    }

    /// Runs what the aggregator asked in an earlier run, until it says more.
    fn run_what_was_asked(&self) {
        match fs::read(&self.assigned) {
            Ok(octets) => self.assign(&octets, &self.assigned.display().to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                self.log.say(Level::Warning, &format!("{} cannot be read: {error}", self.assigned.display()));
            }
        }
    }

    fn take_assigned(&mut self, octets: &[u8]) {
        self.assign(octets, "what the aggregator asks");
        if let Err(error) = put_whole(&self.assigned, |file| file.write_all(octets)) {
            let path = self.assigned.display();
            self.log.say(
                Level::Warning,
                &format!(
                    "{path} cannot be written, so that the next start waits for the aggregator: {error}"
                ),
            );
        }
        self.report();
    }

    fn assign(&self, octets: &[u8], what: &str) {
        match serde_json::from_slice::<Assignments>(octets) {
            Ok(assignments) => {
                self.catalog.assign(&assignments, SensorEnd { name: &self.name, fingerprints });
            }
            Err(error) => self.log.say(Level::Warning, &format!("{what} cannot be read: {error}")),
        }
    }

    /// Makes parts of a cut, and hands them over.
    fn give(&mut self, cut: ForwardedCut) {
        let ForwardedCut { positions, queries } = cut;
        self.makers.retain(|id, _| queries.iter().any(|query| query.id == *id));
        let mut parts = vec![];
        for query in queries {
            let id = query.id;
            match self.parts(query) {
                Ok(more) => parts.extend(more),
                // The log, and the aggregator, hear of it as of any query that fails.
                Err(why) => self.catalog.fail_forwarded(id, &why),
            }
        }
        let positions = self.positions_of(positions);
        let mut pieces = in_pieces(parts, self.piece_octets_max);
        let last = pieces.pop().unwrap_or_default();
        self.held.extend(pieces.into_iter().map(|piece| (piece, self.positions.clone())));
        self.held.push_back((last, positions.clone()));
        self.positions = positions;
        self.give_held();
    }

    /// Positions as octets; says of which sources they are not among them.
    fn positions_of(&mut self, positions: CutPositions) -> Vec<u8> {
        let (octets, unsaid) = short_enough(positions, POSITIONS_OCTETS_MAX);
        if unsaid != self.unsaid && !unsaid.is_empty() {
            let what = "what is to be known behind a crash is more than a cut takes, so that what went missing by then is \
                        not known";
            self.log.say(Level::Warning, &format!("of {} {what}", unsaid.join(", ")));
        }
        self.unsaid = unsaid;
        octets
    }

    fn parts(&mut self, of: ForwardedQuery) -> Result<Vec<Part>, String> {
        let ForwardedQuery { id, query, limits, cut } = of;
        let maker = match self.makers.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(PartMaker::new(id, &query, &limits)?),
        };
        let parts = maker.parts(cut)?;
        // One that no message takes would hold up all others for ever.
        match parts.iter().map(|(_, payload)| payload.len()).max() {
            Some(longest) if longest > PAYLOAD_OCTETS_MAX => Err(format!(
                "a group or row of it takes {longest} octets, more than the {PAYLOAD_OCTETS_MAX} of a message; let it have \
                 fewer aggregates, or shorter columns"
            )),
            _ => Ok(parts),
        }
    }

    /// Hands over what was cut, as far as there is room.
    fn give_held(&mut self) {
        while let Some((parts, positions)) = self.held.pop_front() {
            if let Err(NotKept { parts, positions, .. }) = self.sender.cut(parts, positions) {
                return self.held.push_front((parts, positions));
            }
        }
    }

    fn report(&mut self) {
        self.reported_at = Instant::now();
        let mut report = self.catalog.report();
        let status = self.sender.status();
        report.site.clone_from(&self.identity.site);
        report.tags.clone_from(&self.tags);
        report.node = (self.identity.sensor != self.name).then(|| self.identity.sensor.clone());
        report.spool_octets = status.spool_octets;
        report.lost = status.lost_source_records;
        let said = serde_json::to_vec(&report).map_err(|error| error.to_string());
        if let Err(why) = said.and_then(|octets| self.sender.report(octets)) {
            self.log.say(Level::Warning, &format!("the aggregator is not told how this sensor is: {why}"));
        }
    }

    /// Hands over what is left.
    fn finish(mut self, cuts: Vec<Cut>) -> Result<(), String> {
        let begun = Instant::now();
        let mut cuts = self.catalog.forwarded_cuts(cuts).into_iter();
        loop {
            self.give_held();
            if self.held.is_empty() {
                match cuts.next() {
                    Some(cut) => self.give(cut),
                    // With the sender, whatever it was given is written.
                    None => return Ok(()),
                }
            } else if begun.elapsed() >= LAST_CUT_WITHIN {
                let why = "what came since the last cut could not be kept for the aggregator: it is lost, and counts as missing";
                return Err(why.to_owned());
            } else {
                thread::sleep(LOOK);
            }
        }
    }
}

/// Parts in their order, so many octets together.
fn in_pieces(parts: Vec<Part>, octets_max: u64) -> Vec<Vec<Part>> {
    let (mut pieces, mut octets): (Vec<Vec<Part>>, u64) = (vec![], 0);
    for part in parts {
        let more = PART_OCTETS + part.1.len() as u64;
        if let Some(piece) = pieces.last_mut().filter(|_| octets + more <= octets_max) {
            piece.push(part);
            octets += more;
        } else {
            pieces.push(vec![part]);
            octets = more;
        }
    }
    pieces
}

/// Positions as octets, without those of sources that want to know most where all are too long; gives the names of these
/// besides.
fn short_enough(mut positions: CutPositions, octets_max: usize) -> (Vec<u8>, Vec<String>) {
    let mut unsaid = vec![];
    loop {
        // Names, texts and numbers are always JSON.
        let octets = serde_json::to_vec(&positions).unwrap_or_default();
        let longest = (0..).zip(&positions.sources).max_by_key(|(_, (_, position))| position.len());
        match longest.map(|(place, _)| place).filter(|_| octets.len() > octets_max) {
            Some(place) => unsaid.push(positions.sources.swap_remove(place).0),
            None => return (octets, unsaid),
        }
    }
}

/// What the lower halves of a query are, one after the other.
///
/// # Errors
/// A sentence, when it cannot be forwarded.
pub(crate) fn fingerprints(query: &ContinuousQuery) -> Result<Vec<u64>, String> {
    (0..query.lowers.len()).map(|half| Ok(fingerprint(query, half)?.0)).collect()
}

fn options(plan: &ForwardPlan) -> Result<SenderOptions, String> {
    let versions = Versions::own();
    Ok(SenderOptions {
        name: SensorName::new(&plan.name),
        to: upstream(plan)?,
        spool: SpoolPlan { folder: plan.spool.clone(), octets_max: plan.octets_max, age_max: plan.keep },
        states: format!("{} with DataFusion {}", versions.states, versions.datafusion),
        version: versions.tapline,
    })
}

/// Whom to forward to, and by what that is proven on either side.
///
/// # Errors
/// A sentence, when a token cannot be kept.
pub(crate) fn upstream(plan: &ForwardPlan) -> Result<Upstream, String> {
    Ok(Upstream {
        url: plan.to.clone(),
        ca: plan.ca_file.clone(),
        own: plan.own.clone(),
        token_file: token_file(plan)?,
    })
}

/// Where the token is: in the file that was named, or in the state folder, where one that came in the environment is kept,
/// so that a command by which a sensor joins is needed once.
fn token_file(plan: &ForwardPlan) -> Result<Option<PathBuf>, String> {
    if plan.token_file.is_some() {
        return Ok(plan.token_file.clone());
    }
    let kept = plan.assigned.with_file_name("forward.token");
    // A variable that is there but empty says nothing.
    if let Some(token) = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.trim().is_empty()) {
        keep_secret(&kept, &token)
            .map_err(|error| format!("{} cannot be written: {error}", kept.display()))?;
    }
    Ok(kept.exists().then_some(kept))
}

/// Writes a file that only its owner reads, in the place of another one.
fn keep_secret(path: &Path, secret: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    if let Err(error) = fs::remove_file(&beside)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    // Whoever may read one that is there already could read this one.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(secret.trim().as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    keep_names(path)
}

/// How the node stands with whom it forwards to.
fn status(sender: &Weak<Sender>, (to, name): (&str, &str), most: u64) -> ForwardStatus {
    let ending =
        || SenderStatus { ended: Some("the node is about to end".to_owned()), ..SenderStatus::default() };
    let status = sender.upgrade().map_or_else(ending, |sender| sender.status());
    let of_clock = status.clock.and_then(|clock| clock_reason(clock.ahead_ns));
    ForwardStatus {
        to: to.to_owned(),
        name: name.to_owned(),
        is_connected: status.connected_since_ns.is_some(),
        spool_octets: [status.spool_octets, most],
        lost: status.lost_source_records,
        reason: status.ended.or(status.disk_trouble).or(status.link_trouble).or(of_clock),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use tapline_delivery::{Fingerprint, HalfId, PartHead, Span, Told as Missing};

    #[test]
    fn a_secret_is_its_owners_whatever_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forward.token");
        fs::write(&path, "read by all").unwrap();
        fs::write(path.with_extension("new"), "left by a crash").unwrap();
        keep_secret(&path, " secret\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_cut_that_is_too_long_goes_in_pieces_and_no_part_is_lost() {
        let head = PartHead {
            half: HalfId(1),
            fingerprint: Fingerprint(1),
            pane: Span { start: 0, end: 10 },
            watermark: i64::MIN,
            records: 0,
            told: Missing::default(),
            behind: vec![],
        };
        let parts = |octets: &[usize]| {
            octets.iter().map(|octets| (head.clone(), vec![0; *octets])).collect::<Vec<Part>>()
        };
        let lengths = |octets: &[usize]| {
            let pieces = in_pieces(parts(octets), 2 * PART_OCTETS + 8);
            pieces
                .iter()
                .map(|piece| piece.iter().map(|part| part.1.len()).collect())
                .collect::<Vec<Vec<usize>>>()
        };
        assert_eq!(lengths(&[4, 4, 4, 2, 12, 1]), [vec![4, 4], vec![4, 2], vec![12], vec![1]]);
        assert!(lengths(&[]).is_empty());
        let pieces = in_pieces(parts(&[0; 1000]), 10 * PART_OCTETS);
        assert_eq!((pieces.len(), pieces[0].len()), (100, 10), "short parts take some, too");
    }

    #[test]
    fn positions_that_are_too_long_are_left_out_the_longest_first() {
        let source = |name: &str, octets: usize| (name.to_owned(), "\n".repeat(octets));
        let sources = vec![source("short", 10), source("longest", 500), source("long", 300)];
        let positions = CutPositions { sources, queries: [(7, (8, 9))].into() };
        let left = |octets_max: usize| {
            let (octets, unsaid) = short_enough(positions.clone(), octets_max);
            let CutPositions { sources, queries } = serde_json::from_slice(&octets).unwrap();
            assert_eq!(queries, positions.queries);
            (sources.len(), unsaid)
        };
        assert_eq!(left(10_000), (3, vec![]));
        assert_eq!(left(1_000), (2, vec!["longest".to_owned()]));
        assert_eq!(left(0), (0, ["longest", "long", "short"].map(str::to_owned).to_vec()));
    }
}
