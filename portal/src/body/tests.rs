use super::*;
use crate::{
    handler::{Handler, Reply, Request, TEXT},
    strangers::Visitor,
    upstream::Upstream,
    wire::{self, Pipes},
};
use http::StatusCode;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{sync::mpsc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

/// More than is worth a pipe.
const LONG: usize = 400_000;

/// What a node does with a body.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Takes it.
    Take,
    /// Takes it in portions, with pauses.
    TakeSlowly,
    /// Takes so many bytes, and closes the connection once no more are sent.
    Close(usize),
    /// Takes so many bytes, and answers.
    Refuse(usize),
    /// Takes so many bytes, and nothing else.
    Stall(usize),
}

/// A node that does one thing after the other, and says what bodies it got as a whole, and when it does nothing any more.
async fn node(acts: Vec<Act>, stalled: Arc<Notify>) -> (Upstream, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("a URI");
    let (taken, bodies) = mpsc::channel();
    tokio::spawn(async move {
        let mut acts = acts.into_iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            while let Some(length) = length(&mut stream).await {
                let mut body = vec![0; length];
                let act = acts.next().expect("something to do");
                match act {
                    Act::Take => drop(stream.read_exact(&mut body).await.expect("a body")),
                    Act::TakeSlowly => {
                        for portion in body.chunks_mut(100_000) {
                            tokio::time::sleep(Duration::from_millis(2)).await;
                            stream.read_exact(portion).await.expect("a body");
                        }
                    }
                    Act::Close(part) | Act::Refuse(part) | Act::Stall(part) => {
                        stream.read_exact(&mut body[..part]).await.expect("a part");
                    }
                }
                match act {
                    Act::Close(_) => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        break;
                    }
                    Act::Stall(_) => {
                        // For whoever takes this for a pause.
                        tokio::time::sleep(10 * PATIENCE).await;
                        stalled.notify_one();
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                    Act::Take | Act::TakeSlowly => taken.send(body).expect("somebody listens"),
                    Act::Refuse(_) => {}
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.expect("it listens");
                if matches!(act, Act::Refuse(_)) {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            }
        }
    });
    (Upstream::new(uri, None, Duration::from_secs(20), 1 << 20), bodies)
}

/// The length of a request's body; `None` at the connection's end.
async fn length(stream: &mut TcpStream) -> Option<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("text");
    head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|digits| digits.parse().expect("a number"))
}

/// Passes bodies to a node, and keeps them.
struct Passer {
    upstream: Upstream,
    pipes: Pipes,
    stalled: Arc<Notify>,
    kept: mpsc::Sender<Pieces>,
}

impl Handler for Passer {
    async fn answer<'a>(&'a self, request: Request<'a>) -> Reply {
        let mut incoming = request.body;
        let length = incoming.left().expect("a length");
        let beginning = Beginning::read(&mut incoming, 1).await.expect("a beginning");
        let (mut outgoing, kept) = Outgoing::passing(beginning.pieces, incoming, length, &self.pipes);
        let answer = tokio::select! {
            answer = self.upstream.exchange(&mut outgoing) => Some(answer),
            () = self.stalled.notified() => None,
        };
        let text = match answer {
            Some(Ok(_)) => "taken",
            Some(Err(_)) => "failed",
            None if kept.whole().is_some() => "late",
            None => "late, and nobody else had it",
        };
        if kept.whole().is_none() {
            outgoing.finish().await.expect("the rest");
        }
        self.kept.send(kept.whole().expect("all of it")).expect("somebody listens");
        Reply::new(StatusCode::OK, TEXT, text)
    }
}

/// A caller, what a node took of it, and what was kept.
struct Stand {
    caller: TcpStream,
    pipes: Pipes,
    taken: mpsc::Receiver<Vec<u8>>,
    kept: mpsc::Receiver<Pieces>,
}

impl Stand {
    async fn new(acts: impl Into<Vec<Act>>) -> Self {
        Self::with(acts, Pipes::default()).await
    }

