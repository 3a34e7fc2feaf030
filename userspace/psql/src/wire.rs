//! A connection as messages: whole, and of a bounded size.
//!
//! A message is its kind, four octets of length, and a body; before a session there are packets without a kind. What is
//! held of a message grows as its octets come, whatever its length says. What is written waits until there is enough of
//! it, and whoever does not read is left.

use crate::said::{Ended, Said};
use bytes::{Buf as _, Bytes, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Octets of a message before, and after somebody has shown who they are.
pub(crate) const STRANGERS_OCTETS_MAX: usize = 10_000;
pub(crate) const OCTETS_MAX: usize = 1 << 20;
/// Octets that are read, and written, at once.
const READ_OCTETS: usize = 8 << 10;
const WRITE_OCTETS: usize = 32 << 10;
/// How long the other side may read nothing.
const READS_WITHIN: Duration = Duration::from_secs(60);

/// What octets come from and go to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One side of a connection.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    input: BytesMut,
    output: BytesMut,
    /// Whether nobody else can read along.
    pub(crate) is_secret: bool,
}

impl Wire {
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Self { stream: Box::new(stream), input, output, is_secret: false }
    }

    /// The body of the next packet.
    pub(crate) async fn packet(&mut self) -> Result<Bytes, Ended> {
        self.fill(4).await?;
        let length = self.input.get_u32();
        self.body(length, STRANGERS_OCTETS_MAX).await
    }

    /// Waits until the next message begins; whoever stops to wait may wait again.
    pub(crate) async fn begins(&mut self) -> Result<(), Ended> {
        self.fill(1).await
    }

    /// The next message's kind and body.
    pub(crate) async fn message(&mut self, octets_max: usize) -> Result<(u8, Bytes), Ended> {
        // Both are taken at once: whoever stops waiting for a message may wait for it again.
        self.fill(5).await?;
        let kind = self.input.first().copied().unwrap_or_default();
        let length = self.input.get(1..5).map_or(0, |mut length| length.get_u32());
        self.fill(1 + checked(length, octets_max)?).await?;
        self.input.advance(5);
        Ok((kind, self.body(length, octets_max).await?))
    }

    async fn body(&mut self, length: u32, octets_max: usize) -> Result<Bytes, Ended> {
        // The length counts itself.
        let octets = checked(length, octets_max)? - 4;
        self.fill(octets).await?;
        Ok(self.input.split_to(octets).freeze())
    }

    /// Reads until there are so many octets.
    async fn fill(&mut self, octets: usize) -> Result<(), Ended> {
        while self.input.len() < octets {
            self.input.reserve(READ_OCTETS);
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return Err(Ended::Gone),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Waits until the other side has gone; what it says before that is kept. Whoever stops to wait may wait again.
    pub(crate) async fn left(&mut self) -> Ended {
        // One message that is whole is enough.
        while self.input.len() <= OCTETS_MAX {
            self.input.reserve(READ_OCTETS);
            if matches!(self.stream.read_buf(&mut self.input).await, Ok(0) | Err(_)) {
                return Ended::Gone;
            }
        }
        std::future::pending().await
    }

    /// Whether the other side has said more than was taken.
    pub(crate) fn has_more(&self) -> bool {
        !self.input.is_empty()
    }

    /// Puts a message behind what is to be written.
    pub(crate) fn put(&mut self, message: &PgWireBackendMessage) -> Result<(), Ended> {
        let whole = self.output.len();
        message.encode(&mut self.output).map_err(|error| {
            // What is too long for the protocol has begun already.
            self.output.truncate(whole);
            Ended::Because(error.into())
        })
    }

    /// Writes what there is, if it is much.
    pub(crate) async fn make_room(&mut self) -> Result<(), Ended> {
        if self.output.len() < WRITE_OCTETS { Ok(()) } else { self.flush().await }
    }

    /// Writes what there is.
    pub(crate) async fn flush(&mut self) -> Result<(), Ended> {
        while self.output.has_remaining() {
            let written = timeout(READS_WITHIN, self.stream.write_buf(&mut self.output)).await;
            if !matches!(written, Ok(Ok(1..))) {
                return Err(Ended::Gone);
            }
        }
        let flushed = timeout(READS_WITHIN, self.stream.flush()).await;
        if matches!(flushed, Ok(Ok(()))) { Ok(()) } else { Err(Ended::Gone) }
    }

    /// Writes one octet, by which a client is told what comes next.
    pub(crate) async fn answer(&mut self, octet: u8) -> Result<(), Ended> {
        self.output.extend_from_slice(&[octet]);
        self.flush().await
    }

    /// Goes on in secret.
    pub(crate) async fn hide(&mut self, acceptor: &TlsAcceptor) -> Result<(), Ended> {
        if self.has_more() {
            // Somebody may have put it between.
            return Err(Ended::Gone);
        }
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        let hidden = acceptor.accept(plain).await.map_err(|_| Ended::Gone)?;
        self.stream = Box::new(hidden);
        self.is_secret = true;
        Ok(())
    }

    /// Tells why a connection ends, and ends it.
    pub(crate) async fn end(mut self, why: Ended) {
        if let Ended::Because(said) = why
            && self.put(&said.message()).is_ok()
        {
            // It may be gone by now.
            let _ = self.flush().await;
        }
        let _ = timeout(READS_WITHIN, self.stream.shutdown()).await;
    }
}

/// A length that is allowed.
fn checked(length: u32, octets_max: usize) -> Result<usize, Ended> {
    let octets = usize::try_from(length).unwrap_or(usize::MAX);
    if octets < 4 {
        return Err(Said::last("08P01", "a message is shorter than its own length").into());
    }
    if octets > octets_max {
        let sentence = format!("a message of {octets} octets is too long; at most {octets_max} are read");
        return Err(Said::last("08P01", sentence).into());
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;
    use tokio::runtime;

    /// What a wire gives of these octets, after which nothing comes.
    fn of(octets: &[u8]) -> Result<(u8, Bytes), Ended> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (here, mut there) = duplex(64);
            let mut wire = Wire::new(here);
            let write = async move {
                // Nobody may read it to its end.
                let _ = there.write_all(octets).await;
            };
            tokio::join!(wire.message(100), write).0
        })
    }

    #[test]
    fn messages_are_whole_and_bounded() {
        assert_eq!(of(b"Q\0\0\0\x06a\0").unwrap(), (b'Q', Bytes::from_static(b"a\0")));
        assert_eq!(of(b"S\0\0\0\x04").unwrap(), (b'S', Bytes::new()));
        for cut_off in [&b""[..], b"Q", b"Q\0\0\0", b"Q\0\0\0\x06a"] {
            assert!(matches!(of(cut_off), Err(Ended::Gone)), "{cut_off:?}");
        }
        for wrong in
            [&b"Q\0\0\0\x03"[..], b"Q\0\0\0\0", b"Q\0\0\0\x65", b"Q\xff\xff\xff\xff", b"Q\x7f\xff\xff\xff"]
        {
            assert!(matches!(of(wrong), Err(Ended::Because(said)) if said.is_last), "{wrong:?}");
        }
    }
}
