use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a made-up node does with a request.
#[derive(Clone, Copy)]
enum Act {
    /// Answers it with the body that it was sent.
    Echo,
    /// Answers, and closes the connection without having said so.
    EchoAndClose,
    /// Closes the connection.
    Close,
    /// Refuses it without reading its body.
    RefuseEarly,
}

struct Made {
    upstream: Upstream,
    connections: Arc<AtomicUsize>,
}

/// A request's head and body; `None` at the connection's end.
async fn request(stream: &mut TcpStream, with_body: bool) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("text");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; if with_body { length.parse().expect("a number") } else { 0 }];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

/// A node that does one thing after the other, over however many connections.
async fn made(acts: &'static [Act]) -> Made {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}/path?key", listener.local_addr().expect("bound")).parse().expect("a URI");
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        let mut acts = acts.iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let (mut reader, early) = (acts.clone(), acts.clone().next().copied());
            while let Some((head, body)) = request(&mut stream, !matches!(early, Some(Act::RefuseEarly))).await {
                assert!(head.starts_with("POST /path?key HTTP/1.1\r\nhost: 127.0.0.1:"), "{head}");
                let act = *reader.next().expect("no more requests");
                let answer = match act {
                    Act::Echo | Act::EchoAndClose => {
                        let mut answer =
                            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
                        answer.extend(body);
                        answer
                    }
                    Act::RefuseEarly => b"HTTP/1.1 413 No\r\ncontent-length: 9\r\n\r\n{\"no\":{}}".to_vec(),
                    Act::Close => Vec::new(),
                };
                stream.write_all(&answer).await.expect("it reads");
                if matches!(act, Act::Close | Act::EchoAndClose) {
                    break;
                }
                if matches!(act, Act::RefuseEarly) {
                    // Open, with a body on it that nobody reads.
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            }
            acts = reader;
        }
    });
    let secret = Secret::new([7; 32]);
    Made { upstream: Upstream::new(uri, secret, Duration::from_secs(20), 1 << 20), connections }
}

