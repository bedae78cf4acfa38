//! The signing journal against crashes and second processes: whatever happens, no second signature.

use alloy::{
    primitives::{Address, B256, Signature},
    signers::local::PrivateKeySigner,
};
use baton_keeper::{
    journal::{Journal, JournalError, Refusal},
    signer::{DigestSigner, SignerError},
};
use baton_protocol::{Domain, SoftBlock};
use futures::future::BoxFuture;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

const DOMAIN: Domain = Domain { chain_id: 1, inbox: Address::repeat_byte(5) };
const KEY: B256 = B256::repeat_byte(1);
const CHILD: &str = "BATON_TEST_JOURNAL";

fn soft_block(number: u64, block: u8, anchor: u8) -> SoftBlock {
    SoftBlock {
        number,
        parentLink: B256::repeat_byte(2),
        blockHash: B256::repeat_byte(block),
        anchorNumber: 100,
        anchorHash: B256::repeat_byte(anchor),
    }
}

fn key() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&KEY).expect("a valid key")
}

fn open(path: &Path) -> Result<Journal, JournalError> {
    Journal::open(path, 1, DOMAIN)
}

#[tokio::test]
async fn the_same_soft_block_gets_the_same_signature() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("journal.sqlite");
    let first = open(&path).expect("opened").sign(soft_block(1, 1, 1), &key()).await.expect("signed");
    let again = open(&path).expect("opened").sign(soft_block(1, 1, 1), &key()).await.expect("signed");
    assert_eq!(first, again);
    assert_eq!(first.verify(&DOMAIN, key().address()), Ok(()));
}

#[tokio::test]
async fn a_second_block_is_refused_across_restarts_until_the_anchor_is_gone() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("journal.sqlite");
    open(&path).expect("opened").sign(soft_block(1, 1, 1), &key()).await.expect("signed");
    let journal = open(&path).expect("opened");
    let refused = journal.sign(soft_block(1, 2, 1), &key()).await;
    assert!(matches!(refused, Err(JournalError::Refused { number: 1, refusal: Refusal::Bound { .. } })), "{refused:?}");
    journal.sign(soft_block(1, 2, 7), &key()).await.expect("the other anchor excludes the first");
    journal.sign(soft_block(1, 1, 1), &key()).await.expect("the first anchor came back: its block is resumed");
}

#[test]
fn only_one_holds_the_file() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("journal.sqlite");
    let held = open(&path).expect("opened");
    assert!(matches!(open(&path), Err(JournalError::InUse { .. })));
    // From another process, too, where the lock is the operating system's.
    let mut child = child(&path, "try_to_open");
    assert_eq!(child.wait().expect("child ends").code(), Some(23));
    drop(held);
    open(&path).expect("free again");
}

#[test]
fn a_journal_is_one_gateways_on_one_deployment() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("journal.sqlite");
    drop(open(&path).expect("opened"));
    assert!(matches!(Journal::open(&path, 2, DOMAIN), Err(JournalError::WrongOwner { gateway: 1, .. })));
    let elsewhere = Domain { chain_id: 2, ..DOMAIN };
    assert!(matches!(Journal::open(&path, 1, elsewhere), Err(JournalError::WrongOwner { .. })));
}

#[tokio::test]
async fn what_is_forgotten_is_never_signed_again() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("journal.sqlite");
    let journal = open(&path).expect("opened");
    journal.sign(soft_block(1, 1, 1), &key()).await.expect("signed");
    journal.forget_below(2).expect("forgotten");
    assert_eq!(journal.len(), 0);
    drop(journal);
    let journal = open(&path).expect("opened");
    let refused = journal.sign(soft_block(1, 2, 2), &key()).await;
    assert!(matches!(refused, Err(JournalError::Forgotten { number: 1 })), "{refused:?}");
    journal.sign(soft_block(2, 2, 2), &key()).await.expect("above the floor");
}

#[tokio::test]
async fn a_crash_between_commit_and_signature_leaves_the_commitment() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("journal.sqlite");
    let mut child = child(&path, "abort_while_signing");
    assert!(!child.wait().expect("child ends").success());
    let journal = open(&path).expect("the dead process holds nothing");
    assert_eq!(journal.len(), 1);
    let refused = journal.sign(soft_block(1, 2, 1), &key()).await;
    assert!(matches!(refused, Err(JournalError::Refused { .. })), "{refused:?}");
    journal.sign(soft_block(1, 1, 1), &key()).await.expect("the one that was begun can be finished");
}

#[tokio::test]
async fn whatever_left_a_killed_process_is_remembered() {
    for signatures in [1u64, 7, 30] {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("journal.sqlite");
        let mut child = child(&path, "sign_until_killed");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut released = 0;
        while released < signatures {
            let line = lines.next().expect("the child goes on until it is killed").expect("text");
            if let Some(number) = line.strip_prefix("released ") {
                released = number.parse().expect("a number");
            }
        }
        child.kill().expect("killed");
        child.wait().expect("child ends");
        // It may have got further than what was read.
        released = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("released ")?.parse().ok())
            .last()
            .unwrap_or(released);
        let journal = open(&path).expect("opened");
        for number in 1..=released {
            let refused = journal.sign(soft_block(number, 2, 1), &key()).await;
            assert!(matches!(refused, Err(JournalError::Refused { .. })), "{number}: {refused:?}");
        }
    }
}

/// Runs one of the ignored tests below in a process of its own.
fn child(path: &Path, role: &str) -> std::process::Child {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", role, "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("spawned")
}

fn path_of_child() -> Option<std::path::PathBuf> {
    std::env::var_os(CHILD).map(Into::into)
}

#[test]
#[ignore = "runs as a child process of the tests above"]
fn try_to_open() {
    let Some(path) = path_of_child() else { return };
    std::process::exit(match open(&path) {
        Err(JournalError::InUse { .. }) => 23,
        _ => 0,
    });
}

#[derive(Debug)]
struct AbortingSigner;

impl DigestSigner for AbortingSigner {
    fn address(&self) -> Address {
        key().address()
    }
    fn sign(&self, _: B256) -> BoxFuture<'_, Result<Signature, SignerError>> {
        std::process::abort()
    }
}

#[tokio::test]
#[ignore = "runs as a child process of the tests above"]
async fn abort_while_signing() {
    let Some(path) = path_of_child() else { return };
    let _ = open(&path).expect("opened").sign(soft_block(1, 1, 1), &AbortingSigner).await;
}

#[tokio::test]
#[ignore = "runs as a child process of the tests above"]
async fn sign_until_killed() {
    let Some(path) = path_of_child() else { return };
    let journal = open(&path).expect("opened");
    for number in 1.. {
        journal.sign(soft_block(number, 1, 1), &key()).await.expect("signed");
        println!("\nreleased {number}");
    }
}
