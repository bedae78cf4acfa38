//! HTTP/1.1 as the forwarding path speaks it, with op-node on one side and with nodes on the other (RFC 9112): one exchange at a time over a
//! connection that is kept, with the least work and the fewest system calls that a call can take. One reads a request, or as much of it as is there;
//! one writes head and body, as far as the body is there and the node takes it; one reads a short answer, and one writes it.

mod answer;
mod caller;
mod chunked;
mod link;
mod pipe;
mod request;
mod unpaced;

pub(crate) use caller::{Caller, serve};
pub(crate) use link::{ExchangeError, Link};
pub(crate) use pipe::{Held, Pipe, Pipes};
pub(crate) use unpaced::{connect_within, is_within, listen_within};

/// How many header fields a request or an answer may have.
const FIELDS: usize = 64;
/// How long a head, or a line between chunks, may be.
pub(crate) const LONGEST_HEAD: usize = 64 << 10;

/// The members of a list in a header field.
fn tokens(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}
