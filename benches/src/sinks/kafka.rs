//! Results as messages, beside the library alone, which sends as many of the same.

use std::time::{Duration, Instant};

use anyhow::{Error, Result, ensure};
use harness::servers::Broker;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tapline_kafka::{KafkaOptions, KafkaSink, MessageFormat, MessageKey};
use tapline_programs::folders;
use tapline_sinks::lines;

use super::Times;
use super::give::to_server;
use super::results::Results;
use super::servers::place;

/// The broker keeps all of them in memory.
const ROWS_MAX: u64 = 1_000_000;
const DELIVERED_WITHIN: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(1);

pub(super) fn measure(results: &Results) -> Result<Option<Times>> {
    let Some(broker) = Broker::start() else { return Ok(None) };
    let results = results.at_most(ROWS_MAX);
    let (folder, _) = place("kafka")?;
    let brokers = format!("127.0.0.1:{}", broker.port());
    let (url, format, key) = (format!("kafka://{brokers}"), MessageFormat::Json, MessageKey::Keys);
    let options = KafkaOptions::new(&url, None, format, key).map_err(Error::msg)?;
    let sink = to_server(&results, Box::new(KafkaSink::new(options)), &folder)?;
    let alone = alone(&brokers, &results)?;
    folders::clear(&folder)?;
    Ok(Some(Times { rows: results.rows(), sink, alone, by: "rdkafka" }))
}

fn alone(brokers: &str, results: &Results) -> Result<Duration> {
    let Some(parcel) = results.parcels().next() else { return Ok(Duration::ZERO) };
    let text = lines(&parcel.origin.columns.batches(&parcel.result)?)?;
    let messages = text.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()).cycle();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("enable.idempotence", "true");
    config.set("compression.type", "lz4").set("queue.buffering.max.messages", "1000000");
    let producer: BaseProducer = config.create()?;
    let started = Instant::now();
    for message in messages.take(results.rows() as usize) {
        send(&producer, message)?;
    }
    producer.flush(DELIVERED_WITHIN)?;
    ensure!(producer.in_flight_count() == 0, "the broker does not take all messages");
    Ok(started.elapsed())
}

fn send(producer: &BaseProducer, message: &[u8]) -> Result<()> {
    loop {
        match producer.send(BaseRecord::<[u8], [u8]>::to("alone").key(message).payload(message)) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => producer.poll(LOOK),
            Err((error, _)) => return Err(error.into()),
        }
    }
}
