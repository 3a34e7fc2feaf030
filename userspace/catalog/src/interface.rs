//! An interface as inputs: what the kernel counts of it, and its packets.
//!
//! Either is attached to the interface while some query reads it. What a mirror port gives is not shared by two
//! programs, so its packets and its table are one input.

use crate::input::{Gap, Input, InputSet, Meters};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, fs};
use tapline_interface::link;
use tapline_interface::live::{self, LiveOptions};
use tapline_query::FlowTable;
use tapline_record::{
    EventTime, FLOWS, PACKET_FLOWS, PACKETS, PacketFlowColumn, Stream, StreamId, TABLE_FLOWS,
};
use tapline_sources::{
    AtEnd, Demand, KernelInput, KernelSource, PacketSource, PassedCounters, Source, SourceOptions,
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
}

/// An interface that is to be read.
#[derive(Clone, Debug)]
pub struct InterfacePlan {
    /// Its name.
    pub interface: String,
    /// Whether it only receives copies: its packets may be taken from the host.
    pub is_mirror: bool,
    /// How it is read.
    pub options: SourceOptions,
}

/// A part of an interface.
#[derive(Clone, Debug)]
struct InterfaceInput {
    interface: String,
    part: Part,
    options: SourceOptions,
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

/// The inputs of these interfaces, and who counts their packets by flow: the kernel, if it can on all of them.
#[must_use]
pub fn interface_inputs(interfaces: &[InterfacePlan]) -> InputSet {
    // One that is not there may be one that can.
    let is_refused = |plan: &InterfacePlan| {
        link::find(&plan.interface).ok().flatten().is_some_and(|link| link.check_xdp().is_err())
    };
    let by_kernel = !interfaces.iter().any(is_refused);
    let inputs = interfaces.iter().flat_map(|plan| {
        let parts: &[Part] = match (by_kernel, plan.is_mirror) {
            (true, true) => &[Part::Mirror],
            (true, false) => &[Part::Table, Part::Packets],
            (false, _) => &[Part::Packets],
        };
        parts.iter().map(|part| {
            let (interface, options) = (plan.interface.clone(), plan.options.clone());
            Box::new(InterfaceInput { interface, part: *part, options, last: Arc::default(), behind: None })
                as Box<dyn Input>
        })
    });
    let table = by_kernel.then_some(FlowTable::Kernel).filter(|_| !interfaces.is_empty());
    InputSet { inputs: inputs.collect(), table }
}

impl InterfaceInput {
    fn open_table(&self, demand: &Demand) -> Result<KernelInput, String> {
        let mut demand = demand.clone();
        // The program is loaded once, and queries that come later may read them.
        demand.add(&PACKET_FLOWS, &[PacketFlowColumn::TcpFlags as usize], None);
        let is_mirror = self.part == Part::Mirror;
        KernelInput::open(&self.interface, is_mirror, &[], &demand).map_err(|error| error.to_string())
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
        let is_mirror = self.part == Part::Mirror;
        LiveOptions { is_mirror, is_promiscuous: true, is_receive_only: true, ..LiveOptions::default() }
    }
}

impl Input for InterfaceInput {
    fn name(&self) -> String {
        self.interface.clone()
    }

    fn identity(&self) -> String {
        format!("{} {:?} {:?}", self.interface, self.part, self.options)
    }

    fn kind(&self) -> &'static str {
        match self.part {
            Part::Table => "flow table",
            Part::Packets => "packets",
            Part::Mirror => "mirror port",
        }
    }

    fn streams(&self) -> Vec<&'static Stream> {
        match self.part {
            Part::Table => vec![&PACKET_FLOWS, &TABLE_FLOWS],
            Part::Packets => vec![&PACKETS, &FLOWS],
            Part::Mirror => vec![&PACKET_FLOWS, &TABLE_FLOWS, &PACKETS, &FLOWS],
        }
    }

    fn is_on_demand(&self) -> bool {
        true
    }

    fn meters(&self) -> Meters {
        Meters::WhenAsked
    }

    fn tells_kernel(&self) -> bool {
        self.part == Part::Mirror
    }

    fn lateness_ns(&self) -> i64 {
        self.options.packets_lateness_ns()
    }

    fn check(&self) -> Result<(), String> {
        match link::find(&self.interface) {
            Ok(None) => Err(live::LiveError::no_interface(&self.interface).to_string()),
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    fn memory(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(Passed::to_string)
    }

    fn gap(&self, memory: Option<&str>) -> Gap {
        let before = memory.and_then(Passed::of_text);
        let now = before.as_ref().and_then(|_| Passed::now(&self.interface));
        let missed = now.zip(before).and_then(|(now, before)| now.frames_since(&before));
        missed.map_or(Gap::Unknown, Gap::Missed)
    }

    fn is_read_as(&self, source: &str) -> bool {
        let (is_table, are_packets) = (source == flow_table_of(&self.interface), source == self.interface);
        match self.part {
            Part::Table => is_table,
            Part::Packets => are_packets,
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
        let missed = before.and_then(|(before, _)| Passed::now(&self.interface)?.frames_since(before));
        missed.map_or(Gap::Unknown, Gap::Missed)
    }

    fn was_there(&self) -> Option<EventTime> {
        self.behind.as_ref().map(|(_, when)| *when)
    }

    fn open(&mut self, demand: &Demand) -> Result<Vec<Box<dyn Source>>, String> {
        let said = |error: live::LiveError| error.to_string();
        let packets = |frames, is_beside_table| -> Box<dyn Source> {
            let source = PacketSource::of_interface(frames, is_beside_table, &self.options);
            Box::new(source.at_end(self.at_end()).counted_by(self.counters()))
        };
        let table = |input| {
            let source = KernelSource::new(input, &self.options);
            Box::new(source.at_end(self.at_end()).counted_by(self.counters()))
        };
        Ok(match self.part {
            Part::Table => vec![table(self.open_table(demand)?)],
            Part::Packets => {
                let frames = live::open(&self.interface, &self.live_options()).map_err(said)?;
                vec![packets(frames, true)]
            }
            Part::Mirror => {
                let mut input = self.open_table(demand)?;
                let frames = input.open_packets(&self.live_options()).map_err(said)?;
                vec![table(input), packets(frames, true)]
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_since_a_cut_are_missing_but_of_flows_nobody_knows() {
        let input = |part| InterfaceInput {
            interface: "lo".to_owned(),
            part,
            options: SourceOptions::default(),
            last: Arc::default(),
            behind: None,
        };
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
}
