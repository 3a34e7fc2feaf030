//! A connection that is written to with patience, but not for ever.
//!
//! Takes a stream, gives the same one. Where whoever is at its other end takes nothing for so long, or next to nothing,
//! writing fails; what comes first can be looked at before anybody takes it.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Octets of a look.
const LOOK_OCTETS: usize = 1024;
/// Octets that are more than next to nothing; all that there are is enough, too.
const LEAST_OCTETS: usize = 4096;

/// A stream, and since when it takes nothing.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    /// How long it may take nothing.
    patience: Duration,
    stalled: Option<Stalled>,
    /// What was looked at and is still to be read.
    ahead: Vec<u8>,
}

/// What became of a stream since octets were not taken.
#[derive(Debug)]
struct Stalled {
    /// When that has lasted too long.
    end: Pin<Box<Sleep>>,
    /// Octets that were taken since.
    taken: usize,
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

    /// What became of writing so many octets, unless the other end has taken next to nothing for too long.
    fn bounded(
        &mut self,
        context: &mut Context<'_>,
        offered: usize,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let patience = self.patience;
        if let Poll::Ready(written) = written {
            let octets = written?;
            self.stalled = self.stalled.take().and_then(|stalled| stalled.without(octets, offered));
            return Poll::Ready(Ok(octets));
        }
        let begin = || Stalled { end: Box::pin(sleep(patience)), taken: 0 };
        ready!(self.stalled.get_or_insert_with(begin).end.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl Stalled {
    /// What it is once so many octets of those that were offered are taken; nothing where that is enough.
    fn without(self, octets: usize, offered: usize) -> Option<Self> {
        let taken = self.taken + octets;
        (octets < offered && taken < LEAST_OCTETS).then_some(Self { taken, ..self })
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
        this.bounded(context, octets.len(), written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        let offered = parts.iter().map(|part| part.len()).sum();
        this.bounded(context, offered, written)
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

    /// Takes an octet now and then.
    struct Trickle(Pin<Box<Sleep>>);

    impl AsyncRead for Trickle {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Trickle {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            ready!(self.0.as_mut().poll(context));
            self.0 = Box::pin(sleep(Duration::from_millis(5)));
            Poll::Ready(Ok(1))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn whoever_takes_next_to_nothing_is_left() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let trickle = Trickle(Box::pin(sleep(Duration::from_millis(5))));
            let mut near = Patient::new(trickle, Duration::from_millis(100));
            let mut taken = 0;
            let failed = loop {
                match poll_fn(|context| Pin::new(&mut near).poll_write(context, &[0; 100])).await {
                    Ok(octets) => taken += octets,
                    Err(error) => break error,
                }
            };
            assert_eq!(failed.kind(), ErrorKind::TimedOut);
            assert!((1..=40).contains(&taken), "{taken}");
        });
    }

    #[test]
    fn what_is_enough_ends_a_stall() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stalled = |taken| Stalled { end: Box::pin(sleep(Duration::ZERO)), taken };
            let left =
                |taken, octets, offered| stalled(taken).without(octets, offered).map(|stalled| stalled.taken);
            assert_eq!(left(0, 10, 100), Some(10));
            assert_eq!(left(10, 100, 100), None, "all that there was");
            assert_eq!(left(4000, 95, 100), Some(4095));
            assert_eq!(left(4000, 96, 100), None);
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
