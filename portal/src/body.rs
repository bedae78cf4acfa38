//! Bodies as they travel: the pieces in which they came, never put together, and sent on while they still come.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
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

/// Lets a body that isn't wanted go by, up to a limit: a caller that is still writing when the connection closes never sees why.
pub(crate) async fn discard(mut incoming: Incoming, limit: usize) {
    let mut size = 0;
    while size < limit
        && let Some(Ok(frame)) = incoming.frame().await
    {
        size += frame.data_ref().map_or(0, Bytes::len);
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

/// Why a body can't be sent on.
#[derive(Debug)]
pub(crate) struct Broken(Option<hyper::Error>);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(error) => write!(f, "the body broke off: {error}"),
            None => f.write_str("the body is shorter than it said"),
        }
    }
}

impl std::error::Error for Broken {}

/// A body on its way to a node.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// What is there and hasn't been taken.
    pieces: VecDeque<Bytes>,
    length: u64,
    /// Bytes not taken yet.
    left: u64,
    source: Source,
}

/// Where a body comes from, and comes from again if it has to be sent anew.
#[derive(Debug)]
enum Source {
    /// It is all there.
    Whole(Pieces),
    /// It is still coming, and kept as it passes.
    Passing(Incoming, Kept),
}

impl Outgoing {
    /// A body of a length, of which the first pieces are there; all of it is kept as it passes.
    pub(crate) fn passing(first: Vec<Bytes>, rest: Incoming, length: u64) -> (Self, Kept) {
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
        loop {
            // A body ends with its length: nobody need look whether there is more.
            if self.left == 0 {
                kept.complete();
                return Poll::Ready(Ok(None));
            }
            match std::task::ready!(Pin::new(&mut *rest).poll_frame(context)) {
                Some(Ok(frame)) => {
                    // Trailers mean nothing here.
                    if let Ok(piece) = frame.into_data() {
                        kept.push(piece.clone());
                        self.left = self.left.saturating_sub(piece.len() as u64);
                        return Poll::Ready(Ok(Some(piece)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(Broken(Some(error)))),
                None => return Poll::Ready(Err(Broken(None))),
            }
        }
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

impl<T: Into<Pieces>> From<T> for Outgoing {
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
    pub(crate) async fn read(incoming: &mut Incoming, enough: usize) -> Result<Self, hyper::Error> {
        let mut beginning = Self { pieces: Vec::new(), size: 0, ended: incoming.is_end_stream() };
        while !beginning.ended && beginning.size < enough {
            beginning.more(incoming).await?;
        }
        Ok(beginning)
    }

    async fn more(&mut self, incoming: &mut Incoming) -> Result<(), hyper::Error> {
        match incoming.frame().await {
            Some(frame) => {
                if let Ok(piece) = frame?.into_data() {
                    self.size += piece.len();
                    self.pieces.push(piece);
                }
                self.ended = incoming.is_end_stream();
            }
            None => self.ended = true,
        }
        Ok(())
    }

    /// Reads the rest; `None` if it comes to more than a limit.
    pub(crate) async fn finish(mut self, incoming: &mut Incoming, limit: usize) -> Result<Option<Bytes>, hyper::Error> {
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
