//! One flow that is being metered.
//!
//! Takes updates, gives the flow's deadline and, in the end, its row. The deadline is the earliest
//! of three: silence, age, and the linger after FIN or RST. Of what a flow table has
//! counted, the latter two are at borders of seconds.

use super::limits::FlowMeterLimits;
use super::update::{FlowUpdate, columns_of};
use std::mem::offset_of;
use tapline_record::{FlowColumn, FlowKey, FlowRow, PacketColumn};

/// Why a flow ended (IPFIX flowEndReason, IE 136).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FlowEndReason {
    /// Nothing came for the inactive timeout.
    Idle = 1,
    /// It lasted for the active timeout; what follows is another record.
    Active = 2,
    /// FIN or RST was seen.
    EndOfFlow = 3,
    /// The input ended.
    Forced = 4,
    /// The table was full.
    LackOfResources = 5,
}

/// Timeouts in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) active: i64,
    pub(super) inactive: i64,
    pub(super) linger: i64,
    /// Age and linger count from a whole multiple of this; 1 counts them from the packet itself.
    pub(super) borders: i64,
}

impl From<&FlowMeterLimits> for Timeouts {
    fn from(limits: &FlowMeterLimits) -> Self {
        let nanoseconds = |milliseconds: u32| i64::from(milliseconds) * 1_000_000;
        Self {
            active: nanoseconds(limits.active_timeout_ms),
            inactive: nanoseconds(limits.inactive_timeout_ms),
            linger: nanoseconds(limits.linger_ms),
            borders: 1,
        }
    }
}

impl Timeouts {
    /// When a record that begins then has lasted for too long.
    #[inline]
    const fn aged_at(&self, first: i64) -> i64 {
        self.border_before(first).saturating_add(self.active)
    }

    /// When a record ends whose FIN or RST came then.
    #[inline]
    const fn closed_at(&self, closing: i64) -> i64 {
        self.border_before(closing).saturating_add(self.linger)
    }

    #[inline]
    const fn border_before(&self, time: i64) -> i64 {
        if self.borders == 1 { time } else { time.div_euclid(self.borders).saturating_mul(self.borders) }
    }
}

/// A flow so far. Two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct FlowEntry {
    /// The first update, whose counters and times take in the later ones.
    total: FlowUpdate,
    /// Time of the first FIN or RST, or its border, plus the linger; `i64::MAX` before it, [`PAUSED`] between two records.
    closes_at: i64,
    /// The tick at which the meter looks at the flow; [`NOWHERE`] where there is none.
    pub(super) scheduled: i64,
}

const CACHE_LINE: usize = 64;
const _: () = assert!(size_of::<FlowEntry>() == 2 * CACHE_LINE, "a flow takes two cache lines");
const _: () = {
    let touched = [offset_of!(FlowEntry, total.key.src_ip), offset_of!(FlowEntry, scheduled)];
    assert!(touched[0] / CACHE_LINE != touched[1] / CACHE_LINE, "FlowEntry::touch reads both of them");
};

/// In place of the time at which a flow closes, where its last record was given by its age: no packet joins that one.
const PAUSED: i64 = i64::MIN;
/// In place of a tick: nobody looks at what is here, as it was taken out of the table.
pub(super) const NOWHERE: i64 = i64::MIN;

/// Among the columns that a flow has: it had a record before this one.
const CONTINUED: u64 = 1 << 63;
const _: () = assert!(PacketColumn::Payload.bit() < CONTINUED, "no column has the bit");

/// Set in every row.
const ALWAYS: u64 = FlowColumn::Ts.bit()
    | FlowColumn::Source.bit()
    | FlowColumn::StartTime.bit()
    | FlowColumn::EndTime.bit()
    | FlowColumn::Packets.bit()
    | FlowColumn::Octets.bit()
    | FlowColumn::SamplingRate.bit()
    | FlowColumn::ScaledPackets.bit()
    | FlowColumn::ScaledOctets.bit()
    | FlowColumn::FlowEndReason.bit();

impl FlowEntry {
    /// A flow that begins with `update`.
    #[inline]
    pub(super) fn new(update: &FlowUpdate, timeouts: &Timeouts) -> Self {
        let mut entry = Self { total: *update, closes_at: i64::MAX, scheduled: i64::MAX };
        entry.note_closing(update, timeouts);
        entry
    }

