//! What stands in for a source that is not there at the moment.
//!
//! Gives no rows. Says that time goes on without any, so that windows close as they would if the source were there
//! and had nothing to give.

use crate::clock::Clock;
use crate::demand::Demand;
use crate::source::{Progress, Source, Step};
use arrow_array::RecordBatch;
use std::io;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;
use tapline_record::{EventTime, Stream, StreamId, Watermarks};

/// Between two looks at the clock.
const LOOK: Duration = Duration::from_millis(50);

/// Stands in for a source.
#[derive(Debug)]
pub struct AbsentSource {
    name: String,
    /// The streams that the source would carry.
    carries: Vec<&'static Stream>,
    /// Those of them that some query reads.
    streams: Vec<&'static Stream>,
    lateness_ns: i64,
    clock: Arc<dyn Clock>,
    now: EventTime,
}

impl AbsentSource {
    /// Stands in for the source of this name, which would carry these streams, with records that lie up to so many
    /// nanoseconds behind their arrival.
    #[must_use]
    pub fn new(name: &str, carries: Vec<&'static Stream>, lateness_ns: i64, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        Self { name: name.to_owned(), carries, streams: vec![], lateness_ns, clock, now }
    }
}

impl Source for AbsentSource {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn bind(&mut self, demand: &Demand) -> io::Result<()> {
        let wanted = self.carries.iter().filter(|stream| demand.columns(stream.id).is_some());
        self.streams = wanted.copied().collect();
        Ok(())
    }

    fn relayout(&mut self, demand: &Demand) -> io::Result<()> {
        self.bind(demand)
    }

    fn is_live(&self) -> bool {
        true
    }

    fn step(&mut self) -> Step {
        sleep(LOOK);
        self.now = self.now.max(self.clock.now());
        Step::Idle
    }

    fn streams(&self) -> Vec<&'static Stream> {
        self.streams.clone()
    }

    fn take(&mut self, _: StreamId, _: bool) -> Option<RecordBatch> {
        None
    }

    fn watermarks(&self) -> Watermarks {
        let mut watermarks = Watermarks::END;
        self.streams.iter().for_each(|stream| watermarks.set(stream.id, self.now.plus(-self.lateness_ns)));
        watermarks
    }

    fn lateness_ns(&self, _: StreamId) -> i64 {
        self.lateness_ns
    }

    fn latest(&self) -> EventTime {
        self.now
    }

    fn newly_missing(&mut self) -> i64 {
        0
    }

    fn note_dropped(&mut self, _: StreamId, _: u64) {}

    fn end(&mut self) {}

    fn recycle(&mut self, _: StreamId, _: RecordBatch) {}

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn report(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};
    use tapline_record::{FLOWS, PACKETS};

    #[derive(Debug, Default)]
    struct FakeClock(AtomicI64);

    impl Clock for FakeClock {
        fn now(&self) -> EventTime {
            EventTime(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn time_goes_on_in_the_streams_that_are_read() {
        let clock = Arc::new(FakeClock::default());
        let mut source = AbsentSource::new("eth0", vec![&PACKETS, &FLOWS], 5, clock.clone());
        let mut demand = Demand::default();
        demand.add(&FLOWS, &[], None);
        source.bind(&demand).unwrap();
        let of = |source: &AbsentSource| {
            [StreamId::Flows, StreamId::Packets].map(|stream| source.watermarks().of(stream))
        };
        assert_eq!(of(&source), [EventTime(-5), EventTime::MAX]);
        for (time, expected) in [(100, 95), (40, 95)] {
            clock.0.store(time, Ordering::Relaxed);
            assert_eq!(source.step(), Step::Idle);
            assert_eq!(of(&source), [EventTime(expected), EventTime::MAX], "a clock that steps back");
        }
    }
}
