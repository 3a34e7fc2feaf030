//! Results as messages of syslog (RFC 5424), one a row; what somebody is to be told, one each.
//!
//! Over UDP and to a socket of this machine a message is a datagram; over TCP its length stands before it (RFC 6587
//! §3.4.1). A result that could not be sent as a whole goes on where it was.

mod level;
mod message;

pub use level::{Facility, Severity};

use crate::place::{connected_udp, is_place, reached};
use crate::progress::Progress;
use crate::sink::{Parcel, Refusal, Sink};
use datafusion::arrow::error::ArrowError;
use message::{Head, Texts};
use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tapline_record::EventTime;

/// How long whoever is to get messages may take to be reached, and to take one.
const WITHIN: Duration = Duration::from_secs(5);
/// Octets of a message: what fits into a frame, and what receivers should take (RFC 5424 §6.1).
const DATAGRAM_OCTETS_MAX: usize = 1400;
const OCTETS_MAX: usize = 2048;

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTarget {
    /// A host and a port, by datagrams.
    Udp(String),
    /// The same, over a connection.
    Tcp(String),
    /// A socket of this machine.
    Unix(PathBuf),
}

impl FromStr for SyslogTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place =
            |scheme: &str| text.strip_prefix(scheme).filter(|place| is_place(place)).map(str::to_owned);
        let path = text.strip_prefix("unix:").filter(|path| path.starts_with('/'));
        match (place("udp://"), place("tcp://"), path) {
            (Some(place), ..) => Ok(Self::Udp(place)),
            (_, Some(place), _) => Ok(Self::Tcp(place)),
            (.., Some(path)) => Ok(Self::Unix(path.strip_prefix("//").unwrap_or(path).into())),
            _ => {
                Err(format!("`{text}` is no place; write udp://HOST:PORT, tcp://HOST:PORT or unix:/dev/log"))
            }
        }
    }
}

impl fmt::Display for SyslogTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(place) => write!(formatter, "udp://{place}"),
            Self::Tcp(place) => write!(formatter, "tcp://{place}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl SyslogTarget {
    const fn octets_max(&self) -> usize {
        match self {
            Self::Udp(_) => DATAGRAM_OCTETS_MAX,
            Self::Tcp(_) | Self::Unix(_) => OCTETS_MAX,
        }
    }

    fn connect(&self) -> io::Result<Connection> {
        Ok(match self {
            Self::Udp(place) => Connection::Udp(connected_udp(place)?),
            Self::Tcp(place) => {
                let stream = reached(place, |address| TcpStream::connect_timeout(&address, WITHIN))?;
                stream.set_write_timeout(Some(WITHIN))?;
                Connection::Tcp(stream)
            }
            Self::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(WITHIN))?;
                Connection::Unix(socket)
            }
        })
    }
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Unix(UnixDatagram),
}

impl Connection {
    /// Whether the other side has closed it: what was written then would be lost without a word.
    fn is_closed(&self) -> bool {
        let Self::Tcp(stream) = self else { return false };
        let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
        let is_open =
            matches!(&looked, Ok(1..)) || looked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        !is_open || stream.set_nonblocking(false).is_err()
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message).map(drop),
            Self::Unix(socket) => socket.send(message).map(drop),
            Self::Tcp(stream) => {
                let mut frame = format!("{} ", message.len()).into_bytes();
                frame.extend_from_slice(message);
                stream.write_all(&frame)
            }
        }
    }
}

/// Where messages go, and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogOptions {
    /// Where they go.
    pub target: SyslogTarget,
    /// How much they matter.
    pub severity: Severity,
    /// What they are about.
    pub facility: Facility,
}

/// Sends results as messages.
pub struct SyslogSink {
    options: SyslogOptions,
    connection: Option<Connection>,
    progress: Progress,
}

