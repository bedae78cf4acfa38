//! Bodies in chunks, RFC 9112, section 7.1.

use super::{FIELDS, LONGEST_HEAD};
use bytes::{Buf, Bytes, BytesMut};

/// Takes a body out of its chunks, as far as they have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// Before a chunk's size.
    Size,
    /// In a chunk of which so many bytes are left.
    Data(u64),
    /// Before the end of a chunk's last line.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
    /// Behind it all.
    Ended,
    /// Behind what isn't chunked.
    Malformed,
}

/// What is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Piece(Bytes),
    /// Nothing until more has come.
    More,
    End,
}

/// It isn't chunked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Chunks {
    /// The next piece. What comes behind the body stays in the buffer. Behind what is malformed there is nothing more.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Result<Step, Malformed> {
        let step = self.step(buffer);
        if step.is_err() {
            *self = Self::Malformed;
        }
        step
    }

    fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, Malformed> {
        loop {
            match *self {
                // The parser takes no digits at all for a zero.
                Self::Size if buffer.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) => return Err(Malformed),
                Self::Size => match httparse::parse_chunk_size(buffer) {
                    Ok(httparse::Status::Complete((length, size))) => {
                        take_lines(buffer, length)?;
                        *self = if size == 0 { Self::Trailers } else { Self::Data(size) };
                    }
                    Ok(httparse::Status::Partial) if buffer.len() <= LONGEST_HEAD => return Ok(Step::More),
                    _ => return Err(Malformed),
                },
                Self::Data(left) => {
                    let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    if length == 0 {
                        return Ok(Step::More);
                    }
                    let left = left - length as u64;
                    *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                    return Ok(Step::Piece(buffer.split_to(length).freeze()));
                }
                Self::DataEnd => match buffer.get(..2) {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        *self = Self::Size;
                    }
                    Some(_) => return Err(Malformed),
                    None => return Ok(Step::More),
                },
                // Fields like a head's. They mean nothing here.
                Self::Trailers => {
                    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
                    match httparse::parse_headers(buffer, &mut fields) {
                        Ok(httparse::Status::Complete((length, _))) if length <= LONGEST_HEAD => {
                            take_lines(buffer, length)?;
                            *self = Self::Ended;
                        }
                        Ok(httparse::Status::Partial) if buffer.len() <= LONGEST_HEAD => return Ok(Step::More),
                        _ => return Err(Malformed),
                    }
                }
                Self::Ended => return Ok(Step::End),
                Self::Malformed => return Err(Malformed),
            }
        }
    }

    /// Bytes that the chunk that has begun is still to have.
    pub(super) const fn announced(self) -> u64 {
        if let Self::Data(left) = self { left } else { 0 }
    }
}

/// Takes whole lines away. The parser lets them end without a CR, or go on behind such an end, and others don't: what is a line to one must be to all.
fn take_lines(buffer: &mut BytesMut, length: usize) -> Result<(), Malformed> {
    let lines = buffer.split_to(length);
    let mut ends = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    if ends.all(|(end, _)| lines[..end].ends_with(b"\r")) { Ok(()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type BodyAndRest = (Vec<u8>, Vec<u8>);

    /// Decodes what comes in portions of a length. `None` if more is waited for at the end.
    fn decode(text: &[u8], portion: usize) -> Result<Option<BodyAndRest>, Malformed> {
        let (mut chunks, mut buffer, mut body) = (Chunks::Size, BytesMut::new(), Vec::new());
        let mut portions = text.chunks(portion);
        loop {
            match chunks.next(&mut buffer)? {
                Step::Piece(piece) => body.extend_from_slice(&piece),
                Step::More => match portions.next() {
                    Some(portion) => buffer.extend_from_slice(portion),
                    None => return Ok(None),
                },
                Step::End => return Ok(Some((body, buffer.to_vec()))),
            }
        }
    }

    #[test]
    fn bodies_are_the_same_however_they_come() {
        let text = b"5\r\n{\"a\":\r\n9;x=y\r\n12345678}\r\n000\r\nsum: 1\r\n\r\n";
        for portion in 1..=text.len() {
            assert_eq!(decode(text, portion), Ok(Some((b"{\"a\":12345678}".to_vec(), Vec::new()))), "{portion}");
        }
        assert_eq!(
            decode(b"A\r\n0123456789\r\n0\r\n\r\nPOST", 99),
            Ok(Some((b"0123456789".to_vec(), b"POST".to_vec())))
        );
    }

    #[test]
    fn what_is_cut_off_is_waited_for() {
        let text = b"2\r\n{}\r\n0\r\nsum: 1\r\n\r\n";
        for length in 0..text.len() {
            assert_eq!(decode(&text[..length], 3), Ok(None), "{length}");
        }
    }

    #[test]
    fn nothing_follows_what_is_malformed() {
        let (mut chunks, mut buffer) = (Chunks::Size, BytesMut::from("2;x\n\r\n0\r\n\r\n"));
        for _ in 0..3 {
            assert_eq!(chunks.next(&mut buffer), Err(Malformed));
        }
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        for text in [
            "x\r\n",
            "2\r\n{}..",
            "-1\r\n",
            "ffffffffffffffffff\r\n",
            "\r\n",
            "2 2\r\n{}\r\n",
            "0\r\n\n",
            "0\r\nx: y\n\r\n",
            "0\r\n\u{13}: y\r\n\r\n",
            "2;\n2;x\r\n{}\r\n",
        ] {
            assert_eq!(decode(text.as_bytes(), 99), Err(Malformed), "{text}");
        }
        let lines = "x: y\r\n".repeat(LONGEST_HEAD / 6 + 1);
        for endless in
            [format!("2;{}", "x".repeat(LONGEST_HEAD)), format!("0\r\n{lines}"), format!("0\r\nx: {lines:?}")]
        {
            assert_eq!(decode(endless.as_bytes(), 1000), Err(Malformed));
        }
    }
}
