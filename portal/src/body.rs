//! Bodies as they travel: the pieces in which they came, never put together, and sent on while they still come.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
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

impl Kept {
    fn push(&self, piece: Bytes) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.push(piece);
    }

    fn complete(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
    }

    /// The whole body; `None` while some of it is missing.
    pub(crate) fn whole(&self) -> Option<Pieces> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1.then(|| kept.0.clone().into())
    }
}

/// Why a body can't be sent on.
#[derive(Debug)]
pub(crate) struct Broken(hyper::Error);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body broke off: {}", self.0)
    }
}

impl std::error::Error for Broken {}

/// A body on its way to a node.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pieces: VecDeque<Bytes>,
    /// What is still to come, and where it is kept.
    rest: Option<(Incoming, Kept)>,
    /// Bytes to go.
    left: u64,
}

impl Outgoing {
    /// A body of a length, of which the first pieces are there; all of it is kept as it passes.
    pub(crate) fn passing(first: Vec<Bytes>, rest: Incoming, length: u64) -> (Self, Kept) {
        let kept = Kept::default();
        first.iter().cloned().for_each(|piece| kept.push(piece));
        (Self { pieces: first.into(), rest: Some((rest, kept.clone())), left: length }, kept)
    }
}

impl<T: Into<Pieces>> From<T> for Outgoing {
    fn from(pieces: T) -> Self {
        let pieces: VecDeque<Bytes> = pieces.into().0.iter().cloned().collect();
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces, rest: None, left }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let piece = match this.pieces.pop_front() {
            Some(piece) => Some(Ok(piece)),
            None => loop {
                let Some((incoming, kept)) = &mut this.rest else { break None };
                match std::task::ready!(Pin::new(incoming).poll_frame(context)) {
                    Some(Ok(frame)) => {
                        // Trailers mean nothing here.
                        if let Ok(piece) = frame.into_data() {
                            kept.push(piece.clone());
                            break Some(Ok(piece));
                        }
                    }
                    Some(Err(error)) => break Some(Err(Broken(error))),
                    None => {
                        kept.complete();
                        this.rest = None;
                    }
                }
            },
        };
        if let Some(Ok(piece)) = &piece {
            this.left = this.left.saturating_sub(piece.len() as u64);
            // A receiver that has its length doesn't ask whether there is more.
            if this.left == 0
                && let Some((_, kept)) = &this.rest
            {
                kept.complete();
            }
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
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
