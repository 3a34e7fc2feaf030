//! An interface as inputs: what the kernel counts of it, and its packets.
//!
//! Either is attached to the interface while some query reads it. What a mirror port gives is not shared by two
//! programs, so its packets and its table are one input. A filter holds for either, and the kernel is told it; where it
//! looks at what the table does not tell apart, the kernel counts nothing, and all that is wanted comes of frames.

use crate::input::{Gap, Input, InputSet, Meters};
use crate::wanted::WantedFrames;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::{fmt, fs};
use tapline_interface::Directions;
use tapline_interface::kernel::{PreFilter, Rule, Verdict};
use tapline_interface::link;
use tapline_interface::live::{self, FrameSource, LiveMode, LiveOptions};
use tapline_query::FlowTable;
use tapline_record::{
    EventTime, FLOWS, PACKET_FLOWS, PACKETS, PacketFlowColumn, Stream, StreamId, TABLE_FLOWS,
};
use tapline_sources::{
    AtEnd, Demand, KernelInput, KernelSource, PacketSource, PassedCounters, Selection, Source, SourceOptions,
    flow_table_of,
};

/// What names this start of the system.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What is read of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// What the kernel counts by flow.
    Table,
    /// Packets, as copies.
    Packets,
    /// Both, of a port that only receives copies.
    Mirror,
    /// Both, made of frames, of which a filter looks at what is not the same of all of a flow.
    Frames,
}

/// An interface that is to be read.
#[derive(Clone, Debug)]
pub struct InterfacePlan {
    /// Its name.
    pub interface: String,
    /// Whether it only receives copies: its packets may be taken from the host.
    pub is_mirror: bool,
    /// How many threads share its queues out, at most, where it only receives copies; `None` for as many as there are cores
    /// for.
    pub readers: Option<usize>,
    /// Which of its frames are read.
    pub directions: Directions,
    /// How it is read.
    pub options: SourceOptions,
    /// Which of its frames are wanted.
    pub wanted: WantedFrames,
}

/// A part of an interface.
#[derive(Clone, Debug)]
struct InterfaceInput {
    interface: String,
    part: Part,
    /// Whether frames may be taken from the host.
    is_mirror: bool,
    /// How many threads may share its queues out: as many as was said, or as there are cores for.
    readers_said: Option<usize>,
    readers_max: usize,
    directions: Directions,
    options: SourceOptions,
    /// Which frames are rows of the table; those of the options are of whoever reads frames.
    of_table: Selection,
    wanted: WantedFrames,
    /// Where the rules hold of a program in front of its frames, while that is there.
    prefilter: Weak<Mutex<PreFilter>>,
    /// Whether frames are read that no program has seen.
    are_copies: bool,
    /// What its counters said when it was read last.
    last: Arc<Mutex<Option<Passed>>>,
    /// What they said when all that came until then was in a cut, and when that was.
    behind: Option<(Passed, EventTime)>,
}

/// Which frames an interface had received at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Passed {
    /// Since which start of the system, and of which interface of that name.
    boot: String,
    index: u32,
    frames: u64,
}

impl Passed {
    /// Those of now; `None` where they cannot be told.
    fn now(interface: &str) -> Option<Self> {
        let boot = fs::read_to_string(BOOT_ID).ok()?.trim().to_owned();
        let link = link::find(interface).ok().flatten()?;
        Some(Self { boot, index: link.index, frames: link.received })
    }

    /// Frames between then and now; `None` where the interface is another one.
    fn frames_since(&self, before: &Self) -> Option<u64> {
        let is_same = (&self.boot, self.index) == (&before.boot, before.index);
        self.frames.checked_sub(before.frames).filter(|_| is_same)
    }

    fn of_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (boot, index, frames) = (words.next()?, words.next()?, words.next()?);
        Some(Self { boot: boot.to_owned(), index: index.parse().ok()?, frames: frames.parse().ok()? })
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.boot, self.index, self.frames)
    }
}

