//! A connection from a caller, and the requests that come over it.

use super::{
    LONGEST_HEAD,
    chunked::{self, Step},
    pipe::Pipe,
    request::{self, Framing, Head, Refusal},
};
use crate::{
    body::{Broken, Incoming},
    handler::{Handler, Reply, Request, TEXT},
    strangers::Visitor,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::Method;
use std::{
    fmt::Write,
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// The least room for a request that hasn't begun. Several short ones use it up one after the other.
const ROOM: usize = 64 << 10;
/// What is read of a request at first: most are shorter.
const SHORT: usize = 8 << 10;
/// From which length on a body had better not be read, if it can pass through a pipe. Shorter ones are passed on as fast by copying them.
const LONG: u64 = 256 << 10;
/// What is read at once of a long body.
const PORTION: usize = 256 << 10;
/// How many buffers are kept: the last block is held for a gateway whose turn comes, the one before it may still be on its way to others.
const SPARES: usize = 3;
/// How long a head may take from its first byte to its last.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// For how long, and for how many bytes, a caller is listened to that is still writing what nobody reads: if the connection is closed before, it may never
/// see why.
const LINGER: Duration = Duration::from_secs(3);
const LINGER_BYTES: usize = 64 << 20;

/// A connection from a caller.
#[derive(Debug)]
pub(crate) struct Caller {
    stream: TcpStream,
    /// What was read and belongs to nothing yet.
    buffer: BytesMut,
    /// Buffers that are used again once nobody holds any more what was in them: memory that was given back would have to be cleared by the kernel first.
    spares: Vec<BytesMut>,
    /// What is still to come of the body of the request in hand.
    body: Framing,
    /// What the caller waits to be told before it sends that body.
    untold: &'static [u8],
    /// The length of that body, if it is known.
    length: u64,
    /// How much is read of a request at first. Those of one length come one after the other: all of one that will be read, little of one that won't.
    at_first: usize,
    /// The head of the last reply.
    head: String,
    /// The Date header of a second: RFC 9110, section 6.6.1.
    date: (u64, String),
}

const CLOSE: &str = "connection: close\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Answers requests one after the other, until the caller leaves or the token is cancelled. A call under way is answered then, and in any case done, even
/// if the caller has left.
pub(crate) async fn serve(
    stream: TcpStream,
    visitor: &Visitor,
    handler: &impl Handler,
    shutdown: &CancellationToken,
) -> Result<(), io::Error> {
    let mut caller = Caller::new(stream);
    let mut stop = pin!(shutdown.cancelled());
    loop {
        let head = {
            let mut next = pin!(caller.next());
            poll_fn(|context| match next.as_mut().poll(context) {
                Poll::Pending => stop.as_mut().poll(context).map(|()| Ok(None)),
                ready => ready,
            })
            .await
        };
        let head = match head? {
            Some(Ok(head)) => {
                visitor.heard();
                head
            }
            Some(Err(refusal)) => {
                handler.refused(refusal.status(), &refusal);
                let reply = Reply::new(refusal.status(), TEXT, refusal.to_string());
                caller.reply(&reply, false, CLOSE).await?;
                return caller.linger(visitor).await;
            }
            None => return Ok(()),
        };
        let turn = visitor.turn().await;
        let Head { method, target, authorization, framing, kept, expects_continue, old } = head;
        caller.begin(framing);
        caller.untold = if expects_continue { CONTINUE } else { &[] };
        let without_body = method == Method::HEAD;
        let body = Incoming::Http1(&mut caller);
        let request = Request { method, path: target.path(), authorization: authorization.as_deref(), visitor, body };
        let mut reply = handler.answer(request).await;
        drop(turn);
        let rest = reply.rest.take();
        let ended = caller.skip();
        let kept = kept && ended && !shutdown.is_cancelled();
        let connection = match (kept, old) {
            (true, false) => "",
            (true, true) => "connection: keep-alive\r\n",
            (false, _) => CLOSE,
        };
        tried(caller.reply(&reply, without_body, connection), rest).await?;
        match (kept, ended) {
            (true, _) => {}
            (false, true) => return Ok(()),
            (false, false) => return caller.linger(visitor).await,
        }
    }
}

/// Waits for a future, and drops something before that, once the future has gone as far as it goes at once: for a caller that doesn't take its reply, what
/// is left to do about its call must not wait.
async fn tried<F: Future>(future: F, rest: impl Sized) -> F::Output {
    let (mut future, mut rest) = (pin!(future), Some(rest));
    poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        rest = None;
        polled
    })
    .await
}

