use super::*;
use crate::strangers::Times;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::client::legacy::Client;
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts calls and keeps them, except for those of one path. Who makes one of another is known, but for one more.
struct Keeper {
    arrived: AtomicUsize,
    gate: Semaphore,
}

impl Handler for Keeper {
    async fn answer<'a>(&'a self, request: Request<'a>) -> Reply {
        if request.path != "/now" {
            if request.path != "/stranger" {
                request.visitor.admit();
            }
            self.arrived.fetch_add(1, Ordering::Relaxed);
            self.gate.acquire().await.expect("open").forget();
        }
        Reply::new(StatusCode::OK, TEXT, "")
    }
}

/// An engine port, at whose door a keeper stands.
struct Stand {
    address: SocketAddr,
    keeper: Arc<Keeper>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

impl Stand {
    async fn start(strangers: Arc<Strangers>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let keeper = Arc::new(Keeper { arrived: AtomicUsize::default(), gate: Semaphore::new(0) });
        let shutdown = CancellationToken::new();
        let server = serve(listener, keeper.clone(), strangers, || Duration::ZERO, shutdown.clone());
        Self { address, keeper, shutdown, server: tokio::spawn(server) }
    }

    /// A connection that speaks HTTP/2.
    async fn http2(&self) -> SendRequest<Full<Bytes>> {
        let stream = TokioIo::new(TcpStream::connect(self.address).await.expect("connects"));
        let (sender, connection) = handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        sender
    }

    async fn end(self) {
        self.shutdown.cancel();
        assert!(timeout(PATIENCE, self.server).await.is_ok());
    }
}

async fn until_arrived(keeper: &Keeper, count: usize) {
    let arrived = async {
        while keeper.arrived.load(Ordering::Relaxed) < count {
            sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(PATIENCE, arrived).await.is_ok(), "{} of {count}", keeper.arrived.load(Ordering::Relaxed));
}

#[tokio::test]
async fn streams_taken_back_make_no_room_for_more_calls() {
    const MORE: usize = 50;
    let stand = Stand::start(Strangers::new(10)).await;
    let request = |path: &str| {
        http::Request::get(format!("http://{}{path}", stand.address)).body(Full::<Bytes>::default()).expect("a request")
    };
    let (mut caller, mut other) = (stand.http2().await, stand.http2().await);
    let mut calls = JoinSet::new();
    for _ in 0..UNDER_WAY {
        calls.spawn(caller.send_request(request("/")));
    }
    until_arrived(&stand.keeper, UNDER_WAY).await;
    // Which takes their streams back.
    calls.shutdown().await;
    for _ in 0..MORE {
        calls.spawn(caller.send_request(request("/")));
    }
    // Long enough for all of them to arrive; other connections go on.
    for _ in 0..20 {
        assert_eq!(other.send_request(request("/now")).await.expect("an answer").status(), StatusCode::OK);
    }
    assert_eq!(stand.keeper.arrived.load(Ordering::Relaxed), UNDER_WAY);
    stand.keeper.gate.add_permits(Semaphore::MAX_PERMITS);
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.expect("not cancelled").expect("an answer").status(), StatusCode::OK);
    }
    assert_eq!(stand.keeper.arrived.load(Ordering::Relaxed), UNDER_WAY + MORE);
    stand.end().await;
}

#[tokio::test]
async fn of_a_stranger_one_stream_is_looked_at_at_a_time() {
    let stand = Stand::start(Strangers::new(10)).await;
    let mut caller = stand.http2().await;
    let mut calls = JoinSet::new();
    for path in ["stranger", "stranger", "known", "known", "known"] {
        let request = http::Request::get(format!("http://{}/{path}", stand.address)).body(Full::<Bytes>::default());
        calls.spawn(caller.send_request(request.expect("a request")));
    }
    for arrived in [1, 2] {
        until_arrived(&stand.keeper, arrived).await;
        // Long enough for others.
        sleep(Duration::from_millis(50)).await;
        assert_eq!(stand.keeper.arrived.load(Ordering::Relaxed), arrived);
        stand.keeper.gate.add_permits(1);
        calls.join_next().await.expect("a call").expect("no panic").expect("an answer");
    }
    // The first one with a token is all that the others need.
    until_arrived(&stand.keeper, 5).await;
    stand.keeper.gate.add_permits(3);
    while let Some(answer) = calls.join_next().await {
        answer.expect("no panic").expect("an answer");
    }
    stand.end().await;
}

