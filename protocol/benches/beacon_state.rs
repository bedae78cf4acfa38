//! A beacon state of mainnet's size through the prover, next to two others: the same number of pairs hashed with no tree around
//! them (the floor), and hashed one by one with RustCrypto's SHA-256, as a straightforward merkleizer would. The goal is 1.5
//! times the floor at most, in memory that doesn't grow with the state.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark fails loudly, and prints its ratio")]

use std::{fs, hint::black_box, time::Instant};

use baton_protocol::beacon::{Fork, StateProver};
use criterion::Criterion;
use sha2::{Digest, Sha256};

/// Validators of mainnet's registry, those that left included.
const VALIDATORS: u64 = 2_200_000;
const HISTORICAL_SUMMARIES: u64 = 1_100;
const PENDING_DEPOSITS: u64 = 10_000;
/// Bytes of a portion, as a download delivers them.
const PORTION: usize = 256 * 1024;
const ROUNDS: u32 = 3;

/// Serialized lengths, up to and including the field that an offset stands for: (bytes of fixed length before it, its length).
fn fields(fork: Fork) -> Vec<(u64, u64)> {
    let registry = |bytes| VALIDATORS * bytes;
    let mut fields = vec![
        (8 + 32 + 8 + 16 + 112 + 2 * 8192 * 32, 758 * 32),
        (72, 1024 * 72),
        (8, registry(121)),
        (0, registry(8)),
        (65536 * 32 + 8192 * 8, registry(1)),
        (0, registry(1)),
        (1 + 3 * 40, registry(8)),
    ];
    let committees = 2 * 24_624;
    let pending = [(6 * 8, PENDING_DEPOSITS * 192), (0, 1_000 * 24), (0, 100 * 16)];
    match fork {
        Fork::Fulu => {
            fields.extend([(committees, 584 + 32), (16, HISTORICAL_SUMMARIES * 64)]);
            fields.extend(pending);
            fields.push((512, 0));
        }
        Fork::Gloas => {
            fields.push((committees + 32 + 16, HISTORICAL_SUMMARIES * 64));
            fields.extend(pending);
            let bid = 4 * 32 + 20 + 5 * 8 + 4 + 32;
            let rest =
                [(512, 1_000 * 93), (8 + 1024 + 64 * 52, 100 * 36), (0, bid + 6 * 48), (0, 16 * 44), (96 * 4096, 0)];
            fields.extend(rest);
        }
    }
    fields
}

/// A state in portions: its offsets are right, its content is noise.
struct Synthetic {
    fixed: Vec<u8>,
    variable: u64,
    noise: Vec<u8>,
    nested: Vec<(u64, u32)>,
}

impl Synthetic {
    fn new(fork: Fork) -> Self {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut noise = Vec::with_capacity(PORTION);
        while noise.len() < PORTION {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            noise.extend_from_slice(&seed.to_le_bytes());
        }
        let fields = fields(fork);
        // The last entry stands for what follows the last offset.
        let offsets = fields.len() as u64 - 1;
        let fixed_part = fields.iter().map(|(before, _)| before).sum::<u64>() + 4 * offsets;
        let (mut fixed, mut offset, mut nested) = (Vec::new(), fixed_part, Vec::new());
        for (at, (before, length)) in fields.iter().enumerate() {
            fixed.extend(noise.iter().cycle().take(usize::try_from(*before).unwrap()));
            if at as u64 == offsets {
                break;
            }
            fixed.extend(u32::try_from(offset).unwrap().to_le_bytes());
            // The containers of variable length have an offset of their own.
            match (fork, *length) {
                (Fork::Fulu, 616) => nested.push((offset + 436, 584)),
                (Fork::Gloas, 512) => nested.push((offset + 188, 224)),
                _ => {}
            }
            offset += length;
        }
        assert_eq!(fixed.len() as u64, fixed_part);
        Self { fixed, variable: offset - fixed_part, noise, nested }
    }

    fn length(&self) -> u64 {
        self.fixed.len() as u64 + self.variable
    }

