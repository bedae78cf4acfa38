//! The status page as a person sees it, in headless Chromium. `make test` installs one if there is none.

use crate::{
    node::{Fault, GENESIS},
    observability::Measured,
    soft_blocks::{Watched, watched},
    stand::{CLOCK, OpNode, Stand, snapshot},
};
use alloy::primitives::B256;
use axum::{Router, extract::State, http::StatusCode, response::Html, routing::get};
use baton_protocol::SlotClock;
use baton_schedule::Snapshot;
use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpListener, process::Command};

/// What the browser is called, by distribution.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Headless, and without anything that asks the world.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // The page's own time, which waits for answers and for nothing else: enough for three refreshes.
    "--virtual-time-budget=3500",
];

/// The page's content after its scripts have run for a while.
async fn rendered(url: &str) -> String {
    for program in PROGRAMS {
        let profile = tempfile::tempdir().expect("temporary directory");
        let mut chromium = Command::new(program);
        chromium.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display())).args(["--dump-dom", url]);
        chromium.kill_on_drop(true).stderr(Stdio::null());
        match tokio::time::timeout(Duration::from_secs(120), chromium.output()).await.expect("it ends") {
            Ok(output) => return String::from_utf8(output.stdout).expect("text"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("{program} doesn't run: {error}"),
        }
    }
    panic!("none of {PROGRAMS:?} is installed; `make test` does that on Debian")
}

/// The part of a page that begins with an id.
fn part(page: &str, id: &str) -> String {
    let from = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id} in {page}"));
    let end = ["</tbody>", "<h2>", "</span>"].iter().filter_map(|end| page[from..].find(end)).min();
    page[from..from + end.expect("an end")].to_owned()
}

/// The text in the element with an id.
fn shown(page: &str, id: &str) -> String {
    part(page, id).rsplit('>').next().unwrap_or_default().to_owned()
}

/// Stands between browser and portal, and lets things happen between one look at the status and the next.
struct Between {
    stand: Stand,
    head: B256,
    pages: AtomicUsize,
    looks: AtomicUsize,
    /// What happens before a look, counted from 1.
    before: fn(usize) -> Event,
}

enum Event {
    Nothing,
    /// op-node has block `n` built.
    Block(u64),
    /// The portal is gone.
    Gone,
}

impl Between {
    async fn serve(self: &Arc<Self>) -> String {
        let routes = Router::new()
            .route(
                "/",
                get(async |State(between): State<Arc<Self>>| {
                    between.pages.fetch_add(1, Ordering::Relaxed);
                    Html(between.stand.admin("/").await.1)
                }),
            )
            .route(
                "/status.json",
                get(async |State(between): State<Arc<Self>>| {
                    match (between.before)(between.looks.fetch_add(1, Ordering::Relaxed) + 1) {
                        Event::Nothing => {}
                        Event::Block(number) => {
                            between.stand.block(between.head, number).await;
                        }
                        Event::Gone => return Err(StatusCode::BAD_GATEWAY),
                    }
                    Ok(between.stand.admin("/status.json").await.1)
                }),
            )
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(axum::serve(listener, routes).into_future());
        url
    }
}

/// A portal that has served blocks 12 to 16, the last of them the fallback's, and what is to happen while the page is looked at.
async fn served(before: fn(usize) -> Event) -> Arc<Between> {
    let stand = Stand::start().await;
    let mut head = GENESIS;
    for number in 12..=15 {
        let answer = stand.block(head, number).await;
        head = stand.adopt(&answer["result"]).await;
    }
    stand.gateways[1].fail("engine_getPayload", Fault::Garbage);
    stand.block(head, 16).await;
    Arc::new(Between { stand, head, pages: AtomicUsize::new(0), looks: AtomicUsize::new(0), before })
}

#[tokio::test]
async fn the_status_page_shows_schedule_gateways_and_hand_overs() {
    let between = served(|_| Event::Nothing).await;
    let page = rendered(&format!("http://{}/", between.stand.portal.admin)).await;
    assert!(page.contains("data-shown=\"5\""), "{page}");
    assert_eq!(shown(&page, "health"), "healthy");
    assert_eq!(shown(&page, "fallback"), "fallback up");
    assert_eq!(shown(&page, "validator"), "");
    assert_eq!(shown(&page, "error"), "");
    // Both gateways' windows, told apart.
    let timeline = part(&page, "timeline");
    assert!(timeline.contains("data-gateway=\"1\"") && timeline.contains("data-gateway=\"2\""), "{timeline}");
    // Gateway 2's breaker has opened with its garbage.
    let gateways = part(&page, "gateways");
    assert_eq!(gateways.matches("<tr>").count(), 2, "{gateways}");
    assert!(gateways.contains("closed") && gateways.contains(">open<"), "{gateways}");
    // One hand-over, at block 14; five payloads, the last one the fallback's.
    let handovers = part(&page, "handovers");
    assert_eq!(handovers.matches("<tr>").count(), 1, "{handovers}");
    assert!(handovers.contains("<td>14</td><td>1</td><td>2</td>"), "{handovers}");
    let decisions = part(&page, "decisions");
    assert_eq!(decisions.matches("<tr>").count(), 5, "{decisions}");
    assert!(decisions.contains("<td>16</td><td>2</td><td class=\"\">fallback</td>"), "{decisions}");
}

