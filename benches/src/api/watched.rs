//! Those who watch a node: over Server-Sent Events as a page does, and by psql.
//!
//! Takes queries, gives how long after a window could be closed, which is the lateness that is allowed behind its end, it
//! was seen. Clocks are those of one machine.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use super::psql::Psql;

/// The stack of a thread that reads.
const STACK_OCTETS: usize = 256 << 10;
/// Something comes so soon.
const COMES_WITHIN: Duration = Duration::from_secs(30);
/// Between two statements.
const PSQL_EVERY: Duration = Duration::from_millis(5);
const SECONDS_OF_DAY: f64 = 86_400.0;

/// What was seen of a node.
#[derive(Default)]
pub(super) struct Seen {
    /// How long after it could be closed each window was seen.
    pub(super) delays: Vec<Duration>,
    /// Results that did not come, since who watches was too slow.
    pub(super) lost: u64,
}

/// Viewers that read until they are closed.
pub(super) struct Viewers {
    streams: Vec<Arc<TcpStream>>,
    readers: Vec<JoinHandle<Result<Seen>>>,
}

/// A connection that is read in one place and closed in another.
struct Shared(Arc<TcpStream>);

impl Read for Shared {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(octets)
    }
}

impl Viewers {
    /// Lets so many watch these queries, one each in turn.
    pub(super) fn open(node: SocketAddr, number: usize, queries: &[String], late: Duration) -> Result<Self> {
        let mut viewers = Self { streams: vec![], readers: vec![] };
        for name in queries.iter().cycle().take(number) {
            let stream = TcpStream::connect(node).with_context(|| format!("nobody answers at {node}"))?;
            stream.set_read_timeout(Some(COMES_WITHIN))?;
            let path = format!("/api/v1/queries/{name}/stream?kept=0");
            write!(&stream, "GET {path} HTTP/1.1\r\nhost: {node}\r\naccept: text/event-stream\r\n\r\n")?;
            let stream = Arc::new(stream);
            let mut reader = BufReader::new(Shared(Arc::clone(&stream)));
            let mut status = String::new();
            reader.read_line(&mut status)?;
            ensure!(status.starts_with("HTTP/1.1 200"), "{path}: {status}");
            let read = move || read(reader, late);
            viewers.readers.push(thread::Builder::new().stack_size(STACK_OCTETS).spawn(read)?);
            viewers.streams.push(stream);
        }
        Ok(viewers)
    }

    /// Lets them go; gives what they have seen.
    pub(super) fn close(self) -> Result<Seen> {
        self.streams.iter().try_for_each(|stream| stream.shutdown(Shutdown::Both))?;
        let mut all = Seen::default();
        for reader in self.readers {
            let seen = reader.join().expect("invariant: reading does not panic")?;
            all.delays.extend(seen.delays);
            all.lost += seen.lost;
        }
        Ok(all)
    }
}

/// Reads events until the connection is closed.
fn read(mut reader: BufReader<Shared>, late: Duration) -> Result<Seen> {
    let (mut seen, mut line) = (Seen::default(), vec![]);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).context("nothing comes to a viewer")? == 0 {
            return Ok(seen);
        }
        let Some(data) = line.strip_prefix(b"data: ") else { continue };
        let data = String::from_utf8_lossy(data);
        if let Some((_, rest)) = data.split_once("\"window_end\":\"") {
            seen.delays.push(delay(rest, late).with_context(|| format!("no time: {data}"))?);
        } else if let Some((_, rest)) = data.split_once("\"results\":") {
            seen.lost += rest.trim_end().trim_end_matches('}').parse::<u64>()?;
        }
    }
}

/// Asks by psql for the newest window of one query after the other, for so long; gives when each new one was seen.
pub(super) fn ask_psql(
    node: SocketAddr,
    queries: &[String],
    late: Duration,
    time: Duration,
) -> Result<Vec<Duration>> {
    let (mut client, begun, mut delays) = (Psql::open(node)?, Instant::now(), vec![]);
    for name in queries.iter().cycle() {
        let statement = format!("SELECT max(window_end) FROM {name}");
        let before = client.value(&statement)?;
        let newest = loop {
            if begun.elapsed() >= time {
                return Ok(delays);
            }
            sleep(PSQL_EVERY);
            let newest = client.value(&statement)?;
            if newest != before {
                break newest;
            }
        };
        let newest = newest.with_context(|| format!("{name} has no window any more"))?;
        delays.push(delay(&newest, late).with_context(|| format!("no time: {newest}"))?);
    }
    Ok(delays)
}

/// How long ago a window could be closed that ends at this time; windows are a day old at the most.
fn delay(end: &str, late: Duration) -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    let delay = now - seconds_of_day(end)? - late.as_secs_f64();
    let delay = delay.rem_euclid(SECONDS_OF_DAY);
    // A window that was there before it could be is no day late.
    Some(Duration::from_secs_f64(if delay > SECONDS_OF_DAY / 2.0 { 0.0 } else { delay }))
}

/// Seconds from midnight on, of a time such as 2026-01-31T12:34:56.789Z or 2026-01-31 12:34:56.789+00.
fn seconds_of_day(time: &str) -> Option<f64> {
    let time = time.get("2026-01-31T".len()..)?;
    let end = time.find(|letter: char| !letter.is_ascii_digit() && !":.".contains(letter));
    let parts = time.get(..end.unwrap_or(time.len()))?.split(':').map(str::parse::<f64>);
    let parts: Vec<f64> = parts.collect::<Result<_, _>>().ok()?;
    (parts.len() == 3).then(|| parts.iter().fold(0.0, |seconds, part| seconds * 60.0 + part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_both_write_them() {
        for time in ["2026-01-31T01:02:03.500Z\",", "2026-01-31 01:02:03.5+00"] {
            assert_eq!(seconds_of_day(time), Some(3723.5));
        }
        assert_eq!(seconds_of_day("2026-01-31 01:02:03"), Some(3723.0));
        assert_eq!(seconds_of_day("2026-01-31"), None);
        assert_eq!(seconds_of_day("2026-01-31 01:02"), None);
    }
}
