//! HTTP servers, ended gracefully: HTTP/1.1 with keep-alive and HTTP/2 without TLS on one port.

use crate::{
    body::Incoming as Body,
    handler::{Handler, Reply, Request, TEXT},
    wire,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{convert::Infallible, future::Future, io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long requests under way may take to finish at the end.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be accepted, for instance because file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What connections that speak HTTP/2 begin with (RFC 9113, section 3.4) and no method of HTTP/1.1 does.
const HTTP2: &[u8] = b"PRI";
/// How long to wait, and how often, for a connection's first bytes where one isn't enough to tell.
const PEEK_PAUSE: Duration = Duration::from_millis(5);
const PEEKS: usize = 200;
/// How many calls of one HTTP/2 connection may be under way, whether or not their streams are still open: as many as hyper has streams open.
const UNDER_WAY: usize = 200;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Serves a handler. HTTP/1.1 is the portal's own, HTTP/2 is hyper's.
pub(crate) async fn serve(listener: TcpListener, handler: Arc<impl Handler>, shutdown: CancellationToken) {
    let connection = |stream: TcpStream| {
        let (handler, shutdown) = (handler.clone(), shutdown.clone());
        async move {
            match shutdown.run_until_cancelled(is_http2(&stream)).await {
                None => Ok(()),
                Some(Err(error)) => Err(error.into()),
                Some(Ok(false)) => Ok(wire::serve(stream, &*handler, &shutdown).await?),
                Some(Ok(true)) => {
                    let (under_way, mut calls) = mpsc::channel::<Infallible>(1);
                    let places = Arc::new(Semaphore::new(UNDER_WAY));
                    let answer = move |request: http::Request<Incoming>| {
                        let (handler, under_way) = (handler.clone(), under_way.clone());
                        let places = places.clone();
                        let call = async move {
                            let (head, body) = request.into_parts();
                            let authorization = head.headers.get(header::AUTHORIZATION);
                            let request = Request {
                                method: head.method,
                                path: head.uri.path(),
                                authorization: authorization.and_then(|value| value.to_str().ok()),
                                body: Body::Http2(body),
                            };
                            handler.answer(request).await
                        };
                        async move {
                            // A caller that takes streams back has new ones at once, while its calls go on. What waits here goes with its stream.
                            let place = places.acquire_owned().await;
                            // A task of its own: a call that is begun is done, while hyper lets go of what a caller doesn't wait for any more.
                            let call = tokio::spawn(async move {
                                let _held = (place, under_way);
                                call.await
                            });
                            call.await.unwrap_or_else(|_| defect())
                        }
                    };
                    let ended = by_hyper(stream, answer, shutdown).await;
                    // Nothing is ever sent: this is the end of the last call.
                    calls.recv().await;
                    ended
                }
            }
        }
    };
    accept(listener, connection, &shutdown).await;
}

/// Serves what answers hyper's requests, for ports where a call more or less doesn't matter.
pub(crate) async fn serve_by_hyper<H, F>(listener: TcpListener, answer: H, shutdown: CancellationToken)
where
    H: Fn(http::Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    accept(listener, |stream| by_hyper(stream, answer.clone(), shutdown.clone()), &shutdown).await;
}

/// Serves connections until the token is cancelled and all of them have ended.
async fn accept<F>(listener: TcpListener, connection: impl Fn(TcpStream) -> F, shutdown: &CancellationToken)
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!(%error, "can't set TCP_NODELAY");
                    }
                    let connection = connection(stream);
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            debug!(%error, "a connection ended with an error");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "can't accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, drained).await.is_err() {
        warn!(seconds = GRACE.as_secs(), "connections were still busy at the end and are cut");
    }
}

/// Whether a connection begins as HTTP/2 does. Takes nothing from it.
async fn is_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut beginning = [0; HTTP2.len()];
    for _ in 0..PEEKS {
        let length = stream.peek(&mut beginning).await?;
        if length == 0 || length == HTTP2.len() || !HTTP2.starts_with(&beginning[..length]) {
            return Ok(beginning[..length] == *HTTP2);
        }
        // The same bytes would be seen again at once.
        sleep(PEEK_PAUSE).await;
    }
    // What takes its time is held to a head's time from here on.
    Ok(false)
}

async fn by_hyper<H, F>(stream: TcpStream, answer: H, shutdown: CancellationToken) -> Result<(), Failure>
where
    H: Fn(http::Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let server = auto::Builder::new(TokioExecutor::new());
    let service = service_fn(|request: http::Request<Incoming>| {
        let without_body = request.method() == Method::HEAD;
        let reply = answer(request);
        async move { Ok::<_, Infallible>(response(reply.await, without_body)) }
    });
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

/// What is answered to a call that panicked.
fn defect() -> Reply {
    Reply::new(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "answering it panicked, which is a defect of the portal")
}

/// A reply, or only its head.
fn response(reply: Reply, without_body: bool) -> Response<Full<Bytes>> {
    let length = reply.body.len();
    let mut response = Response::new(Full::new(if without_body { Bytes::new() } else { reply.body }));
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    *response.status_mut() = reply.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts calls and keeps them, except for those of one path.
    struct Keeper {
        arrived: AtomicUsize,
        gate: Semaphore,
    }

    impl Handler for Keeper {
        async fn answer<'a>(&'a self, request: Request<'a>) -> Reply {
            if request.path != "/now" {
                self.arrived.fetch_add(1, Ordering::Relaxed);
                let _passed = self.gate.acquire().await;
            }
            Reply::new(StatusCode::OK, TEXT, "")
        }
    }

    async fn until_arrived(keeper: &Keeper, count: usize) {
        let arrived = async {
            while keeper.arrived.load(Ordering::Relaxed) < count {
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(timeout(GRACE, arrived).await.is_ok(), "{} of {count}", keeper.arrived.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn streams_taken_back_make_no_room_for_more_calls() {
        const MORE: usize = 50;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let keeper = Arc::new(Keeper { arrived: AtomicUsize::default(), gate: Semaphore::new(0) });
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, keeper.clone(), shutdown.clone()));
        let connect = async || {
            let stream = TokioIo::new(TcpStream::connect(address).await.expect("connects"));
            let (sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
            tokio::spawn(connection);
            sender
        };
        let request = |path: &str| {
            http::Request::get(format!("http://{address}{path}")).body(Full::<Bytes>::default()).expect("a request")
        };
        let (mut caller, mut other) = (connect().await, connect().await);
        let mut calls = JoinSet::new();
        for _ in 0..UNDER_WAY {
            calls.spawn(caller.send_request(request("/")));
        }
        until_arrived(&keeper, UNDER_WAY).await;
        // Which takes their streams back.
        calls.shutdown().await;
        for _ in 0..MORE {
            calls.spawn(caller.send_request(request("/")));
        }
        // Long enough for all of them to arrive; other connections go on.
        for _ in 0..20 {
            assert_eq!(other.send_request(request("/now")).await.expect("an answer").status(), StatusCode::OK);
        }
        assert_eq!(keeper.arrived.load(Ordering::Relaxed), UNDER_WAY);
        keeper.gate.add_permits(Semaphore::MAX_PERMITS);
        while let Some(answer) = calls.join_next().await {
            assert_eq!(answer.expect("not cancelled").expect("an answer").status(), StatusCode::OK);
        }
        assert_eq!(keeper.arrived.load(Ordering::Relaxed), UNDER_WAY + MORE);
        shutdown.cancel();
        assert!(timeout(GRACE, server).await.is_ok());
    }
}