#[tokio::test]
async fn the_status_page_shows_until_when_a_gateway_has_lost_its_turn() {
    let Watched { stand, .. } = watched(100).await;
    let answer = stand.block(GENESIS, 1).await;
    stand.adopt(&answer["result"]).await;
    stand.loses_its_turn(16).await;
    let gateways = part(&rendered(&format!("http://{}/", stand.portal.admin)).await, "gateways");
    assert!(gateways.contains("<td class=\"good\">closed</td><td>16</td>"), "{gateways}");
    assert!(gateways.contains("<td class=\"good\">closed</td><td>–</td>"), "{gateways}");
    // In the next gateway's turn that is over.
    let genesis = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() - 20 * 1200;
    let clock = SlotClock { l1_genesis_time: genesis, slot_length: 1200, l2_genesis_time: genesis, ..CLOCK };
    let urls = [stand.gateways[0].url(), stand.gateways[1].url()];
    stand.publisher.publish(Snapshot { clock, ..snapshot(urls) });
    let gateways = part(&rendered(&format!("http://{}/", stand.portal.admin)).await, "gateways");
    assert_eq!(gateways.matches("<td class=\"good\">closed</td><td>–</td>").count(), 2, "{gateways}");
}

#[tokio::test]
async fn the_status_page_counts_no_hand_over_where_a_block_only_holds_what_is_forced() {
    let stand = Stand::start().await;
    let mut head = GENESIS;
    for number in 1..=3 {
        let mut attributes = OpNode::attributes(number);
        attributes["noTxPool"] = serde_json::json!(number == 2);
        let id = stand.order_with(head, &attributes).await;
        head = stand.adopt(&stand.payload(&id).await["result"]).await;
    }
    let page = rendered(&format!("http://{}/", stand.portal.admin)).await;
    assert_eq!(part(&page, "decisions").matches("<tr>").count(), 3, "{page}");
    assert_eq!(part(&page, "handovers").matches("<tr>").count(), 0, "{page}");
}

#[tokio::test]
async fn the_status_page_shows_an_old_head_a_lost_validator_and_a_gateway_that_owns_every_block() {
    let mut portal = Measured::start(60_000).await;
    let url = format!("http://{}/", portal.admin);
    portal.op_node.block(GENESIS, 7).await;
    portal.validator.wait_for("engine_forkchoiceUpdated", 1).await;
    let page = rendered(&url).await;
    assert_eq!(shown(&page, "health"), "healthy", "{page}");
    assert!(shown(&page, "validator").starts_with("validator valid"), "{page}");
    assert!(part(&page, "timeline").contains(">gateway 1 owns every block<"), "{page}");
    assert!(part(&page, "decisions").contains("<td>7</td><td>1</td>"), "{page}");

    portal.validator.stop().await;
    portal.op_node.block(GENESIS, 8).await;
    portal.fallback.set_latest(1);
    portal.op_node.wait_for_admin("/healthz", 503).await;
    let page = rendered(&url).await;
    assert_eq!(shown(&page, "health"), "unhealthy: the fallback's newest block is too old");
    assert_eq!(shown(&page, "fallback"), "fallback up");
    assert!(shown(&page, "validator").starts_with("validator down: connection"), "{page}");
}

#[tokio::test]
async fn the_status_page_refreshes_itself_as_blocks_come() {
    let between = served(|look| if look == 2 { Event::Block(17) } else { Event::Nothing }).await;
    let page = rendered(&between.serve().await).await;
    assert_eq!(between.pages.load(Ordering::Relaxed), 1, "the page was loaded anew");
    assert!(between.looks.load(Ordering::Relaxed) >= 3);
    let decisions = part(&page, "decisions");
    assert!(decisions.contains("<td>17</td>") && decisions.contains("<td>12</td>"), "{decisions}");
    assert!(page.contains("data-shown=\"6\""), "{page}");
}

#[tokio::test]
async fn the_status_page_says_when_the_portal_is_gone_and_keeps_what_it_knew() {
    let between = served(|look| if look == 1 { Event::Nothing } else { Event::Gone }).await;
    let page = rendered(&between.serve().await).await;
    assert!(part(&page, "error").contains("the portal doesn't answer"), "{page}");
    assert!(part(&page, "decisions").contains("<td>16</td>"), "{page}");
}

#[tokio::test]
async fn the_status_page_recovers_with_the_portal() {
    let between = served(|look| if look == 2 { Event::Gone } else { Event::Nothing }).await;
    let page = rendered(&between.serve().await).await;
    assert!(between.looks.load(Ordering::Relaxed) >= 3);
    assert_eq!(shown(&page, "error"), "", "{page}");
}
