//! A request's head. RFC 9112, sections 2, 3, 6 and 9.

use super::{FIELDS, LONGEST_HEAD, chunked::Chunks, tokens};
use http::{Method, StatusCode, Uri};

/// A request, but for its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) target: Uri,
    /// The Authorization header's value.
    pub(super) authorization: Option<String>,
    pub(super) framing: Framing,
    /// Whether the caller means to send another on the connection.
    pub(super) kept: bool,
    /// Whether it waits to be told that its body is wanted.
    pub(super) expects_continue: bool,
    /// HTTP/1.0, whose callers are told that a connection is kept.
    pub(super) old: bool,
}

/// How a body ends: RFC 9112, section 6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many more bytes.
    Length(u64),
    Chunked(Chunks),
}

impl Framing {
    pub(super) const ENDED: Self = Self::Length(0);

    /// Whether nothing more comes.
    pub(super) const fn is_ended(self) -> bool {
        matches!(self, Self::ENDED | Self::Chunked(Chunks::Ended))
    }
}

/// Why a request isn't one, and what its sender is told. Nothing that follows on the connection can be made sense of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// Not HTTP/1.1.
    #[error("this isn't HTTP/1.1")]
    NotHttp,
    /// Another version of HTTP.
    #[error("this port speaks HTTP/1.1, and HTTP/2 from a connection's beginning")]
    Version,
    /// Too long.
    #[error("the head is longer than {LONGEST_HEAD} bytes, or has more than {FIELDS} fields")]
    TooLong,
    /// A body whose end can't be told for certain, which is how one request is passed off as another.
    #[error("Content-Length and Transfer-Encoding don't say where the body ends")]
    Framing,
    /// A transfer coding besides `chunked`.
    #[error("the only transfer coding here is \"chunked\"")]
    Coding,
}

impl Refusal {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::NotHttp | Self::Framing => StatusCode::BAD_REQUEST,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Coding => StatusCode::NOT_IMPLEMENTED,
        }
    }
}

/// The head at the beginning of a buffer, and its length; `None` if it isn't all there.
// Host is neither asked for nor looked at: there is only one host here, and who may enter shows a token.
pub(super) fn parse(buffer: &[u8]) -> Result<Option<(Head, usize)>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(buffer) {
        Ok(httparse::Status::Complete(length)) if length <= LONGEST_HEAD => length,
        Ok(httparse::Status::Partial) if buffer.len() < LONGEST_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLong),
        Err(httparse::Error::Version) => return Err(Refusal::Version),
        Err(_) => return Err(Refusal::NotHttp),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Refusal::NotHttp);
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::NotHttp)?;
    let old = version == 0;
    let (mut authorization, mut expects_continue, mut kept) = (None, false, !old);
    let (mut declared, mut chunked) = (None, false);
    for field in request.headers.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("authorization") {
            // The first counts, if it is text or not.
            authorization.get_or_insert_with(|| text(field.value).map(str::to_owned));
        } else if is("content-length") {
            let digits = text(field.value).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let value: u64 = digits.and_then(|digits| digits.parse().ok()).ok_or(Refusal::Framing)?;
            if declared.replace(value).is_some_and(|other| other != value) {
                return Err(Refusal::Framing);
            }
        } else if is("transfer-encoding") {
            if old || std::mem::replace(&mut chunked, true) {
                return Err(Refusal::Framing);
            }
            if !field.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::Coding);
            }
        } else if is("connection") {
            for token in tokens(field.value) {
                if token.eq_ignore_ascii_case(b"close") {
                    kept = false;
                } else if token.eq_ignore_ascii_case(b"keep-alive") && old {
                    kept = true;
                }
            }
        } else if is("expect") {
            expects_continue = field.value.eq_ignore_ascii_case(b"100-continue") && !old;
        }
    }
    let framing = match (declared, chunked) {
        (Some(_), true) => return Err(Refusal::Framing),
        (None, true) => Framing::Chunked(Chunks::Size),
        (length, false) => Framing::Length(length.unwrap_or(0)),
    };
    let target = Uri::try_from(target).map_err(|_| Refusal::NotHttp)?;
    let authorization = authorization.flatten();
    Ok(Some((Head { method, target, authorization, framing, kept, expects_continue, old }, length)))
}