    async fn with(acts: impl Into<Vec<Act>>, pipes: Pipes) -> Self {
        let stalled = Arc::new(Notify::new());
        let (upstream, taken) = node(acts.into(), stalled.clone()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let caller = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
        let (accepted, _) = listener.accept().await.expect("a connection");
        let (sender, kept) = mpsc::channel();
        let passer = Passer { upstream, pipes: pipes.clone(), stalled, kept: sender };
        tokio::spawn(async move { wire::serve(accepted, &Visitor::alone(), &passer, &CancellationToken::new()).await });
        Self { caller, pipes, taken, kept }
    }

    /// Sends a body in portions; gives how it went, and what was kept.
    async fn pass(&mut self, body: &[u8], portion: usize) -> (String, Pieces) {
        let head = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len());
        let (mut reader, mut writer) = self.caller.split();
        let write = async {
            writer.write_all(head.as_bytes()).await.expect("it listens");
            for portion in body.chunks(portion) {
                writer.write_all(portion).await.expect("it listens");
                tokio::task::yield_now().await;
            }
        };
        let read = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(reader.read_u8().await.expect("an answer"));
            }
            let head = String::from_utf8(head).expect("text");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            let mut text = vec![0; length.parse().expect("a number")];
            reader.read_exact(&mut text).await.expect("an answer");
            String::from_utf8(text).expect("text")
        };
        let ((), text) = tokio::join!(write, read);
        (text, self.kept.recv().expect("kept"))
    }
}

fn body(rng: &mut StdRng, length: usize) -> Vec<u8> {
    let mut body = vec![0; length];
    rng.fill(&mut body[..]);
    body
}

fn whole(pieces: &Pieces) -> Vec<u8> {
    pieces.bytes().map(AsRef::as_ref).collect::<Vec<&[u8]>>().concat()
}

