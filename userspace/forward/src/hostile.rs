//! What becomes of whoever says what no sensor says: it is refused by a sentence, counted, and harms nobody.

use crate::counted::Octets;
use crate::receiver::{Entrance, Receiver, ReceiverOptions, Taker};
use crate::store::FolderStore;
use crate::uplink::{Connection, Target, Upstream};
use crate::wire::{Ask, DO_EXCHANGE, FlightData, Greeting, Judged, Message, Refused};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_delivery::{
    AggregatorLimits, AggregatorOptions, Fingerprint, Given, HalfId, HalfSpec, Head, Hello, Incarnation,
    Kind, Lineage, Merge, PartHead, Patience, Position, Role, SensorName, Span, Told,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

const HALF: HalfId = HalfId(1);
const PANE: Span = Span { start: 0, end: 10 };
const WAITED_MAX: Duration = Duration::from_secs(20);

struct Sums;

impl Merge for Sums {
    type State = u64;

    fn empty(&self, _: HalfId) -> u64 {
        0
    }

    fn merge(&self, _: HalfId, state: &mut u64, payload: &[u8]) -> Result<(), String> {
        *state += u64::from_le_bytes(payload.try_into().map_err(|_| "it is no sum".to_owned())?);
        Ok(())
    }

    fn encode(&self, _: HalfId, state: &u64) -> Arc<[u8]> {
        Arc::from(state.to_le_bytes())
    }
}

struct Nobody;

impl Taker for Nobody {
    fn take(&mut self, _: &[Given]) {}

    fn assigned(&mut self, _: &[u8]) {}

    fn ended(&mut self, _: &str) {}

    fn tell(&mut self, _: &str) {}
}

/// An aggregator, and its folder.
struct Hub {
    receiver: Receiver,
    _folder: TempDir,
}

impl Hub {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let spec = HalfSpec { fingerprint: Fingerprint(4), width_ns: 10, sensors: None };
        let options = ReceiverOptions {
            entrance: Entrance { listen, tls: None, clients_ca: None, tokens: None },
            aggregator: AggregatorOptions {
                role: Role::Final,
                limits: AggregatorLimits { sensors_max: 2, ..AggregatorLimits::default() },
                patience: Patience::default(),
            },
            forward: None,
            halves: vec![(HALF, spec)],
            version: "1".to_owned(),
            states: String::new(),
        };
        let store = Box::new(FolderStore::open(folder.path()).unwrap());
        let receiver = Receiver::start(options, Sums, store, Box::new(Nobody)).unwrap();
        Self { receiver, _folder: folder }
    }

    async fn link(&self) -> Link {
        let url = format!("http://{}", self.receiver.address());
        let target = Target::of(Upstream { url, ca: None, own: None, token_file: None }).unwrap();
        let (out, outgoing) = mpsc::channel(8);
        let connection = target.connect(outgoing, Arc::<Octets>::default()).await.unwrap();
        Link { out, connection }
    }

    /// A link on which somebody was welcomed.
    async fn greeted(&self, name: &str, life: u64) -> Link {
        let mut link = self.link().await;
        link.say(greeting(name, life)).await;
        assert!(matches!(link.hear().await, Some(Message::Welcome(_))));
        link
    }

    async fn counted(&self, count: impl Fn(&Receiver) -> Option<u64>) {
        let begun = Instant::now();
        while count(&self.receiver).is_none_or(|count| count == 0) {
            assert!(
                begun.elapsed() < WAITED_MAX,
                "{:?} {:?}",
                self.receiver.status(),
                self.receiver.sensors()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn counted_stranger(&self, name: &str) {
        self.counted(|receiver| receiver.status().refused.get(name).copied()).await;
    }

    async fn counted_of(&self, sensor: &str, name: &str) {
        self.counted(|receiver| {
            let sensors = receiver.sensors();
            sensors.iter().find(|status| status.name == sensor)?.refused.get(name).copied()
        })
        .await;
    }
}

struct Link {
    out: mpsc::Sender<FlightData>,
    connection: Connection,
}

impl Link {
    async fn say(&self, message: Message) {
        self.out.send(message.into_frame()).await.unwrap();
    }

    /// The next that is said, unless the link ended.
    async fn hear(&mut self) -> Option<Message> {
        let frame = timeout(WAITED_MAX, self.connection.incoming.message()).await.unwrap();
        frame.ok().flatten().map(|frame| Message::of(frame).unwrap())
    }

    /// The last that is said.
    async fn refused(&mut self) -> Refused {
        loop {
            if let Message::Refused(refused) = self.hear().await.expect("it is told why") {
                assert_eq!(self.hear().await, None, "it was the last");
                return refused;
            }
        }
    }

    /// Says a record, and hears that it is covered.
    async fn works(&mut self, life: u64) {
        self.say(record(life, 1, PANE)).await;
        loop {
            match self.hear().await {
                Some(Message::Covered(covered)) if covered.contains(position(life, 1)) => return,
                Some(Message::Covered(_) | Message::Answer(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn position(life: u64, number: u64) -> Position {
    Position { incarnation: Incarnation(life), number }
}

fn hello(name: &str, life: u64) -> Hello {
    Hello {
        name: SensorName::new(name),
        lineage: Lineage(1),
        incarnation: Incarnation(life),
        kept_after: Position::START,
        gaps: vec![],
        leaves: None,
    }
}

fn greeting(name: &str, life: u64) -> Message {
    let (version, states) = ("1".to_owned(), String::new());
    Message::Hello(Greeting { hello: hello(name, life), version, states, report: Bytes::new(), sent_ns: 0 })
}

fn record(life: u64, number: u64, pane: Span) -> Message {
    let part = PartHead {
        half: HALF,
        fingerprint: Fingerprint(4),
        pane,
        watermark: pane.end,
        records: 1,
        told: Told::default(),
        behind: vec![],
    };
    let after = if number == 1 { Position::START } else { position(life, number - 1) };
    let head = Head { position: position(life, number), after, ends_cut: true, kind: Kind::Part(part) };
    Message::Record(head, Bytes::copy_from_slice(&5_u64.to_le_bytes()))
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn garbage_is_told_and_counted_and_others_go_on() {
    run(async {
        let hub = Hub::new();
        let mut good = hub.greeted("good", 1).await;
        for metadata in [&b""[..], b"\x01", b"\x01\x03\x09", b"\x01\x63", &[255; 100]] {
            let mut link = hub.link().await;
            let app_metadata = Bytes::from_static(metadata);
            link.out.send(FlightData { app_metadata, ..FlightData::default() }).await.unwrap();
            let refused = link.refused().await;
            assert!(refused.why.ends_with("let both ends run the same version"), "{}", refused.why);
        }
        hub.counted_stranger("garbage").await;
        let mut other = hub.link().await;
        other.say(record(1, 1, PANE)).await;
        assert_eq!(other.refused().await.name, "not_greeted");
        let mut version = hub.link().await;
        let app_metadata = Bytes::from_static(b"\x02\x01");
        version.out.send(FlightData { app_metadata, ..FlightData::default() }).await.unwrap();
        assert!(version.refused().await.why.starts_with("it speaks version 2 of this link"));
        hub.counted_stranger("another_version").await;
        let mut bad = hub.greeted("bad", 1).await;
        bad.say(Message::Covered(tapline_delivery::Covered::default())).await;
        assert_eq!(bad.refused().await.name, "garbage");
        hub.counted_of("bad", "garbage").await;
        good.works(1).await;
    });
}

#[test]
fn octets_that_are_no_http_end_with_their_connection() {
    run(async {
        let hub = Hub::new();
        for octets in [
            &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
            &[0; 100],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxx",
        ] {
            let mut stream = TcpStream::connect(hub.receiver.address()).await.unwrap();
            stream.write_all(octets).await.unwrap();
            let mut answer = vec![];
            let _ = timeout(WAITED_MAX, stream.read_to_end(&mut answer)).await.unwrap();
        }
        hub.greeted("good", 1).await.works(1).await;
        let what = DO_EXCHANGE.rsplit('/').next();
        assert_eq!(what, Some("DoExchange"));
    });
}

#[test]
fn an_older_life_is_told_and_so_is_one_too_many() {
    run(async {
        let hub = Hub::new();
        let mut before = hub.greeted("a", 5).await;
        let mut after = hub.greeted("a", 7).await;
        assert_eq!(before.hear().await, None, "its link is over");
        let mut again = hub.link().await;
        again.say(greeting("a", 5)).await;
        let refused = again.refused().await;
        assert_eq!((refused.name.as_str(), refused.newest), ("fenced", Some(Incarnation(7))));
        assert!(refused.why.contains("an older process, or a copy of it, still runs"));
        after.works(7).await;
        let _second = hub.greeted("b", 1).await;
        let mut third = hub.link().await;
        third.say(greeting("c", 1)).await;
        assert_eq!(third.refused().await.name, "too_many_sensors");
        let mut nameless = hub.link().await;
        nameless.say(greeting("two words", 1)).await;
        assert_eq!(nameless.refused().await.name, "no_name");
        hub.counted_of("a", "fenced").await;
        hub.counted_stranger("too_many_sensors").await;
        hub.counted_stranger("no_name").await;
    });
}

#[test]
fn a_record_that_counts_nowhere_is_refused_and_the_next_one_is_taken() {
    run(async {
        let hub = Hub::new();
        let mut link = hub.greeted("a", 1).await;
        link.say(Message::Ask(Ask { sent_ns: 1, clock: None })).await;
        link.say(record(1, 1, Span { start: 1, end: 11 })).await;
        let mut heard = vec![];
        while !heard.iter().any(|message| matches!(message, Message::Verdict(..))) {
            heard.push(link.hear().await.unwrap());
        }
        let verdict = heard.pop().unwrap();
        assert!(
            matches!(&verdict, Message::Verdict(at, Judged::Refused { name, .. }) if *at == position(1, 1) && name == "misaligned"),
            "{verdict:?}"
        );
        link.say(record(1, 2, PANE)).await;
        loop {
            match link.hear().await.unwrap() {
                Message::Covered(covered) if covered.contains(position(1, 2)) => break,
                _ => {}
            }
        }
        hub.counted_of("a", "misaligned").await;
    });
}

#[test]
fn whoever_does_not_listen_is_let_go_of_and_holds_up_nobody() {
    run(async {
        let hub = Hub::new();
        let mut good = hub.greeted("good", 1).await;
        let deaf = hub.greeted("deaf", 1).await;
        // Each is refused, and nobody hears it: no more are taken than have room.
        let mut number = 0;
        let says = async {
            loop {
                number += 1;
                deaf.say(record(1, number, Span { start: 1, end: 11 })).await;
            }
        };
        let _ = timeout(Duration::from_secs(2), says).await;
        good.works(1).await;
        assert!(number > 256);
    });
}
