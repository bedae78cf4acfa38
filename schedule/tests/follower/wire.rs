//! A wire between the follower and a node's websocket, which can be made to fail.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{broadcast, watch},
    task::JoinHandle,
};
use tokio_tungstenite::{accept_async, connect_async, tungstenite::Message};

const BLOCK: &str = "eth_getBlockByNumber";

/// What is wrong with the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Connections are taken, and then nothing comes back, not even the handshake's end.
    Dead,
    /// Nothing goes through any more, and nobody is told.
    Silent,
    /// What the node says waits until the fault is over.
    Held,
    /// Heads aren't announced, without a word about it.
    Unannounced,
    /// Subscriptions are refused.
    NoSubscriptions,
    /// Queries for events are refused, except for so many at first.
    FewLogs(usize),
    /// Queries for events of more blocks than so many are refused.
    ShortLogs(u64),
    /// They aren't answered.
    SilentLogs(u64),
    /// A query for events waits until a block is asked for behind it.
    LogsInCompany,
    /// Calls for blocks by their numbers wait until the fault is over.
    BlocksHeld,
    /// Every call is refused.
    Refuses,
    /// The other side hangs up after the handshake.
    HangsUp,
    /// Blocks say that they have so much higher numbers.
    Lies(u64),
    /// The head stays at a block.
    StuckAt(u64),
    /// Queries for events find nothing.
    FindsNothing,
    /// The reason of a revert isn't passed on.
    BareReverts,
    /// Events have another value in a field.
    EventsWith(&'static str, &'static str),
}

/// The wire. Down when dropped.
pub(crate) struct Wire {
    pub(crate) url: String,
    fault: watch::Sender<Fault>,
    cut: broadcast::Sender<()>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
    from: Arc<Mutex<Vec<u64>>>,
    task: JoinHandle<()>,
}

/// What every connection needs to know.
#[derive(Clone)]
struct State {
    node: String,
    fault: watch::Receiver<Fault>,
    asked: Arc<Mutex<Vec<String>>>,
    from: Arc<Mutex<Vec<u64>>>,
}