#[tokio::test]
async fn nor_more_where_nobody_shows_a_token() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let keeper = Arc::new(Keeper { arrived: AtomicUsize::default(), gate: Semaphore::new(0) });
    let kept = keeper.clone();
    let answer = move |_| {
        let keeper = kept.clone();
        async move {
            keeper.arrived.fetch_add(1, Ordering::Relaxed);
            keeper.gate.acquire().await.expect("open").forget();
            Reply::new(StatusCode::OK, TEXT, "")
        }
    };
    let shutdown = CancellationToken::new();
    let server = serve_by_hyper(listener, answer, Strangers::new(10), || Duration::ZERO, shutdown.clone());
    let server = tokio::spawn(server);
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let request = http::Request::get(format!("http://{address}/")).body(Full::default());
        calls.spawn(client.request(request.expect("a request")));
    }
    for arrived in 1..=3 {
        until_arrived(&keeper, arrived).await;
        // Long enough for others.
        sleep(Duration::from_millis(50)).await;
        assert_eq!(keeper.arrived.load(Ordering::Relaxed), arrived);
        keeper.gate.add_permits(1);
        calls.join_next().await.expect("a call").expect("no panic").expect("an answer");
    }
    shutdown.cancel();
    assert!(timeout(PATIENCE, server).await.is_ok());
}

#[tokio::test]
async fn only_so_much_of_a_stranger_waits() {
    let stand = Stand::start(Strangers::new(10)).await;
    let mut caller = stand.http2().await;
    let mut calls = JoinSet::new();
    let mut call = || {
        let request = http::Request::get(format!("http://{}/stranger", stand.address)).header("x", "x".repeat(60_000));
        calls.spawn(caller.send_request(request.body(Full::<Bytes>::default()).expect("a request")));
    };
    // One is looked at, and there is room for four more.
    call();
    until_arrived(&stand.keeper, 1).await;
    (0..6).for_each(|_| call());
    // Long enough for them to arrive. What is refused has no turn before the others, either.
    assert!(timeout(Duration::from_millis(100), calls.join_next()).await.is_err());
    stand.keeper.gate.add_permits(5);
    let mut refused = 0;
    while let Some(answer) = timeout(PATIENCE, calls.join_next()).await.expect("in time") {
        let status = answer.expect("no panic").expect("an answer").status();
        assert!(status == StatusCode::OK || status == StatusCode::SERVICE_UNAVAILABLE, "{status}");
        refused += usize::from(status != StatusCode::OK);
    }
    assert_eq!((stand.keeper.arrived.load(Ordering::Relaxed), refused), (5, 2));
    stand.end().await;
}

#[test]
fn all_that_a_head_takes_counts() {
    let long = "x".repeat(10_000);
    let request = http::Request::builder();
    for request in [
        request.uri(format!("http://{long}/")),
        http::Request::get(format!("http://x/{long}")),
        http::Request::get(format!("http://x/?{long}")),
        http::Request::builder().method(long.as_str()),
        http::Request::get("http://x").header("x", &long),
        http::Request::get("http://x").header(&long, "x"),
        (0..100).fold(http::Request::get("http://x"), |request, _| request.header("x", "")),
    ] {
        assert!(size(&request.body(()).expect("a request")) >= 10_000);
    }
}

