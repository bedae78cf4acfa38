//! Bytes that pass from one connection to another without being copied: a pipe holds references to the pages in which the kernel has them. Linux can do
//! that; elsewhere there are no pipes, and bodies pass through memory.
//!
//! Pages are shared, not copied: a caller that changes those it has sent (a file that it had the kernel send, and overwrites) changes what is read here later.
//! What `write(2)` took is nobody's to change.

use bytes::Bytes;
use std::{
    fmt,
    io::{self, IoSlice, PipeReader, PipeWriter, Read},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{io::Interest, net::TcpStream};

/// How many pipes there are at most. Linux gives each user 64 of this size; what is more than these hold is in memory.
const MOST: usize = 16;
/// How many are kept ready: the way through, and what is kept of this body and those before it.
const READY: usize = 4;

type Ends = (PipeReader, PipeWriter);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where pipes come from, and go back to. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipes(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    empty: Vec<Ends>,
    /// Pipes that somebody has.
    taken: usize,
    /// Whether the kernel has given none when one was wanted.
    #[cfg(test)]
    refused: bool,
}

impl Shelf {
    /// Another pipe, if the kernel gives one.
    fn make(&mut self) -> Option<Ends> {
        let made = kernel::pipe().ok();
        #[cfg(test)]
        {
            self.refused |= made.is_none();
        }
        made
    }
}

impl Pipes {
    /// An empty pipe; `None` where there are none, or all are taken.
    pub(crate) fn take(&self) -> Option<Pipe> {
        let mut shelf = lock(&self.0);
        if shelf.taken == MOST {
            return None;
        }
        let ends = shelf.empty.pop().or_else(|| shelf.make())?;
        shelf.taken += 1;
        Some(Pipe { ends: Some(ends), inside: 0, home: self.clone() })
    }

    /// Pipes of sizes in bytes, the last of which is taken first. A user who has come to the limit gets them smaller, of a page or two.
    #[cfg(all(test, target_os = "linux"))]
    pub(crate) fn of(sizes: &[usize]) -> Self {
        let pipe = |size: &usize| {
            let ends = io::pipe().expect("a pipe");
            if let Err(error) = rustix::pipe::fcntl_setpipe_size(&ends.1, *size) {
                eprintln!("a pipe has the size that the kernel gives it, not {size} bytes: {error}");
            }
            ends
        };
        Self(Arc::new(Mutex::new(Shelf { empty: sizes.iter().map(pipe).collect(), ..Shelf::default() })))
    }

    /// Whether there were all that were wanted: elsewhere than on Linux there are none, nor for a user who has come to the limit, by whatever else he does.
    #[cfg(test)]
    pub(crate) fn were_there(&self) -> bool {
        let were_there = !lock(&self.0).refused;
        if !were_there {
            eprintln!("the kernel gives no more pipes: how much of a body they hold isn't looked at");
        }
        were_there
    }

    /// How many somebody has.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        lock(&self.0).taken
    }

    /// Makes pipes, so that none has to be made while a call waits.
    pub(crate) fn make_ready(&self) {
        let mut shelf = lock(&self.0);
        while shelf.empty.len() < READY
            && shelf.empty.len() + shelf.taken < MOST
            && let Some(ends) = shelf.make()
        {
            shelf.empty.push(ends);
        }
    }
}

/// A pipe, and how much is in it. One that is empty goes back when it is dropped, another is closed.
pub(crate) struct Pipe {
    ends: Option<Ends>,
    inside: usize,
    home: Pipes,
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").field("inside", &self.inside).finish_non_exhaustive()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut shelf = lock(&self.home.0);
        shelf.taken -= 1;
        if self.inside == 0 && shelf.empty.len() < READY {
            shelf.empty.extend(self.ends.take());
        }
    }
}

impl Pipe {
    /// In bytes.
    pub(crate) const fn inside(&self) -> usize {
        self.inside
    }

    fn ends(&self) -> io::Result<&Ends> {
        self.ends.as_ref().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// Takes up to so many bytes from a connection. Only for an empty pipe: of a full one it couldn't be told whether it is the connection that has nothing.
    pub(crate) fn fill(&mut self, from: &TcpStream, most: usize) -> io::Result<usize> {
        let filled = from.try_io(Interest::READABLE, || {
            let fill = || kernel::fill(from, &self.ends()?.1, most);
            match fill() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => kernel::look(from)?,
                filled => return filled,
            }
            // It may have come since. If it hasn't been taken by now, it can't be: nothing passes TCP's urgent mark in this way.
            fill().map_err(|_| io::ErrorKind::Unsupported.into())
        })?;
        self.inside += filled;
        Ok(filled)
    }

    /// Gives up to so many bytes to a connection; says whether more follow at once. Raises SIGPIPE if that is closed, which Rust's runtime ignores.
    pub(crate) fn pour(&mut self, to: &TcpStream, most: usize, more: bool) -> io::Result<usize> {
        let poured = to.try_io(Interest::WRITABLE, || kernel::pour(&self.ends()?.0, to, most, more))?;
        self.inside -= poured;
        Ok(poured)
    }

