//! Child processes that don't outlive their parent.

use eyre::{Context, Result, eyre};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::{Child, Command};

/// How long a process may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

/// A child process whose output goes to a file. Dropping it kills it.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; its standard output and error go to `<logs>/<name>.log`.
    pub fn start<S: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
        logs: &Path,
    ) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let output =
            File::options().create(true).append(true).open(&log).wrap_err_with(|| log.display().to_string())?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A group of its own: Ctrl-C in the terminal reaches this process alone, which then stops its children in order.
            .process_group(0)
            .kill_on_drop(true)
            // Logs are for people; a backtrace buries what went wrong.
            .env("RUST_BACKTRACE", "0")
            .spawn()
            .wrap_err_with(|| format!("{name} doesn't start"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its output.
    pub fn tail(&self, lines: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Fails if the process has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(eyre!("{} ended by itself ({status}):\n{}", self.name, self.tail(20))),
        }
    }

    /// Kills it with SIGKILL, which it can't handle, and waits for its end.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.wrap_err_with(|| format!("{} can't be killed", self.name))
    }

    /// Asks it to end with SIGTERM; kills it if it doesn't within ten seconds.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(id) = self.child.id() else { return Ok(()) };
        kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM)?;
        match tokio::time::timeout(GRACE, self.child.wait()).await {
            Ok(status) => {
                tracing::debug!(process = self.name, status = %status?, "stopped");
                Ok(())
            }
            Err(_) => {
                tracing::warn!(process = self.name, "didn't stop in time; killing it");
                self.kill().await
            }
        }
    }
}
