//! Messages to brokers that the library plays.

use super::*;
use crate::options::{MessageFormat, MessageKey};
use arrow_ipc::reader::StreamReader;
use datafusion::arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::mocking::MockCluster;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use serde_json::Value;
use tapline_operators::{QueryId, ResultColumns, Span, Status, WindowResult};
use tapline_query::Planner;
use tapline_sinks::Origin;

const SQL: &str = "SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('1 second')";
const TOPIC: &str = "tapline.a";

/// A result of two rows, of the window of this second.
fn parcel(second: i64) -> Parcel {
    let query = Planner::new().plan(SQL).unwrap();
    let columns = ResultColumns::of(&query, true);
    let address = |last| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, last];
    let addresses = FixedSizeBinaryArray::try_from_iter([address(1), address(2)].into_iter()).unwrap();
    let rows: Vec<ArrayRef> =
        vec![Arc::new(addresses), Arc::new(Int64Array::from(vec![second, 10 * second]))];
    let rows = RecordBatch::try_new(Arc::new(Schema::new(columns.rows().to_vec())), rows).unwrap();
    let at = |second: i64| EventTime(second * 1_000_000_000);
    let result = WindowResult {
        query: QueryId(0),
        window: Some(Span { start: at(second), end: at(second + 1) }),
        status: Status::Final,
        revision: 0,
        completeness: Some(1.0),
        rows: vec![rows],
    };
    let origin = Origin::of("a", &query);
    let id = ResultId { sender: 5, number: second };
    Parcel { id, origin: Arc::new(origin), result: Arc::new(result), given: at(second) }
}

fn sink(brokers: &str, format: MessageFormat, key: MessageKey) -> KafkaSink {
    let options = KafkaOptions::new(&format!("kafka://{brokers}"), None, format, key).unwrap();
    KafkaSink { answered_within: Duration::from_secs(2), ..KafkaSink::new(options) }
}

/// A message that came: its key, its value, and which rows of which result it says that it is.
type Came = (String, Vec<u8>, String);

/// All messages of the topic, when there are so many, and no others for a second.
fn came(brokers: &str, messages: usize) -> Vec<Came> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", "test").create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let (mut came, mut last) = (vec![], Instant::now());
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.unwrap();
            let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
            let headers = message.headers().unwrap();
            let result = headers.iter().find(|header| header.key == "tapline-result").unwrap().value.unwrap();
            came.push((text(message.key().unwrap()), message.payload().unwrap().to_vec(), text(result)));
            last = Instant::now();
        }
        let waits = if came.len() < messages { 20 } else { 1 };
        if last.elapsed() >= Duration::from_secs(waits) {
            return came;
        }
    }
}

#[test]
fn rows_are_messages_with_the_keys_of_the_query() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let mut by_keys = sink(&brokers, MessageFormat::Json, MessageKey::Keys);
    let (taken, outcome) = by_keys.take_all(&[parcel(1), parcel(2)]);
    assert!(taken == 2 && outcome.is_ok(), "{outcome:?}");
    sink(&brokers, MessageFormat::Json, MessageKey::Window).take(&parcel(3)).unwrap();
    let came = came(&brokers, 6);
    let keys: Vec<&str> = came.iter().map(|(key, ..)| key.as_str()).collect();
    let (first, second) = (r#"{"src_ip":"192.0.2.1"}"#, r#"{"src_ip":"192.0.2.2"}"#);
    let window = "1970-01-01T00:00:03Z";
    assert_eq!(keys, [first, second, first, second, window, window]);
    let value: Value = serde_json::from_slice(&came[1].1).unwrap();
    assert_eq!((&value["src_ip"], &value["n"]), (&"192.0.2.2".into(), &10.into()));
    assert_eq!((&value["window_start"], &value["status"]), (&"1970-01-01T00:00:01Z".into(), &"final".into()));
    assert_eq!((came[0].2.as_str(), came[4].2.as_str()), ("5-1-0", "5-3-0"));
}

#[test]
fn results_are_streams_of_arrow() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    sink(&brokers, MessageFormat::Arrow, MessageKey::Keys).take(&parcel(1)).unwrap();
    let came = came(&brokers, 1);
    assert_eq!(came[0].0, "1970-01-01T00:00:01Z");
    let batches: Vec<RecordBatch> =
        StreamReader::try_new(came[0].1.as_slice(), None).unwrap().map(Result::unwrap).collect();
    assert_eq!((batches.len(), batches[0].num_rows()), (1, 2));
    assert_eq!(batches[0].schema().field(2).name(), "src_ip");
}

#[test]
fn what_waits_for_a_broker_comes_once_when_it_is_back() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let mut sink = sink(&brokers, MessageFormat::Json, MessageKey::Keys);
    sink.take(&parcel(1)).unwrap();
    cluster.broker_down(1).unwrap();
    let parcels = [parcel(2), parcel(3)];
    let (taken, outcome) = sink.take_all(&parcels);
    let refused = outcome.unwrap_err();
    assert!(matches!(&refused, Refusal::Later(why) if why.contains("does not take results")), "{refused}");
    assert_eq!(taken, 0);
    cluster.broker_up(1).unwrap();
    let begun = Instant::now();
    // More have come meanwhile; those that are on their way are answered first.
    let more = [&parcels[..], &[parcel(4)]].concat();
    while sink.take_all(&more).1.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    sink.take(&parcel(4)).unwrap();
    let mut results: Vec<String> = came(&brokers, 8).into_iter().map(|(.., result)| result).collect();
    results.sort();
    assert_eq!(results, ["5-1-0", "5-1-1", "5-2-0", "5-2-1", "5-3-0", "5-3-1", "5-4-0", "5-4-1"]);
}

#[test]
fn a_row_that_no_broker_takes_stands_in_no_others_way() {
    let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(MESSAGE_OCTETS_MAX)]));
    let rows = vec![RecordBatch::try_new(Arc::clone(&schema), vec![text]).unwrap()];
    let whole = parcel(1);
    let columns = ResultColumns::around(&schema, true, true);
    let origin = Origin { columns, keys: vec![], ..whole.origin.as_ref().clone() };
    let result = WindowResult { rows, ..whole.result.as_ref().clone() };
    let parcel = Parcel { origin: Arc::new(origin), result: Arc::new(result), ..whole };
    let refused = sink("127.0.0.1:1", MessageFormat::Json, MessageKey::Keys).take(&parcel).unwrap_err();
    assert!(matches!(&refused, Refusal::Never(why) if why.contains("too long for a message")), "{refused}");
}
