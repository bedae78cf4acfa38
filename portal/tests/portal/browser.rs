//! The status page as a person sees it. `make test-status` installs the browser.

use crate::{
    node::{Fault, GENESIS},
    stand::Stand,
};
use std::{process::Stdio, time::Duration};
use tokio::process::Command;

/// The page's content after its scripts have run for a while.
async fn rendered(url: &str) -> String {
    let profile = tempfile::tempdir().expect("temporary directory");
    let mut chromium = Command::new("chromium");
    chromium
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=3000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", url])
        .kill_on_drop(true)
        .stderr(Stdio::null());
    let output = tokio::time::timeout(Duration::from_secs(120), chromium.output()).await.expect("it ends");
    String::from_utf8(output.expect("chromium runs; `make test-status` installs it").stdout).expect("text")
}

#[tokio::test]
#[ignore = "takes a browser: make test-status"]
async fn the_status_page_shows_schedule_gateways_and_hand_overs() {
    let stand = Stand::start().await;
    let mut head = GENESIS;
    for number in 12..=15 {
        let answer = stand.block(head, number).await;
        head = stand.adopt(&answer["result"]).await;
    }
    stand.gateways[1].fail("engine_getPayload", Fault::Garbage);
    stand.block(head, 16).await;
    let page = rendered(&format!("http://{}/", stand.portal.admin)).await;
    let part = |id: &str| {
        let from = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id} in {page}"));
        let end = ["</tbody>", "<h2>", "</span>"].iter().filter_map(|end| page[from..].find(end)).min();
        page[from..from + end.expect("an end")].to_owned()
    };
    assert!(page.contains("data-shown=\"5\""), "{page}");
    assert_eq!(part("fallback").split('>').next_back(), Some("fallback up"));
    assert_eq!(part("error").split('>').next_back(), Some(""));
    // Both gateways' windows, told apart.
    let timeline = part("timeline");
    assert!(timeline.contains("data-gateway=\"1\"") && timeline.contains("data-gateway=\"2\""), "{timeline}");
    // Gateway 2's breaker has opened with its garbage.
    let gateways = part("gateways");
    assert_eq!(gateways.matches("<tr>").count(), 2, "{gateways}");
    assert!(gateways.contains("closed") && gateways.contains(">open<"), "{gateways}");
    // One hand-over, at block 14; five payloads, the last one the fallback's.
    let handovers = part("handovers");
    assert_eq!(handovers.matches("<tr>").count(), 1, "{handovers}");
    assert!(handovers.contains("<td>14</td><td>1</td><td>2</td>"), "{handovers}");
    let decisions = part("decisions");
    assert_eq!(decisions.matches("<tr>").count(), 5, "{decisions}");
    assert!(decisions.contains("<td>16</td><td>2</td><td class=\"\">fallback</td>"), "{decisions}");
}
