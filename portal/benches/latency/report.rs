//! The figures, side by side, and whether they are what is aimed at.

use std::{fmt, time::Duration};

/// What one peer took for one kind of call.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) times: Vec<Duration>,
    pub(crate) cpu: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Kind, peer, samples.
    rows: Vec<(String, &'static str, Samples)>,
    /// Peer, resident memory after so many calls, in bytes.
    memory: Vec<(&'static str, [(usize, u64); 2])>,
    notes: Vec<String>,
}

impl Samples {
    /// A part of the calls was at least as quick as this; in milliseconds.
    fn quantile(&self, percent: usize) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    /// Processor time of a call, in milliseconds.
    fn cpu_per_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e3 / f64::from(u32::try_from(self.times.len()).unwrap_or(u32::MAX))
    }
}

impl Report {
    pub(crate) fn add(&mut self, kind: &str, peer: &'static str, samples: Samples) {
        self.rows.push((kind.to_owned(), peer, samples));
    }

    /// Resident memory, in bytes, after two numbers of calls.
    pub(crate) fn add_memory(&mut self, peer: &'static str, after: [(usize, u64); 2]) {
        self.memory.push((peer, after));
    }

    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    fn of(&self, kind: &str, peer: &str) -> Option<&Samples> {
        self.rows.iter().find(|row| row.0 == kind && row.1 == peer).map(|row| &row.2)
    }

    fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = self.rows.iter().map(|row| row.0.as_str()).collect();
        kinds.dedup();
        kinds
    }

    /// What a peer adds to the median of no proxy, in milliseconds.
    fn added(&self, kind: &str, peer: &str) -> Option<f64> {
        Some(self.of(kind, peer)?.quantile(50) - self.of(kind, "direct")?.quantile(50))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| call | through | p50 ms | p99 ms | added p50 ms | CPU per call ms |")?;
        writeln!(f, "|---|---|---:|---:|---:|---:|")?;
        for (kind, peer, samples) in &self.rows {
            let (p50, p99) = (samples.quantile(50), samples.quantile(99));
            let added = match self.added(kind, peer) {
                Some(added) if *peer != "direct" => format!("{added:.3}"),
                _ => String::new(),
            };
            let cpu = if *peer == "direct" { String::new() } else { format!("{:.3}", samples.cpu_per_call()) };
            writeln!(f, "| {kind} | {peer} | {p50:.3} | {p99:.3} | {added} | {cpu} |")?;
        }
        writeln!(f)?;
        for kind in self.kinds() {
            let Some(ours) = self.added(kind, "portal") else { continue };
            let cpu = self.of(kind, "portal").map_or(f64::NAN, Samples::cpu_per_call);
            let mut parts = Vec::new();
            if let (Some(theirs), Some(samples)) = (self.added(kind, "rollup-boost"), self.of(kind, "rollup-boost")) {
                parts.push(format!("added p50 {:.3} of rollup-boost's (aim 0.100)", ours / theirs));
                let theirs_cpu = samples.cpu_per_call();
                parts.push(format!("CPU {:.3} of rollup-boost's (aim 0.143)", cpu / theirs_cpu));
                if let (Some(added), Some(relay)) = (self.added(kind, "relay"), self.of(kind, "relay")) {
                    let (added, cpu) = (added / theirs, relay.cpu_per_call() / theirs_cpu);
                    parts.push(format!("one exchange by a relay {added:.3}, CPU {cpu:.3}"));
                }
            }
            if let Some(bare) = self.added(kind, "nginx") {
                parts.push(format!("added p50 {:.2} of nginx's (aim 2.00)", ours / bare));
            }
            writeln!(f, "{kind}: {}", parts.join(", "))?;
        }
        if let Some((_, [(few, _), (many, _)])) = self.memory.first() {
            writeln!(f, "\n| through | KiB resident after {few} calls | after {many} |")?;
            writeln!(f, "|---|---:|---:|")?;
        }
        for (peer, [(_, early), (_, late)]) in &self.memory {
            writeln!(f, "| {peer} | {} | {} |", early / 1024, late / 1024)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
