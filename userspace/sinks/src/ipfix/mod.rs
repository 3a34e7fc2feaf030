//! Flow records on their way to another collector, as IPFIX (RFC 7011) over UDP.
//!
//! Takes rows of queries over `flows` without an aggregate, sends one record a row. A query that has `sampling_rate`
//! names the rate of each record by a selector, which is announced. Templates and selectors are announced before the
//! first record that needs them, and again every minute and every so many messages. A result that could not be sent as a
//! whole goes on where it was; what is lost on the way leaves a gap in the numbers of messages.

mod columns;
mod message;

use crate::origin::Origin;
use crate::place::connected_udp;
use crate::progress::Progress;
use crate::sink::{Parcel, Refusal, Sink};
use columns::{Columns, Record};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use message::{Exporter, Message};
use std::collections::BTreeMap;
use std::io;
use std::net::UdpSocket;
use tapline_record::EventTime;

/// How long what was announced holds, in nanoseconds, and for how many messages.
const ANNOUNCED_FOR_NS: i64 = 60_000_000_000;
const ANNOUNCED_FOR_MESSAGES: u32 = 4096;
const SECOND_NS: i64 = 1_000_000_000;

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpfixOptions {
    /// A host and a port.
    pub place: String,
    /// The observation domain that they are of.
    pub domain: u32,
}

/// Sends flow records on.
pub struct IpfixSink {
    options: IpfixOptions,
    socket: Option<UdpSocket>,
    exporter: Exporter,
    message: Message,
    record: Record,
    progress: Progress,
    /// When all was announced last, and the messages since.
    announced: EventTime,
    messages: u32,
    lost: BTreeMap<String, u64>,
}

impl IpfixSink {
    /// Sends them there; nothing is opened yet.
    #[must_use]
    pub fn new(options: IpfixOptions) -> Self {
        let exporter = Exporter::new(options.domain);
        Self {
            options,
            socket: None,
            exporter,
            message: Message::default(),
            record: Record::default(),
            progress: Progress::default(),
            announced: EventTime::MIN,
            messages: 0,
            lost: BTreeMap::new(),
        }
    }

    /// Announces all that was not announced, or not lately.
    fn announce(&mut self, now: EventTime) -> io::Result<()> {
        let is_old = now.0.saturating_sub(self.announced.0) >= ANNOUNCED_FOR_NS;
        if is_old || self.messages >= ANNOUNCED_FOR_MESSAGES {
            self.exporter.announce_again();
            (self.announced, self.messages) = (now, 0);
        }
        while let Some(mut announcement) = self.exporter.announcement() {
            self.send(&mut announcement.message, now)?;
            self.exporter.announced(&announcement);
        }
        Ok(())
    }

    /// Opens a socket where there is none. Its port is a new one, by which receivers tell exporters apart: nothing was
    /// announced by that.
    fn connect(&mut self) -> io::Result<()> {
        if self.socket.is_none() {
            self.socket = Some(connected_udp(&self.options.place)?);
            self.announced = EventTime::MIN;
        }
        Ok(())
    }

    fn send(&mut self, message: &mut Message, now: EventTime) -> io::Result<()> {
        // What fails is given up with its socket.
        let socket = self.socket.take().ok_or(io::ErrorKind::NotConnected)?;
        let seconds = u32::try_from(now.0.div_euclid(SECOND_NS)).unwrap_or_default();
        socket.send(self.exporter.finish(message, seconds))?;
        self.exporter.sent(message);
        self.messages += 1;
        self.socket = Some(socket);
        Ok(())
    }

    /// Sends the message that was made, which has all rows before this one.
    fn send_made(&mut self, rows: usize, now: EventTime) -> io::Result<()> {
        let mut message = std::mem::take(&mut self.message);
        if !message.is_empty() {
            self.connect()?;
            self.announce(now)?;
            self.send(&mut message, now)?;
        }
        self.progress.note(rows);
        Ok(())
    }