impl Caller {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: BytesMut::with_capacity(ROOM),
            spares: Vec::new(),
            body: Framing::ENDED,
            untold: &[],
            length: 0,
            at_first: SHORT,
            head: String::new(),
            date: (0, String::new()),
        }
    }

    /// Begins with a request's body.
    fn begin(&mut self, body: Framing) {
        self.body = body;
        self.length = if let Framing::Length(length) = body { length } else { 0 };
    }

    /// Prepares for another body of this one's length. Only once it is taken: for one that isn't, such as a stranger's, nothing is kept ready.
    fn prepare(&mut self) {
        match usize::try_from(self.length) {
            Ok(whole) if self.length < LONG => self.at_first = self.at_first.max(whole + SHORT),
            _ => self.at_first = SHORT,
        }
    }

    /// The next request's head; `None` if there is no other.
    async fn next(&mut self) -> io::Result<Option<Result<Head, Refusal>>> {
        let mut begun: Option<Instant> = None;
        let (mut parsed, mut empty) = (0, 0);
        loop {
            // Empty lines before a request don't begin it: some callers write one behind a body (RFC 9112, section 2.2).
            let lines = empty_lines(&self.buffer);
            if lines > 0 {
                self.buffer.advance(lines);
                (begun, parsed) = (None, 0);
                empty += lines;
                if empty > LONGEST_HEAD {
                    return Ok(Some(Err(Refusal::TooLong)));
                }
            }
            if is_news(&self.buffer, parsed) {
                match request::parse(&self.buffer) {
                    Ok(Some((head, length))) => {
                        self.buffer.advance(length);
                        return Ok(Some(Ok(head)));
                    }
                    Ok(None) => {}
                    Err(refusal) => return Ok(Some(Err(refusal))),
                }
            }
            parsed = self.buffer.len();
            let most = self.at_first;
            self.room(most, ROOM.max(2 * most));
            let read = if self.buffer.is_empty() {
                self.read(most).await?
            } else {
                let left = HEAD_TIME.saturating_sub(begun.get_or_insert_with(Instant::now).elapsed());
                timeout(left, self.read(most)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??
            };
            if read == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    async fn read(&mut self, most: usize) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, most)).await
    }

    /// Reads up to so many bytes into what room there is in the buffer; zero at the connection's end.
    fn poll_read(&mut self, context: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        let mut room = (&mut self.buffer).limit(most);
        let future = pin!(self.stream.read_buf(&mut room));
        future.poll(context)
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        loop {
            let more = match &mut self.body {
                Framing::Length(0) => return Poll::Ready(Ok(None)),
                Framing::Length(left) if !self.buffer.is_empty() => {
                    let length = self.buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= length as u64;
                    self.prepare();
                    return Poll::Ready(Ok(Some(self.buffer.split_to(length).freeze())));
                }
                Framing::Length(left) => *left,
                Framing::Chunked(chunks) => match chunks.next(&mut self.buffer) {
                    Ok(Step::Piece(piece)) => return Poll::Ready(Ok(Some(piece))),
                    Ok(Step::End) => return Poll::Ready(Ok(None)),
                    Ok(Step::More) => chunks.announced(),
                    Err(chunked::Malformed) => return Poll::Ready(Err(Broken::off("a chunk is malformed"))),
                },
            };
            ready!(self.poll_tell(context))?;
            // Room for more than there is to come: a read that fills all of it leaves open whether there is more, which costs another. Of a body that
            // comes in small portions, each goes behind the one before it: a buffer is held for as long as any piece in it.
            let room = usize::try_from(more).unwrap_or(usize::MAX).clamp(SHORT, PORTION) + 1;
            // By a long body's beginning it is seen whether it can pass without being read.
            let room = if more == self.length && more >= LONG { SHORT } else { room };
            self.room(room.min(ROOM), room);
            match ready!(self.poll_read(context, room)) {
                Ok(0) => return Poll::Ready(Err(Broken::Short)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Broken::off(error))),
            }
        }
    }

    /// Whether the rest of the body is long, and comes as it is.
    pub(crate) fn fits_a_pipe(&self) -> bool {
        self.buffer.is_empty() && matches!(self.body, Framing::Length(left) if left >= LONG / 2)
    }

    /// Takes what has come of a body that fits a pipe into one that is empty; gives its length in bytes, or `None` if it had better be read.
    pub(crate) fn poll_pass(
        &mut self,
        context: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<Option<u64>, Broken>> {
        ready!(self.poll_tell(context))?;
        let Framing::Length(left) = &mut self.body else { return Poll::Ready(Ok(None)) };
        loop {
            if ready!(self.stream.poll_read_ready(context)).is_err() {
                return Poll::Ready(Ok(None));
            }
            match pipe.fill(&self.stream, usize::try_from(*left).unwrap_or(usize::MAX)) {
                Ok(filled) if filled > 0 => {
                    *left -= filled as u64;
                    return Poll::Ready(Ok(Some(filled as u64)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Tells the caller what it waits for before it sends a body.
    fn poll_tell(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while !self.untold.is_empty() {
            let told = ready!(Pin::new(&mut self.stream).poll_write(context, self.untold)).map_err(Broken::off)?;
            self.untold = &self.untold[told..];
        }
        Poll::Ready(Ok(()))
    }

    /// Makes new room of a size if there is less than so much.
    fn room(&mut self, least: usize, size: usize) {
        if self.buffer.capacity() - self.buffer.len() >= least || self.buffer.try_reclaim(size) {
            return;
        }
        let reclaimed = self.spares.iter_mut().position(|spare| spare.try_reclaim(size));
        let mut next = match reclaimed {
            Some(index) => self.spares.swap_remove(index),
            None => {
                // Those that are free are too small, then.
                self.spares.retain_mut(|spare| !spare.try_reclaim(1));
                BytesMut::with_capacity(size)
            }
        };
        next.extend_from_slice(&self.buffer);
        let mut last = std::mem::replace(&mut self.buffer, next);
        last.clear();
        if self.spares.len() < SPARES {
            self.spares.push(last);
        }
    }

    /// Bytes of the body that are still to come, if that is known.
    pub(crate) const fn left(&self) -> Option<u64> {
        match self.body {
            Framing::Length(left) => Some(left),
            Framing::Chunked(_) => None,
        }
    }

    /// Whether nothing more comes of the body.
    pub(crate) const fn is_ended(&self) -> bool {
        self.body.is_ended()
    }

    /// Passes over what has come of a body that nobody reads; says whether that is all of it.
    fn skip(&mut self) -> bool {
        match &mut self.body {
            Framing::Length(left) => {
                let length = self.buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= length as u64;
                self.buffer.advance(length);
            }
            Framing::Chunked(chunks) => while let Ok(Step::Piece(_)) = chunks.next(&mut self.buffer) {},
        }
        self.body.is_ended()
    }

    /// Writes a reply, or only its head, with a line on what becomes of the connection.
    async fn reply(&mut self, reply: &Reply, without_body: bool, connection: &str) -> io::Result<()> {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.date.0 != second {
            self.date = (second, httpdate::fmt_http_date(now));
        }
        let (status, reason) = (reply.status.as_u16(), reply.status.canonical_reason().unwrap_or_default());
        let Reply { content_type, body, .. } = reply;
        self.head.clear();
        // Writing to a string can't fail.
        let _ = write!(
            self.head,
            "HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n{connection}date: {}\r\n\r\n",
            body.len(),
            self.date.1
        );
        let mut slices = vec![IoSlice::new(self.head.as_bytes())];
        if !without_body {
            slices.extend(body.bytes().map(|piece| IoSlice::new(piece)));
        }
        let mut unsent = &mut slices[..];
        while !unsent.is_empty() {
            match self.stream.write_vectored(unsent).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => IoSlice::advance_slices(&mut unsent, written),
            }
        }
        Ok(())
    }

    /// Lets go by what a caller still writes, for a while.
    async fn linger(mut self, visitor: &Visitor) -> io::Result<()> {
        self.stream.shutdown().await?;
        let heard = async {
            let mut left = LINGER_BYTES;
            while left > 0 {
                let _turn = visitor.turn().await;
                self.buffer.clear();
                self.room(ROOM, ROOM);
                match self.read(ROOM).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            Ok(())
        };
        timeout(LINGER, heard).await.unwrap_or(Ok(()))
    }
}

/// The length of the empty lines at the beginning of a buffer.
fn empty_lines(buffer: &[u8]) -> usize {
    let mut rest = buffer;
    while let Some(behind) = rest.strip_prefix(b"\n").or_else(|| rest.strip_prefix(b"\r\n")) {
        rest = behind;
    }
    buffer.len() - rest.len()
}

/// Whether a head of which so much was parsed before is worth parsing again, all of it: once in a line, however small the portions are in which it comes.
fn is_news(head: &[u8], parsed: usize) -> bool {
    parsed == 0 || head[parsed..].contains(&b'\n') || head.len() >= LONGEST_HEAD
}

#[cfg(test)]
mod tests;