/// How many bytes the kernel held.
fn held(pieces: &Pieces) -> usize {
    let held = pieces.0.iter().filter(|piece| matches!(piece, Piece::Held(_)));
    held.map(|piece| piece.bytes().len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_what_came_and_what_is_kept() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut stand = Stand::new(vec![[Act::Take, Act::TakeSlowly]; 18].concat()).await;
    for round in 0..36 {
        let length = match round % 6 {
            0 => rng.random_range(1..50_000),
            1 => rng.random_range(2_000_000..6_000_000),
            _ => rng.random_range(200_000..LONG + 200_000),
        };
        let portion = [1448, 65_536, usize::MAX][round % 3].min(length);
        let body = body(&mut rng, length);
        let (text, kept) = stand.pass(&body, portion).await;
        assert_eq!(text, "taken");
        assert_eq!(kept.len(), length);
        assert!(whole(&kept) == body, "{length} in portions of {portion}");
        assert!(stand.taken.recv().expect("taken") == body, "{length} in portions of {portion}");
        // All of a long one but its beginning, unless it came in so many portions that pipes for it ran out, or the node took its time.
        let is_piped = length > LONG && portion > 1448 && round % 2 == 0 && stand.pipes.were_there();
        let through = if is_piped { length - 270_000 } else { 0 };
        assert!(held(&kept) >= through, "{} of {length} in portions of {portion}", held(&kept));
        assert!(length > 50_000 || held(&kept) == 0);
        drop(kept);
        assert_eq!(stand.pipes.taken(), 0);
    }
}

#[tokio::test]
async fn of_long_bodies_only_the_first_is_read_in_part() {
    let mut stand = Stand::new([Act::Take; 5]).await;
    for (length, piped) in [(100_000, 0), (100_000, 0), (LONG, 100_000), (LONG, LONG - 10_000), (100_000, 0)] {
        let (_, kept) = stand.pass(&vec![b'x'; length], length).await;
        if stand.pipes.were_there() {
            assert!(held(&kept) >= piped && (piped > 0 || held(&kept) == 0), "{} of {length}", held(&kept));
        }
    }
}

#[tokio::test]
async fn a_body_that_a_closing_connection_took_a_part_of_is_sent_anew() {
    let mut rng = StdRng::seed_from_u64(2);
    // More than the connections on the way hold, and less.
    for (part, length) in [(0, 20_000_000), (1_200_000, 20_000_000), (50_000, 1_000_000)] {
        let mut stand = Stand::new([Act::Take, Act::Close(part), Act::Take]).await;
        for number in 0..2 {
            let body = body(&mut rng, length);
            let (text, kept) = stand.pass(&body, 100_000).await;
            assert_eq!(text, "taken", "{number}");
            assert!(stand.taken.recv().expect("taken") == body, "{part}");
            assert!(whole(&kept) == body, "{part}");
        }
    }
}

#[tokio::test]
async fn all_of_a_body_is_kept_though_the_node_takes_only_a_part() {
    let mut rng = StdRng::seed_from_u64(3);
    for part in [0, 50_000, 1_200_000] {
        for (act, expected) in [(Act::Refuse(part), "taken"), (Act::Close(part), "failed"), (Act::Stall(part), "late")]
        {
            let mut stand = Stand::new([act]).await;
            let body = body(&mut rng, 8_000_000);
            let (text, kept) = stand.pass(&body, 100_000).await;
            assert!(text.starts_with(expected), "{act:?}: {text}");
            assert!(whole(&kept) == body, "{act:?}");
        }
    }
}

#[tokio::test]
async fn a_head_that_comes_alone_makes_no_difference() {
    let mut stand = Stand::new([Act::Take]).await;
    let head = format!("POST / HTTP/1.1\r\ncontent-length: {LONG}\r\n\r\n");
    stand.caller.write_all(head.as_bytes()).await.expect("it listens");
    tokio::time::sleep(Duration::from_millis(100)).await;
    stand.caller.write_all(&[b'x'; LONG]).await.expect("it listens");
    let mut answer = [0; 12];
    stand.caller.read_exact(&mut answer).await.expect("an answer");
    let kept = stand.kept.recv().expect("kept");
    assert!(held(&kept) >= LONG - 10_000 || !stand.pipes.were_there(), "{}", held(&kept));
}

#[tokio::test]
async fn requests_may_follow_each_other_at_once() {
    let mut rng = StdRng::seed_from_u64(9);
    let bodies: Vec<_> = [LONG, 1000, 1_500_000, LONG, 50_000, LONG].map(|length| body(&mut rng, length)).into();
    let mut stand = Stand::new(vec![Act::Take; bodies.len()]).await;
    let mut requests = Vec::new();
    for body in &bodies {
        requests.extend(format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes());
        requests.extend(body);
    }
    let (mut reader, mut writer) = stand.caller.split();
    let write = async { writer.write_all(&requests).await.expect("it listens") };
    let read = async {
        let (mut read, mut answered) = (Vec::new(), 0);
        while answered < bodies.len() {
            assert!(reader.read_buf(&mut read).await.expect("answers") > 0);
            answered = String::from_utf8_lossy(&read).matches("\r\n\r\ntaken").count();
        }
    };
    tokio::join!(write, read);
    for body in bodies {
        assert!(stand.taken.recv().expect("taken") == body);
        assert!(whole(&stand.kept.recv().expect("kept")) == body);
    }
}

/// The kernel passes nothing over the mark of TCP's urgent byte, without saying so.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_urgent_byte_does_not_stop_a_body() {
    let mut rng = StdRng::seed_from_u64(10);
    let mut stand = Stand::new([Act::Take]).await;
    let body = body(&mut rng, LONG);
    let head = format!("POST / HTTP/1.1\r\ncontent-length: {LONG}\r\n\r\n");
    let (first, rest) = body.split_at(100_000);
    stand.caller.write_all(&[head.as_bytes(), first].concat()).await.expect("it listens");
    rustix::net::send(&stand.caller, b"!", rustix::net::SendFlags::OOB).expect("sent");
    stand.caller.write_all(rest).await.expect("it listens");
    let mut answer = [0; 12];
    let answered = tokio::time::timeout(Duration::from_secs(20), stand.caller.read_exact(&mut answer)).await;
    answered.expect("in time").expect("an answer");
    assert!(stand.taken.try_recv().expect("taken") == body);
}

