//! What hyper makes of the same requests.

use super::*;
use http_body_util::{BodyExt, Full};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::convert::Infallible;

/// Streams of requests to begin with.
fn streams() -> Vec<Vec<u8>> {
    let mut streams = vec![
        post("/", "{}") + &post("/healthz?x=y", "") + &post("/", "[1,2,3]"),
        post("/", "{}").replace("host: x", "authorization: Bearer a.b.c\r\nConnection: keep-alive") + &post("/", "{}"),
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n4;x\r\n two\r\n0\r\nx: y\r\n\r\n".to_owned()
            + &post("/", "{}"),
        "GET /healthz HTTP/1.0\r\nconnection: keep-alive\r\n\r\n".to_owned() + &post("/", "{}"),
        "GET http://x:1/healthz?a HTTP/1.1\r\n\r\n".to_owned()
            + &post("/", "{}").replace("host: x", "connection: close"),
        post("/", "{}").replace("content-length: 2", "content-length: 2\r\ncontent-length: 2"),
    ];
    streams.push(post("/", &streams.concat()) + &post("/", "{}"));
    streams.into_iter().map(String::into_bytes).collect()
}

const PIECES: [&[u8]; 16] = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b",",
    b"0",
    b"ffffffffffffffff",
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"chunked",
    b"HTTP/1.0",
    b"\0",
    b"\xff",
    b"+",
];

fn damaged(rng: &mut StdRng, streams: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = streams[rng.random_range(0..streams.len())].clone();
    for _ in 0..rng.random_range(0..4) {
        let at = rng.random_range(0..=stream.len());
        match rng.random_range(0..5) {
            0 if at < stream.len() => stream[at] = rng.random(),
            1 if at < stream.len() => stream[at] ^= 1 << rng.random_range(0..8),
            2 => {
                let end = rng.random_range(at..=stream.len().min(at + 10));
                stream.drain(at..end);
            }
            3 => {
                let end = rng.random_range(at..=stream.len().min(at + 60));
                let part = stream[at..end].to_vec();
                let to = rng.random_range(0..=stream.len());
                stream.splice(to..to, part);
            }
            _ => {
                let piece = PIECES[rng.random_range(0..PIECES.len())];
                stream.splice(at..at, piece.iter().copied());
            }
        }
    }
    stream
}

/// Sends a stream to its end, in two parts, and waits until the connection is closed.
async fn send(mut to: TcpStream, stream: &[u8], cut: usize) {
    let (first, second) = stream.split_at(cut);
    // Either may refuse in the middle.
    let _ = to.write_all(first).await;
    tokio::task::yield_now().await;
    let _ = to.write_all(second).await;
    let _ = to.shutdown().await;
    let _ = to.read_to_end(&mut Vec::new()).await;
}

/// What hyper makes of a stream, which is another implementation of the same.
async fn by_hyper(stream: &[u8], cut: usize) -> Vec<Seen> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
    let (accepted, _) = listener.accept().await.expect("a connection");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let seen = seen.clone();
        async move {
            let (head, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let authorization = head.headers.get("authorization");
                seen.lock().expect("whole").push(Seen {
                    method: head.method,
                    path: head.uri.path().to_owned(),
                    authorization: authorization.and_then(|value| Some(value.to_str().ok()?.to_owned())),
                    body: body.to_bytes(),
                });
            }
            Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::new())))
        }
    });
    let served = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(accepted), service);
    // How it ends is in what was seen.
    let _ = tokio::join!(served, send(to, stream, cut));
    Arc::into_inner(seen).map(|seen| seen.into_inner().expect("whole")).unwrap_or_default()
}

async fn by_us(stream: &[u8], cut: usize) -> Vec<Seen> {
    let Stand { handler, shutdown: _shutdown, stream: to } = Stand::new().await;
    send(to, stream, cut).await;
    handler.0.lock().expect("whole").clone()
}

/// Whatever comes, a request that is taken for one is what hyper takes it for too: nobody can pass off one as another. Where there is doubt, ours stops.
#[tokio::test]
async fn every_request_is_what_hyper_takes_it_for() {
    let streams = streams();
    for stream in &streams {
        assert_eq!(by_us(stream, 0).await, by_hyper(stream, 0).await, "{}", String::from_utf8_lossy(stream));
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("BATON_FUZZ_SEED").unwrap_or_else(rand::random);
    let end = Instant::now() + Duration::from_secs(number("BATON_FUZZ_SECONDS").unwrap_or(2));
    let (mut rng, mut rounds, mut taken, mut stopped) = (StdRng::seed_from_u64(seed), 0u64, 0, 0);
    while Instant::now() < end {
        rounds += 1;
        let stream = damaged(&mut rng, &streams);
        let cut = rng.random_range(0..=stream.len());
        let (ours, theirs) = (by_us(&stream, cut).await, by_hyper(&stream, cut).await);
        assert!(
            theirs.starts_with(&ours),
            "seed {seed}, round {rounds}, cut at {cut}:\n{}\nours: {ours:#?}\ntheirs: {theirs:#?}",
            stream.escape_ascii()
        );
        taken += ours.len();
        stopped += usize::from(ours.len() < theirs.len());
    }
    println!("{rounds} streams, {taken} requests taken, {stopped} streams that hyper read further, seed {seed}");
}
