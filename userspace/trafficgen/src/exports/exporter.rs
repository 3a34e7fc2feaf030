//! One exporter, as it should be.
//!
//! Takes the time, gives its next datagram: records of the block in turn, templates or counters when they are
//! due. It restarts and redefines its template where the plan says so; nothing is lost here.

use super::block::Block;
use super::claim::Claim;
use super::dialect::{Dialect, Moment};
use super::plan::ExportPlan;
use super::protocols::dialect;
use super::truth::Control;

/// What a datagram is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Emission {
    /// Records: the datagram of the block.
    Records(usize),
    /// Anything else.
    Control(Control),
}

/// The state of an exporter.
#[derive(Debug)]
pub(super) struct Exporter {
    plan: ExportPlan,
    claim: Claim,
    dialect: Box<dyn Dialect>,
    /// The datagram of the block that comes next.
    index: usize,
    /// Datagrams with records so far.
    generated: u64,
    /// When it started, by its own account; `None` before its first datagram.
    boot_ns: Option<u64>,
    due: Due,
    /// When templates or counters were sent last; `None` before the first time.
    control_ns: Option<u64>,
    restarts: u64,
    redefinitions: u64,
}

/// What is due before the next datagram with records.
#[derive(Clone, Copy, Debug)]
struct Due {
    restart: bool,
    redefinition: bool,
    control: bool,
}

impl Exporter {
    pub(super) fn new(plan: ExportPlan, number: u32, block: &Block) -> Self {
        /// Exporters are at different places of the block.
        const STRIDE: usize = 769;
        let has_control = plan.protocol.has_control() && plan.faults.withhold_datagrams == 0;
        Self {
            plan,
            claim: plan.faults.nonsense_of(number).map_or(Claim::Right, Claim::nonsense),
            dialect: dialect(&plan, number),
            index: number as usize * STRIDE % block.datagrams(),
            generated: 0,
            boot_ns: None,
            due: Due { restart: false, redefinition: false, control: has_control },
            control_ns: None,
            restarts: 0,
            redefinitions: 0,
        }
    }

    /// Appends the next datagram.
    pub(super) fn next(&mut self, block: &Block, time_ns: u64, out: &mut Vec<u8>) -> Emission {
        let control_is_due = self.control_is_due(time_ns);
        self.restart_when_due(time_ns);
        self.redefinitions += u64::from(std::mem::take(&mut self.due.redefinition));
        let moment = self.moment(time_ns);
        let layout = block.layout(self.redefinitions);
        if control_is_due {
            self.due.control = false;
            self.control_ns = Some(time_ns);
            let control = self.dialect.write_control(layout, moment, out);
            return Emission::Control(Control { datagrams: 1, ..control });
        }
        let (start, index) = (out.len(), self.index);
        out.extend_from_slice(block.datagram(index, self.redefinitions));
        self.dialect.stamp(&mut out[start..], layout, moment);
        self.index = if index + 1 == block.datagrams() { 0 } else { index + 1 };
        self.generated += 1;
        self.due = self.due_after(self.generated);
        Emission::Records(index)
    }

    /// Whether the next datagram with records is among the first or the last of its sequence, so many at each
    /// end.
    pub(super) fn is_at_an_end(&self, datagrams: u64) -> bool {
        let period = self.plan.faults.restart_every_datagrams;
        let before = self.generated.checked_rem(period).unwrap_or(self.generated);
        before < datagrams || period > 0 && period - before <= datagrams
    }

    /// Whether nothing that came before may come after the next datagram.
    pub(super) fn is_at_barrier(&self, time_ns: u64) -> bool {
        self.due.restart || self.control_is_due(time_ns)
    }

    /// Whether no template has been sent yet.
    pub(super) fn is_withholding(&self) -> bool {
        self.generated < self.plan.faults.withhold_datagrams
    }

    pub(super) fn restarts(&self) -> u64 {
        self.restarts
    }

    pub(super) fn redefinitions(&self) -> u64 {
        self.redefinitions
    }

    /// Whether templates or counters come next, by number or by time.
    fn control_is_due(&self, time_ns: u64) -> bool {
        let period_ns = self.plan.control_every_ms.saturating_mul(1_000_000);
        self.due.control
            || self.control_ns.is_some_and(|latest_ns| time_ns.saturating_sub(latest_ns) >= period_ns)
    }

    fn restart_when_due(&mut self, time_ns: u64) {
        /// A booted exporter has been up for longer than any of its flows lasts.
        const UPTIME_AT_START_NS: u64 = 10_000_000_000_000;
        const UPTIME_AT_RESTART_NS: u64 = 60_000_000_000;
        if std::mem::take(&mut self.due.restart) {
            self.dialect.restart();
            self.restarts += 1;
            self.boot_ns = Some(time_ns.saturating_sub(UPTIME_AT_RESTART_NS));
        }
        self.boot_ns.get_or_insert(time_ns.saturating_sub(UPTIME_AT_START_NS));
    }

    fn moment(&self, time_ns: u64) -> Moment {
        let uptime_ns = time_ns.saturating_sub(self.boot_ns.unwrap_or_default());
        self.claim.moment(time_ns, (uptime_ns / 1_000_000) as u32)
    }

    /// What is due after so many datagrams with records.
    fn due_after(&self, generated: u64) -> Due {
        let faults = &self.plan.faults;
        let restart = is_multiple(generated, faults.restart_every_datagrams);
        let has_begun = generated >= faults.withhold_datagrams && self.plan.protocol.has_control();
        let redefinition = has_begun && is_multiple(generated, faults.redefine_every_datagrams);
        let again = generated == faults.withhold_datagrams
            || is_multiple(generated, self.plan.control_every_datagrams)
            || restart
            || redefinition;
        Due { restart, redefinition, control: has_begun && again }
    }
}

/// Whether the number is a multiple of a period; none is of 0.
fn is_multiple(number: u64, period: u64) -> bool {
    period > 0 && number.is_multiple_of(period)
}

const _: () = assert!(super::flow::AGE_MS_MAX < 60_000, "uptimes after a restart would be negative");