    /// Puts a row into the message; says whether it can be told in any template.
    fn put(&mut self, columns: &Columns, row: usize, before: usize, now: EventTime) -> io::Result<bool> {
        let Self { exporter, record, .. } = self;
        columns.read(row, record, |rate| exporter.selector_of(rate));
        if record.fields.is_empty() {
            return Ok(false);
        }
        let Some(template) = exporter.template_of(&record.fields) else { return Ok(false) };
        if !self.message.put_record(template, &self.record.octets) {
            self.send_made(before, now)?;
            self.message.put_record(template, &self.record.octets);
        }
        Ok(true)
    }

    /// Sends all rows that were not sent before; gives how many could not be told.
    fn send_rows(&mut self, parcel: &Parcel, batches: &[Columns], rows: &[usize]) -> io::Result<u64> {
        let (sent, mut number, mut untold) = (self.progress.of(&parcel.result), 0, 0);
        for (columns, &rows) in batches.iter().zip(rows) {
            for row in 0..rows {
                if number >= sent && !self.put(columns, row, number, parcel.given)? {
                    untold += 1;
                }
                number += 1;
            }
        }
        self.send_made(number, parcel.given)?;
        Ok(untold)
    }
}

impl Sink for IpfixSink {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        let never = |error: ArrowError| Refusal::Never(error.to_string());
        let batches = &parcel.result.rows;
        let columns = batches.iter().map(Columns::of).collect::<Result<Vec<_>, _>>().map_err(never)?;
        let rows: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
        // What was made before and could not be sent is made again.
        self.message = Message::default();
        let untold = self.send_rows(parcel, &columns, &rows).map_err(|error| {
            Refusal::Later(format!("udp://{} takes no flows: {error}", self.options.place))
        })?;
        self.progress.end();
        if untold > 0 {
            *self.lost.entry(parcel.origin.name.clone()).or_default() += 1;
        }
        Ok(())
    }

    fn lost(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.lost)
    }

    fn requires(&self) -> fn(&Origin) -> Result<(), String> {
        columns::check
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::ResultId;
    use crate::test_results::origin_of;
    use datafusion::arrow::array::{ArrayRef, UInt16Array};
    use std::sync::Arc;
    use std::time::Duration;
    use tapline_operators::{QueryId, Status, WindowResult};

    /// A flow to the port of names.
    fn parcel() -> Parcel {
        let origin = origin_of("flows_on", "SELECT dst_port FROM flows");
        let port: ArrayRef = Arc::new(UInt16Array::from(vec![53]));
        let rows = vec![RecordBatch::try_new(Arc::clone(origin.columns.schema()), vec![port]).unwrap()];
        let (status, completeness) = (Status::Final, None);
        let (query, revision) = (QueryId(0), 0);
        let result = WindowResult { query, window: None, status, revision, completeness, rows };
        let result = Arc::new(result);
        Parcel { id: ResultId { sender: 1, number: 1 }, origin, result, given: EventTime(SECOND_NS) }
    }

    fn receiver(place: &str) -> UdpSocket {
        let receiver = UdpSocket::bind(place).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        receiver
    }

    /// The number of the first set of the next message.
    fn set(receiver: &UdpSocket) -> u16 {
        let mut message = [0; 1500];
        assert!(receiver.recv(&mut message).unwrap() > 20);
        u16::from_be_bytes([message[16], message[17]])
    }

    #[test]
    fn whoever_is_back_hears_all_templates_first() {
        let first = receiver("127.0.0.1:0");
        let place = first.local_addr().unwrap().to_string();
        let mut sink = IpfixSink::new(IpfixOptions { place: place.clone(), domain: 1 });
        sink.take(&parcel()).unwrap();
        sink.take(&parcel()).unwrap();
        assert_eq!([set(&first), set(&first), set(&first)], [2, 257, 257]);
        drop(first);
        let refused = (0..100).any(|_| sink.take(&parcel()).is_err());
        assert!(refused, "nobody is there");
        let second = receiver(&place);
        sink.take(&parcel()).unwrap();
        assert_eq!([set(&second), set(&second)], [2, 257]);
    }
}
