//! The answer's side: its head, how long its body is, and the body.

use super::{
    FIELDS, LONGEST_HEAD,
    chunked::{Chunks, Step},
    tokens,
};
use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What is read at once where nobody says how much there is.
const ROOM: usize = 8 << 10;
/// What is read at once of a large chunk.
const LARGE: usize = 256 << 10;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// Whether another exchange may follow on the connection.
    pub(super) kept: bool,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum AnswerError {
    /// The connection failed or ended. The flag: before the answer's first byte.
    Broke(io::Error, bool),
    /// It isn't HTTP.
    Malformed(&'static str),
    /// Its body is larger than the limit.
    TooBig,
}

/// RFC 9112, section 6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    /// Until the connection ends.
    Rest,
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: StatusCode,
    framing: Framing,
    kept: bool,
}

/// Reads a whole answer with a body of at most `limit` bytes. What comes behind it stays in the buffer.
pub(super) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    limit: usize,
) -> Result<Answer, AnswerError> {
    Reader { from, buffer, began: false }.answer(limit).await
}

/// A connection, what has been read from it and not yet taken, and whether anything has.
struct Reader<'a, R> {
    from: &'a mut R,
    buffer: &'a mut BytesMut,
    began: bool,
}

impl<R: AsyncRead + Unpin> Reader<'_, R> {
    async fn answer(&mut self, limit: usize) -> Result<Answer, AnswerError> {
        let Head { status, framing, kept } = self.head().await?;
        let body = match framing {
            Framing::Length(length) if length > limit => return Err(AnswerError::TooBig),
            Framing::Length(length) => {
                self.until(length).await?;
                self.buffer.split_to(length).freeze()
            }
            Framing::Chunked => self.chunks(limit).await?,
            Framing::Rest => {
                // What came with the head counts, too.
                while self.buffer.len() <= limit && self.read(ROOM).await? {}
                if self.buffer.len() > limit {
                    return Err(AnswerError::TooBig);
                }
                self.buffer.split().freeze()
            }
        };
        Ok(Answer { status, body, kept })
    }

    /// The head, without interim answers, which say nothing here.
    async fn head(&mut self) -> Result<Head, AnswerError> {
        loop {
            match parse(self.buffer)? {
                Some((head, length)) => {
                    self.buffer.advance(length);
                    if !head.status.is_informational() {
                        return Ok(head);
                    }
                }
                None if self.buffer.len() > LONGEST_HEAD => return Err(AnswerError::Malformed("its head doesn't end")),
                None => self.more(ROOM).await?,
            }
        }
    }

    async fn chunks(&mut self, limit: usize) -> Result<Bytes, AnswerError> {
        let (mut chunks, mut body) = (Chunks::Size, BytesMut::new());
        loop {
            let step = chunks.next(self.buffer).map_err(|_| AnswerError::Malformed("a chunk is malformed"))?;
            if let Step::Piece(piece) = &step {
                body.extend_from_slice(piece);
            }
            let announced = usize::try_from(chunks.announced()).unwrap_or(usize::MAX);
            if body.len().saturating_add(announced) > limit {
                return Err(AnswerError::TooBig);
            }
            match step {
                Step::Piece(_) => {}
                Step::More => self.more(announced.clamp(ROOM, LARGE)).await?,
                Step::End => return Ok(body.freeze()),
            }
        }
    }

    /// Reads until the buffer holds so many bytes.
    async fn until(&mut self, length: usize) -> Result<(), AnswerError> {
        while self.buffer.len() < length {
            // Room for more than is missing: a read that fills all there is leaves open whether there is more, which costs another.
            self.more(length - self.buffer.len() + 1).await?;
        }
        Ok(())
    }

    /// Reads once; the connection's end is an error.
    async fn more(&mut self, room: usize) -> Result<(), AnswerError> {
        if self.read(room).await? {
            return Ok(());
        }
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed before the answer's end");
        Err(AnswerError::Broke(error, !self.began))
    }

    /// Reads once; `false` at the connection's end.
    async fn read(&mut self, room: usize) -> Result<bool, AnswerError> {
        self.buffer.reserve(room);
        let read = self.from.read_buf(self.buffer).await;
        let read = read.map_err(|error| AnswerError::Broke(error, !self.began))?;
        self.began |= read > 0;
        Ok(read > 0)
    }
}

