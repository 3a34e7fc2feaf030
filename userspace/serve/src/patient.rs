//! A connection that is written to with patience, but not for ever.
//!
//! Takes a stream, gives the same one. Where whoever is at its other end takes nothing for so long, writing fails; what
//! comes first can be looked at before anybody takes it.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Octets of a look.
const LOOK_OCTETS: usize = 1024;

/// A stream, and since when it takes nothing.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    /// How long it may take nothing.
    patience: Duration,
    /// The end of that time, from the first octets on that are not taken.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What was looked at and is still to be read.
    ahead: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Patient<S> {
    pub(crate) const fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, stalled: None, ahead: vec![] }
    }

    /// The first octet that comes, which is still to be read; none when nothing does.
    pub(crate) async fn first(&mut self) -> io::Result<Option<u8>> {
        let mut octets = [0; LOOK_OCTETS];
        let mut buffer = ReadBuf::new(&mut octets);
        poll_fn(|context| Pin::new(&mut self.stream).poll_read(context, &mut buffer)).await?;
        self.ahead = buffer.filled().to_vec();
        Ok(self.ahead.first().copied())
    }

    /// Says something, and nothing more.
    pub(crate) async fn say_last(&mut self, text: &[u8]) -> io::Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            let written = poll_fn(|context| Pin::new(&mut *self).poll_write(context, rest)).await?;
            rest = rest.get(written..).filter(|_| written > 0).ok_or(ErrorKind::WriteZero)?;
        }
        poll_fn(|context| Pin::new(&mut *self).poll_shutdown(context)).await
    }

    /// What became of writing, unless the other end has taken nothing for too long.
    fn bounded<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let end = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(end.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let rest = this.ahead.split_off(this.ahead.len().min(buffer.remaining()));
        buffer.put_slice(&this.ahead);
        this.ahead = rest;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, octets);
        this.bounded(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream as Pair;
    use std::time::Instant;
    use tokio::net::UnixStream;
    use tokio::runtime::Builder;

    /// Runs something with both ends of a stream.
    fn with<F: Future>(
        patience_ms: u64,
        what: impl FnOnce(Patient<UnixStream>, UnixStream) -> F,
    ) -> F::Output {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (near, far) = Pair::pair().unwrap();
            let [near, far] = [near, far].map(|end| {
                end.set_nonblocking(true).unwrap();
                UnixStream::from_std(end).unwrap()
            });
            what(Patient::new(near, Duration::from_millis(patience_ms)), far).await
        })
    }

    async fn write(stream: &mut Patient<UnixStream>, octets: &[u8]) -> io::Result<usize> {
        poll_fn(|context| Pin::new(&mut *stream).poll_write(context, octets)).await
    }

    #[test]
    fn whoever_takes_nothing_is_left() {
        with(50, |mut near, far| async move {
            let started = Instant::now();
            let failed = loop {
                if let Err(error) = write(&mut near, &[0; 65_536]).await {
                    break error;
                }
            };
            assert_eq!(failed.kind(), ErrorKind::TimedOut);
            assert!(started.elapsed() >= Duration::from_millis(50));
            drop(far);
        });
    }

    #[test]
    fn whoever_takes_something_in_time_is_not() {
        with(1000, |mut near, far| async move {
            let mut octets = [0; 65_536];
            let mut read_all = || while far.try_read(&mut octets).is_ok_and(|read| read > 0) {};
            let reader = async {
                for _ in 0..10 {
                    sleep(Duration::from_millis(150)).await;
                    read_all();
                }
            };
            let writer = async { while write(&mut near, &[0; 65_536]).await.is_ok() {} };
            tokio::select! {
                () = writer => panic!("it was left"),
                () = reader => {}
            }
        });
    }

    #[test]
    fn what_was_looked_at_is_read_all_the_same() {
        with(1000, |mut near, far| async move {
            far.writable().await.unwrap();
            assert_eq!(far.try_write(b"GET /").unwrap(), 5);
            assert_eq!(near.first().await.unwrap(), Some(b'G'));
            let mut octets = [0; 3];
            for expected in [&b"GET"[..], b" /"] {
                let mut buffer = ReadBuf::new(&mut octets);
                poll_fn(|context| Pin::new(&mut near).poll_read(context, &mut buffer)).await.unwrap();
                assert_eq!(buffer.filled(), expected);
            }
            near.say_last(b"bye").await.unwrap();
            far.readable().await.unwrap();
            assert_eq!((far.try_read(&mut octets).unwrap(), &octets), (3, b"bye"));
        });
    }
}
