//! Bodies that nobody sends who means well: those of the corpus, damaged.

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use std::time::{Duration, Instant};

pub(crate) fn corpus() -> Vec<Vec<u8>> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).expect("the corpus").map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() > 8);
    files.into_iter().map(|file| std::fs::read(file).expect("readable")).collect()
}

/// Pieces that matter to somebody who reads JSON.
const PIECES: [&[u8]; 18] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"0x",
    b"-1",
    b"1e999",
    b"\\u0000",
    b"\xff",
    b"\"method\":\"engine_newPayloadV4\",",
    b"\"id\":",
    b"\"params\":[",
    b"18446744073709551616",
];

/// Strings that nobody expects where another stood.
const STRINGS: [&str; 10] = [
    "",
    "0x",
    "0x00",
    "0xffffffffffffffffff",
    "0x1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "-0x1",
    "0xg",
    "blockHash",
    "transactions",
    "engine_forkchoiceUpdatedV18446744073709551616",
];

pub(crate) fn damage(rng: &mut StdRng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut body = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(0..6) {
        let at = rng.random_range(0..=body.len());
        match rng.random_range(0..8) {
            0 if at < body.len() => body[at] = rng.random(),
            1 if at < body.len() => body[at] ^= 1 << rng.random_range(0..8),
            2 => {
                let piece = PIECES[rng.random_range(0..PIECES.len())];
                body.splice(at..at, piece.iter().copied());
            }
            3 => {
                let end = rng.random_range(at..=body.len().min(at + 40));
                body.drain(at..end);
            }
            4 => {
                let end = rng.random_range(at..=body.len().min(at + 60));
                let part = body[at..end].to_vec();
                let to = rng.random_range(0..=body.len());
                body.splice(to..to, part);
            }
            5 => {
                let other = &corpus[rng.random_range(0..corpus.len())];
                let from = rng.random_range(0..=other.len());
                body.splice(at.., other[from..].iter().copied());
            }
            6 => {
                // All that stands between two quotes, be it a key, a value, or what is between them.
                let quotes: Vec<usize> = (0..body.len()).filter(|&index| body[index] == b'"').collect();
                if let Some(&[open, close]) = quotes.windows(2).nth(rng.random_range(0..quotes.len().max(1))) {
                    let string = STRINGS[rng.random_range(0..STRINGS.len())];
                    body.splice(open + 1..close, string.bytes());
                }
            }
            _ => body.truncate(at),
        }
    }
    if rng.random_ratio(1, 50) {
        body = vec![0; rng.random_range(0..300)];
        rng.fill_bytes(&mut body);
    }
    body
}

/// A generator, and the seed that makes it again: `BATON_FUZZ_SEED`, or any.
pub(crate) fn generator() -> (StdRng, u64) {
    let seed = std::env::var("BATON_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    (StdRng::seed_from_u64(seed), seed)
}

/// How long to go on: for `BATON_FUZZ_SECONDS`, or two. Says each minute how far it is.
pub(crate) struct Time {
    end: Instant,
    next: Instant,
    what: &'static str,
}

/// How often to say how far it is.
const MINUTE: Duration = Duration::from_secs(60);

impl Time {
    pub(crate) fn start(what: &'static str) -> Self {
        let seconds = std::env::var("BATON_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
        let now = Instant::now();
        Self { end: now + Duration::from_secs(seconds), next: now + MINUTE, what }
    }

    /// Whether there is some left, with so many done.
    #[allow(clippy::print_stdout)] // Who waits for an hour wants to see that it goes on.
    pub(crate) fn is_left(&mut self, done: u64) -> bool {
        let now = Instant::now();
        if now >= self.next {
            let left = self.end.saturating_duration_since(now).as_secs() / 60;
            println!("{done} {} so far, {left} minutes left", self.what);
            self.next += MINUTE;
        }
        now < self.end
    }
}
