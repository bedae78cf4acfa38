//! Bodies as they travel: the pieces in which they came, never put together, and sent on while they still come.

use crate::wire::{Caller, Held, Pipe, Pipes};
use bytes::Bytes;
use hyper::body::Body;
use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Sleep, sleep},
};

/// A whole body in pieces. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Pieces(Arc<[Piece]>);

/// A piece of a body.
#[derive(Clone, Debug)]
enum Piece {
    Read(Bytes),
    Held(Arc<Held>),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Read(bytes) => bytes.len(),
            Self::Held(held) => held.len(),
        }
    }

    fn bytes(&self) -> &Bytes {
        match self {
            Self::Read(bytes) => bytes,
            Self::Held(held) => held.bytes(),
        }
    }
}

impl Pieces {
    pub(crate) fn bytes(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter().map(Piece::bytes)
    }

    /// In bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Piece::len).sum()
    }

    /// Copied into one piece.
    pub(crate) fn joined(&self) -> Bytes {
        let mut joined = Vec::new();
        self.bytes().for_each(|piece| joined.extend_from_slice(piece));
        joined.into()
    }

    /// One that is in a pipe.
    #[cfg(all(test, target_os = "linux"))]
    pub(crate) fn held(pipe: Pipe) -> Self {
        Self(Arc::new([Piece::Held(Arc::new(Held::new(pipe)))]))
    }

    /// For having it read, unless nobody has it any more by then.
    pub(crate) fn unread(&self) -> Option<Unread> {
        let is_held = self.0.iter().any(|piece| matches!(piece, Piece::Held(_)));
        is_held.then(|| Unread(Arc::downgrade(&self.0)))
    }
}

/// A body of which the kernel may still hold a part, for whose sake nobody keeps it.
#[derive(Debug)]
pub(crate) struct Unread(Weak<[Piece]>);

impl Unread {
    /// Reads what the kernel holds.
    pub(crate) fn read(&self) {
        if let Some(pieces) = self.0.upgrade() {
            for piece in pieces.iter() {
                piece.bytes();
            }
        }
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        Self(Arc::new([Piece::Read(bytes)]))
    }
}

impl From<Vec<Bytes>> for Pieces {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self(pieces.into_iter().map(Piece::Read).collect())
    }
}

/// A request's body, as it comes.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    Http1(&'a mut Caller),
    Http2(hyper::body::Incoming),
}

impl Incoming<'_> {
    /// Bytes that are still to come, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Self::Http1(caller) => caller.left(),
            Self::Http2(body) => body.size_hint().exact(),
        }
    }

    /// Whether nothing more comes.
    pub(crate) fn is_ended(&self) -> bool {
        match self {
            Self::Http1(caller) => caller.is_ended(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    /// Whether what is to come is long, and comes as it is.
    fn fits_a_pipe(&self) -> bool {
        match self {
            Self::Http1(caller) => caller.fits_a_pipe(),
            Self::Http2(_) => false,
        }
    }

    /// The next piece; `None` at the end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        match self {
            Self::Http1(caller) => caller.poll_piece(context),
            Self::Http2(body) => loop {
                match ready!(Pin::new(&mut *body).poll_frame(context)) {
                    Some(Ok(frame)) => {
                        // Trailers mean nothing here.
                        if let Ok(piece) = frame.into_data() {
                            return Poll::Ready(Ok(Some(piece)));
                        }
                    }
                    Some(Err(error)) => return Poll::Ready(Err(Broken::off(error))),
                    None => return Poll::Ready(Ok(None)),
                }
            },
        }
    }
}

/// What has come of a body that is being sent on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Mutex<(Vec<Piece>, bool)>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn push(&self, piece: Piece) {
        lock(&self.0).0.push(piece);
    }

    /// Keeps what is in a pipe, as far as there is room in others; gives how much that is, in bytes.
    fn keep(&self, pipe: &Pipe, pipes: &Pipes) -> usize {
        let mut kept = lock(&self.0);
        let added = match kept.0.last() {
            Some(Piece::Held(last)) => last.add(pipe),
            _ => 0,
        };
        if added > 0 {
            return added;
        }
        let Some(held) = pipes.take().map(Held::new) else { return 0 };
        let added = held.add(pipe);
        if added > 0 {
            kept.0.push(Piece::Held(Arc::new(held)));
        }
        added
    }

    fn complete(&self) {
        lock(&self.0).1 = true;
    }

    /// The whole body; `None` while some of it is missing.
    pub(crate) fn whole(&self) -> Option<Pieces> {
        let kept = lock(&self.0);
        kept.1.then(|| Pieces(kept.0.clone().into()))
    }
}

