//! Messages of Kafka's protocol.

use super::{BY_ADDRESS, Place, add, given, sorted, wait_for_all, wait_for_trouble};
use harness::servers::Broker;
use harness::tapline;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The messages of a topic, of which there are to be so many.
fn messages(broker: &Broker, topic: &str, count: usize) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("end_to_end/sinks/kafka_reads.py");
    let place = format!("127.0.0.1:{}", broker.port());
    let mut command = Command::new(broker.python());
    let output = command.arg("-B").arg(script).args([&place, topic, &count.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether the binary speaks Kafka's protocol.
fn is_built_in(folder: &Path) -> bool {
    let config = folder.join("asks.toml");
    let text = "[[source]]\nlisten = \"udp://127.0.0.1:2055\"\n[[sink]]\nname = \"a\"\nkind = \"kafka\"\n";
    fs::write(&config, text).unwrap();
    let refused = tapline(&["run", "--api", "127.0.0.1:0", "--config", config.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2), "it has no url: {}", refused.stderr);
    let is_missing = refused.stderr.contains("built without Kafka");
    if is_missing {
        println!("skipped: the binary was built without Kafka (`cargo xtask test` builds it with it)");
    }
    !is_missing
}

#[test]
fn results_are_messages_once_over_a_broker_that_hangs() {
    let folder = tempfile::tempdir().unwrap();
    if !is_built_in(folder.path()) {
        return;
    }
    let Some(broker) = Broker::start() else { return };
    let said = format!("kind = \"kafka\"\nurl = \"kafka://127.0.0.1:{}\"", broker.port());
    let place = Place::new(folder.path(), &said);
    let node = place.start();
    add(&node, "by_address", BY_ADDRESS);
    place.load(&node, 50, "by_address");
    wait_for_all(&node);
    broker.signal("STOP");
    place.load(&node, 50, "by_address");
    wait_for_trouble(&node, "does not take results");
    broker.signal("CONT");
    wait_for_all(&node);
    let rows = given(&node, "by_address");
    let messages = messages(&broker, "tapline.by_address", rows.len());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let row = |message: &Value| {
        let value = &message["value"];
        let key: Value = serde_json::from_str(&text(&message["key"])).unwrap();
        assert_eq!(key["src_ip"], value["src_ip"]);
        let start = text(&value["window_start"]).trim_end_matches('Z').to_owned();
        let (address, status) = (text(&value["src_ip"]), text(&value["status"]));
        format!("{start}\t{address}\t{}\t{}\t{status}", value["records"], value["octets"])
    };
    assert_eq!(sorted(messages.iter().map(row).collect()), rows);
    let results: BTreeSet<String> =
        messages.iter().map(|message| text(&message["headers"]["tapline-result"])).collect();
    assert_eq!(results.len(), messages.len());
    assert_eq!(node.stop().code, Some(0));
}
