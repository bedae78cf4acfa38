use super::*;
use crate::body::Beginning;
use futures::FutureExt;
use http::StatusCode;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use tokio::net::TcpListener;

mod hypers;

/// A request as a handler saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: Method,
    path: String,
    authorization: Option<String>,
    body: Bytes,
}

/// Gives bodies back, and keeps them. `/refused` isn't read; `/slow` takes its time.
#[derive(Debug, Default)]
struct Echo(Mutex<Vec<Seen>>);

impl Handler for Echo {
    async fn answer<'a>(&'a self, request: Request<'a>) -> Reply {
        let Request { method, path, authorization, body: mut incoming, .. } = request;
        if path == "/refused" {
            return Reply::new(StatusCode::UNAUTHORIZED, TEXT, "no");
        }
        let beginning = match Beginning::read(&mut incoming, 1).await {
            Ok(beginning) => beginning.finish(&mut incoming, usize::MAX).await,
            Err(error) => Err(error),
        };
        let body = match beginning {
            Ok(body) => body.unwrap_or_default(),
            Err(error) => return Reply::new(StatusCode::BAD_REQUEST, TEXT, error.to_string()),
        };
        if path == "/slow" {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let (path, authorization) = (path.to_owned(), authorization.map(str::to_owned));
        self.0.lock().expect("whole").push(Seen { method, path, authorization, body: body.clone() });
        Reply::new(StatusCode::OK, TEXT, body)
    }
}

struct Stand<H = Echo> {
    handler: Arc<H>,
    shutdown: CancellationToken,
    stream: TcpStream,
}

impl Stand {
    async fn new() -> Self {
        Self::with(Echo::default()).await
    }

    fn seen(&self) -> Vec<Seen> {
        self.handler.0.lock().expect("whole").clone()
    }
}

impl<H: Handler> Stand<H> {
    async fn with(handler: H) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
        let (accepted, _) = listener.accept().await.expect("a connection");
        let (handler, shutdown) = (Arc::new(handler), CancellationToken::new());
        tokio::spawn({
            let (handler, shutdown) = (handler.clone(), shutdown.clone());
            async move { serve(accepted, &Visitor::alone(), &*handler, &shutdown).await }
        });
        Self { handler, shutdown, stream }
    }

    async fn write(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).await.expect("it listens");
    }

    /// A reply's head but for its date, and its body.
    async fn reply(&mut self) -> (String, String) {
        self.reply_to(false).await
    }

    async fn reply_to(&mut self, without_body: bool) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.expect("more of a reply"));
        }
        let head = String::from_utf8(head).expect("text");
        if head.starts_with("HTTP/1.1 100") {
            return (head, String::new());
        }
        let lines: Vec<&str> = head.trim_end().lines().collect();
        let date = lines.iter().find_map(|line| line.strip_prefix("date: ")).expect("a date");
        let date = httpdate::parse_http_date(date).expect("a date");
        assert!(date.elapsed().expect("past") < Duration::from_secs(60));
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut body = vec![0; if without_body { 0 } else { length.parse().expect("a number") }];
        self.stream.read_exact(&mut body).await.expect("a body");
        let head: Vec<&str> = lines.into_iter().filter(|line| !line.starts_with("date: ")).collect();
        (head.join("|"), String::from_utf8(body).expect("text"))
    }

    async fn body(&mut self) -> String {
        let (head, body) = self.reply().await;
        assert_eq!(head, ok(body.len(), ""));
        body
    }

    /// Whether nothing more comes.
    async fn is_closed(&mut self) -> bool {
        timeout(Duration::from_secs(5), self.stream.read_u8()).await.is_ok_and(|read| read.is_err())
    }
}

fn ok(length: usize, more: &str) -> String {
    format!("HTTP/1.1 200 OK|content-type: {TEXT}|content-length: {length}{more}")
}

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn requests_come_one_after_the_other_however_they_are_cut() {
    let mut stand = Stand::new().await;
    let long = "y".repeat(600_000);
    let all = [post("/1", "one"), post("/2", ""), post("/3", &long), post("/4", "four")].concat();
    for portion in [all.len(), 1000, 7] {
        let (mut to, all) = (all.as_bytes(), all.len());
        // As one piece after the other, the long one's middle at once.
        while !to.is_empty() {
            let length = if to.len() < 500 || all - to.len() < 500 { portion.min(to.len()) } else { to.len() - 400 };
            let (now, later) = to.split_at(length);
            stand.write(now).await;
            tokio::task::yield_now().await;
            to = later;
        }
        for body in ["one", "", &long, "four"] {
            assert_eq!(stand.body().await, body);
        }
    }
    // What somebody still holds isn't written over by what comes later.
    let seen = stand.seen();
    assert_eq!(seen.len(), 12);
    for (seen, body) in seen.iter().zip(["one", "", &long, "four"].iter().cycle()) {
        assert!(seen.body == *body);
    }
}