/// Why there is no more of a body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The connection or its protocol.
    #[error("the body broke off: {0}")]
    Off(Box<dyn std::error::Error + Send + Sync>),
    /// It ended too early.
    #[error("the body is shorter than it said")]
    Short,
}

impl Broken {
    pub(crate) fn off(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Off(error.into())
    }
}

/// A body on its way to a node.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    /// What is there and hasn't been taken.
    pieces: VecDeque<Bytes>,
    length: u64,
    /// Bytes not taken yet.
    left: u64,
    source: Source<'a>,
}

/// Where a body comes from, and comes from again if it has to be sent anew.
#[derive(Debug)]
enum Source<'a> {
    /// It is all there.
    Whole(Pieces),
    /// It is still coming, and kept as it passes.
    Passing { rest: Incoming<'a>, kept: Kept, conduit: Option<Conduit> },
}

/// A way for a body around memory.
#[derive(Debug)]
struct Conduit {
    pipe: Pipe,
    /// How much of what is in it is kept, and may go on: it goes through only once.
    kept: usize,
    pipes: Pipes,
    /// Runs while the node takes nothing; at its end the pipe is left.
    patience: Option<Pin<Box<Sleep>>>,
}

/// How long a node may take nothing before the rest is read all the same, for those who are to have it besides.
const PATIENCE: Duration = Duration::from_millis(20);

impl Conduit {
    /// Gives what is kept to a node; says whether that could be done.
    fn poll_pour(&mut self, context: &mut Context<'_>, to: &TcpStream, more: bool) -> Poll<bool> {
        loop {
            if ready!(to.poll_write_ready(context)).is_err() {
                return Poll::Ready(false);
            }
            match self.pipe.pour(to, self.kept, more) {
                Ok(poured) if poured > 0 => {
                    self.kept -= poured;
                    self.patience = None;
                    return Poll::Ready(true);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return Poll::Ready(false),
            }
        }
    }
}

impl<'a> Outgoing<'a> {
    /// A body of a length, of which the first pieces are there; all of it is kept as it passes. A long rest passes through a pipe, if there is one.
    pub(crate) fn passing(first: Vec<Bytes>, rest: Incoming<'a>, length: u64, pipes: &Pipes) -> (Self, Kept) {
        let kept = Kept::default();
        first.iter().cloned().for_each(|piece| kept.push(Piece::Read(piece)));
        let pipe = if rest.fits_a_pipe() { pipes.take() } else { None };
        let conduit = pipe.map(|pipe| Conduit { pipe, kept: 0, pipes: pipes.clone(), patience: None });
        let source = Source::Passing { rest, kept: kept.clone(), conduit };
        (Self { pieces: first.into(), length, left: length, source }, kept)
    }

    /// In bytes.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// The next piece; `None` at the end.
    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        if self.pieces.is_empty() {
            self.leave_pipe()?;
        }
        if let Some(piece) = self.pieces.pop_front() {
            self.left = self.left.saturating_sub(piece.len() as u64);
            return Poll::Ready(Ok(Some(piece)));
        }
        let Source::Passing { rest, kept, .. } = &mut self.source else { return Poll::Ready(Ok(None)) };
        // A body ends with its length: nobody need look whether there is more.
        if self.left == 0 {
            kept.complete();
            return Poll::Ready(Ok(None));
        }
        let piece = ready!(rest.poll_piece(context))?.ok_or(Broken::Short)?;
        kept.push(Piece::Read(piece.clone()));
        self.left = self.left.saturating_sub(piece.len() as u64);
        Poll::Ready(Ok(Some(piece)))
    }

    /// Whether what comes next can go to a node by [`Outgoing::poll_pass`].
    pub(crate) fn passes(&self) -> bool {
        self.pieces.is_empty() && matches!(self.source, Source::Passing { conduit: Some(_), .. })
    }

