//! The demo's story without the pictures: real anvil, real contracts, real blobs, real execution, real processes, and a real kill.

use baton_bindings::RunKind;
use baton_devnet::{
    stack::{Stack, StackConfig},
    story::{self, Scene},
};
use eyre::Result;

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_baton_is_picked_up_and_paid_for() -> Result<()> {
    let mut stack = Stack::start(StackConfig::default(), |_| {}).await?;
    let mut headlines = 0;
    let summary = story::tell(&mut stack, |scene| {
        if let Scene::Headline(_) = scene {
            headlines += 1;
        }
    })
    .await;
    let logs = stack.folder.path().join("logs");
    let summary = match summary {
        Ok(summary) => summary,
        Err(error) => {
            for entry in std::fs::read_dir(&logs)? {
                let path = entry?.path();
                eprintln!("=== {}\n{}", path.display(), std::fs::read_to_string(&path)?);
            }
            return Err(error);
        }
    };

    // The audit has checked the sums; here is that there was something to sum up.
    assert!(headlines >= 5);
    let recreated =
        summary.recreated.iter().find(|outcome| outcome.kind == RunKind::Recreated).expect("a re-created run");
    assert!(recreated.signed && recreated.charged > 0);
    assert_eq!(recreated.bounty, recreated.paid / 2);
    assert!(summary.transactions > 10);
    assert!(summary.derived as u64 >= summary.settled && summary.settled > 10);
    assert!(summary.adopted as u64 >= summary.settled);
    // The audit has checked that the second epoch fell back and that the others are proven, to the last slot.
    let slots: Vec<(usize, usize)> = summary.epochs.iter().map(|epoch| (epoch.proven, epoch.fallback)).collect();
    assert_eq!(slots, [(32, 0), (0, 32), (32, 0)]);
    stack.stop().await
}
