//! What a source of packets builds, as queries need it.

use super::PacketSource;
use crate::demand::Demand;
use crate::frames::FrameInput;
use crate::ledger::LedgerRows;
use crate::metered::{MeteredFlows, RECORDS};
use crate::source::Source as _;
use std::sync::Arc;
use tapline_decode::export::ExporterIdentity;
use tapline_decode::{Depth, FlowCache};
use tapline_filter::Predicate;
use tapline_record::{FlowColumn, PacketColumn, PacketFlowColumn, StreamId};

impl PacketSource {
    /// The columns of records of flows, by stream, as far as some query reads them.
    fn flow_columns(&self, demand: &Demand) -> [Option<Vec<usize>>; RECORDS.len()] {
        const PACKETS: usize = FlowColumn::Packets as usize;
        RECORDS.map(|stream| {
            if stream == StreamId::TableFlows && !self.is_for_table {
                return None;
            }
            let mut columns = demand.columns(stream)?.to_vec();
            // Of an interface completeness is counted in frames: flows say how many they are, behind what queries read.
            if self.is_live() && !columns.contains(&PACKETS) {
                columns.push(PACKETS);
            }
            Some(columns)
        })
    }

    /// Meters flows for whoever reads or asks for them from now on. A meter that nobody needs any more is let go, with
    /// the flows in it.
    fn build_flows(&mut self, demand: &Demand) {
        let columns = if self.reader == 0 { self.flow_columns(demand) } else { Default::default() };
        let is_needed = columns.iter().any(Option::is_some) || self.is_for_table && self.are_flows_asked;
        let since = self.now();
        let limits = self.options.flows;
        let flows = is_needed.then(|| self.flows.take().unwrap_or_else(|| MeteredFlows::new(limits, since)));
        self.flows = flows;
        if let Some(flows) = &mut self.flows {
            flows.relayout(columns, self.options.batch_rows);
        }
    }

    /// Whether flows are metered: packets of one may be among the frames of several readers, so that one reads all of them.
    pub(super) fn gathers(&self, demand: &Demand) -> bool {
        self.flow_columns(demand).iter().any(Option::is_some)
    }

    /// Conditions, one of which holds of each frame that some query needs.
    pub(super) fn needed(&self, demand: &Demand) -> Vec<Arc<Predicate>> {
        let by_flow: &[Arc<Predicate>] =
            if self.is_beside_table { &[] } else { demand.wanted(StreamId::PacketFlows) };
        let needed = [demand.wanted(StreamId::Packets), by_flow].concat();
        // Flows are built of all frames; and who has nobody but the ledger to read for counts all of them.
        let has_all = self.gathers(demand) || needed.is_empty() && !self.is_beside_table;
        if has_all { vec![Arc::new(Predicate::ALWAYS)] } else { needed }
    }

    /// Whether somebody reads what is behind the outermost transport header.
    pub(super) fn needs_whole(&self, demand: &Demand) -> bool {
        let columns = demand.columns(StreamId::Packets).unwrap_or_default();
        let by_flow = demand.columns(StreamId::PacketFlows).filter(|_| !self.is_beside_table);
        let depth = Depth::of_columns(columns).max(FlowCache::depth(by_flow.unwrap_or_default()));
        depth > Depth::Transport || columns.contains(&(PacketColumn::Payload as usize))
    }

    /// Builds what is demanded from now on.
    pub(super) fn build(&mut self, demand: &Demand) {
        self.input.gather(self.gathers(demand));
        self.build_flows(demand);
        self.build_cache(demand);
        let ledger_columns = demand.columns(StreamId::Ledger);
        // In place of the table it may be asked for active flows at any time.
        let meters = self.flows.is_some() || self.is_for_table;
        let depth = match (meters, ledger_columns) {
            (true, _) => Depth::Transport,
            // The ledger tells what is not read, whatever else is asked.
            (false, Some(_)) => Depth::Link,
            (false, None) => Depth::Frame,
        };
        let by_flow = demand.columns(StreamId::PacketFlows).filter(|_| self.cache.is_some());
        let by_flow = FlowCache::depth(by_flow.unwrap_or_default());
        let depth = depth.max(by_flow).max(self.selecting.depth());
        let columns = demand.columns(StreamId::Packets);
        self.packets.relayout(columns.unwrap_or_default(), depth);
        self.sends_packets = columns.is_some();
        self.name_sources(demand);
        self.ledger = LedgerRows::by(self.ledger.take(), ledger_columns, || {
            (self.input.name(), ExporterIdentity::default())
        });
        self.watermarks = self.watermarks.carrying(&self.streams());
    }

    /// Counts packets by flow, if that is demanded and the kernel does not.
    fn build_cache(&mut self, demand: &Demand) {
        let columns = demand.columns(StreamId::PacketFlows).filter(|_| !self.is_beside_table);
        let pane_ns = demand.common_pane_ns(StreamId::PacketFlows);
        self.cache = match (self.cache.take(), columns) {
            (_, None) => None,
            (None, Some(columns)) => Some(FlowCache::new(columns, pane_ns, self.options.batch_rows)),
            (Some(mut cache), Some(columns)) => {
                cache.relayout(columns, pane_ns);
                Some(cache)
            }
        };
    }

    /// Names the sources of rows: the only one once, those of several files turn by turn, if some query reads them.
    fn name_sources(&mut self, demand: &Demand) {
        let reads = |stream, column| demand.columns(stream).is_some_and(|columns| columns.contains(&column));
        if !reads(StreamId::Packets, PacketColumn::Source as usize)
            && !RECORDS.iter().any(|records| reads(*records, FlowColumn::Source as usize))
            && !reads(StreamId::PacketFlows, PacketFlowColumn::Source as usize)
        {
            return;
        }
        self.turns.clear();
        for name in self.input.sources() {
            let of_packets = self.packets.intern_source(&name);
            let of_flows = self.flows.as_mut().map(|flows| flows.intern_source(&name));
            let by_flow = self.cache.as_mut().map(|cache| cache.intern_source(&name));
            self.turns.push([of_packets, of_flows.unwrap_or_default(), by_flow.unwrap_or_default()]);
        }
        self.begin_turn(0);
        match &mut self.input {
            FrameInput::Files(files) if self.turns.len() > 1 => files.read_by_turns(),
            _ => self.turns.clear(),
        }
    }
}
