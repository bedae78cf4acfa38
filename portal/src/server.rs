//! HTTP servers, ended gracefully: HTTP/1.1 with keep-alive and HTTP/2 without TLS on one port.

use crate::{
    body::Incoming as Body,
    handler::{Handler, Reply, Request, TEXT},
    recurring::Recurring,
    strangers::{Strangers, Visitor},
    wire,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long requests under way may take to finish at the end, beside what calls may take.
const GRACE: Duration = Duration::from_secs(1);
/// How long to wait when no connection can be accepted, for instance because file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often the log says at most that none can be.
const ACCEPT_ERRORS: Duration = Duration::from_secs(1);
/// After how long a connection is closed whose other side has gone without a word.
#[cfg(target_os = "linux")]
const GONE: Duration = Duration::from_secs(120);
/// How often the kernel asks whether it is there, in the second half of that.
#[cfg(target_os = "linux")]
const ASKED: u32 = 4;
/// What connections that speak HTTP/2 begin with (RFC 9113, section 3.4) and no method of HTTP/1.1 does.
const HTTP2: &[u8] = b"PRI";
/// How long to wait, and how often, for a connection's first bytes where one isn't enough to tell.
const PEEK_PAUSE: Duration = Duration::from_millis(5);
const PEEKS: usize = 200;
/// How many calls of one HTTP/2 connection may be under way, whether or not their streams are still open: as many as hyper has streams open.
const UNDER_WAY: usize = 200;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Serves a handler, to few strangers at once. HTTP/1.1 is the portal's own, HTTP/2 is hyper's. At the end, calls under way have for as long as `longest`
/// says then, and a second.
pub(crate) async fn serve(
    listener: TcpListener,
    handler: Arc<impl Handler>,
    strangers: Arc<Strangers>,
    longest: impl Fn() -> Duration + Send + Sync,
    shutdown: CancellationToken,
) {
    let connection = |stream: TcpStream, visitor: Arc<Visitor>| {
        let (handler, shutdown) = (handler.clone(), shutdown.clone());
        async move {
            match shutdown.run_until_cancelled(is_http2(&stream)).await {
                None => Ok(()),
                Some(Err(error)) => Err(error.into()),
                Some(Ok(false)) => Ok(wire::serve(stream, &visitor, &*handler, &shutdown).await?),
                Some(Ok(true)) => {
                    let (under_way, mut calls) = mpsc::channel::<Infallible>(1);
                    let places = Arc::new(Semaphore::new(UNDER_WAY));
                    let answer = move |request: http::Request<Incoming>| {
                        let (handler, under_way) = (handler.clone(), under_way.clone());
                        let (places, visitor) = (places.clone(), visitor.clone());
                        let (asks, waiting) = (visitor.clone(), visitor.wait(size(&request)));
                        let call = async move {
                            visitor.heard();
                            let (head, body) = request.into_parts();
                            let authorization = head.headers.get(header::AUTHORIZATION);
                            let request = Request {
                                method: head.method,
                                path: head.uri.path(),
                                authorization: authorization.and_then(|value| value.to_str().ok()),
                                visitor: &visitor,
                                body: Body::Http2(body),
                            };
                            handler.answer(request).await
                        };
                        async move {
                            let Some(waiting) = waiting else {
                                drop(call);
                                return too_much(&asks).await;
                            };
                            // A caller that takes streams back has new ones at once, while its calls go on. What waits here goes with its stream.
                            let place = places.acquire_owned().await;
                            let _turn = asks.turn().await;
                            drop(waiting);
                            // A task of its own: a call that is begun is done, while hyper lets go of what a caller doesn't wait for any more.
                            let call = tokio::spawn(async move {
                                let _held = (place, under_way);
                                call.await
                            });
                            call.await.unwrap_or_else(|_| defect())
                        }
                    };
                    let ended = by_hyper(&http2(), stream, answer, shutdown).await;
                    // Nothing is ever sent: this is the end of the last call.
                    calls.recv().await;
                    ended
                }
            }
        }
    };
    accept(listener, connection, strangers, longest, &shutdown).await;
}

/// Serves what answers hyper's requests, for ports where a call more or less doesn't matter, and nobody shows a token.
pub(crate) async fn serve_by_hyper<H, F>(
    listener: TcpListener,
    answer: H,
    strangers: Arc<Strangers>,
    longest: impl Fn() -> Duration + Send + Sync,
    shutdown: CancellationToken,
) where
    H: Fn(http::Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let connection = |stream, visitor: Arc<Visitor>| {
        let answer = answer.clone();
        let heard = move |request: http::Request<Incoming>| {
            let (visitor, answer) = (visitor.clone(), answer.clone());
            let waiting = visitor.wait(size(&request));
            async move {
                let Some(waiting) = waiting else {
                    drop(request);
                    return too_much(&visitor).await;
                };
                visitor.heard();
                let _turn = visitor.turn().await;
                drop(waiting);
                answer(request).await
            }
        };
        let shutdown = shutdown.clone();
        async move { by_hyper(&auto::Builder::new(TokioExecutor::new()), stream, heard, shutdown).await }
    };
    accept(listener, connection, strangers, longest, &shutdown).await;
}

/// Serves connections until the token is cancelled and all of them have ended.
async fn accept<F>(
    listener: TcpListener,
    connection: impl Fn(TcpStream, Arc<Visitor>) -> F,
    strangers: Arc<Strangers>,
    longest: impl Fn() -> Duration,
    shutdown: &CancellationToken,
) where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    if let Err(error) = look_after(&listener) {
        warn!(%error, "callers that go without a word will not be noticed");
    }
    let mut connections = JoinSet::new();
    let mut failed = Recurring::every(ACCEPT_ERRORS);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!(%error, "can't set TCP_NODELAY");
                    }
                    let visitor = strangers.enter().await;
                    let connection = connection(stream, visitor.clone());
                    connections.spawn(async move {
                        match visitor.stay(connection).await {
                            Some(Ok(())) => {}
                            Some(Err(error)) => debug!(%error, "a connection ended with an error"),
                            None => debug!("a stranger's connection was closed"),
                        }
                    });
                }
                Err(error) => {
                    if let Some(times) = failed.add(Instant::now().into_std()) {
                        warn!(%error, times, "can't accept a connection");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let grace = longest() + GRACE;
    if timeout(grace, drained).await.is_err() {
        warn!(grace_ms = grace.as_millis(), "connections were still busy at the end and are cut");
    }
}

/// Has the kernel ask the other sides of idle connections whether they are there, and give up those that don't take what is sent. Without it, one that lost its power or its network stays connected for
/// ever, and whoever has shown a token isn't sent away for being silent. Connections have it from the listener.
#[cfg(target_os = "linux")]
fn look_after(listener: &TcpListener) -> io::Result<()> {
    use rustix::net::sockopt::{
        set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_user_timeout,
    };
    set_tcp_keepidle(listener, GONE / 2)?;
    set_tcp_keepintvl(listener, GONE / 2 / ASKED)?;
    set_tcp_keepcnt(listener, ASKED)?;
    set_socket_keepalive(listener, true)?;
    // While an answer is on its way nothing is asked: then this counts.
    Ok(set_tcp_user_timeout(listener, u32::try_from(GONE.as_millis()).unwrap_or(u32::MAX))?)
}

#[cfg(not(target_os = "linux"))]
fn look_after(_: &TcpListener) -> io::Result<()> {
    Ok(())
}

/// How many bytes of memory a request's head takes, about.
fn size<B>(request: &http::Request<B>) -> usize {
    // Each field has its place in tables, however short it is.
    const PLACE: usize = 100;
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + PLACE);
    let uri = request.uri();
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let target = authority + uri.path().len() + uri.query().map_or(0, str::len);
    fields.sum::<usize>() + request.method().as_str().len() + target + PLACE
}

/// What a stranger is told of whose requests too much waits, in its turn as well.
async fn too_much(visitor: &Visitor) -> Reply {
    let _turn = visitor.turn().await;
    let problem = "too many requests at once over a connection without a token";
    Reply::new(StatusCode::SERVICE_UNAVAILABLE, TEXT, problem)
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

/// HTTP/2, and nothing that only begins like it: hyper would take that for HTTP/1.1, of which this port has its own. With as long heads as there.
fn http2() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new()).http2_only();
    server.http2().max_header_list_size(u32::try_from(wire::LONGEST_HEAD).unwrap_or(u32::MAX));
    server
}

async fn by_hyper<H, F>(
    server: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    answer: H,
    shutdown: CancellationToken,
) -> Result<(), Failure>
where
    H: Fn(http::Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
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

/// A reply's body, piece by piece.
#[derive(Default)]
struct Unsent(VecDeque<Bytes>);

impl hyper::body::Body for Unsent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// A reply, or only its head.
fn response(reply: Reply, without_body: bool) -> Response<Unsent> {
    let length = reply.body.len();
    let body = if without_body { Unsent::default() } else { Unsent(reply.body.bytes().cloned().collect()) };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    *response.status_mut() = reply.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response
}

#[cfg(test)]
mod tests;