/// A field's value, if all of it can be seen.
fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Head {
        let text = text.replace('\n', "\r\n");
        let (head, length) = parse(text.as_bytes()).expect("a head").expect("all of it");
        assert_eq!(length, text.find("\r\n\r\n").expect("an end") + 4);
        // And not a byte earlier.
        for length in 0..length {
            assert_eq!(parse(&text.as_bytes()[..length]), Ok(None), "{text:?} after {length}");
        }
        head
    }

    fn bad(text: &str) -> Refusal {
        parse(text.replace('\n', "\r\n").as_bytes()).expect_err(text)
    }

    #[test]
    fn a_call_as_consensus_clients_send_it() {
        let head =
            good("POST / HTTP/1.1\nHost: engine:8551\nContent-Length: 7\nauthorization: Bearer a.b.c\n\n{\"a\":1}");
        let expected = Head {
            method: Method::POST,
            target: Uri::from_static("/"),
            authorization: Some("Bearer a.b.c".to_owned()),
            framing: Framing::Length(7),
            kept: true,
            expects_continue: false,
            old: false,
        };
        assert_eq!(head, expected);
        // The first counts where there are two.
        let head = good("POST / HTTP/1.1\nAuthorization: Bearer 1\nAuthorization: Bearer 2\n\n");
        assert_eq!(head.authorization.as_deref(), Some("Bearer 1"));
        assert_eq!(head.framing, Framing::ENDED);
        for unseen in [&b"B\xe5"[..], "Bearer é".as_bytes()] {
            let text = [b"POST / HTTP/1.1\r\nAuthorization: ", unseen, b"\r\nAuthorization: Bearer 2\r\n\r\n"].concat();
            assert_eq!(parse(&text).expect("a head").expect("all of it").0.authorization, None);
        }
    }

    #[test]
    fn connections_are_kept_as_their_version_says() {
        for (text, kept) in [
            ("GET / HTTP/1.1\n\n", true),
            ("GET / HTTP/1.1\nConnection: Upgrade, Close\n\n", false),
            ("GET / HTTP/1.1\nConnection: close\nConnection: keep-alive\n\n", false),
            ("GET / HTTP/1.0\n\n", false),
            ("GET / HTTP/1.0\nconnection: Keep-Alive\n\n", true),
        ] {
            let head = good(text);
            assert_eq!((head.kept, head.old), (kept, text.contains("1.0")), "{text}");
        }
    }

    #[test]
    fn targets_of_every_form_have_a_path() {
        for (target, path) in [
            ("/healthz", "/healthz"),
            ("/healthz?full=1", "/healthz"),
            ("http://engine:8551/healthz?x", "/healthz"),
            ("http://engine:8551", "/"),
            ("/to?from=http://x/y", "/to"),
            ("*", "*"),
        ] {
            assert_eq!(good(&format!("GET {target} HTTP/1.1\n\n")).target.path(), path);
        }
        assert_eq!(bad("GET http:/// HTTP/1.1\n\n"), Refusal::NotHttp);
    }

    #[test]
    fn bodies_whose_end_is_in_doubt_are_refused() {
        assert_eq!(good("POST / HTTP/1.1\nTransfer-Encoding: Chunked\n\n").framing, Framing::Chunked(Chunks::Size));
        assert_eq!(good("POST / HTTP/1.1\nContent-Length: 2\nContent-Length: 2\n\n").framing, Framing::Length(2));
        for fields in [
            "Content-Length: 2\nContent-Length: 3",
            "Content-Length: +2",
            "Content-Length: 2, 2",
            "Content-Length:",
            "Content-Length: 18446744073709551616",
            "Content-Length: 2\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\nTransfer-Encoding: chunked",
        ] {
            let refusal = bad(&format!("POST / HTTP/1.1\n{fields}\n\n{{}}"));
            assert!(matches!(refusal, Refusal::Framing), "{fields}: {refusal:?}");
        }
        assert_eq!(bad("POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n"), Refusal::Framing);
        for coding in ["gzip, chunked", "identity", "chunked, gzip", "xchunked", ""] {
            assert_eq!(bad(&format!("POST / HTTP/1.1\nTransfer-Encoding: {coding}\n\n")), Refusal::Coding, "{coding}");
        }
    }

    #[test]
    fn what_is_not_a_request_is_refused() {
        assert_eq!(bad("SSH-2.0-OpenSSH\n"), Refusal::NotHttp);
        assert_eq!(bad("\u{16}\u{3}\u{1}"), Refusal::NotHttp);
        assert_eq!(bad("GET / HTTP/1.1\nx : y\n\n"), Refusal::NotHttp);
        assert_eq!(bad("GET / HTTP/1.1\nx: y\n z\n\n"), Refusal::NotHttp);
        assert_eq!(bad("GET / HTTP/3.0\n\n"), Refusal::Version);
        assert_eq!(bad(&format!("GET / HTTP/1.1\nx: {}", "y".repeat(LONGEST_HEAD))), Refusal::TooLong);
        assert_eq!(bad(&format!("GET / HTTP/1.1\nx: {}\n\n", "y".repeat(LONGEST_HEAD))), Refusal::TooLong);
        assert_eq!(bad(&format!("GET / HTTP/1.1\n{}\n", "x: y\n".repeat(FIELDS + 1))), Refusal::TooLong);
    }

    #[test]
    fn a_caller_may_wait_to_be_told_to_go_on() {
        assert!(good("POST / HTTP/1.1\nExpect: 100-Continue\nContent-Length: 2\n\n").expects_continue);
        assert!(!good("POST / HTTP/1.0\nExpect: 100-continue\nContent-Length: 2\n\n").expects_continue);
    }
}
