//! PostgreSQL's protocol, octet by octet: what a client may send, and what it is told.

use super::grammar::Grammar;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Types of parameters that are said: none, known ones, and such as there are not.
const TYPES: [u32; 14] = [0, 16, 17, 20, 21, 23, 25, 701, 1082, 1114, 1184, 1700, 1007, u32::MAX];

/// Statements beside those of the grammar: with parameters, about cursors, transactions and settings, and of COPY.
const STATEMENTS: [&str; 30] = [
    "SELECT $1",
    "SELECT $1::int, $2::text",
    "SELECT $1::timestamp",
    "SELECT $1::interval",
    "SELECT $1::numeric",
    "SELECT $1::bytea",
    "SELECT $1::int[]",
    "SELECT * FROM queries WHERE name = $1",
    "SELECT * FROM generate_series(1, 1000)",
    "SELECT $1000",
    "SELECT $0",
    "",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "DECLARE c CURSOR FOR SELECT * FROM generate_series(1, 100)",
    "FETCH 3 FROM c",
    "FETCH BACKWARD 1 FROM c",
    "FETCH 99999999999999999999 FROM c",
    "CLOSE ALL",
    "DEALLOCATE a",
    "DISCARD ALL",
    "SHOW x",
    "COPY queries TO STDOUT",
    "COPY queries FROM STDIN",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT map(['a'], [1]), ARRAY[ARRAY[1]], interval '1 month'",
    "SELECT arrow_cast(9223372036854775807, 'Timestamp(Second, None)')",
    "SELECT arrow_cast(now(), 'Timestamp(Second, Some(\"Nowhere/X\"))')",
    "SELECT 1; SELECT 2; SELEC; SELECT 3",
];

/// What was told that matters here.
#[derive(Debug)]
pub(super) enum Told {
    /// A code of SQLSTATE and a sentence.
    Error(String, String),
    /// That the next statement may come.
    Ready,
    /// Something else.
    Other,
}

/// A connection.
pub(super) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
    /// The number and the key by which somebody else ends what it waits for.
    key: Vec<u8>,
    port: u16,
}

impl Client {
    /// Connects, and says how long a statement may take.
    pub(super) fn connect(port: u16, statement_timeout: &str, patience: Duration) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut client = Self { stream, read: vec![], key: vec![], port };
        let words = ["user", "tapline", "database", "tapline", "statement_timeout", statement_timeout];
        let said = words.map(text).concat();
        client.send(&packet(&[&[0, 3, 0, 0][..], &said, &[0]].concat()));
        while let Some((kind, body)) = client.message() {
            match kind {
                b'K' => client.key = body,
                b'Z' => return client,
                _ => {}
            }
        }
        panic!("the node lets nobody in");
    }

    /// Sends octets, which the other side may not want any more.
    pub(super) fn send(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets);
    }

    /// What is told next; none when the connection has ended.
    pub(super) fn told(&mut self) -> Option<Told> {
        let (kind, body) = self.message()?;
        Some(match kind {
            b'E' => {
                let field = |name: u8| {
                    let mut fields = body.split(|octet| *octet == 0);
                    let field = fields.find_map(|field| field.strip_prefix(&[name]));
                    String::from_utf8_lossy(field.unwrap_or_default()).into_owned()
                };
                Told::Error(field(b'C'), field(b'M'))
            }
            b'Z' => Told::Ready,
            _ => Told::Other,
        })
    }

    /// Asks from another connection to end what this one waits for.
    pub(super) fn cancel(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request = packet(&[&80_877_102_u32.to_be_bytes()[..], &self.key].concat());
        let _ = stream.write_all(&request);
    }

    /// The next message; none when the connection has ended.
    fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let length = |read: &[u8]| {
            let length = read.get(1..5)?.try_into().ok()?;
            usize::try_from(u32::from_be_bytes(length)).ok()
        };
        let octets = loop {
            match length(&self.read) {
                Some(length) if self.read.len() > length => break length + 1,
                _ => self.fill()?,
            }
        };
        let message: Vec<u8> = self.read.drain(..octets).collect();
        Some((message[0], message[5..].to_vec()))
    }

    fn fill(&mut self) -> Option<()> {
        let mut octets = [0; 65_536];
        match self.stream.read(&mut octets) {
            Ok(0) => None,
            Ok(count) => {
                self.read.extend_from_slice(&octets[..count]);
                Some(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the node answers nothing")
            }
            Err(_) => None,
        }
    }
}