    /// Takes what is in another pipe, which keeps it, as far as there is room.
    fn share(&mut self, with: &Self) -> io::Result<usize> {
        let shared = kernel::share(&with.ends()?.0, &self.ends()?.1, with.inside)?;
        self.inside += shared;
        Ok(shared)
    }

    /// Reads what is inside.
    pub(crate) fn empty(&mut self) -> io::Result<Bytes> {
        let mut bytes = Vec::with_capacity(self.inside);
        let read = (&self.ends()?.0).take(self.inside as u64).read_to_end(&mut bytes)?;
        self.inside -= read;
        Ok(bytes.into())
    }
}

/// Part of a body, in a pipe until somebody needs to see it.
#[derive(Debug)]
pub(crate) struct Held {
    pipe: Mutex<Option<Pipe>>,
    bytes: OnceLock<Bytes>,
    /// In bytes, wherever they are.
    length: AtomicUsize,
}

impl Held {
    pub(crate) fn new(pipe: Pipe) -> Self {
        let length = AtomicUsize::new(pipe.inside());
        Self { pipe: Mutex::new(Some(pipe)), bytes: OnceLock::new(), length }
    }

    /// Adds what is in another pipe, as far as there is room; gives how much that is, in bytes. Not for a part that was read.
    pub(crate) fn add(&self, from: &Pipe) -> usize {
        let added = lock(&self.pipe).as_mut().and_then(|pipe| pipe.share(from).ok()).unwrap_or(0);
        self.length.fetch_add(added, Ordering::Relaxed);
        added
    }

    /// In bytes.
    pub(crate) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// What it is; read the first time.
    pub(crate) fn bytes(&self) -> &Bytes {
        self.bytes.get_or_init(|| {
            let read = lock(&self.pipe).take().map(|mut pipe| pipe.empty());
            // There is no way for it to fail. A block with a part missing wouldn't have its hash.
            read.and_then(Result::ok).unwrap_or_default()
        })
    }
}

/// Writes slices to a connection, and says that more follows at once: otherwise the other side would be woken for them alone.
pub(crate) fn write_more(to: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    to.try_io(Interest::WRITABLE, || kernel::write_more(to, slices))
}

#[cfg(target_os = "linux")]
mod kernel {
    use super::Ends;
    use rustix::{
        net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg},
        pipe::{SpliceFlags, fcntl_setpipe_size, splice, tee},
    };
    use std::{
        io::{self, IoSlice, PipeReader, PipeWriter},
        os::fd::AsFd,
    };

    /// The most that anybody may ask for, in bytes; in small portions it is less.
    const CAPACITY: usize = 1 << 20;

    pub(super) fn pipe() -> io::Result<Ends> {
        let (reader, writer) = io::pipe()?;
        // Small ones, which a user has to do with who has come to the limit, are worse than none.
        fcntl_setpipe_size(&writer, CAPACITY)?;
        Ok((reader, writer))
    }

    pub(super) fn fill(from: impl AsFd, to: &PipeWriter, most: usize) -> io::Result<usize> {
        Ok(splice(from, None, to, None, most, SpliceFlags::NONBLOCK)?)
    }

    /// Fails if a connection has nothing, not even an end.
    pub(super) fn look(at: impl AsFd) -> io::Result<()> {
        recv(at, &mut [0], RecvFlags::PEEK)?;
        Ok(())
    }

    pub(super) fn pour(from: &PipeReader, to: impl AsFd, most: usize, more: bool) -> io::Result<usize> {
        let flags = if more { SpliceFlags::NONBLOCK | SpliceFlags::MORE } else { SpliceFlags::NONBLOCK };
        Ok(splice(from, None, to, None, most, flags)?)
    }

    pub(super) fn share(from: &PipeReader, to: &PipeWriter, most: usize) -> io::Result<usize> {
        Ok(tee(from, to, most, SpliceFlags::NONBLOCK)?)
    }

    pub(super) fn write_more(to: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(sendmsg(to, slices, &mut SendAncillaryBuffer::default(), SendFlags::MORE | SendFlags::NOSIGNAL)?)
    }
}

/// What isn't there: without a pipe nothing of it is called.
#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::Ends;
    use std::io::{self, ErrorKind::Unsupported, IoSlice, PipeReader, PipeWriter};

    pub(super) fn pipe() -> io::Result<Ends> {
        Err(Unsupported.into())
    }

    pub(super) fn fill<T>(_: T, _: &PipeWriter, _: usize) -> io::Result<usize> {
        Err(Unsupported.into())
    }

    pub(super) fn look<T>(_: T) -> io::Result<()> {
        Err(Unsupported.into())
    }

    pub(super) fn pour<T>(_: &PipeReader, _: T, _: usize, _: bool) -> io::Result<usize> {
        Err(Unsupported.into())
    }

    pub(super) fn share(_: &PipeReader, _: &PipeWriter, _: usize) -> io::Result<usize> {
        Err(Unsupported.into())
    }

    pub(super) fn write_more<T>(_: T, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(Unsupported.into())
    }
}