impl Made {
    async fn call(&self, body: impl Into<Bytes>) -> Result<Bytes, UpstreamError> {
        self.upstream.call(body.into()).await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn what_is_within_the_machine_is_known_by_its_address() {
    // The name may be looked up to something else.
    let within = async |uri: &str, localhost: &'static [&str]| {
        let found = localhost.iter().map(|ip| SocketAddr::from((ip.parse::<IpAddr>().expect("an address"), 0)));
        let found: Vec<_> = found.collect();
        let lookup = Lookup::by(move |_| Ok(found.clone()));
        let uri = uri.parse().expect("a URI");
        let upstream = Upstream { lookup, ..Upstream::new(uri, None, Duration::from_secs(1), 1) };
        let addresses = upstream.addresses_within().await.expect("found");
        addresses.map(|addresses| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    let both: &[&str] = &["::1", "127.0.0.1"];
    for (uri, localhost, expected) in [
        ("http://127.0.0.1/path", both, Some("127.0.0.1:80")),
        ("http://user:key@127.1.2.3:9", both, Some("127.1.2.3:9")),
        ("http://[::1]:9", both, Some("[::1]:9")),
        ("http://[::ffff:127.0.0.1]:9", both, Some("127.0.0.1:9")),
        ("http://localhost:9/path", both, Some("[::1]:9 127.0.0.1:9")),
        ("http://LocalHost", both, Some("[::1]:80 127.0.0.1:80")),
        ("http://localhost:9", &["127.0.0.1", "10.0.0.1"], None),
        ("http://10.0.0.1:9", both, None),
        ("http://0.0.0.0:9", both, None),
        ("http://localhost.:9", both, None),
        ("http://localhost.example:9", both, None),
    ] {
        assert_eq!(within(uri, localhost).await.as_deref(), expected, "{uri}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_node_within_the_machine_is_not_paced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    for host in ["127.0.0.1", "localhost"] {
        let uri = format!("http://{host}:{port}").parse().expect("a URI");
        let link = Upstream::new(uri, None, Duration::from_secs(20), 1).connect().await.expect("open");
        assert_eq!(rustix::net::sockopt::tcp_congestion(link.stream()).expect("known"), "reno", "{host}");
    }
}

#[tokio::test]
async fn a_connection_serves_one_call_after_the_other() {
    let made = made(&[Act::Echo; 3]).await;
    for body in ["one", "", "three"] {
        assert_eq!(made.call(body).await.expect("an answer"), body);
    }
    assert_eq!(made.connections(), 1);
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_the_memory_of_a_large_answer() {
    let made = made(&[Act::Echo, Act::Echo]).await;
    for (body, holds) in [(vec![b'x'; 1 << 20], false), (vec![b'x'; 1000], true)] {
        made.call(body).await.expect("an answer");
        let mut link = made.upstream.idle().expect("a connection");
        assert_eq!(link.holds(1000), holds);
        made.upstream.keep(Some(link));
    }
}

#[tokio::test]
async fn connections_that_were_needed_only_once_are_given_up() {
    let made = made(&[Act::Echo; 2]).await;
    let (one, two) = (made.upstream.connect().await.expect("open"), made.upstream.connect().await.expect("open"));
    for mut link in [one, two] {
        link.age(IDLE_TIMEOUT);
        made.upstream.shared().idle.push_back(link);
    }
    made.call("one").await.expect("an answer");
    assert_eq!(made.upstream.shared().idle.len(), 1);
    assert_eq!(made.connections(), 3);
    // The one that is used stays.
    made.call("two").await.expect("an answer");
    assert_eq!(made.connections(), 3);
    // A node that is asked for nothing.
    made.upstream.shared().idle[0].age(IDLE_TIMEOUT);
    made.upstream.make_ready();
    assert!(made.upstream.shared().idle.is_empty());
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_not_used() {
    let made = made(&[Act::EchoAndClose, Act::Echo]).await;
    assert_eq!(made.call("one").await.expect("an answer"), "one");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(made.upstream.idle().is_none());
    assert_eq!(made.call("two").await.expect("an answer"), "two");
    assert_eq!(made.connections(), 2);
}

#[tokio::test]
async fn a_call_that_meets_a_closing_connection_is_sent_anew() {
    let made = made(&[Act::Echo, Act::Close, Act::Echo]).await;
    assert_eq!(made.call("one").await.expect("an answer"), "one");
    let body = "x".repeat(300_000);
    assert_eq!(made.call(body.clone()).await.expect("an answer"), body);
    assert_eq!(made.connections(), 2);
}

#[tokio::test]
async fn a_new_connection_that_is_closed_is_a_failure() {
    let made = made(&[Act::Close, Act::Close]).await;
    assert!(matches!(made.call("one").await, Err(UpstreamError::Connection(_))));
    assert_eq!(made.connections(), 1);
}

#[tokio::test]
async fn an_answer_counts_before_the_body_is_read() {
    let made = made(&[Act::RefuseEarly, Act::Echo]).await;
    // More than any buffer on the way takes.
    let answer = made.call(vec![b'x'; 32 << 20]).await.expect("an answer");
    assert_eq!(answer, "{\"no\":{}}");
    assert!(made.upstream.idle().is_none(), "half a body is still on that connection");
}

#[tokio::test]
async fn pieces_without_bytes_are_passed_over() {
    let made = made(&[Act::Echo, Act::Echo]).await;
    // A lone empty piece would be a write of nothing.
    for pieces in [vec!["a"; 15], [vec!["a"; 15], vec![""; 16], vec!["b"]].concat()] {
        let mut pieces: Vec<_> = pieces.into_iter().map(Bytes::from).collect();
        pieces.push(Bytes::new());
        let answer = made.upstream.call(pieces.clone()).await.expect("an answer");
        assert_eq!(answer, pieces.concat());
    }
    assert_eq!(made.connections(), 1);
}

#[tokio::test]
async fn a_target_begins_with_a_slash() {
    for (uri, line) in
        [("http://node", "POST / HTTP"), ("http://node/a?b", "POST /a?b HTTP"), ("http://node?b", "POST /?b HTTP")]
    {
        let upstream = Upstream::new(Uri::from_static(uri), None, Duration::from_secs(1), 1);
        let head = upstream.head(0);
        assert!(head.starts_with(line.as_bytes()), "{head:?}");
    }
}

#[tokio::test]
async fn a_head_has_the_second_that_it_is_sent_in() {
    let made = made(&[]).await;
    let secret = Secret::new([7; 32]);
    let head = made.upstream.head(5);
    let head = std::str::from_utf8(&head).expect("text");
    let token = head.lines().find_map(|line| line.strip_prefix("authorization: ")).expect("a token");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later").as_secs();
    assert_eq!(secret.authorize(Some(token), now), Ok(()));
    assert!(head.ends_with("content-length: 5\r\n\r\n"));
    // Made before it is asked for.
    made.upstream.shared().head = None;
    made.upstream.make_ready();
    assert!(made.upstream.shared().head.as_ref().is_some_and(|(second, _)| *second >= now));
    // What is kept from another second isn't used.
    made.upstream.shared().head = Some((now - 100, "old ".to_owned()));
    assert!(made.upstream.head(5).starts_with(b"POST"));
    assert!(!format!("{:?}", made.upstream).contains(token), "a token is as good as the secret for a minute");
}
