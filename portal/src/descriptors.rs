//! How many files and connections the process may have open at once.

/// Which part of them strangers' connections to one port may take, and how many at least and at most.
const PART: u64 = 16;
const LEAST: u64 = 8;
const MOST: u64 = 256;

/// Raises the limit as far as it may be raised without privileges. Gives what it was and what it is, if that is more.
pub fn raise() -> Option<(u64, u64)> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let (from, to) = (current?, maximum?);
        let raised = from < to && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
        raised.then_some((from, to))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The limit, where one is known.
fn limit() -> Option<u64> {
    #[cfg(target_os = "linux")]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(target_os = "linux"))]
    None
}

/// For how many strangers' connections there is room on one port.
pub(crate) fn for_strangers() -> usize {
    of(limit())
}

fn of(limit: Option<u64>) -> usize {
    let most = limit.map_or(MOST, |limit| (limit / PART).clamp(LEAST, MOST));
    usize::try_from(most).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_get_a_small_part() {
        for (limit, expected) in [(Some(64), 8), (Some(256), 16), (Some(1024), 64), (Some(1 << 20), 256), (None, 256)] {
            assert_eq!(of(limit), expected, "{limit:?}");
        }
    }
}
