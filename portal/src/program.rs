//! The program's runtime, and its end.

use std::{future::Future, io, time::Duration};
use tokio::runtime::Builder;

/// How long what is left behind may take at the end: files that are being written.
const LEFT_BEHIND: Duration = Duration::from_millis(500);

/// Runs the program, and ends with it: what it leaves behind mustn't keep it, such as a lookup of an L1 node's name that nobody answers for, which takes as long as the
/// system's resolver does.
///
/// One thread for lanes, the admin port and the schedule, beside the engine port's own: whatever there is to send to gateways, it takes at most one processor from
/// op-node's calls. Fails if that thread can't be had.
pub fn run_to_the_end<T>(program: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let ended = runtime.block_on(program);
    runtime.shutdown_timeout(LEFT_BEHIND);
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{Arc, Mutex, mpsc},
        thread,
    };
    use tokio::{sync::oneshot, task::spawn_blocking};

    #[test]
    fn what_is_left_behind_does_not_keep_the_program_from_ending() {
        let gate = Arc::new(Mutex::new(()));
        let _held = gate.lock().expect("not poisoned");
        let (through, (sender, ended)) = (gate.clone(), mpsc::channel());
        thread::spawn(move || {
            let program = async move {
                let (begins, begun) = oneshot::channel();
                spawn_blocking(move || {
                    let _ = begins.send(());
                    let _through = through.lock();
                });
                begun.await
            };
            let _ = sender.send(run_to_the_end(program).is_ok_and(|begun| begun.is_ok()));
        });
        assert_eq!(ended.recv_timeout(Duration::from_secs(10)), Ok(true));
    }
}
