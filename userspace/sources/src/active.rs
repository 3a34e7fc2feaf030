//! Flows that are active, told to somebody who asks.
//!
//! Who asks makes a ring, and gives one end of it to the thread that meters the flows. Between two turns that thread
//! puts in as many as there is room for, a few thousand at the most, until it has told all: it never waits, and takes
//! no memory for it. Whoever asked takes them out meanwhile.

use rtrb::{Consumer, PopError, Producer, RingBuffer};
use tapline_decode::FlowMeter;
use tapline_decode::flow_meter::{ActiveFlow, FlowPlace};
use tapline_record::EventTime;

/// Flows that are told at once.
const BURST_FLOWS: usize = 4096;

/// What a source says behind the flows that it has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowsTold {
    /// It meters none.
    Nothing,
    /// They are those that it meters.
    Metered {
        /// What time it is where they come from.
        now: EventTime,
        /// Since when it meters.
        since: EventTime,
        /// How long a flow may be silent, in nanoseconds.
        inactive_timeout_ns: i64,
        /// Whether flows that may be active were let go for want of room.
        is_full: bool,
    },
}

impl FlowsTold {
    /// They are those of this meter, which has been given packets since then.
    pub(crate) fn by(meter: &FlowMeter, now: EventTime, since: EventTime) -> Self {
        let (inactive_timeout_ns, is_full) = (meter.inactive_timeout_ns(), meter.lacks_room());
        Self::Metered { now, since: since.max(meter.began()), inactive_timeout_ns, is_full }
    }
}

/// What is told.
#[derive(Debug)]
enum News {
    Flow(ActiveFlow),
    End(FlowsTold),
}

/// Somebody asks a source.
#[derive(Debug)]
pub struct FlowsAsk {
    /// Whether the kernel's table is asked, and not who reads packets.
    of_table: bool,
    news: Producer<News>,
    /// How far this was told.
    place: FlowPlace,
}

/// What is taken of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// What there was, of which there is more to come; whether there was anything.
    Part(bool),
    /// All.
    All(FlowsTold),
    /// What there was: whoever told has ended.
    Broken,
}

/// The answer of a source.
#[derive(Debug)]
pub struct FlowsAnswer(Consumer<News>);

/// A question about active flows, of the kernel's table or of who reads packets, and its answer.
#[must_use]
pub fn ask_flows(of_table: bool) -> (FlowsAsk, FlowsAnswer) {
    let (news, answer) = RingBuffer::new(BURST_FLOWS);
    (FlowsAsk { of_table, news, place: FlowPlace::BEGINNING }, FlowsAnswer(answer))
}

impl FlowsAnswer {
    /// Takes what has come.
    pub fn take(&mut self, mut visit: impl FnMut(ActiveFlow)) -> Taken {
        let mut has_come = false;
        // Whoever tells does so before he goes.
        let is_abandoned = self.0.is_abandoned();
        loop {
            match self.0.pop() {
                Ok(News::Flow(flow)) => visit(flow),
                Ok(News::End(told)) => return Taken::All(told),
                Err(PopError::Empty) if is_abandoned => return Taken::Broken,
                Err(PopError::Empty) => return Taken::Part(has_come),
            }
            has_come = true;
        }
    }
}

impl FlowsAsk {
    /// Whether the kernel's table is asked, and not who reads packets.
    pub(crate) const fn is_of_table(&self) -> bool {
        self.of_table
    }

    /// Whether nothing was told yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.place == FlowPlace::BEGINNING
    }

    /// Whether nobody waits for it any more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.news.is_abandoned()
    }

    /// Says that nothing more comes; says whether there was room for that.
    pub(crate) fn end(&mut self, told: FlowsTold) -> bool {
        self.news.push(News::End(told)).is_ok()
    }

    /// Tells flows of as many places as there is room for, and in the end this; says whether that was all.
    pub(crate) fn tell(&mut self, meter: &FlowMeter, told: FlowsTold) -> bool {
        // One place is for the end.
        let Some(room @ 1..) = self.news.slots().checked_sub(1) else { return false };
        let news = &mut self.news;
        let behind = meter.read(self.place, room, &mut |flow| {
            let _ = news.push(News::Flow(*flow));
        });
        let Some(place) = behind else { return self.end(told) };
        self.place = place;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_decode::FlowMeterLimits;
    use tapline_decode::flow_meter::FlowUpdate;
    use tapline_record::FlowKey;

    const TOLD: FlowsTold = FlowsTold::Metered {
        now: EventTime(2),
        since: EventTime(1),
        inactive_timeout_ns: 15,
        is_full: false,
    };

    fn meter(flows: u16) -> FlowMeter {
        let mut meter = FlowMeter::new(FlowMeterLimits::default());
        for src_port in 0..flows {
            let key = FlowKey { src_port, ..FlowKey::default() };
            meter.add(&FlowUpdate { key, packets: 1, ..FlowUpdate::default() }, &mut |_| ());
        }
        meter
    }

    #[test]
    fn many_flows_are_told_in_bursts() {
        let (meter, (mut ask, mut answer)) = (meter(10_000), ask_flows(false));
        assert!(ask.is_fresh() && !ask.is_of_table());
        let (mut ports, mut bursts) = (vec![], vec![]);
        let all = loop {
            let is_told = ask.tell(&meter, TOLD);
            let before = ports.len();
            match answer.take(|flow| ports.push(flow.key.src_port)) {
                Taken::Part(true) => bursts.push(ports.len() - before),
                other => break (is_told, other),
            }
        };
        assert_eq!(all, (true, Taken::All(TOLD)));
        assert_eq!(bursts, [4095, 4095, 1810]);
        assert!(ports.into_iter().eq(0..10_000));
        drop(answer);
        assert!(ask.is_abandoned());
    }

    #[test]
    fn nobody_waits_for_who_takes_nothing_out() {
        let (meter, (mut ask, mut answer)) = (meter(5_000), ask_flows(true));
        for _ in 0..4 {
            assert!(!ask.tell(&meter, TOLD));
        }
        let mut flows = 0;
        assert_eq!(answer.take(|_| flows += 1), Taken::Part(true));
        assert_eq!((flows, answer.take(|_| ())), (4095, Taken::Part(false)));
        drop(ask);
        assert_eq!(answer.take(|_| ()), Taken::Broken);
    }
}