    /// Takes in more packets; they may be older than those before.
    #[inline]
    pub(super) fn absorb(&mut self, update: &FlowUpdate, timeouts: &Timeouts) {
        let total = &mut self.total;
        total.packets = total.packets.saturating_add(update.packets);
        total.octets = total.octets.saturating_add(update.octets);
        total.first = total.first.min(update.first);
        total.last = total.last.max(update.last);
        total.tcp_flags |= update.tcp_flags;
        total.present |= update.present & PacketColumn::TcpFlags.bit();
        self.note_closing(update, timeouts);
    }

    #[inline]
    fn note_closing(&mut self, update: &FlowUpdate, timeouts: &Timeouts) {
        if update.closes() && self.closes_at == i64::MAX {
            self.closes_at = timeouts.closed_at(update.last).max(PAUSED + 1);
        }
    }

    /// The same flow, of which an earlier record was given.
    #[inline]
    pub(super) const fn continued(mut self) -> Self {
        self.total.present |= CONTINUED;
        self
    }

    /// Whether an earlier record of the flow was given.
    pub(super) const fn is_continued(&self) -> bool {
        self.total.present & CONTINUED != 0
    }

    /// Its record was given: it waits for a packet that begins the next one.
    pub(super) const fn pause(&mut self) {
        self.closes_at = PAUSED;
        (self.total.packets, self.total.octets) = (0, 0);
        self.total.present |= CONTINUED;
    }

    /// Whether it waits for the next record.
    pub(super) const fn is_paused(&self) -> bool {
        self.closes_at == PAUSED
    }

    /// When the flow has been silent for too long.
    pub(super) const fn idle_at(&self, timeouts: &Timeouts) -> i64 {
        self.total.last.saturating_add(timeouts.inactive)
    }

    /// What was counted since the last record.
    pub(super) const fn total(&self) -> &FlowUpdate {
        &self.total
    }

    /// The flow's key.
    #[inline]
    pub(super) const fn key(&self) -> &FlowKey {
        &self.total.key
    }

    /// Reads both cache lines.
    #[inline]
    pub(super) const fn touch(&self) -> i64 {
        self.total.key.src_ip[0] as i64 ^ self.scheduled
    }

    /// Whether these packets belong to this record: none may come at the deadline or later, and none so long
    /// before the last one that the record would last for the active timeout.
    #[inline]
    pub(super) fn takes(&self, update: &FlowUpdate, timeouts: &Timeouts) -> bool {
        update.first < self.deadline(timeouts)
            && (update.first >= self.total.first
                || update.last.max(self.total.last) < timeouts.aged_at(update.first))
    }

    /// A packet at this time or later belongs to another record.
    #[inline]
    pub(super) fn deadline(&self, timeouts: &Timeouts) -> i64 {
        let (idle, aged) = self.timeouts_at(timeouts);
        idle.min(aged).min(self.closes_at)
    }

    /// Why a flow that reached its deadline ended.
    pub(super) fn timeout_reason(&self, timeouts: &Timeouts) -> FlowEndReason {
        let (idle, aged) = self.timeouts_at(timeouts);
        self.reason_unless_closing(if aged < idle { FlowEndReason::Active } else { FlowEndReason::Idle })
    }

    #[inline]
    const fn timeouts_at(&self, timeouts: &Timeouts) -> (i64, i64) {
        (self.idle_at(timeouts), timeouts.aged_at(self.total.first))
    }

    /// `reason`, but a flow whose end was seen did end.
    pub(super) const fn reason_unless_closing(&self, reason: FlowEndReason) -> FlowEndReason {
        if self.closes_at == i64::MAX { reason } else { FlowEndReason::EndOfFlow }
    }

    /// The record of the flow.
    pub(super) fn row(&self, reason: FlowEndReason) -> FlowRow {
        let FlowUpdate { key, .. } = self.total;
        FlowRow {
            present: columns_of(self.total.present) | ALWAYS,
            ts: self.total.last,
            source: self.total.source,
            start_time: self.total.first,
            end_time: self.total.last,
            src_ip: key.src_ip,
            dst_ip: key.dst_ip,
            src_port: key.src_port,
            dst_port: key.dst_port,
            protocol: key.protocol,
            tcp_flags: self.total.tcp_flags,
            tos: self.total.tos,
            packets: self.total.packets,
            octets: self.total.octets,
            sampling_rate: 1,
            scaled_packets: self.total.packets,
            scaled_octets: self.total.octets,
            vlan: key.vlan,
            mpls_label: self.total.mpls_label,
            src_mac: self.total.src_mac,
            dst_mac: self.total.dst_mac,
            icmp_type: key.icmp_type,
            icmp_code: key.icmp_code,
            flow_end_reason: reason as u8,
            direction: self.total.direction,
            ip_version: key.ip_version,
            ..FlowRow::default()
        }
    }
}
