//! Bodies as they travel: the pieces in which they came, never put together, and sent on while they still come.

use crate::wire::Caller;
use bytes::Bytes;
use hyper::body::Body;
use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

/// A whole body in pieces. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces(Arc<[Bytes]>);

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        Self(Arc::new([bytes]))
    }
}

impl From<Vec<Bytes>> for Pieces {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self(pieces.into())
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
pub(crate) struct Kept(Arc<Mutex<(Vec<Bytes>, bool)>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn push(&self, piece: Bytes) {
        lock(&self.0).0.push(piece);
    }

    fn complete(&self) {
        lock(&self.0).1 = true;
    }

    /// The whole body; `None` while some of it is missing.
    pub(crate) fn whole(&self) -> Option<Pieces> {
        let kept = lock(&self.0);
        kept.1.then(|| kept.0.clone().into())
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
    Passing(Incoming<'a>, Kept),
}

impl<'a> Outgoing<'a> {
    /// A body of a length, of which the first pieces are there; all of it is kept as it passes.
    pub(crate) fn passing(first: Vec<Bytes>, rest: Incoming<'a>, length: u64) -> (Self, Kept) {
        let kept = Kept::default();
        first.iter().cloned().for_each(|piece| kept.push(piece));
        let source = Source::Passing(rest, kept.clone());
        (Self { pieces: first.into(), length, left: length, source }, kept)
    }

    /// In bytes.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// The next piece; `None` at the end.
    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        if let Some(piece) = self.pieces.pop_front() {
            self.left = self.left.saturating_sub(piece.len() as u64);
            return Poll::Ready(Ok(Some(piece)));
        }
        let Source::Passing(rest, kept) = &mut self.source else { return Poll::Ready(Ok(None)) };
        // A body ends with its length: nobody need look whether there is more.
        if self.left == 0 {
            kept.complete();
            return Poll::Ready(Ok(None));
        }
        let piece = ready!(rest.poll_piece(context))?.ok_or(Broken::Short)?;
        kept.push(piece.clone());
        self.left = self.left.saturating_sub(piece.len() as u64);
        Poll::Ready(Ok(Some(piece)))
    }

    /// Lets go by what hasn't been taken.
    pub(crate) async fn finish(&mut self) -> Result<(), Broken> {
        while poll_fn(|context| self.poll_piece(context)).await?.is_some() {}
        Ok(())
    }

    /// Begins anew.
    pub(crate) fn rewind(&mut self) {
        self.left = self.length;
        self.pieces = match &self.source {
            Source::Whole(pieces) => pieces.0.iter().cloned().collect(),
            Source::Passing(_, kept) => lock(&kept.0).0.iter().cloned().collect(),
        };
    }
}

impl<T: Into<Pieces>> From<T> for Outgoing<'_> {
    fn from(pieces: T) -> Self {
        let whole = pieces.into();
        let length = whole.0.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces: whole.0.iter().cloned().collect(), length, left: length, source: Source::Whole(whole) }
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