/// Text that ends with a zero.
fn text(text: &str) -> Vec<u8> {
    text.bytes().filter(|octet| *octet != 0).chain([0]).collect()
}

fn packet(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], body].concat()
}

/// A message of this kind.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &packet(body)].concat()
}

/// A statement that is sent as it is.
pub(super) fn asking(sql: &str) -> Vec<u8> {
    message(b'Q', &text(sql))
}

/// A list of items behind their number.
fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [&u16::try_from(items.len()).unwrap().to_be_bytes()[..], &items.concat()].concat()
}

impl Grammar {
    /// A message of a client that does not know what it does, and what it says as a person reads it.
    pub(super) fn message(&mut self) -> (Vec<u8>, String) {
        let statement = if self.percent(60) { self.one(&STATEMENTS).to_owned() } else { self.over_tables() };
        let [name, portal] = [(); 2].map(|()| self.one(&["", "a", "b", "c", "é"]));
        let of = self.one(&["S", "P", "X"]);
        let (kind, body) = match self.below(14) {
            0..3 => (b'P', [text(name), text(&statement), self.types()].concat()),
            3..6 => (b'B', [text(portal), text(name), self.values()].concat()),
            6 => (b'D', [of.as_bytes(), &text(name)].concat()),
            7..9 => {
                let rows = [0_i32, 1, 5, -1, i32::MAX][self.below(5)];
                (b'E', [&text(portal)[..], &rows.to_be_bytes()].concat())
            }
            9 => (b'C', [of.as_bytes(), &text(name)].concat()),
            10 => (self.one(&["d", "c", "f", "p"]).as_bytes()[0], text("abc")),
            11 => (b'H', vec![]),
            12 => (b'S', vec![]),
            _ => (b'Q', text(&statement)),
        };
        let told = format!("{} {name:?} {portal:?} {}", char::from(kind), String::from_utf8_lossy(&body));
        (message(kind, &body), told)
    }

    fn types(&mut self) -> Vec<u8> {
        let types: Vec<Vec<u8>> =
            (0..self.below(4)).map(|_| TYPES[self.below(TYPES.len())].to_be_bytes().to_vec()).collect();
        list(&types)
    }

    /// Formats, values of parameters, and formats of results.
    fn values(&mut self) -> Vec<u8> {
        let values: Vec<Vec<u8>> = (0..self.below(4)).map(|_| self.value()).collect();
        let formats = |grammar: &mut Self| {
            let format = [0_i16, 1, 1, 2, -1][grammar.below(5)].to_be_bytes().to_vec();
            list(&vec![format; grammar.below(2)])
        };
        [formats(self), list(&values), formats(self)].concat()
    }

    /// A parameter: NULL, octets of some length, text, or what begins as a number, a list or a decimal does.
    fn value(&mut self) -> Vec<u8> {
        let octets: Vec<u8> = match self.below(5) {
            0 => return (-1_i32).to_be_bytes().to_vec(),
            1 => (0..self.below(40)).map(|_| u8::try_from(self.below(256)).unwrap()).collect(),
            2 => self
                .one(&["1", "-1", "a", "2020-01-01", "NaN", "1e400", "{1,2}", "{", "t", "\\x0", ""])
                .into(),
            3 => [i64::MIN, i64::MAX, 0, -1][self.below(4)].to_be_bytes().to_vec(),
            _ => {
                let words = [0, 1, 23, -1, i32::MAX, 0x4000_0003];
                (0..self.below(8)).flat_map(|_| words[self.below(words.len())].to_be_bytes()).collect()
            }
        };
        packet_of(&octets)
    }
}

/// A value behind its length, which does not count itself.
fn packet_of(octets: &[u8]) -> Vec<u8> {
    [&i32::try_from(octets.len()).unwrap().to_be_bytes()[..], octets].concat()
}
