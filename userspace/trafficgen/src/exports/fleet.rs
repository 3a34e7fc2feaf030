//! Many exporters of one plan.
//!
//! Takes the number of an exporter and the time, appends that exporter's next datagram to an outbox, and gives
//! the truth about all of them at any time.

use std::ops::Range;

use super::block::Block;
use super::channel::Channel;
use super::outbox::Outbox;
use super::plan::ExportPlan;
use super::truth::Truth;

/// Exporters that share one block of datagrams.
#[derive(Debug)]
pub struct Fleet {
    block: Block,
    channels: Vec<Channel>,
}

impl Fleet {
    /// The exporters with these numbers; every number makes another exporter, wherever it is.
    ///
    /// # Errors
    /// When a number of the plan cannot be, or there are too many exporters.
    pub fn new(plan: &ExportPlan, exporters: Range<u32>) -> Result<Self, String> {
        const EXPORTERS_MAX: u32 = 1 << 16;
        plan.check()?;
        if exporters.is_empty() || exporters.end > EXPORTERS_MAX {
            return Err(format!("exporters are {exporters:?}, they must be some of 0..{EXPORTERS_MAX}"));
        }
        let block = Block::new(plan);
        let channels = exporters.map(|number| Channel::new(plan, number, &block)).collect();
        Ok(Self { block, channels })
    }

    /// Number of exporters.
    #[must_use]
    pub fn exporters(&self) -> usize {
        self.channels.len()
    }

    /// Octets of the datagrams with records; all have the same.
    #[must_use]
    pub fn datagram_octets(&self) -> usize {
        self.block.datagram(0, 0).len()
    }

    /// Records of a datagram that has any.
    #[must_use]
    pub fn datagram_records(&self) -> u64 {
        self.block.amount(0).records
    }

    /// Appends what the exporter sends next, from none to three datagrams; `time_ns` counts nanoseconds since
    /// 1970. Gives the number of records that were generated, be they sent, lost or held back.
    ///
    /// # Panics
    /// When there is no such exporter.
    pub fn emit(&mut self, exporter: usize, time_ns: u64, outbox: &mut Outbox) -> u64 {
        self.channels[exporter].emit(&self.block, time_ns, outbox)
    }

    /// Appends what the exporter still holds back, so that everything is sent and every loss can be seen; it
    /// emits a few datagrams more when one of its latest was lost.
    ///
    /// # Panics
    /// When there is no such exporter.
    pub fn finish(&mut self, exporter: usize, time_ns: u64, outbox: &mut Outbox) {
        self.channels[exporter].finish(&self.block, time_ns, outbox);
    }

    /// The truth so far.
    #[must_use]
    pub fn truth(&self) -> Truth {
        let mut truth = Truth::default();
        let mut times = vec![0; self.block.datagrams()];
        for channel in &self.channels {
            channel.account(&mut truth, &mut times);
        }
        truth.pairs = self.block.pairs(&times);
        truth
    }
}
