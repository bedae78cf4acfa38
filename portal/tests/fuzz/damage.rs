//! Bodies that nobody sends who means well: those of the corpus, damaged.

use proptest::{
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use rand::{RngCore, SeedableRng, rngs::StdRng};
use std::{
    fmt,
    time::{Duration, Instant},
};

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

/// One damage. Places are relative to the body's length at the time, so that a failure can be made smaller one by one.
#[derive(Clone, Debug)]
enum Damage {
    Byte(Index, u8),
    Bit(Index, u8),
    Piece(Index, &'static [u8]),
    Removed(Index, usize),
    Repeated {
        from: Index,
        length: usize,
        to: Index,
    },
    /// The rest is another body's end.
    Spliced {
        at: Index,
        other: Index,
        from: Index,
    },
    /// All that stands between two quotes, be it a key, a value, or what is between them.
    Quoted(Index, &'static str),
    Cut(Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<Index>;
        prop_oneof![
            (at(), any::<u8>()).prop_map(|(at, byte)| Self::Byte(at, byte)),
            (at(), 0u8..8).prop_map(|(at, bit)| Self::Bit(at, bit)),
            (at(), select(&PIECES[..])).prop_map(|(at, piece)| Self::Piece(at, piece)),
            (at(), 0usize..=40).prop_map(|(at, length)| Self::Removed(at, length)),
            (at(), 0usize..=60, at()).prop_map(|(from, length, to)| Self::Repeated { from, length, to }),
            (at(), at(), at()).prop_map(|(at, other, from)| Self::Spliced { at, other, from }),
            (at(), select(&STRINGS[..])).prop_map(|(at, string)| Self::Quoted(at, string)),
            at().prop_map(Self::Cut),
        ]
    }

    fn apply(&self, body: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let place = |index: &Index, body: &[u8]| index.index(body.len() + 1);
        match self {
            Self::Byte(at, byte) => {
                if !body.is_empty() {
                    *at.get_mut(body) = *byte;
                }
            }
            Self::Bit(at, bit) => {
                if !body.is_empty() {
                    *at.get_mut(body) ^= 1 << bit;
                }
            }
            Self::Piece(at, piece) => {
                let at = place(at, body);
                body.splice(at..at, piece.iter().copied());
            }
            Self::Removed(at, length) => {
                let at = place(at, body);
                body.drain(at..body.len().min(at + length));
            }
            Self::Repeated { from, length, to } => {
                let (from, to) = (place(from, body), place(to, body));
                let part = body[from..body.len().min(from + length)].to_vec();
                body.splice(to..to, part);
            }
            Self::Spliced { at, other, from } => {
                let other = other.get(corpus);
                let (at, from) = (place(at, body), place(from, other));
                body.splice(at.., other[from..].iter().copied());
            }
            Self::Quoted(at, string) => {
                let quotes: Vec<usize> = (0..body.len()).filter(|&index| body[index] == b'"').collect();
                if let Some(&[open, close]) = quotes.windows(2).nth(at.index(quotes.len().max(1))) {
                    body.splice(open + 1..close, string.bytes());
                }
            }
            Self::Cut(at) => body.truncate(place(at, body)),
        }
    }
}

/// A body, shown as text.
#[derive(Clone)]
pub(crate) struct Damaged(pub(crate) Vec<u8>);

impl fmt::Debug for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Bodies of the corpus with up to five damages, and now and then any bytes.
pub(crate) fn bodies(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Damaged> {
    let damages = prop::collection::vec(Damage::any(), 0..6);
    prop_oneof![
        49 => (any::<Index>(), damages).prop_map(move |(which, damages)| {
            let mut body = which.get(&corpus).clone();
            damages.iter().for_each(|damage| damage.apply(&mut body, &corpus));
            Damaged(body)
        }),
        1 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Damaged),
    ]
}

/// What runs a strategy, from a generator.
pub(crate) fn runner(rng: &mut StdRng) -> TestRunner {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    // A body that does harm goes into the corpus, instead of a file of seeds.
    let config = ProptestConfig { cases: BATCH, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// How many bodies are tried before the time is looked at.
pub(crate) const BATCH: u32 = 1000;

/// One body.
pub(crate) fn damage(rng: &mut StdRng, corpus: &[Vec<u8>]) -> Vec<u8> {
    bodies(corpus.to_vec()).new_tree(&mut runner(rng)).expect("a body").current().0
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
