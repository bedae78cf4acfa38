//! A connection to a node, and one exchange over it.

use super::{
    answer::{self, Answer, AnswerError},
    pipe,
};
use crate::body::{Broken, Outgoing};
use bytes::{Bytes, BytesMut};
use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
};

/// From which length of an answer on a connection gives its buffer back: some dozens may be idle, and large answers are rare.
const LARGE: usize = 64 << 10;
/// How many pieces are written at once.
const PIECES: usize = 16;

/// A connection that is between exchanges.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    buffer: BytesMut,
    idle_since: Instant,
}

/// Why an exchange failed. The connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// It was closed before anything of an answer came, as a node does with a connection that was idle for long.
    #[error("closed before the answer: {0}")]
    Unanswered(io::Error),
    /// It broke, or what came isn't HTTP.
    #[error("{0}")]
    Failed(String),
    /// The body that was to be sent broke off.
    #[error(transparent)]
    Body(#[from] Broken),
    /// The answer is larger than the limit.
    #[error("the answer is too big")]
    TooBig,
}

impl Link {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new(), idle_since: Instant::now() }
    }

    /// Whether it can be used: idle for less than a time, and the node has neither closed it nor said anything unasked. Costs no system call.
    pub(crate) fn is_usable(&mut self, idle: Duration) -> bool {
        let mut byte = [0];
        let looked = Pin::new(&mut self.stream)
            .poll_read(&mut Context::from_waker(std::task::Waker::noop()), &mut ReadBuf::new(&mut byte));
        !self.is_old(idle) && looked.is_pending()
    }

    /// Whether it has been idle for a time.
    pub(crate) fn is_old(&self, idle: Duration) -> bool {
        self.idle_since.elapsed() >= idle
    }

    /// Whether it holds a buffer of so many bytes while it is idle.
    #[cfg(test)]
    pub(crate) fn holds(&mut self, bytes: usize) -> bool {
        self.buffer.try_reclaim(bytes)
    }

    /// What it goes over.
    #[cfg(all(test, target_os = "linux"))]
    pub(crate) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Makes it as if it had been idle for longer.
    #[cfg(test)]
    pub(crate) fn age(&mut self, by: Duration) {
        self.idle_since = self.idle_since.checked_sub(by).unwrap_or(self.idle_since);
    }

    /// Sends head and body, and reads the answer, which may come before everything is sent. Gives the connection back if it can be used again.
    pub(crate) async fn exchange(
        mut self,
        head: Bytes,
        body: &mut Outgoing<'_>,
        limit: usize,
    ) -> Result<(Answer, Option<Self>), ExchangeError> {
        let (answer, sent) = {
            let (mut reader, writer) = self.stream.split();
            let mut sending = pin!(send(writer.as_ref(), head, body));
            let mut reading = pin!(answer::read(&mut reader, &mut self.buffer, limit));
            // `None` while there is something to send.
            let mut sent = None;
            let answer = poll_fn(|context| {
                if sent.is_none()
                    && let Poll::Ready(result) = sending.as_mut().poll(context)
                {
                    match result {
                        Err(SendError::Body(broken)) => return Poll::Ready(Err(broken.into())),
                        // A node may refuse a body before it has all of it: its answer counts, if there is one.
                        Err(SendError::Io(error)) => sent = Some(Err(error)),
                        Ok(()) => sent = Some(Ok(())),
                    }
                }
                reading.as_mut().poll(context).map_err(|error| match error {
                    AnswerError::Broke(error, true) => ExchangeError::Unanswered(match sent.take() {
                        Some(Err(first)) => first,
                        _ => error,
                    }),
                    AnswerError::Broke(error, false) => ExchangeError::Failed(error.to_string()),
                    AnswerError::Malformed(what) => ExchangeError::Failed(format!("not an answer: {what}")),
                    AnswerError::TooBig => ExchangeError::TooBig,
                })
            })
            .await?;
            (answer, sent)
        };
        let usable = answer.kept && matches!(sent, Some(Ok(()))) && self.buffer.is_empty();
        if answer.body.len() >= LARGE {
            self.buffer = BytesMut::new();
        }
        self.idle_since = Instant::now();
        Ok((answer, usable.then_some(self)))
    }
}

enum SendError {
    Io(io::Error),
    Body(Broken),
}

impl From<Broken> for SendError {
    fn from(broken: Broken) -> Self {
        Self::Body(broken)
    }
}

/// Writes a head and a body, as many pieces at once as there are; what passes through a pipe goes as it comes.
async fn send(to: &TcpStream, head: Bytes, body: &mut Outgoing<'_>) -> Result<(), SendError> {
    let mut unsent = VecDeque::from([head]);
    let mut ended = false;
    poll_fn(|context| {
        loop {
            while !ended && unsent.len() < PIECES && !body.passes() {
                match body.poll_piece(context)? {
                    // A write of nothing looks like a connection that takes nothing.
                    Poll::Ready(Some(piece)) if piece.is_empty() => {}
                    Poll::Ready(Some(piece)) => unsent.push_back(piece),
                    Poll::Ready(None) => ended = true,
                    Poll::Pending => break,
                }
            }
            if unsent.is_empty() {
                if body.passes() {
                    ready!(body.poll_pass(context, to))?;
                    continue;
                }
                return if ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            let mut slices = [IoSlice::new(&[]); PIECES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&unsent) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            ready!(to.poll_write_ready(context)).map_err(SendError::Io)?;
            let slices = &slices[..count];
            match if body.passes() { pipe::write_more(to, slices) } else { to.try_write_vectored(slices) } {
                Ok(0) => return Poll::Ready(Err(SendError::Io(io::ErrorKind::WriteZero.into()))),
                Ok(written) => advance(&mut unsent, written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(SendError::Io(error))),
            }
        }
    })
    .await
}

/// Takes away what is written.
fn advance(unsent: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = unsent.front_mut() {
        if first.len() > written {
            drop(first.split_to(written));
            return;
        }
        written -= first.len();
        unsent.pop_front();
    }
}