#[tokio::test]
async fn strangers_that_keep_talking_keep_nobody_out() {
    const ROOM: usize = 2;
    const CALL: &[u8] = b"GET /now HTTP/1.1\r\nhost: x\r\n\r\n";
    let stand = Stand::start(Strangers::new(ROOM)).await;
    let call = async |stream: &mut TcpStream| {
        stream.write_all(CALL).await?;
        match stream.read(&mut [0; 1024]).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            _ => Ok(()),
        }
    };
    let mut talking = JoinSet::new();
    for _ in 0..ROOM {
        let mut stream = TcpStream::connect(stand.address).await.expect("connects");
        call(&mut stream).await.expect("there is room");
        talking.spawn(async move { while call(&mut stream).await.is_ok() {} });
    }
    // One after the other, all of them staying.
    let mut new = Vec::new();
    for _ in 0..ROOM {
        let mut stream = TcpStream::connect(stand.address).await.expect("connects");
        let answered = timeout(PATIENCE, call(&mut stream)).await;
        assert!(matches!(answered, Ok(Ok(()))), "{answered:?}");
        new.push(stream);
    }
    assert!(timeout(PATIENCE, talking.join_next()).await.is_ok(), "nobody has made room");
    talking.abort_all();
    drop(new);
    stand.end().await;
}

#[tokio::test]
async fn each_request_ends_a_silence() {
    let shutdown = CancellationToken::new();
    let keeper = Arc::new(Keeper { arrived: AtomicUsize::default(), gate: Semaphore::new(0) });
    let answer = |_| async { Reply::new(StatusCode::OK, TEXT, "") };
    for (http2, own) in [(false, true), (true, true), (false, false), (true, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let strangers = Strangers::new(1);
        let at = strangers.clone();
        let server = if own {
            tokio::spawn(serve(listener, keeper.clone(), strangers, || Duration::ZERO, shutdown.clone()))
        } else {
            tokio::spawn(serve_by_hyper(listener, answer, strangers, || Duration::ZERO, shutdown.clone()))
        };
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Full<Bytes>>();
        let mut heard = None;
        for _ in 0..3 {
            let request = http::Request::get(format!("http://{address}/now"));
            // As long a head as may be, but for what else is in it.
            let long = if own { "x".repeat(wire::LONGEST_HEAD - 1000) } else { String::new() };
            let request = request.header("x", long).body(Full::default());
            let answer = client.request(request.expect("a request")).await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK);
            // Read to its end, so that the connection is used again.
            answer.into_body().collect().await.expect("a body");
            let [last] = at.heard()[..] else { panic!("another connection") };
            assert!(heard.replace(last).is_none_or(|before| before < last), "HTTP/2: {http2}, own: {own}");
        }
        server.abort();
    }
}

/// An answer in more pieces than are written at once, some of them empty, one of them long.
fn in_pieces() -> Reply {
    let mut pieces = vec!["".into(), "head".into(), "".into(), Bytes::from(vec![b'x'; 3 << 20])];
    pieces.extend(vec![Bytes::from("tail"); 2000]);
    pieces.push("".into());
    Reply::answer(pieces, None)
}

/// Gives that answer.
struct InPieces;

impl Handler for InPieces {
    async fn answer<'a>(&'a self, _: Request<'a>) -> Reply {
        in_pieces()
    }
}