#[tokio::test]
async fn without_pipes_a_body_passes_through_memory() {
    let mut rng = StdRng::seed_from_u64(4);
    let mut stand = Stand::new([Act::Take; 5]).await;
    let mut others = Vec::new();
    while let Some(pipe) = stand.pipes.take() {
        others.push(pipe);
    }
    // None, only the one through which it would pass, and one to keep a part in.
    for _ in 0..3 {
        let body = body(&mut rng, 5_000_000);
        let (text, kept) = stand.pass(&body, 100_000).await;
        assert_eq!(text, "taken");
        assert!(stand.taken.recv().expect("taken") == body);
        assert!(whole(&kept) == body);
        drop(kept);
        others.pop();
    }
}

#[tokio::test]
async fn a_caller_that_asks_in_the_middle_is_told_to_go_on() {
    let mut stand = Stand::new([Act::Take]).await;
    let head = format!("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {LONG}\r\n\r\n");
    let body = vec![b'x'; LONG];
    let (first, rest) = body.split_at(1000);
    stand.caller.write_all(&[head.as_bytes(), first].concat()).await.expect("it listens");
    let mut told = [0; 25];
    stand.caller.read_exact(&mut told).await.expect("an answer");
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stand.caller.write_all(rest).await.expect("it listens");
    assert!(tokio::task::spawn_blocking(move || stand.taken.recv()).await.expect("done").expect("taken") == body);
}

#[tokio::test]
async fn nothing_of_a_body_that_nobody_read_is_taken_for_another() {
    let mut rng = StdRng::seed_from_u64(6);
    let mut stand = Stand::new([Act::Take; 3]).await;
    for length in [LONG, LONG + 5000, LONG] {
        let body = body(&mut rng, length);
        let (_, kept) = stand.pass(&body, length).await;
        assert!(stand.taken.recv().expect("taken") == body);
        if length > LONG {
            assert!(whole(&kept) == body);
        }
    }
}

/// As where a user's pipes have come to a limit: Linux gives small ones then.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn pipes_may_be_of_different_sizes() {
    const PAGE: usize = 4096;
    let mut rng = StdRng::seed_from_u64(5);
    for sizes in [
        vec![PAGE; 20],
        [vec![5 * PAGE; 19], vec![1 << 20]].concat(),
        [vec![1 << 20; 19], vec![PAGE]].concat(),
        // Which anybody gets.
        [vec![PAGE; 19], vec![2 * PAGE]].concat(),
        [vec![2 * PAGE; 19], vec![PAGE]].concat(),
    ] {
        let pipes = Pipes::of(&sizes);
        let mut stand = Stand::with([Act::Take, Act::TakeSlowly, Act::Stall(0)], pipes).await;
        // More than the connections on the way hold, for the node that takes nothing.
        for (expected, length) in [("taken", 2_000_000), ("taken", 2_000_000), ("late", 8_000_000)] {
            let body = body(&mut rng, length);
            let (text, kept) = stand.pass(&body, 100_000).await;
            assert!(text.starts_with(expected), "{text}");
            assert!(expected == "late" || stand.taken.recv().expect("taken") == body);
            assert!(whole(&kept) == body, "{} bytes kept", whole(&kept).len());
            assert!(held(&kept) > 0, "nothing went through a pipe");
        }
    }
}

/// Passes a body to a node that takes nothing until it is stuck, and takes it piece by piece then, from its beginning or from where it is.
#[cfg(target_os = "linux")]
struct Stuck {
    to: TcpStream,
    pipes: Pipes,
    anew: bool,
    wait: Duration,
    taken: mpsc::Sender<(Vec<u8>, Pieces)>,
}