impl SyslogSink {
    /// Sends them there; nothing is opened yet.
    #[must_use]
    pub fn new(options: SyslogOptions) -> Self {
        Self { options, connection: None, progress: Progress::default() }
    }

    fn send(&mut self, message: &[u8]) -> Result<(), Refusal> {
        let target = &self.options.target;
        let said = |error: io::Error| Refusal::Later(format!("{target} takes no messages: {error}"));
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => target.connect().map_err(said)?,
        };
        connection.send(message).map_err(said)?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Sends one message of a query: what it is about are values by name.
    ///
    /// # Errors
    /// A sentence, where nobody takes it now.
    pub(crate) fn say(&mut self, query: &str, at: EventTime, values: &[(&str, &str)]) -> Result<(), Refusal> {
        self.connection.take_if(|connection| connection.is_closed());
        let message = Head::of(query, at, &self.options).said(values, self.options.target.octets_max());
        self.send(&message)
    }

    /// Sends the rows that were not sent before.
    fn send_rows(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        let never = |error: ArrowError| Refusal::Never(error.to_string());
        let head = Head::of(&parcel.origin.name, parcel.given, &self.options);
        let octets_max = self.options.target.octets_max();
        let (sent, mut number) = (self.progress.of(&parcel.result), 0);
        for batch in parcel.origin.columns.batches(&parcel.result).map_err(never)? {
            let texts = Texts::of(&batch).map_err(never)?;
            for row in 0..texts.rows() {
                number += 1;
                if number > sent {
                    self.send(&head.message(&texts, row, octets_max))?;
                    self.progress.note(number);
                }
            }
        }
        Ok(())
    }
}

impl Sink for SyslogSink {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        self.connection.take_if(|connection| connection.is_closed());
        self.send_rows(parcel)?;
        self.progress.end();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_results::parcel;
    use std::io::Read as _;
    use std::net::TcpListener;

    fn sink(target: SyslogTarget) -> SyslogSink {
        let (severity, facility) = ("warning".parse().unwrap(), "local3".parse().unwrap());
        SyslogSink::new(SyslogOptions { target, severity, facility })
    }

    #[test]
    fn places_read_as_they_are_written() {
        for text in ["udp://127.0.0.1:514", "tcp://logs.example:601", "unix:/dev/log", "udp://[::1]:514"] {
            assert_eq!(text.parse::<SyslogTarget>().unwrap().to_string(), text);
        }
        assert_eq!("unix:///dev/log".parse(), Ok(SyslogTarget::Unix("/dev/log".into())));
        for wrong in ["", "udp:", "udp://a", "udp://:1", "tcp://a:b", "unix:", "unix:log", "http://a:1"] {
            assert!(wrong.parse::<SyslogTarget>().unwrap_err().contains("is no place; write"), "{wrong}");
        }
    }

    #[test]
    fn a_connection_that_was_closed_is_made_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sink = sink(SyslogTarget::Tcp(listener.local_addr().unwrap().to_string()));
        sink.take(&parcel("sweep", 1)).unwrap();
        drop(listener.accept().unwrap());
        // The end arrives.
        std::thread::sleep(Duration::from_millis(100));
        sink.take(&parcel("sweep", 2)).unwrap();
        drop(sink);
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        let (length, message) = text.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), message.len());
        assert!(
            message.starts_with("<156>1 1970-01-01T00:00:02Z ") && message.contains("n=\"2\""),
            "{message}"
        );
    }

    #[test]
    fn nobody_there_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = sink(SyslogTarget::Unix(path.clone()));
        let refused = sink.take(&parcel("sweep", 1)).unwrap_err();
        assert!(matches!(&refused, Refusal::Later(why) if why.contains("takes no messages")), "{refused}");
        let socket = UnixDatagram::bind(&path).unwrap();
        sink.take(&parcel("sweep", 1)).unwrap();
        assert!(socket.recv(&mut [0; OCTETS_MAX]).unwrap() > 100);
    }
}
