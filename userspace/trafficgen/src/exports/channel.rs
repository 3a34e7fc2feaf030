//! The way from one exporter to the wire, on which things go wrong on purpose.
//!
//! Takes the exporter's datagrams, appends to an outbox what is sent of them, and counts every fate. Datagrams
//! without records are neither lost nor overtaken; the first and the last datagrams of a sequence are not lost.

use super::block::Block;
use super::exporter::{Emission, Exporter};
use super::outbox::Outbox;
use super::plan::{ExportPlan, Faults};
use super::protocols::datagrams_of_all_sequences;
use super::truth::{Amount, Truth};
use crate::random::Random;

/// An exporter and its way.
#[derive(Debug)]
pub(super) struct Channel {
    exporter: Exporter,
    faults: Faults,
    random: Random,
    held: Option<Held>,
    /// The octets of the datagram that is held back.
    held_octets: Vec<u8>,
    /// So many datagrams with records are needed to show a loss in every sequence.
    shown_by: u64,
    /// So many were sent since the latest loss.
    since_loss: u64,
    /// All but the pairs.
    truth: Truth,
    /// How often each datagram of the block was sent.
    times: Vec<u64>,
}

/// A datagram that is overtaken by its successors.
#[derive(Clone, Copy, Debug)]
struct Held {
    index: usize,
    /// How many successors are to be sent first, and how many were.
    wait: u64,
    overtaken_by: u64,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Sent,
    Lost,
    Held,
    Duplicated,
}

impl Channel {
    pub(super) fn new(plan: &ExportPlan, number: u32, block: &Block) -> Self {
        Self {
            exporter: Exporter::new(*plan, number, block),
            faults: plan.faults,
            random: Random::new(plan.seed ^ u64::from(number).rotate_left(32), "channel"),
            held: None,
            held_octets: Vec::new(),
            shown_by: datagrams_of_all_sequences(plan.protocol),
            since_loss: u64::MAX,
            truth: Truth::default(),
            times: vec![0; block.datagrams()],
        }
    }

    /// Generates a datagram and appends what is sent; gives the number of records that were generated.
    pub(super) fn emit(&mut self, block: &Block, time_ns: u64, outbox: &mut Outbox) -> u64 {
        if self.exporter.is_at_barrier(time_ns) {
            self.release(block, outbox);
        }
        let is_spared = self.exporter.is_at_an_end(self.shown_by);
        let is_withheld = self.exporter.is_withholding();
        let index = match self.exporter.next(block, time_ns, outbox.open()) {
            Emission::Records(index) => index,
            Emission::Control(control) => {
                self.truth.control = self.truth.control + control;
                self.seal(outbox);
                return 0;
            }
        };
        let amount = block.amount(index);
        self.truth.generated += amount;
        if is_withheld {
            self.truth.withheld += amount;
        }
        match self.fate(is_spared) {
            Fate::Sent => self.send(index, amount, outbox),
            Fate::Lost => self.lose(amount, outbox),
            Fate::Held => self.hold(index, outbox),
            Fate::Duplicated => self.send_twice(index, amount, outbox),
        }
        self.release_when_overtaken(block, outbox);
        amount.records
    }

    /// Appends what is held back, and more datagrams when without them nobody could see the latest loss.
    pub(super) fn finish(&mut self, block: &Block, time_ns: u64, outbox: &mut Outbox) {
        self.release(block, outbox);
        self.faults = Faults { lose_percent: 0, reorder_percent: 0, duplicate_percent: 0, ..self.faults };
        while self.since_loss < self.shown_by {
            self.emit(block, time_ns, outbox);
        }
    }

    /// Adds what happened to a truth and how often each datagram of the block was sent to `times`; that is
    /// all that a truth's pairs follow from.
    pub(super) fn account(&self, truth: &mut Truth, times: &mut [u64]) {
        truth.merge(&self.truth);
        truth.restarts += self.exporter.restarts();
        truth.redefinitions += self.exporter.redefinitions();
        for (sum, own) in times.iter_mut().zip(&self.times) {
            *sum += own;
        }
    }

    /// Draws what becomes of the datagram; the number of draws does not depend on the outcome.
    fn fate(&mut self, is_spared: bool) -> Fate {
        let Faults { lose_percent, reorder_percent, duplicate_percent, .. } = self.faults;
        if lose_percent + reorder_percent + duplicate_percent == 0 {
            return Fate::Sent;
        }
        let point = self.random.below(100);
        if point < lose_percent {
            return if is_spared { Fate::Sent } else { Fate::Lost };
        }
        if point < lose_percent + reorder_percent {
            return if self.held.is_some() { Fate::Sent } else { Fate::Held };
        }
        if point < lose_percent + reorder_percent + duplicate_percent { Fate::Duplicated } else { Fate::Sent }
    }

    fn send(&mut self, index: usize, amount: Amount, outbox: &mut Outbox) {
        self.seal(outbox);
        self.count_sent(index, amount);
        self.since_loss = self.since_loss.saturating_add(1);
        if let Some(held) = &mut self.held {
            held.overtaken_by += 1;
        }
    }

    fn send_twice(&mut self, index: usize, amount: Amount, outbox: &mut Outbox) {
        self.send(index, amount, outbox);
        let before = outbox.octets();
        outbox.repeat_last();
        self.truth.payload_octets += (outbox.octets() - before) as u64;
        self.truth.duplicated += amount;
        self.count_sent(index, amount);
    }

    fn lose(&mut self, amount: Amount, outbox: &mut Outbox) {
        outbox.discard();
        self.truth.lost += amount;
        self.since_loss = 0;
    }

    fn hold(&mut self, index: usize, outbox: &mut Outbox) {
        const SUCCESSORS_MAX: u64 = 4;
        self.held_octets.clear();
        self.held_octets.extend_from_slice(outbox.unsealed());
        outbox.discard();
        let wait = self.random.within(1..SUCCESSORS_MAX + 1);
        self.held = Some(Held { index, wait, overtaken_by: 0 });
    }

    fn release_when_overtaken(&mut self, block: &Block, outbox: &mut Outbox) {
        if self.held.is_some_and(|held| held.overtaken_by >= held.wait) {
            self.release(block, outbox);
        }
    }

    /// Sends what is held back.
    fn release(&mut self, block: &Block, outbox: &mut Outbox) {
        let Some(held) = self.held.take() else { return };
        outbox.open().extend_from_slice(&self.held_octets);
        self.seal(outbox);
        let amount = block.amount(held.index);
        self.count_sent(held.index, amount);
        if held.overtaken_by > 0 {
            self.truth.reordered += amount;
        }
    }

    /// The datagram at the end of the outbox is sent.
    fn seal(&mut self, outbox: &mut Outbox) {
        self.truth.payload_octets += outbox.unsealed().len() as u64;
        outbox.seal();
    }

    fn count_sent(&mut self, index: usize, amount: Amount) {
        self.truth.sent += amount;
        self.times[index] += 1;
    }
}