#[tokio::test]
async fn chunks_are_put_together() {
    let mut stand = Stand::new().await;
    let text = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n4;x\r\n two\r\n0\r\nx: y\r\n\r\n";
    for portion in [text.len(), 1, 5] {
        for part in text.as_bytes().chunks(portion) {
            stand.write(part).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(stand.body().await, "one two");
    }
    stand.write(text.replace("one\r\n", "one..")).await;
    let (head, body) = stand.reply().await;
    assert!(head.starts_with("HTTP/1.1 400 ") && head.contains("connection: close"), "{head}");
    assert_eq!(body, "the body broke off: a chunk is malformed");
    assert!(stand.is_closed().await);
}

#[tokio::test]
async fn a_caller_that_asks_first_is_told_to_go_on_if_its_body_is_wanted() {
    let mut stand = Stand::new().await;
    let asking = |path: &str| post(path, "").replace("length: 0", "length: 3\r\nexpect: 100-continue");
    stand.write(asking("/")).await;
    assert_eq!(stand.reply().await.0, "HTTP/1.1 100 Continue\r\n\r\n");
    stand.write("one").await;
    assert_eq!(stand.body().await, "one");
    // It needn't wait.
    stand.write(asking("/") + "two").await;
    assert_eq!(stand.body().await, "two");
    stand.write(asking("/refused")).await;
    assert!(stand.reply().await.0.starts_with("HTTP/1.1 401 Unauthorized|"));
    assert!(stand.is_closed().await);
}

#[tokio::test]
async fn a_head_alone_is_asked_for_and_given() {
    let mut stand = Stand::new().await;
    stand.write(post("/", "four").replace("POST", "HEAD")).await;
    assert_eq!(stand.reply_to(true).await.0, ok(4, ""));
    stand.write(post("/", "five")).await;
    assert_eq!(stand.body().await, "five");
}

#[tokio::test]
async fn connections_end_when_the_caller_says_so() {
    for (version, connection, reply) in [
        ("1.1", "close", Some("|connection: close")),
        ("1.0", "x", Some("|connection: close")),
        ("1.0", "keep-alive", None),
    ] {
        let mut stand = Stand::new().await;
        let text = post("/", "one").replace("1.1", version).replace("host: x", &format!("connection: {connection}"));
        stand.write(&text).await;
        assert_eq!(stand.reply().await.0, ok(3, reply.unwrap_or("|connection: keep-alive")));
        if reply.is_some() {
            assert!(stand.is_closed().await);
        } else {
            stand.write(post("/", "two")).await;
            assert_eq!(stand.body().await, "two");
        }
    }
}

#[tokio::test]
async fn what_is_not_a_request_is_told_so_and_left() {
    for (text, status) in [
        ("\u{16}\u{3}\u{1}\u{2}\u{0}", "400 Bad Request"),
        ("POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "400 Bad Request"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", "501 Not Implemented"),
        ("POST / HTTP/4.2\r\n\r\n", "505 HTTP Version Not Supported"),
        (&format!("POST / HTTP/1.1\r\n{}", "x: y\r\n".repeat(70)), "431 Request Header Fields Too Large"),
    ] {
        let mut stand = Stand::new().await;
        // What follows isn't taken for a request.
        stand.write(text.to_owned() + &post("/", "more")).await;
        let (head, _) = stand.reply().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}|")) && head.ends_with("|connection: close"), "{head}");
        assert!(stand.is_closed().await);
        assert_eq!(stand.seen(), []);
    }
}