/// The head at the beginning of a buffer, and its length; `None` if it isn't all there.
fn parse(buffer: &[u8]) -> Result<Option<(Head, usize)>, AnswerError> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(AnswerError::Malformed("it doesn't speak HTTP/1.1")),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(AnswerError::Malformed("it has no status"))?;
    let mut kept = response.version == Some(1);
    let (mut declared, mut chunked, mut coded) = (None, false, false);
    for field in response.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let value =
                std::str::from_utf8(field.value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let value = value.and_then(|text| text.parse::<usize>().ok());
            let value = value.ok_or(AnswerError::Malformed("its content-length isn't a number"))?;
            if declared.replace(value).is_some_and(|other| other != value) {
                return Err(AnswerError::Malformed("it has two lengths"));
            }
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            coded = true;
            chunked = tokens(field.value).next_back().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
        } else if field.name.eq_ignore_ascii_case("connection") {
            for token in tokens(field.value) {
                if token.eq_ignore_ascii_case(b"close") {
                    kept = false;
                } else if token.eq_ignore_ascii_case(b"keep-alive") && response.version == Some(0) {
                    kept = true;
                }
            }
        }
    }
    let framing = match declared {
        _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Framing::Length(0),
        _ if status.is_informational() => Framing::Length(0),
        _ if chunked => Framing::Chunked,
        _ if coded => Framing::Rest,
        Some(length) => Framing::Length(length),
        None => Framing::Rest,
    };
    // Two lengths, or none: where the next answer would begin is anybody's guess.
    kept &= framing != Framing::Rest && !(coded && declared.is_some());
    Ok(Some((Head { status, framing, kept }, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_text(text: &[u8], limit: usize) -> Result<Answer, AnswerError> {
        let mut from = in_pieces(text);
        read(&mut from, &mut BytesMut::new(), limit).await
    }

    /// Gives a byte at each read, which is the worst that a network does; of long texts a little more, for the tests' sake.
    fn in_pieces(text: &[u8]) -> impl AsyncRead + Unpin + use<> {
        let (mut to, from) = tokio::io::duplex(text.len() / 100 + 1);
        let text = text.to_vec();
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            // The reader may have had enough.
            let _ = to.write_all(&text).await;
        });
        from
    }

    async fn good(text: &str) -> (u16, String, bool) {
        let answer = read_text(text.as_bytes(), 100).await.unwrap_or_else(|error| panic!("{text}: {error:?}"));
        (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).expect("text"), answer.kept)
    }

    #[tokio::test]
    async fn bodies_end_where_they_say() {
        let ok = |body: &str, kept| (200, body.to_owned(), kept);
        assert_eq!(good("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}x").await, ok("{}", true));
        assert_eq!(good("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\n{}").await, ok("{}", false));
        assert_eq!(good("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}").await, ok("{}", false));
        assert_eq!(
            good("HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: Keep-Alive\r\n\r\n{}").await,
            ok("{}", true)
        );
        assert_eq!(good("HTTP/1.1 200 OK\r\n\r\n{} and the rest").await, ok("{} and the rest", false));
        assert_eq!(good("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n").await, (204, String::new(), true));
    }

    #[tokio::test]
    async fn chunks_are_put_together() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let expected = (200, "{\"a\":12345678}".to_owned(), true);
        assert_eq!(good(&format!("{chunked}5\r\n{{\"a\":\r\n9;x=y\r\n12345678}}\r\n0\r\n\r\n")).await, expected);
        assert_eq!(good(&format!("{chunked}E\r\n{{\"a\":12345678}}\r\n0\r\nsum: 1\r\n\r\n")).await, expected);
        // Both: chunks count, and the connection isn't used again.
        let both =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\ncontent-length: 3\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        assert_eq!(good(both).await, (200, "{}".to_owned(), false));
    }

    #[tokio::test]
    async fn what_is_not_an_answer_is_none() {
        for text in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}..",
        ] {
            assert!(matches!(read_text(text.as_bytes(), 100).await, Err(AnswerError::Malformed(_))), "{text}");
        }
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n",
        ] {
            assert!(matches!(read_text(text.as_bytes(), 100).await, Err(AnswerError::TooBig)), "{text}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(200));
        assert!(matches!(read_text(endless.as_bytes(), 100).await, Err(AnswerError::TooBig)));
        let at_once = read(&mut endless.as_bytes(), &mut BytesMut::new(), 100).await;
        assert!(matches!(at_once, Err(AnswerError::TooBig)));
        let head = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(LONGEST_HEAD));
        assert!(matches!(read_text(head.as_bytes(), 100).await, Err(AnswerError::Malformed(_))));
    }

    #[tokio::test]
    async fn an_end_before_the_first_byte_is_told_from_one_behind_it() {
        assert!(matches!(read_text(b"", 100).await, Err(AnswerError::Broke(_, true))));
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        for text in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n", head, &format!("{head}{{")] {
            assert!(matches!(read_text(text.as_bytes(), 100).await, Err(AnswerError::Broke(_, false))), "{text}");
        }
    }
}
