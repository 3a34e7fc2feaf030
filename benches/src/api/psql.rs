//! A client of PostgreSQL's protocol, for statements that answer one value.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Version 3.0 of the protocol.
const VERSION: u32 = 3 << 16;
/// A statement is answered so soon.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A connection that stays open.
pub(super) struct Psql(BufReader<TcpStream>);

impl Psql {
    pub(super) fn open(node: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(node).with_context(|| format!("nobody answers at {node}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWERED_WITHIN))?;
        let mut client = Self(BufReader::new(stream));
        let who = [&VERSION.to_be_bytes()[..], b"user\0tapline\0database\0tapline\0\0"].concat();
        client.send(&[], &who)?;
        client.until_ready()?;
        Ok(client)
    }

    /// The first value of the last row of an answer, as text; none where it is NULL, or there is no row.
    pub(super) fn value(&mut self, statement: &str) -> Result<Option<String>> {
        self.send(b"Q", &[statement.as_bytes(), b"\0"].concat())?;
        self.until_ready()
    }

    /// Sends a message of a kind; the first one has none.
    fn send(&mut self, kind: &[u8], body: &[u8]) -> Result<()> {
        let length = u32::try_from(body.len() + 4)?.to_be_bytes();
        Ok(self.0.get_mut().write_all(&[kind, &length, body].concat())?)
    }

    /// Reads up to where the next statement may come.
    fn until_ready(&mut self) -> Result<Option<String>> {
        let mut value = None;
        loop {
            let (mut kind, mut length) = ([0], [0; 4]);
            self.0.read_exact(&mut kind)?;
            self.0.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length).checked_sub(4).context("a message is too short")?;
            let mut body = vec![0; length as usize];
            self.0.read_exact(&mut body)?;
            match kind {
                [b'Z'] => return Ok(value),
                [b'E'] => bail!("psql: {}", String::from_utf8_lossy(&body).replace('\0', " ")),
                [b'D'] => value = first_value(&body),
                _ => {}
            }
        }
    }
}

/// The first value of a row; none where it is NULL.
fn first_value(row: &[u8]) -> Option<String> {
    // Behind the number of values each has its length, below zero for NULL.
    let length = i32::from_be_bytes(row.get(2..6)?.try_into().ok()?);
    let value = row.get(6..)?.get(..usize::try_from(length).ok()?)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_text_or_nothing() {
        assert_eq!(first_value(b"\0\x02\0\0\0\x03abc\0\0\0\x01d").as_deref(), Some("abc"));
        assert_eq!(first_value(b"\0\x01\xff\xff\xff\xff"), None);
        assert_eq!(first_value(b"\0\x01\0\0\0\x03ab"), None);
    }
}
