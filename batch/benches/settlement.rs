//! One epoch's settlement, from archived blocks to a sidecar ready to be signed, next to the floor: bare brotli of the
//! same bytes and bare c-kzg of the same blobs. The goal is a ratio of processor time of 1.3 at most.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark fails loudly, and prints its ratio")]

#[path = "../tests/chain/mod.rs"]
mod chain;

use std::{fs, hint::black_box, time::Instant};

use alloy::{
    eips::{eip4844::Blob, eip7594::BlobTransactionSidecarEip7594},
    primitives::Bytes,
};
use baton_batch::{BatchEncoder, EncoderConfig, Kzg, L2Block, SingularBatch};
use brotli::enc::BrotliEncoderParams;
use chain::Chain;
use criterion::Criterion;

const BLOCKS: usize = 384;
const TRANSACTIONS: usize = 8;
const QUALITY: u8 = 9;
const ROUNDS: u32 = 5;

/// What the keeper does: read the archive, encode, verify, commit and prove.
fn pipeline(archive: &[Bytes], kzg: Kzg) -> BlobTransactionSidecarEip7594 {
    let blocks: Vec<L2Block> = archive.iter().map(|raw| L2Block::from_rlp(raw).unwrap()).collect();
    let posting = encode(&blocks);
    posting.verify(&blocks).unwrap();
    kzg.sidecar(posting.into_blobs()).unwrap()
}

fn encode(blocks: &[L2Block]) -> baton_batch::Posting {
    BatchEncoder::new(EncoderConfig { quality: QUALITY, ..Default::default() }).unwrap().encode(blocks).unwrap()
}

fn brotli_floor(rlp: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let params = BrotliEncoderParams { quality: QUALITY.into(), lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut &rlp[..], &mut out, &params).unwrap();
    out
}

fn kzg_floor(blobs: &[c_kzg::Blob]) {
    let settings = c_kzg::ethereum_kzg_settings(8);
    for blob in blobs {
        black_box(settings.blob_to_kzg_commitment(blob).unwrap());
        black_box(settings.compute_cells_and_kzg_proofs(blob).unwrap());
    }
}

/// Processor time of this process in seconds, all threads together; nothing outside Linux.
fn processor_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which is in parentheses: state is field 3, user and system ticks are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

/// Seconds of wall time and of processor time for each call.
fn measure(mut work: impl FnMut()) -> (f64, f64) {
    let (wall, processor) = (Instant::now(), processor_time());
    for _ in 0..ROUNDS {
        work();
    }
    let processor = processor.zip(processor_time()).map_or(f64::NAN, |(before, after)| after - before);
    (wall.elapsed().as_secs_f64() / f64::from(ROUNDS), processor / f64::from(ROUNDS))
}

fn settlement(c: &mut Criterion) {
    let mut source = Chain::new(1);
    let archive: Vec<Bytes> = (0..BLOCKS)
        .map(|_| {
            let transactions = (0..TRANSACTIONS).map(|_| source.transaction()).collect();
            source.block_rlp(transactions)
        })
        .collect();
    let blocks: Vec<L2Block> = archive.iter().map(|raw| L2Block::from_rlp(raw).unwrap()).collect();
    let posting = encode(&blocks);
    let mut rlp = Vec::new();
    blocks.iter().for_each(|block| SingularBatch::from(block).encode(&mut rlp));
    let bare: Vec<c_kzg::Blob> =
        posting.blobs().iter().map(|blob: &Blob| c_kzg::Blob::from_bytes(blob.as_slice()).unwrap()).collect();
    let kzg = Kzg::load();
    println!("{posting:?}, {} bytes a transaction", posting.channel_bytes() / (BLOCKS * TRANSACTIONS));

    let ours = measure(|| drop(black_box(pipeline(&archive, kzg))));
    let floor = measure(|| {
        black_box(brotli_floor(&rlp));
        kzg_floor(&bare);
    });
    println!("pipeline: {:.3} s wall, {:.3} s processor", ours.0, ours.1);
    println!("floor:    {:.3} s wall, {:.3} s processor", floor.0, floor.1);
    println!("ratio:    {:.3} wall, {:.3} processor (goal: 1.3)", ours.0 / floor.0, ours.1 / floor.1);

    let mut group = c.benchmark_group("settlement");
    group.sample_size(10);
    group.bench_function("from_rlp", |b| {
        b.iter(|| archive.iter().map(|raw| L2Block::from_rlp(raw).unwrap()).collect::<Vec<_>>());
    });
    group.bench_function("encode", |b| b.iter(|| encode(&blocks)));
    group.bench_function("verify", |b| b.iter(|| posting.verify(&blocks).unwrap()));
    group.bench_function("brotli floor", |b| b.iter(|| brotli_floor(&rlp)));

    // The worst case of the search for what fits: several settlements' worth of backlog.
    let backlog = Chain::realistic(2, 2000, TRANSACTIONS);
    let cut = encode(&backlog);
    println!("backlog: {cut:?}");
    group.bench_function("encode backlog", |b| b.iter(|| encode(&backlog)));
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    settlement(&mut criterion);
    criterion.final_summary();
}