#[cfg(target_os = "linux")]
impl Handler for Stuck {
    async fn answer<'a>(&'a self, request: Request<'a>) -> Reply {
        let mut incoming = request.body;
        let length = incoming.left().expect("a length");
        let beginning = Beginning::read(&mut incoming, 1).await.expect("a beginning");
        let (mut outgoing, kept) = Outgoing::passing(beginning.pieces, incoming, length, &self.pipes);
        let mut taken = Vec::new();
        while !outgoing.passes() {
            let piece = poll_fn(|context| outgoing.poll_piece(context)).await.expect("whole");
            taken.extend_from_slice(&piece.expect("more to come"));
        }
        let passed = poll_fn(|context| outgoing.poll_pass(context, &self.to));
        let passed = tokio::time::timeout(self.wait, passed).await;
        assert!(passed.is_ok() || self.wait < PATIENCE, "others wait for a node that takes nothing");
        if self.anew {
            outgoing.rewind().expect("kept");
            taken.clear();
        }
        while let Some(piece) = poll_fn(|context| outgoing.poll_piece(context)).await.expect("whole") {
            taken.extend_from_slice(&piece);
        }
        self.taken.send((taken, kept.whole().expect("all of it"))).expect("somebody listens");
        Reply::new(StatusCode::OK, TEXT, "")
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stuck_in_a_pipe_is_neither_lost_nor_there_twice() {
    const PAGE: usize = 4096;
    let mut rng = StdRng::seed_from_u64(7);
    // All of what is stuck is kept by then, or only a part.
    for sizes in [vec![1 << 20; 16], [vec![2 * PAGE; 15], vec![1 << 20]].concat()] {
        // For less than a node may take nothing; were it more, on a busy machine, the same holds of less in the pipe.
        let soon = PATIENCE / 2;
        for (anew, wait) in [(false, soon), (true, soon), (false, Duration::from_secs(20))] {
            let little = tokio::net::TcpSocket::new_v4().expect("a socket");
            little.set_recv_buffer_size(4096).expect("a size");
            little.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
            let node = little.listen(1).expect("a listener");
            let to = tokio::net::TcpSocket::new_v4().expect("a socket");
            to.set_send_buffer_size(4096).expect("a size");
            let to = to.connect(node.local_addr().expect("bound")).await.expect("a connection");
            let (sender, taken) = mpsc::channel();
            let passer = Stuck { to, pipes: Pipes::of(&sizes), anew, wait, taken: sender };
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let mut caller = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
            let (accepted, _) = listener.accept().await.expect("a connection");
            tokio::spawn(
                async move { wire::serve(accepted, &Visitor::alone(), &passer, &CancellationToken::new()).await },
            );
            let body = body(&mut rng, 3_000_000);
            let head = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len());
            caller.write_all(&[head.as_bytes(), &body].concat()).await.expect("it listens");
            let (taken, kept) = taken.recv().expect("taken");
            assert!(whole(&kept) == body, "{} bytes are kept of {}", whole(&kept).len(), body.len());
            // What had gone out already isn't seen again, unless it is begun anew.
            assert!(body.ends_with(&taken[taken.len().saturating_sub(2_000_000)..]));
            assert!(!anew || taken.len() == body.len());
        }
    }
}

#[tokio::test]
async fn what_is_to_be_read_later_gives_its_pipes_back() {
    let mut stand = Stand::new([Act::Take, Act::Take]).await;
    let (_, short) = stand.pass(&[b'x'; 1000], 1000).await;
    assert!(short.unread().is_none());
    let (_, kept) = stand.pass(&[b'x'; LONG], LONG).await;
    let unread = kept.unread();
    assert!(unread.is_some() || !stand.pipes.were_there());
    let Some(unread) = unread else { return };
    assert!(stand.pipes.taken() > 0);
    unread.read();
    assert_eq!(stand.pipes.taken(), 0);
    // Nobody has it any more.
    drop(kept);
    unread.read();
}
