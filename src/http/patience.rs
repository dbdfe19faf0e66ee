//! A connection whose other end has to take what is written to it: not at once, but not never.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// So many bytes in several pieces are written as one: to copy them takes less than the system does for each piece.
const TOGETHER_MAX: usize = 1024;

/// A stream that fails when the other end has taken nothing for a while of what waits to be written.
pub(super) struct Patience<S> {
    stream: S,
    limit: Duration,
    /// When patience is lost; only there while something waits.
    lost: Option<Pin<Box<Sleep>>>,
}

impl<S> Patience<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, lost: None }
    }

    /// What `poll` says of a write, unless it has been saying "later" for too long.
    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut S, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(outcome) = poll(&mut self.stream, context) {
            self.lost = None;
            return Poll::Ready(outcome);
        }
        let limit = self.limit;
        let lost = self.lost.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(lost.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bounded(context, |stream, context| Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut together = [0; TOGETHER_MAX];
        let Some(mut room) = together.get_mut(..length) else {
            return self
                .bounded(context, |stream, context| Pin::new(stream).poll_write_vectored(context, slices));
        };
        for slice in slices {
            let (taken, rest) = room.split_at_mut(slice.len());
            taken.copy_from_slice(slice);
            room = rest;
        }
        self.poll_write(context, &together[..length])
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, |stream, context| Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(context, |stream, context| Pin::new(stream).poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::task::Waker;

    use super::*;

    /// What was written, one after the other. It takes three bytes of several pieces at once, and all of one.
    #[derive(Default)]
    struct Recorder(Vec<Vec<u8>>);

    impl AsyncWrite for Recorder {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.0.push(slices[0][..3].to_vec());
            Poll::Ready(Ok(3))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn write(pieces: &[&[u8]]) -> (usize, Vec<Vec<u8>>) {
        let mut patience = Patience::new(Recorder::default(), Duration::ZERO);
        let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let context = &mut Context::from_waker(Waker::noop());
        match Pin::new(&mut patience).poll_write_vectored(context, &slices) {
            Poll::Ready(Ok(written)) => (written, patience.stream.0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn small_pieces_are_written_as_one() {
        let (written, wrote) = write(&[b"5\r\n", b"", b"event", b"\r\n"]);
        assert_eq!((written, wrote), (10, vec![b"5\r\nevent\r\n".to_vec()]));
        let rest = [7; TOGETHER_MAX - 3];
        assert_eq!(write(&[b"abc", &rest]).0, TOGETHER_MAX);
    }

    #[test]
    fn large_ones_are_not_copied() {
        let rest = [7; TOGETHER_MAX - 2];
        assert_eq!(write(&[b"abc", &rest]), (3, vec![b"abc".to_vec()]));
    }
}