impl Wire {
    /// To a node's websocket.
    pub(crate) async fn to(node: &str, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("ws://{}", listener.local_addr().expect("an address"));
        let (fault, faults) = watch::channel(fault);
        let (cut, _) = broadcast::channel(1);
        let (connections, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let from = Arc::<Mutex<Vec<u64>>>::default();
        let state = State { node: node.to_owned(), fault: faults, asked: asked.clone(), from: from.clone() };
        let (count, count_open, cuts) = (connections.clone(), open.clone(), cut.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                count_open.fetch_add(1, Ordering::SeqCst);
                let (state, mut cut, count_open) = (state.clone(), cuts.subscribe(), count_open.clone());
                tokio::spawn(async move {
                    tokio::select! { () = connection(stream, state) => {}, _ = cut.recv() => {} }
                    count_open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, fault, cut, connections, open, asked, from, task }
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Ends all connections; new ones are taken.
    pub(crate) fn cut(&self) {
        // Nobody may be connected.
        let _ = self.cut.send(());
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// From which blocks on events were asked for, without queries that ran into a fault.
    pub(crate) fn from(&self) -> Vec<u64> {
        self.from.lock().expect("lock").clone()
    }

    /// How often a method was called. Queries for events that ran into a fault don't count.
    pub(crate) fn asked(&self, method: &str) -> usize {
        self.asked.lock().expect("lock").iter().filter(|asked| *asked == method).count()
    }
}

/// First and last block of a query for events.
fn blocks_of(call: &Value) -> (u64, u64) {
    let number = |key: &str| {
        let text = call["params"][0][key].as_str().expect("a number");
        u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hexadecimal")
    };
    (number("fromBlock"), number("toBlock"))
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn connection(stream: TcpStream, mut state: State) {
    if *state.fault.borrow() == Fault::Dead {
        return std::future::pending().await;
    }
    let Ok(mut follower) = accept_async(stream).await else { return };
    if *state.fault.borrow() == Fault::HangsUp {
        return;
    }
    let Ok((mut node, _)) = connect_async(&state.node).await else { return };
    let mut kept = Vec::new();
    loop {
        let fault = *state.fault.borrow_and_update();
        if fault == Fault::Nothing {
            for call in kept.drain(..) {
                if node.send(call).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            changed = state.fault.changed() => if changed.is_err() { return },
            message = follower.next() => {
                let Some(Ok(mut message)) = message else { return };
                let mut call = json_of(&message);
                let method = call["method"].as_str().unwrap_or_default().to_owned();
                if let Fault::StuckAt(number) = fault && call["params"][0] == "latest" {
                    call["params"][0] = json!(format!("0x{number:x}"));
                    message = Message::text(call.to_string());
                }
                let too_many = match fault {
                    Fault::FewLogs(most) if method == "eth_getLogs" => {
                        state.asked.lock().expect("lock").iter().filter(|asked| **asked == method).count() >= most
                    }
                    Fault::ShortLogs(most) | Fault::SilentLogs(most) if method == "eth_getLogs" => {
                        let (first, last) = blocks_of(&call);
                        last - first >= most
                    }
                    _ => false,
                };
                if too_many && matches!(fault, Fault::SilentLogs(_)) {
                    continue;
                }
                if too_many || fault == Fault::Refuses || fault == Fault::NoSubscriptions && method == "eth_subscribe" {
                    let no = json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32601, "message": "no such method"}});
                    if follower.send(Message::text(no.to_string())).await.is_err() { return }
                } else if fault == Fault::FindsNothing && method == "eth_getLogs" {
                    let nothing = json!({"jsonrpc": "2.0", "id": call["id"], "result": []});
                    if follower.send(Message::text(nothing.to_string())).await.is_err() { return }
                } else if fault == Fault::LogsInCompany && method == "eth_getLogs"
                    || fault == Fault::BlocksHeld && method == BLOCK && call["params"][0] != "latest"
                {
                    kept.push(message);
                } else if fault == Fault::LogsInCompany && method == BLOCK {
                    for call in kept.drain(..).chain([message]) {
                        if node.send(call).await.is_err() { return }
                    }
                } else if fault != Fault::Silent && node.send(message).await.is_err() {
                    return;
                }
                if !too_many {
                    if method == "eth_getLogs" {
                        state.from.lock().expect("lock").push(blocks_of(&call).0);
                    }
                    state.asked.lock().expect("lock").push(method);
                }
            }
            message = node.next(), if fault != Fault::Held => {
                let Some(Ok(message)) = message else { return };
                let announces = message.to_text().is_ok_and(|text| text.contains("\"eth_subscription\""));
                let message = match fault {
                    Fault::Lies(more) => with_higher_number(message, more),
                    Fault::BareReverts => without_reason(message),
                    Fault::EventsWith(field, value) => with_other_events(message, field, value),
                    _ => message,
                };
                let dropped = fault == Fault::Silent || fault == Fault::Unannounced && announces;
                if !dropped && follower.send(message).await.is_err() { return }
            }
        }
    }
}

fn json_of(message: &Message) -> Value {
    message.to_text().ok().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// A block with a higher number, if the message holds a block.
fn with_higher_number(message: Message, more: u64) -> Message {
    let mut answer = json_of(&message);
    let Some(number) = answer["result"]["number"].as_str() else { return message };
    let number = u64::from_str_radix(&number[2..], 16).expect("a number");
    answer["result"]["number"] = json!(format!("0x{:x}", number + more));
    Message::text(answer.to_string())
}

/// Events with another value in a field, if the message holds events.
fn with_other_events(message: Message, field: &str, value: &str) -> Message {
    let mut answer = json_of(&message);
    let Some(events) = answer["result"].as_array_mut().filter(|events| !events.is_empty()) else { return message };
    events.iter_mut().for_each(|event| event[field] = json!(value));
    Message::text(answer.to_string())
}

/// A revert as providers tell it that say no more, if the message holds a revert.
fn without_reason(message: Message) -> Message {
    let mut answer = json_of(&message);
    if !answer["error"]["data"].is_string() {
        return message;
    }
    answer["error"] = json!({"code": -32000, "message": "execution reverted"});
    Message::text(answer.to_string())
}
