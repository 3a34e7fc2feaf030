//! Sends results, and waits until brokers have them.
//!
//! What has no answer stays with the library, which numbers messages so that brokers take none twice; only what came
//! back is sent again. So a message comes once, as long as the process lives; over a restart, some may come twice, and
//! say by a header which rows of which result they are.

use crate::message::Message;
use crate::options::KafkaOptions;
use crate::reports::{Listener, Reports, Stand};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord};
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_record::EventTime;
use tapline_sinks::{Parcel, Refusal, ResultId, Sink};

/// How long brokers may take for what is sent at once, until somebody is told.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// Between two looks at what became of messages.
const LOOK: Duration = Duration::from_millis(10);
/// Octets of messages that are on their way at once; those of one result always are.
const OCTETS_MAX: usize = 32 << 20;
/// Octets of one message: the library and brokers take a million, with the headers.
const MESSAGE_OCTETS_MAX: usize = 990_000;

/// Sends results as messages.
pub struct KafkaSink {
    options: KafkaOptions,
    reports: Arc<Reports>,
    producer: Option<BaseProducer<Listener>>,
    /// What is on its way.
    batch: Option<Batch>,
    answered_within: Duration,
}

/// The messages of some results.
struct Batch {
    ids: Vec<ResultId>,
    messages: Vec<Message>,
}

impl KafkaSink {
    /// Sends where these options say; connects when there is something to send.
    #[must_use]
    pub fn new(options: KafkaOptions) -> Self {
        let reports = Arc::new(Reports::default());
        Self { options, reports, producer: None, batch: None, answered_within: ANSWERED_WITHIN }
    }

    /// The messages of results, up to the first one that has none, or as many as go at once.
    fn batch(&self, parcels: &[Parcel]) -> (Batch, Result<(), Refusal>) {
        let (mut batch, mut octets) = (Batch { ids: vec![], messages: vec![] }, 0);
        for parcel in parcels {
            let messages = match Message::all_of(parcel, &self.options) {
                Ok(messages) => messages,
                Err(error) => return (batch, Err(Refusal::Never(error.to_string()))),
            };
            if let Some(message) = messages.iter().find(|message| message.octets() > MESSAGE_OCTETS_MAX) {
                let octets = message.octets();
                let why =
                    format!("a row of {octets} octets is too long for a message of {MESSAGE_OCTETS_MAX}");
                return (batch, Err(Refusal::Never(why)));
            }
            octets += messages.iter().map(Message::octets).sum::<usize>();
            if octets > OCTETS_MAX && !batch.ids.is_empty() {
                break;
            }
            batch.ids.push(parcel.id);
            batch.messages.extend(messages);
        }
        (batch, Ok(()))
    }

    /// Gives to the library what it has not, and waits until brokers have all.
    fn deliver(&mut self, batch: &Batch) -> Result<(), String> {
        let deadline = Instant::now() + self.answered_within;
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.connect()?,
        };
        let outcome = self.send(&producer, batch, deadline).and_then(|()| self.wait(&producer, deadline));
        if self.reports.stand() != Stand::Broken {
            self.producer = Some(producer);
        }
        outcome
    }

    fn connect(&self) -> Result<BaseProducer<Listener>, String> {
        self.reports.mend();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.options.brokers).set("client.id", "tapline");
        config.set("enable.idempotence", "true").set("compression.type", "lz4");
        // Whether a message that was given up arrived, nobody would know: none is.
        config.set("message.timeout.ms", "0");
        config.set("queue.buffering.max.messages", "1000000").set("queue.buffering.max.kbytes", "131072");
        config.set("socket.keepalive.enable", "true");
        let created = config.create_with_context(Listener(Arc::clone(&self.reports)));
        created.map_err(|error| self.said(&error.to_string()))
    }

    fn send(
        &self,
        producer: &BaseProducer<Listener>,
        batch: &Batch,
        deadline: Instant,
    ) -> Result<(), String> {
        for (number, message) in batch.messages.iter().enumerate() {
            while self.reports.is_unsent(number) {
                match producer.send(record(message, number)) {
                    Ok(()) => self.reports.sent(number),
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                        if Instant::now() < deadline =>
                    {
                        producer.poll(LOOK);
                    }
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        return Err(self.unanswered());
                    }
                    Err((error, _)) => return Err(self.said(&error.to_string())),
                }
            }
        }
        Ok(())
    }

    fn wait(&self, producer: &BaseProducer<Listener>, deadline: Instant) -> Result<(), String> {
        loop {
            producer.poll(LOOK);
            match self.reports.stand() {
                Stand::Delivered => return Ok(()),
                Stand::OnTheirWay if Instant::now() < deadline => {}
                _ => return Err(self.unanswered()),
            }
        }
    }

    /// That brokers do not have all, and what was wrong last.
    fn unanswered(&self) -> String {
        let wrong = self.reports.wrong();
        self.said(&wrong.unwrap_or_else(|| format!("no answer within {} s", self.answered_within.as_secs())))
    }

    fn said(&self, wrong: &str) -> String {
        format!(
            "Kafka at {} does not take results: {wrong}; start it, or give another url",
            self.options.brokers
        )
    }
}

impl Batch {
    /// Whether it is of the first ones of these results.
    fn is_of(&self, parcels: &[Parcel]) -> bool {
        let first = parcels.iter().take(self.ids.len()).map(|parcel| parcel.id);
        first.eq(self.ids.iter().copied())
    }
}

/// A message as the library takes it.
fn record(message: &Message, number: usize) -> BaseRecord<'_, [u8], [u8], usize> {
    let of = &message.of;
    let result = format!("{}-{}-{}", of.id.sender, of.id.number, message.number);
    let said = [
        ("tapline-query", of.query.as_str()),
        ("tapline-status", of.status),
        ("tapline-window-start", of.window_start.as_str()),
        ("tapline-window-end", of.window_end.as_str()),
        ("tapline-result", result.as_str()),
    ];
    let headers = said.into_iter().filter(|(_, value)| !value.is_empty());
    let headers = headers.fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    });
    let record = BaseRecord::with_opaque_to(&of.topic, number).key(message.key.as_slice());
    record.payload(message.value.as_slice()).headers(headers)
}

impl Sink for KafkaSink {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        self.take_all(slice::from_ref(parcel)).1
    }

    fn take_all(&mut self, parcels: &[Parcel]) -> (usize, Result<(), Refusal>) {
        if self.batch.as_ref().is_some_and(|batch| !batch.is_of(parcels)) {
            // Other results come: what is on its way is given up.
            (self.batch, self.producer) = (None, None);
        }
        let (batch, next) = if let Some(batch) = self.batch.take() {
            (batch, Ok(()))
        } else {
            let (batch, next) = self.batch(parcels);
            self.reports.begin(batch.messages.len());
            (batch, next)
        };
        if batch.ids.is_empty() {
            return (0, next);
        }
        match self.deliver(&batch) {
            Ok(()) => (batch.ids.len(), next),
            Err(why) => {
                self.batch = Some(batch);
                (0, Err(Refusal::Later(why)))
            }
        }
    }

    fn tend(&mut self, _: EventTime) -> Result<(), String> {
        if let Some(producer) = &self.producer {
            producer.poll(Duration::ZERO);
        }
        Ok(())
    }

    fn finish(&mut self, _: EventTime) -> Result<(), String> {
        self.producer = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