/// The inputs of these interfaces, and who counts their packets by flow: the kernel, if it can on all of them. So many
/// threads share the queues of one out where nothing else is said.
#[must_use]
pub fn interface_inputs(interfaces: &[InterfacePlan], readers: usize) -> InputSet {
    // One that is not there may be one that can.
    let is_refused = |plan: &InterfacePlan| {
        let has_no_ip =
            || link::find(&plan.interface).ok().flatten().is_some_and(|link| link.check_xdp().is_err());
        plan.directions.check_kernel().is_err() || has_no_ip()
    };
    let by_kernel = !interfaces.iter().any(is_refused);
    let inputs = interfaces.iter().flat_map(|plan| {
        let parts: &[Part] = match (plan.wanted.is_of_frames(), by_kernel, plan.is_mirror) {
            (true, _, _) => &[Part::Frames],
            (false, true, true) => &[Part::Mirror],
            (false, true, false) => &[Part::Table, Part::Packets],
            (false, false, _) => &[Part::Packets],
        };
        parts.iter().map(move |part| Box::new(InterfaceInput::new(plan, *part, readers)) as Box<dyn Input>)
    });
    let table = by_kernel.then_some(FlowTable::Kernel).filter(|_| !interfaces.is_empty());
    InputSet { inputs: inputs.collect(), table }
}

impl InterfaceInput {
    fn new(plan: &InterfacePlan, part: Part, readers: usize) -> Self {
        Self {
            interface: plan.interface.clone(),
            part,
            is_mirror: plan.is_mirror && part != Part::Packets,
            readers_said: plan.readers,
            readers_max: plan.readers.unwrap_or(readers),
            directions: plan.directions,
            // What one of its inputs leaves to whoever reads frames is not what another one does.
            of_table: Selection::default(),
            options: SourceOptions { selection: Selection::default(), ..plan.options.clone() },
            wanted: plan.wanted.clone(),
            prefilter: Weak::new(),
            are_copies: false,
            last: Arc::default(),
            behind: None,
        }
    }

    fn open_table(&mut self, demand: &Demand) -> Result<KernelInput, String> {
        let mut demand = demand.clone();
        // The program is loaded once, and queries that come later may read them.
        demand.add(&PACKET_FLOWS, &[PacketFlowColumn::TcpFlags as usize], None);
        let how = (self.is_mirror, self.directions);
        let input = KernelInput::open(&self.interface, how, &self.rules(), &demand)
            .map_err(|error| error.to_string())?;
        self.prefilter = Arc::downgrade(&input.prefilter());
        self.select();
        Ok(input)
    }

    fn rules(&self) -> Vec<(Rule, Verdict)> {
        self.wanted.rules.iter().map(|(rule, verdict)| (*rule, *verdict)).collect()
    }

    /// Lets only those frames become rows that are wanted: rules hold in the program in front of them, if there is one.
    fn select(&self) {
        self.of_table.set(self.wanted.predicate(false));
        self.options.selection.set(self.wanted.predicate(self.are_copies));
    }

    /// The same of frames that are read from now on.
    fn select_of(&mut self, frames: &dyn FrameSource) {
        self.are_copies = frames.description().mode == LiveMode::Packet;
        if let Some(prefilter) = frames.prefilter() {
            self.prefilter = Arc::downgrade(&prefilter);
        }
        self.select();
    }

    /// Frames that would have been read between then and now; `None` where they cannot be told, as of what is sent, which the
    /// interface may count before it is cut.
    fn missed_since(&self, now: &Passed, before: &Passed) -> Option<u64> {
        if self.directions.has_sent() { None } else { now.frames_since(before) }
    }

    /// Notes what its counters say, at the moment when it is read no longer.
    fn at_end(&self) -> AtEnd {
        let (interface, last) = (self.interface.clone(), Arc::clone(&self.last));
        Box::new(move || *last.lock().unwrap_or_else(PoisonError::into_inner) = Passed::now(&interface))
    }

    /// What its counters say while it is read, and when.
    fn counters(&self) -> PassedCounters {
        let (interface, clock) = (self.interface.clone(), Arc::clone(&self.options.clock));
        Box::new(move || Some(format!("{} {}", Passed::now(&interface)?, clock.now().0)))
    }

    fn live_options(&self) -> LiveOptions {
        let (is_mirror, directions) = (self.is_mirror, self.directions);
        let mut options =
            LiveOptions { is_mirror, is_promiscuous: true, directions, ..LiveOptions::default() };
        options.kernel.rules = self.rules();
        options
    }

    /// That fewer threads share its queues out, of which there are so many, than was said, and why.
    fn lacks_readers_on(&self, queues: usize) -> Option<String> {
        let said = self.readers_said.filter(|said| (*said).min(queues) > 1)?;
        let why = match self.part {
            Part::Frames => {
                "its filter looks at single frames: flows are metered from all that it keeps, for whoever asks"
            }
            Part::Packets => "it is read by AF_PACKET",
            Part::Table | Part::Mirror => return None,
        };
        Some(format!("by one thread, and not by {said}, since {why}"))
    }