    /// Passes on what comes to a node, through the pipe; ready at the end, or when the rest has to be taken piece by piece after all. That is so whatever
    /// goes wrong: where it is a connection that broke, reading or writing it will say so.
    pub(crate) fn poll_pass(&mut self, context: &mut Context<'_>, to: &TcpStream) -> Poll<Result<(), Broken>> {
        while let Source::Passing { rest: Incoming::Http1(caller), kept, conduit: Some(conduit) } = &mut self.source {
            let passed = if conduit.kept > 0 {
                match conduit.poll_pour(context, to, self.left > 0) {
                    Poll::Ready(poured) => poured,
                    Poll::Pending => {
                        let patience = conduit.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
                        ready!(patience.as_mut().poll(context));
                        false
                    }
                }
            } else if conduit.pipe.inside() > 0 {
                conduit.kept = kept.keep(&conduit.pipe, &conduit.pipes);
                conduit.kept > 0
            } else if self.left > 0 {
                let taken = ready!(caller.poll_pass(context, &mut conduit.pipe))?;
                self.left -= taken.unwrap_or(0).min(self.left);
                taken.is_some()
            } else {
                false
            };
            if !passed {
                self.leave_pipe()?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Goes on piece by piece. What is in the pipe comes first.
    fn leave_pipe(&mut self) -> Result<(), Broken> {
        let Source::Passing { kept, conduit, .. } = &mut self.source else { return Ok(()) };
        if let Some(mut conduit) = conduit.take() {
            let inside = conduit.pipe.empty().map_err(Broken::off)?;
            if inside.len() > conduit.kept {
                kept.push(Piece::Read(inside.slice(conduit.kept..)));
            }
            self.left += inside.len() as u64;
            self.pieces.push_back(inside);
        }
        Ok(())
    }

    /// Lets go by what hasn't been taken.
    pub(crate) async fn finish(&mut self) -> Result<(), Broken> {
        while poll_fn(|context| self.poll_piece(context)).await?.is_some() {}
        Ok(())
    }

    /// Begins anew.
    pub(crate) fn rewind(&mut self) -> Result<(), Broken> {
        self.leave_pipe()?;
        self.left = self.length;
        self.pieces = match &self.source {
            Source::Whole(pieces) => pieces.bytes().cloned().collect(),
            Source::Passing { kept, .. } => lock(&kept.0).0.iter().map(Piece::bytes).cloned().collect(),
        };
        Ok(())
    }
}

impl<T: Into<Pieces>> From<T> for Outgoing<'_> {
    fn from(pieces: T) -> Self {
        let whole = pieces.into();
        let pieces: VecDeque<_> = whole.bytes().cloned().collect();
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces, length, left: length, source: Source::Whole(whole) }
    }
}

/// The beginning of a body: at least so many bytes, or all of it.
pub(crate) struct Beginning {
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) size: usize,
    pub(crate) ended: bool,
}

impl Beginning {
    /// Reads one.
    pub(crate) async fn read(incoming: &mut Incoming<'_>, enough: usize) -> Result<Self, Broken> {
        let mut beginning = Self { pieces: Vec::new(), size: 0, ended: incoming.is_ended() };
        while !beginning.ended && beginning.size < enough {
            beginning.more(incoming).await?;
        }
        Ok(beginning)
    }

    async fn more(&mut self, incoming: &mut Incoming<'_>) -> Result<(), Broken> {
        match poll_fn(|context| incoming.poll_piece(context)).await? {
            Some(piece) => {
                self.size += piece.len();
                self.pieces.push(piece);
                self.ended = incoming.is_ended();
            }
            None => self.ended = true,
        }
        Ok(())
    }

    /// Reads the rest; `None` if it comes to more than a limit.
    pub(crate) async fn finish(mut self, incoming: &mut Incoming<'_>, limit: usize) -> Result<Option<Bytes>, Broken> {
        while !self.ended && self.size <= limit {
            self.more(incoming).await?;
        }
        Ok((self.size <= limit).then(|| self.whole()))
    }

    /// What was read, in one piece.
    pub(crate) fn whole(&self) -> Bytes {
        match self.pieces.as_slice() {
            [only] => only.clone(),
            several => several.concat().into(),
        }
    }
}

#[cfg(test)]
mod tests;
