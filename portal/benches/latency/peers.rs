//! What is compared: programs of their own between the same client and the same upstreams.

use crate::{
    client::Connection,
    relay,
    report::Report,
    upstream::{self, Pace},
};
use baton_portal::Secret;
use eyre::{OptionExt, Result, WrapErr, ensure};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const SECRET: [u8; 32] = [7; 32];
/// How long a program may take to listen.
const START: Duration = Duration::from_secs(20);

/// Upstreams and files that all peers share.
pub(crate) struct Rig {
    files: TempDir,
    installed: PathBuf,
    fallback: SocketAddr,
    builder: SocketAddr,
}

/// One peer, ended when dropped.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    at: SocketAddr,
    process: Option<Child>,
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Rig {
    pub(crate) fn start() -> Result<Self> {
        let files = tempfile::tempdir()?;
        std::fs::write(files.path().join("jwt"), alloy::hex::encode(SECRET))?;
        let (fallback, builder) = (upstream::start(Pace::Prompt)?, upstream::start(Pace::Prompt)?);
        let installed = std::env::var_os("BATON_PEERS")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/peers"), PathBuf::from);
        Ok(Self { files, installed, fallback, builder })
    }

    /// All that are installed; the report says which aren't.
    pub(crate) fn peers(&self, report: &mut Report) -> Result<Vec<Peer>> {
        let mut peers = vec![Peer { name: "direct", at: self.fallback, process: None }];
        peers.push(self.relay()?);
        let nginx = self.installed.join("nginx/usr/sbin/nginx");
        if nginx.exists() {
            peers.push(self.nginx(&nginx)?);
        } else {
            report.note(format!("nginx isn't at {}: left out.", nginx.display()));
        }
        let boost = self.installed.join("bin/rollup-boost");
        if boost.exists() {
            peers.push(self.boost("rollup-boost", &boost, &[])?);
        } else {
            report.note(format!("rollup-boost isn't at {}: left out.", boost.display()));
        }
        peers.push(self.portal("portal", &[Pace::Prompt])?);
        Ok(peers)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// This program over again, as nothing but a relay.
    fn relay(&self) -> Result<Peer> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        let addresses = relay::addresses(SocketAddr::from(([127, 0, 0, 1], port)), self.fallback);
        command.arg(format!("{}{addresses}", relay::FLAG));
        self.spawn("relay", command, port)
    }

    /// A reverse proxy that does nothing but pass on: one worker, kept-alive connections, bodies in memory.
    fn nginx(&self, program: &Path) -> Result<Peer> {
        let port = free_port()?;
        let (dir, config) = (self.files.path().display(), self.file("nginx.conf"));
        let upstream = self.fallback;
        let text = format!(
            "daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log stderr error; events {{}}
            http {{
                access_log off; client_max_body_size 64m; client_body_buffer_size 8m; keepalive_requests 1000000000;
                client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
                upstream engine {{ server {upstream}; keepalive 8; keepalive_requests 1000000000; }}
                server {{
                    listen 127.0.0.1:{port};
                    location / {{ proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffers 64 64k; }}
                }}
            }}"
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new(program);
        command.arg("-e").arg("stderr").arg("-c").arg(config);
        self.spawn("nginx", command, port)
    }

    /// The portal as it would replace rollup-boost, with gateways of these paces. The first one, which is prompt, owns every block.
    pub(crate) fn portal(&self, name: &'static str, gateways: &[Pace]) -> Result<Peer> {
        let config = self.file(&format!("{name}.toml"));
        let mut text = "[gateways]\ntimeout_ms = 2000\n".to_owned();
        for (index, pace) in gateways.iter().enumerate() {
            let at = if index == 0 { self.builder } else { upstream::start(*pace)? };
            text.push_str(&format!("[[gateways.overrides]]\nid = {}\nurl = \"http://{at}\"\n", index + 1));
        }
        std::fs::write(&config, text)?;
        let config = config.display().to_string();
        let more = ["boost", "--config", &config];
        self.boost(name, Path::new(env!("CARGO_BIN_EXE_portal")), &more)
    }

    /// rollup-boost, or the portal with the same flags.
    fn boost(&self, name: &'static str, program: &Path, first: &[&str]) -> Result<Peer> {
        let port = free_port()?;
        let mut command = Command::new(program);
        command.args(first);
        let jwt = self.file("jwt");
        for (flag, value) in [("l2", self.fallback), ("builder", self.builder)] {
            command.arg(format!("--{flag}-url=http://{value}")).arg(format!("--{flag}-jwt-path={}", jwt.display()));
            command.arg(format!("--{flag}-timeout=5000"));
        }
        command.arg(format!("--rpc-port={port}")).arg(format!("--debug-server-port={}", free_port()?));
        command.arg(format!("--metrics-port={}", free_port()?)).arg("--log-level=error");
        // The upstreams have no clock; nobody's health is looked at here.
        command.arg("--max-unsafe-interval=1000000000000").env("RUST_LOG", "error");
        self.spawn(name, command, port)
    }

    fn spawn(&self, name: &'static str, mut command: Command, port: u16) -> Result<Peer> {
        let program = command.get_program().to_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.spawn().wrap_err_with(|| format!("can't start {}", program.display()))?;
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        let mut peer = Peer { name, at, process: Some(process) };
        let started = Instant::now();
        while TcpStream::connect(at).is_err() {
            if let Some(status) = peer.process.as_mut().ok_or_eyre("no process")?.try_wait()? {
                eyre::bail!("{name} ended with {status}");
            }
            ensure!(started.elapsed() < START, "{name} doesn't listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(peer)
    }
}

impl Peer {
    /// Whether it is a program whose processor time and memory can be looked at.
    pub(crate) const fn is_process(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(self.at, Secret::new(SECRET))
    }

    /// The process and its children: nginx works in one.
    fn processes(&self) -> Vec<u32> {
        let Some(process) = &self.process else { return Vec::new() };
        let id = process.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|child| child.parse().ok()).chain([id]).collect()
    }

    /// Processor time so far, of all threads; zero where there is no process to look at. What `/proc/<id>/stat` says is counted in clock ticks, in which a call of
    /// a tenth of a millisecond hardly shows.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut all = Duration::ZERO;
        for id in self.processes() {
            for thread in std::fs::read_dir(format!("/proc/{id}/task"))? {
                let stat = std::fs::read_to_string(thread?.path().join("schedstat"))?;
                let ran = stat.split_whitespace().next().ok_or_eyre("an unusual /proc/<id>/task/<id>/schedstat")?;
                all += Duration::from_nanos(ran.parse()?);
            }
        }
        Ok(all)
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let mut bytes = 0;
        for id in self.processes() {
            let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or_eyre("no VmRSS")?;
            let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
            bytes += kibibytes * 1024;
        }
        Ok(bytes)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // SIGTERM first: killed outright, nginx would leave its worker behind.
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            let started = Instant::now();
            while process.try_wait().is_ok_and(|status| status.is_none()) {
                if started.elapsed() > Duration::from_secs(5) {
                    let _ = process.kill();
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = process.wait();
        }
    }
}