    fn table(&self, input: KernelInput, begun: Option<&String>) -> Box<dyn Source> {
        let options = SourceOptions { selection: self.of_table.clone(), ..self.options.clone() };
        let source = KernelSource::new(input, &options);
        Box::new(source.at_end(self.at_end()).counted_by(self.counters(), begun.cloned()))
    }

    /// What gives its packets, by as many threads as share its queues out.
    fn packets(&self, frames: Box<dyn FrameSource>, begun: Option<&String>) -> Vec<Box<dyn Source>> {
        let is_all = self.part == Part::Frames;
        let sources = PacketSource::of_interface(frames.share_out(self.readers()), !is_all, &self.options);
        let source = |source: PacketSource| {
            let source = if is_all { source.in_place_of_table() } else { source };
            let source = source.at_end(self.at_end()).counted_by(self.counters(), begun.cloned());
            Box::new(source) as Box<dyn Source>
        };
        sources.into_iter().map(source).collect()
    }
}

impl Input for InterfaceInput {
    fn name(&self) -> String {
        self.interface.clone()
    }

    fn identity(&self) -> String {
        let how = (self.is_mirror, self.readers_said, self.directions);
        format!("{} {:?} {how:?} {:?}", self.interface, self.part, self.options)
    }

    fn kind(&self) -> &'static str {
        match self.part {
            Part::Table => "flow table",
            Part::Packets | Part::Frames => "packets",
            Part::Mirror => "mirror port",
        }
    }

    fn streams(&self) -> Vec<&'static Stream> {
        match self.part {
            Part::Table => vec![&PACKET_FLOWS, &TABLE_FLOWS],
            Part::Packets => vec![&PACKETS, &FLOWS],
            Part::Mirror | Part::Frames => vec![&PACKET_FLOWS, &TABLE_FLOWS, &PACKETS, &FLOWS],
        }
    }

    fn readers(&self) -> usize {
        match self.part {
            Part::Mirror if self.readers_max > 1 => {
                self.readers_max.min(live::receive_queues(&self.interface))
            }
            // Where frames are read in place of the table, flows are metered for whoever asks, at any time.
            Part::Table | Part::Packets | Part::Mirror | Part::Frames => 1,
        }
    }

    fn lacks_readers(&self) -> Option<String> {
        self.lacks_readers_on(live::receive_queues(&self.interface))
    }

    fn is_on_demand(&self) -> bool {
        true
    }

    fn meters(&self) -> Meters {
        Meters::WhenAsked
    }

    fn wanted(&self) -> Option<&WantedFrames> {
        Some(&self.wanted)
    }

    fn want(&mut self, frames: &WantedFrames) -> Result<(), String> {
        if let Some(prefilter) = self.prefilter.upgrade() {
            let mut prefilter = prefilter.lock().unwrap_or_else(PoisonError::into_inner);
            let replaced = prefilter.replace(&frames.rules);
            replaced
                .map_err(|error| format!("{}: not all rules could be changed: {error}", self.interface))?;
        }
        self.wanted.clone_from(frames);
        self.select();
        Ok(())
    }

    fn tells_kernel(&self, stream: StreamId) -> bool {
        match self.part {
            Part::Table => stream != StreamId::Packets && self.directions.has_received(),
            Part::Packets => false,
            Part::Mirror => true,
            Part::Frames => self.is_mirror,
        }
    }

    fn lateness_ns(&self) -> i64 {
        self.options.packets_lateness_ns()
    }

    fn check(&self) -> Result<(), String> {
        match link::find(&self.interface) {
            Ok(None) => Err(live::LiveError::no_interface(&self.interface).to_string()),
            Ok(Some(link)) => self.directions.check(&link),
            Err(_) => Ok(()),
        }
    }

    fn memory(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(Passed::to_string)
    }

    fn gap(&self, memory: Option<&str>) -> Gap {
        let before = memory.and_then(Passed::of_text);
        let now = before.as_ref().and_then(|_| Passed::now(&self.interface));
        let missed = now.zip(before).and_then(|(now, before)| self.missed_since(&now, &before));
        missed.map_or(Gap::Unknown, Gap::Missed)
    }

    fn is_read_as(&self, source: &str) -> bool {
        let (is_table, are_packets) = (source == flow_table_of(&self.interface), source == self.interface);
        match self.part {
            Part::Table => is_table,
            Part::Packets | Part::Frames => are_packets,
            Part::Mirror => is_table || are_packets,
        }
    }

    fn go_on_from(&mut self, position: &str) {
        let behind = position
            .rsplit_once(' ')
            .and_then(|(passed, when)| Some((Passed::of_text(passed)?, EventTime(when.parse().ok()?))));
        // Of two that read it, the one that had read less counts.
        let is_less = |(passed, _): &(Passed, EventTime)| {
            self.behind.as_ref().is_none_or(|(known, _)| passed.frames < known.frames)
        };
        if behind.as_ref().is_some_and(is_less) {
            self.behind = behind;
        }
    }

    fn gap_behind(&self, stream: StreamId) -> Gap {
        // Flows that were open went with whoever metered them, and had been counted.
        let before = self.behind.as_ref().filter(|_| stream.named() != StreamId::Flows);
        let missed = before.and_then(|(before, _)| self.missed_since(&Passed::now(&self.interface)?, before));
        missed.map_or(Gap::Unknown, Gap::Missed)
    }

    fn was_there(&self) -> Option<EventTime> {
        self.behind.as_ref().map(|(_, when)| *when)
    }

    fn open(&mut self, demand: &Demand) -> Result<Vec<Box<dyn Source>>, String> {
        link::find(&self.interface).ok().flatten().map_or(Ok(()), |link| self.directions.check(&link))?;
        let said = |error: live::LiveError| error.to_string();
        // What comes while it is opened counts as not read.
        let begun = self.counters()();
        let begun = begun.as_ref();
        Ok(match self.part {
            Part::Table => {
                let input = self.open_table(demand)?;
                vec![self.table(input, begun)]
            }
            Part::Packets | Part::Frames => {
                let frames = live::open(&self.interface, &self.live_options()).map_err(said)?;
                self.select_of(frames.as_ref());
                self.packets(frames, begun)
            }
            Part::Mirror => {
                let mut input = self.open_table(demand)?;
                let frames = input.open_packets(&self.live_options()).map_err(said)?;
                self.select_of(frames.as_ref());
                let mut sources = vec![self.table(input, begun)];
                sources.extend(self.packets(frames, begun));
                sources
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wanted::WantedFilter;
    use tapline_filter::pcap;

    fn plan(wanted: WantedFrames) -> InterfacePlan {
        let options = SourceOptions::default();
        let directions = Directions::In;
        let interface = "lo".to_owned();
        InterfacePlan { interface, is_mirror: false, readers: None, directions, options, wanted }
    }

    fn filter(text: &str) -> WantedFrames {
        let predicate = Arc::new(pcap::parse(text).unwrap().predicate());
        let filter = Some(WantedFilter { text: text.to_owned(), predicate });
        WantedFrames { filter, ..WantedFrames::default() }
    }

    #[test]
    fn a_filter_over_what_flows_have_in_common_changes_nothing_else() {
        let identities = |wanted| -> Vec<_> {
            interface_inputs(&[plan(wanted)], 1).inputs.iter().map(|input| input.identity()).collect()
        };
        assert_eq!(identities(filter("tcp port 53")), identities(WantedFrames::default()));
        let told = |part, is_mirror| {
            let plan = InterfacePlan { is_mirror, ..plan(filter("tcp")) };
            let input = InterfaceInput::new(&plan, part, 1);
            [StreamId::Packets, StreamId::PacketFlows].map(|stream| input.tells_kernel(stream))
        };
        assert_eq!([told(Part::Table, false), told(Part::Packets, false)], [[false, true], [false; 2]]);
        assert_eq!([told(Part::Mirror, true), told(Part::Frames, true)], [[true; 2]; 2]);
        assert_eq!(told(Part::Frames, false), [false; 2]);
    }

    #[test]
    fn a_filter_over_frames_makes_all_of_them_and_another_one_changes_nothing_else() {
        let of = |wanted: WantedFrames| InterfaceInput::new(&plan(wanted), Part::Frames, 1);
        let inputs = interface_inputs(&[plan(filter("tcp and len > 100"))], 1).inputs;
        let [input] = &inputs[..] else { panic!("one input") };
        let names: Vec<_> = input.streams().iter().map(|stream| stream.id).collect();
        let expected = [StreamId::PacketFlows, StreamId::TableFlows, StreamId::Packets, StreamId::Flows];
        assert_eq!((names.as_slice(), input.meters()), (&expected[..], Meters::WhenAsked));
        assert_eq!(input.identity(), of(filter("udp and len > 100")).identity());
        let unfiltered = interface_inputs(&[plan(WantedFrames::default())], 1).inputs;
        assert!(unfiltered.iter().all(|other| other.identity() != input.identity()));
        let mut input = of(filter("tcp"));
        input.want(&filter("udp")).unwrap();
        assert_eq!(input.wanted(), Some(&filter("udp")));
    }

    #[test]
    fn frames_since_a_cut_are_missing_but_of_flows_nobody_knows() {
        let plan = plan(WantedFrames::default());
        let input = |part| InterfaceInput::new(&plan, part, 1);
        let (mut packets, table) = (input(Part::Packets), input(Part::Table));
        assert!(
            packets.is_read_as("lo") && !table.is_read_as("lo") && table.is_read_as(&flow_table_of("lo"))
        );
        assert!(input(Part::Mirror).is_read_as("lo") && input(Part::Mirror).is_read_as(&flow_table_of("lo")));
        assert_eq!((packets.gap_behind(StreamId::Packets), packets.was_there()), (Gap::Unknown, None));
        let now = Passed::now("lo").unwrap();
        packets.go_on_from(&format!("{now} 7"));
        assert!(matches!(packets.gap_behind(StreamId::Packets), Gap::Missed(_)));
        assert_eq!(packets.gap_behind(StreamId::Flows), Gap::Unknown);
        assert_eq!(packets.gap_behind(StreamId::TableFlows), Gap::Unknown);
        assert_eq!(packets.was_there(), Some(EventTime(7)));
        packets.go_on_from(&format!("{} 8", Passed { frames: now.frames + 1, ..now.clone() }));
        assert_eq!(packets.was_there(), Some(EventTime(7)), "another one had read more");
        let mut other = input(Part::Packets);
        other.go_on_from(&format!("{} 7", Passed { boot: "another".to_owned(), ..now }));
        assert_eq!(other.gap_behind(StreamId::Packets), Gap::Unknown, "counters began anew");
        other.go_on_from("garbage");
        assert_eq!(other.was_there(), Some(EventTime(7)));
    }

    #[test]
    fn how_many_frames_were_sent_meanwhile_nobody_knows() {
        let plan = InterfacePlan { directions: Directions::Both, ..plan(WantedFrames::default()) };
        let mut input = InterfaceInput::new(&plan, Part::Packets, 1);
        let now = Passed::now("lo").unwrap();
        input.go_on_from(&format!("{now} 7"));
        assert_eq!(input.gap_behind(StreamId::Packets), Gap::Unknown);
        assert_eq!(input.gap(Some(&now.to_string())), Gap::Unknown);
        assert!(input.check().unwrap_err().contains("receives each frame that it sends"));
    }

    #[test]
    fn another_direction_makes_another_input() {
        let input = |directions| {
            let plan = InterfacePlan { directions, ..plan(WantedFrames::default()) };
            InterfaceInput::new(&plan, Part::Table, 1)
        };
        let of = |directions| input(directions).identity();
        assert_ne!(of(Directions::In), of(Directions::Both));
        assert_ne!(of(Directions::Out), of(Directions::Both));
        // What is sent passes no filter in the kernel.
        let told = |directions| input(directions).tells_kernel(StreamId::PacketFlows);
        assert_eq!([Directions::In, Directions::Both, Directions::Out].map(told), [true, true, false]);
    }

    #[test]
    fn how_many_threads_there_are_cores_for_makes_no_other_input() {
        let identity = |readers, cores| {
            let plan = InterfacePlan { is_mirror: true, readers, ..plan(WantedFrames::default()) };
            InterfaceInput::new(&plan, Part::Mirror, cores).identity()
        };
        assert_eq!(identity(None, 1), identity(None, 4));
        assert_ne!(identity(None, 4), identity(Some(4), 4));
        let readers = |part| InterfaceInput::new(&plan(WantedFrames::default()), part, 4).readers();
        // The loopback has one queue.
        assert_eq!([Part::Table, Part::Packets, Part::Mirror, Part::Frames].map(readers), [1; 4]);
    }

    #[test]
    fn who_says_more_threads_than_read_is_told_why() {
        let lacks = |part, readers, queues| {
            let plan = InterfacePlan { is_mirror: true, readers, ..plan(WantedFrames::default()) };
            InterfaceInput::new(&plan, part, 4).lacks_readers_on(queues)
        };
        let why = lacks(Part::Frames, Some(3), 4).unwrap();
        assert!(why.starts_with("by one thread, and not by 3, since its filter looks at single"), "{why}");
        assert!(lacks(Part::Packets, Some(3), 4).unwrap().ends_with("since it is read by AF_PACKET"));
        let others = [(Part::Mirror, Some(3), 4), (Part::Frames, Some(1), 4), (Part::Frames, Some(3), 1)];
        assert!(others.into_iter().all(|(part, readers, queues)| lacks(part, readers, queues).is_none()));
        assert_eq!(lacks(Part::Frames, None, 4), None, "nobody has said how many");
    }
}