#[tokio::test]
async fn a_caller_sees_why_it_is_refused_even_while_it_writes() {
    let mut stand = Stand::new().await;
    // A short body that nobody reads doesn't end the connection.
    stand.write(post("/refused", "short")).await;
    assert_eq!(
        stand.reply().await,
        (format!("HTTP/1.1 401 Unauthorized|content-type: {TEXT}|content-length: 2"), "no".to_owned())
    );
    stand.write(post("/", "one")).await;
    assert_eq!(stand.body().await, "one");
    // A long one does, but not before it is all written.
    stand.write(post("/refused", &"x".repeat(20 << 20))).await;
    let (head, _) = stand.reply().await;
    assert!(head.starts_with("HTTP/1.1 401 ") && head.ends_with("|connection: close"), "{head}");
    assert!(stand.is_closed().await);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_none() {
    let mut stand = Stand::new().await;
    stand.write(&post("/", "four")[..post("/", "four").len() - 1]).await;
    stand.stream.shutdown().await.expect("open");
    assert_eq!(stand.reply().await.1, "the body is shorter than it said");
    assert_eq!(stand.seen(), []);
}

#[tokio::test]
async fn a_call_is_done_even_if_the_caller_has_left() {
    let stand = Stand::new().await;
    let Stand { handler, mut stream, shutdown: _shutdown } = stand;
    stream.write_all(post("/slow", "one").as_bytes()).await.expect("open");
    drop(stream);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if handler.0.lock().expect("whole").len() == 1 {
            return;
        }
    }
    panic!("it isn't done");
}

#[tokio::test]
async fn a_head_must_come_to_its_end() {
    let mut stand = Stand::new().await;
    let started = Instant::now();
    stand.write("POST / HTTP/1.1\r\nhost").await;
    assert!(stand.stream.read_u8().await.is_err());
    assert!(started.elapsed() >= HEAD_TIME);
    assert!(started.elapsed() < 60 * HEAD_TIME);
}

#[tokio::test]
async fn at_the_end_calls_under_way_are_answered() {
    let (mut idle, mut busy) = (Stand::new().await, Stand::new().await);
    idle.write(post("/", "one")).await;
    assert_eq!(idle.body().await, "one");
    busy.write(post("/slow", "two")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    idle.shutdown.cancel();
    busy.shutdown.cancel();
    assert!(idle.is_closed().await);
    assert_eq!(busy.reply().await, (ok(3, "|connection: close"), "two".to_owned()));
    assert!(busy.is_closed().await);
}

/// Keeps bodies in the pieces in which they came.
#[derive(Debug, Default)]
struct Keep(Mutex<Vec<Vec<Bytes>>>);

impl Handler for Keep {
    async fn answer<'a>(&'a self, request: Request<'a>) -> Reply {
        let mut incoming = request.body;
        match Beginning::read(&mut incoming, usize::MAX).await {
            Ok(beginning) => self.0.lock().expect("whole").push(beginning.pieces),
            Err(error) => return Reply::new(StatusCode::BAD_REQUEST, TEXT, error.to_string()),
        }
        Reply::new(StatusCode::OK, TEXT, "")
    }
}

#[tokio::test]
async fn a_body_that_comes_in_small_portions_does_not_hold_a_buffer_for_each() {
    let long = "y".repeat(600_000);
    let chunk = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    for text in [post("/", &long), chunk] {
        let mut stand = Stand::with(Keep::default()).await;
        // As much as a packet takes.
        for portion in text.as_bytes().chunks(1448) {
            stand.write(portion).await;
            tokio::task::yield_now().await;
        }
        stand.body().await;
        let kept = stand.handler.0.lock().expect("whole");
        let mut buffers = 0;
        let mut end = std::ptr::null();
        for piece in &kept[0] {
            buffers += usize::from(piece.as_ptr() != end);
            end = piece.as_ptr_range().end;
        }
        assert!(kept[0].len() > 100, "{} pieces", kept[0].len());
        assert!(buffers < 10, "{} pieces in {buffers} buffers", kept[0].len());
    }
}

#[tokio::test]
async fn empty_lines_before_a_request_do_not_begin_it() {
    let mut stand = Stand::new().await;
    // As some callers write behind a body: RFC 9112, section 2.2.
    stand.write(post("/", "one") + "\r\n").await;
    assert_eq!(stand.body().await, "one");
    tokio::time::sleep(HEAD_TIME + Duration::from_secs(1)).await;
    stand.write(post("/", "two") + "\n\r").await;
    assert_eq!(stand.body().await, "two");
    stand.write("\n".to_owned() + &post("/", "three")).await;
    assert_eq!(stand.body().await, "three");
    // But not for ever.
    stand.write("\n".repeat(70 << 10)).await;
    assert!(stand.reply().await.0.starts_with("HTTP/1.1 431 "));
}

#[test]
fn a_head_that_comes_byte_by_byte_is_parsed_once_a_line() {
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(60_000));
    let parsed = (1..=head.len()).filter(|length| is_news(&head.as_bytes()[..*length], length - 1));
    // And at its first byte, which may show that it is none.
    assert_eq!(parsed.count(), 5);
    assert!(is_news(head.as_bytes(), 0));
    assert!(is_news(&[b'y'; LONGEST_HEAD], LONGEST_HEAD - 1));
}