#[tokio::test]
async fn an_answer_in_pieces_is_one_body() {
    let whole = in_pieces().body.joined();
    let shutdown = CancellationToken::new();
    for (http2, own) in [(false, true), (true, true), (false, false), (true, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let strangers = Strangers::new(1);
        let server = if own {
            tokio::spawn(serve(listener, Arc::new(InPieces), strangers, || Duration::ZERO, shutdown.clone()))
        } else {
            let answer = |_| async { in_pieces() };
            tokio::spawn(serve_by_hyper(listener, answer, strangers, || Duration::ZERO, shutdown.clone()))
        };
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Full<Bytes>>();
        for method in [Method::GET, Method::HEAD, Method::GET] {
            let request = http::Request::builder().method(&method).uri(format!("http://{address}/"));
            let answer = client.request(request.body(Full::default()).expect("a request")).await.expect("an answer");
            assert_eq!(answer.headers()[header::CONTENT_LENGTH], whole.len().to_string());
            let body = answer.into_body().collect().await.expect("a body").to_bytes();
            let expected = if method == Method::HEAD { &[] } else { &whole[..] };
            assert!(body == expected, "{} bytes of {}; HTTP/2: {http2}, own: {own}", body.len(), expected.len());
        }
        server.abort();
    }
}

#[tokio::test]
async fn a_stranger_that_is_silent_for_too_long_is_left() {
    let times = Times { silent: Duration::from_millis(1), alone: Duration::ZERO };
    let stand = Stand::start(Strangers::with(10, times)).await;
    let mut stream = TcpStream::connect(stand.address).await.expect("connects");
    let read = timeout(PATIENCE, stream.read(&mut [0])).await;
    assert!(matches!(read.expect("it is closed"), Ok(0) | Err(_)));
    stand.end().await;
}

#[tokio::test]
async fn what_only_begins_like_http2_is_not_served() {
    let stand = Stand::start(Strangers::new(10)).await;
    let mut stream = TcpStream::connect(stand.address).await.expect("connects");
    stream.write_all(b"PRI /now HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("open");
    let mut said = Vec::new();
    // Reset, where it hasn't read all.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("it is closed");
    assert!(!said.starts_with(b"HTTP/1.1"), "{}", said.escape_ascii());
    stand.end().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn callers_that_go_without_a_word_are_noticed() {
    use rustix::net::sockopt::{socket_keepalive, tcp_keepcnt, tcp_keepidle, tcp_keepintvl, tcp_user_timeout};
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (seen, mut found) = mpsc::channel(1);
    let connection = |stream: TcpStream, _| {
        let after = tcp_keepidle(&stream)
            .and_then(|idle| Ok(idle + tcp_keepintvl(&stream)? * tcp_keepcnt(&stream)?))
            .expect("options");
        assert_eq!(tcp_user_timeout(&stream).expect("an option"), 120_000);
        let (seen, asks) = (seen.clone(), socket_keepalive(&stream).expect("an option"));
        async move { Ok(seen.send((asks, after)).await?) }
    };
    let shutdown = CancellationToken::new();
    let accepting = accept(listener, connection, Strangers::new(1), || Duration::ZERO, &shutdown);
    let looking = async {
        let _stream = TcpStream::connect(address).await.expect("connects");
        let found = timeout(PATIENCE, found.recv()).await;
        shutdown.cancel();
        found.expect("in time")
    };
    let ((), found) = tokio::join!(accepting, looking);
    assert_eq!(found, Some((true, Duration::from_secs(120))));
}

#[tokio::test]
async fn calls_under_way_have_as_long_as_a_call_may_take() {
    for (longest, is_cut) in [(Duration::ZERO, true), (Duration::from_secs(3600), false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let keeper = Arc::new(Keeper { arrived: AtomicUsize::default(), gate: Semaphore::new(0) });
        let shutdown = CancellationToken::new();
        let server = serve(listener, keeper.clone(), Strangers::new(10), move || longest, shutdown.clone());
        let mut server = tokio::spawn(server);
        let call = tokio::spawn(reqwest::get(format!("http://{address}/")));
        until_arrived(&keeper, 1).await;
        shutdown.cancel();
        let waited = timeout(GRACE + GRACE / 2, &mut server).await;
        if !is_cut {
            assert!(waited.is_err(), "it has ended with a call under way");
            keeper.gate.add_permits(1);
            assert_eq!(call.await.expect("no panic").expect("an answer").status(), StatusCode::OK);
        } else if waited.is_ok() {
            continue;
        }
        assert!(timeout(PATIENCE, server).await.is_ok());
    }
}