    /// Passes the state on. Only portions that hold a nested offset are copied.
    fn stream(&self, mut take: impl FnMut(&[u8])) {
        take(&self.fixed);
        let mut at = self.fixed.len() as u64;
        while at < self.length() {
            let room = usize::try_from(self.length() - at).unwrap().min(PORTION);
            let inside = |(offset, _): &&(u64, u32)| *offset < at + room as u64 && *offset + 4 > at;
            match self.nested.iter().find(inside) {
                Some((offset, value)) => {
                    let mut portion = self.noise[..room].to_vec();
                    for (byte, position) in value.to_le_bytes().into_iter().zip(*offset..) {
                        if let Some(room) =
                            position.checked_sub(at).and_then(|at| portion.get_mut(usize::try_from(at).unwrap()))
                        {
                            *room = byte;
                        }
                    }
                    take(&portion);
                }
                None => take(&self.noise[..room]),
            }
            at += room as u64;
        }
    }
}

/// Pairs that the state's tree hashes, but for a few hundred.
fn pairs(state: &Synthetic) -> u64 {
    // A validator: one for the key, seven for the container, one in the list. Four balances or scores to a chunk, and so on.
    let registry = VALIDATORS * (8 + 1) + VALIDATORS / 4 * 2 + VALIDATORS / 32 * 2;
    let deposits = PENDING_DEPOSITS * (1 + 3 + 7 + 1);
    registry + deposits + state.fixed.len() as u64 / 32
}

fn prove(fork: Fork, state: &Synthetic) {
    let mut prover = StateProver::new(fork, Some(state.length()), (0..32).map(|i| i * 60_000));
    state.stream(|portion| prover.push(portion).unwrap());
    let proven = prover.finish().unwrap();
    assert_eq!(proven.validator_count, VALIDATORS);
    black_box(proven);
}

/// The floor: as many pairs, as many at a time as fit the cache.
fn hash_in_bulk(pairs: u64, noise: &[u8]) {
    const BATCH: usize = 256;
    let mut out = vec![0; BATCH * 32];
    for at in 0..pairs / BATCH as u64 {
        let start = usize::try_from(at).unwrap() * 64 % (noise.len() / 2);
        hashtree_rs::hash(&mut out, &noise[start..start + BATCH * 64], BATCH);
        black_box(&mut out);
    }
}

fn hash_one_by_one(pairs: u64, noise: &[u8]) {
    for at in 0..pairs {
        let start = usize::try_from(at).unwrap() * 64 % (noise.len() / 2);
        black_box(Sha256::digest(&noise[start..start + 64]));
    }
}

/// The most memory that this process ever had, in MiB; nothing outside Linux.
fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

/// Best of a few, in seconds.
fn best(mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let before = peak_memory().unwrap_or(f64::NAN);
    for fork in [Fork::Fulu, Fork::Gloas] {
        let state = Synthetic::new(fork);
        let (megabytes, pairs) = (state.length() as f64 / 1e6, pairs(&state));
        let ours = best(|| prove(fork, &state));
        let grown = peak_memory().unwrap_or(f64::NAN) - before;
        let floor = best(|| hash_in_bulk(pairs, &state.noise));
        println!(
            "{fork}: {megabytes:.0} MB, {VALIDATORS} validators, {:.1} M pairs: {ours:.2} s with {grown:.1} MiB, \
             {:.2} times the floor of {floor:.2} s",
            pairs as f64 / 1e6,
            ours / floor
        );
    }
    let state = Synthetic::new(Fork::Fulu);
    let peer = best(|| hash_one_by_one(pairs(&state) / 10, &state.noise)) * 10.0;
    println!("one pair after the other with RustCrypto's SHA-256: {peer:.2} s");

    let mut group = criterion.benchmark_group("beacon_state");
    group.sample_size(10);
    group.bench_function("fulu", |bencher| bencher.iter(|| prove(Fork::Fulu, &state)));
    group.finish();
}