/// Keeps how many rounds others had gone when it was asked.
#[derive(Debug, Default)]
struct Rounds {
    gone: AtomicUsize,
    seen: Mutex<Vec<usize>>,
}

impl Handler for Rounds {
    async fn answer<'a>(&'a self, request: Request<'a>) -> Reply {
        if request.path == "/known" {
            request.visitor.admit();
        }
        self.seen.lock().expect("whole").push(self.gone.load(Ordering::Relaxed));
        Reply::new(StatusCode::OK, TEXT, "")
    }
}

#[tokio::test]
async fn others_have_their_turn_between_a_strangers_requests() {
    let mut stand = Stand::with(Rounds::default()).await;
    let others = stand.handler.clone();
    let others = tokio::spawn(async move {
        loop {
            others.gone.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    stand.write([post("/", "").repeat(20), post("/known", "").repeat(20)].concat()).await;
    for _ in 0..40 {
        stand.body().await;
    }
    others.abort();
    let seen = stand.handler.seen.lock().expect("whole").clone();
    let (strangers, known) = seen.split_at(21);
    // After two at the latest: the runtime turns the order of those who wait around.
    assert!(strangers.windows(3).all(|three| three[0] < three[2]), "{seen:?}");
    // All that came at once.
    assert!(known.windows(2).any(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[tokio::test]
async fn what_a_refused_stranger_still_writes_is_read_in_its_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
    let (accepted, _) = listener.accept().await.expect("a connection");
    stream.write_all(b"more").await.expect("open");
    stream.shutdown().await.expect("open");
    let (caller, visitor) = (Caller::new(accepted), Visitor::alone());
    caller.stream.readable().await.expect("open");
    let turn = visitor.turn().await;
    let mut lingering = pin!(caller.linger(&visitor));
    for _ in 0..10 {
        assert!(lingering.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(turn);
    lingering.await.expect("read to its end");
}

#[tokio::test]
async fn what_is_left_to_do_does_not_wait_for_a_caller_that_takes_no_reply() {
    let rest = Arc::new(());
    let left = Arc::downgrade(&rest);
    let (mut to, mut from) = tokio::io::duplex(10);
    let written = tokio::spawn(async move { tried(to.write_all(b"more than there is room for"), rest).await });
    tokio::task::yield_now().await;
    assert!(!written.is_finished());
    assert_eq!(left.strong_count(), 0);
    from.read_exact(&mut [0; 27]).await.expect("all of it");
    written.await.expect("no panic").expect("written");
}

#[tokio::test]
async fn what_is_left_to_do_waits_until_the_reply_is_tried() {
    let rest = Arc::new(());
    let left = Arc::downgrade(&rest);
    tried(async { assert_eq!(left.strong_count(), 1) }, rest).await;
    assert_eq!(left.strong_count(), 0);
}

#[tokio::test]
async fn buffers_are_used_again_once_nobody_holds_what_was_in_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
    let mut caller = Caller::new(stream);
    let fill = |caller: &mut Caller, size: usize| {
        caller.room(size, size);
        caller.buffer.resize(size, 0);
        caller.buffer.split().freeze()
    };
    // Held, so that each has one of its own.
    let small: Vec<Bytes> = (0..=SPARES).map(|_| fill(&mut caller, ROOM)).collect();
    drop(small);
    // Too small for these, and so not in their way.
    let one = fill(&mut caller, 2 * ROOM);
    let _two = fill(&mut caller, 2 * ROOM);
    let spare = |caller: &mut Caller| caller.spares.iter_mut().any(|spare| spare.try_reclaim(2 * ROOM));
    assert!(!spare(&mut caller));
    drop(one);
    assert!(spare(&mut caller));
    let _three = fill(&mut caller, 2 * ROOM);
    assert!(!spare(&mut caller));
}

#[tokio::test]
async fn as_much_is_read_at_first_as_the_bodies_before_suggest() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
    let mut caller = Caller::new(stream);
    let short = 100_000;
    for (length, expected) in
        [(500, SHORT), (short, short + SHORT), (500, short + SHORT), (usize::MAX, SHORT), (500, SHORT)]
    {
        let before = caller.at_first;
        caller.begin(Framing::Length(length as u64));
        assert_eq!(caller.at_first, before, "nobody has taken it yet");
        caller.buffer.extend_from_slice(b"x");
        poll_fn(|context| caller.poll_piece(context)).await.expect("a piece");
        assert!((expected..=expected + 500).contains(&caller.at_first), "{} after {length}", caller.at_first);
    }
}
