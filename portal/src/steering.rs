//! What a gateway is told that steers its building: the latest call of each `miner_*` method, so that it can be told again.

/// How many methods are kept.
const MOST: usize = 16;
/// How many bytes all calls may have together.
const MOST_BYTES: usize = 1 << 20;

/// The latest call of each method, in the order in which they were made.
#[derive(Debug)]
pub struct Steering<T> {
    calls: Vec<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    method: String,
    call: T,
    /// In bytes.
    size: usize,
    told: bool,
}

impl<T> Default for Steering<T> {
    fn default() -> Self {
        Self { calls: Vec::new() }
    }
}

impl<T> Steering<T> {
    /// Adds a call of a size in bytes, which is to be told. Gives what nobody will hear of: the one before it of the same method, unless that was told,
    /// and whether it was superseded so; and, of callers' many or large ones, those that were made first. The one that is added stays.
    pub fn put(&mut self, method: &str, call: T, size: usize) -> Untold {
        let mut untold = Untold::default();
        self.calls.retain(|entry| {
            let other = entry.method != method;
            untold.superseded += usize::from(!other && !entry.told);
            other
        });
        self.calls.push(Entry { method: method.to_owned(), call, size, told: false });
        while self.calls.len() > 1 && (self.calls.len() > MOST || self.size() > MOST_BYTES) {
            untold.overflowed += usize::from(!self.calls.remove(0).told);
        }
        untold
    }

    /// The first that is to be told. It counts as told from here on.
    pub fn tell(&mut self) -> Option<&T> {
        let entry = self.calls.iter_mut().find(|entry| !entry.told)?;
        entry.told = true;
        Some(&entry.call)
    }

    /// All are to be told again.
    pub fn again(&mut self) {
        self.calls.iter_mut().for_each(|entry| entry.told = false);
    }

    /// All, with their methods.
    pub fn all(&self) -> impl Iterator<Item = (&str, &T)> {
        self.calls.iter().map(|entry| (entry.method.as_str(), &entry.call))
    }

    fn size(&self) -> usize {
        self.calls.iter().map(|entry| entry.size).sum()
    }
}

/// How many calls nobody will hear of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Untold {
    /// Because a later one says what counts.
    pub superseded: usize,
    /// Because there were too many, or too large ones.
    pub overflowed: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(steering: &mut Steering<u32>) -> Vec<u32> {
        std::iter::from_fn(|| steering.tell().copied()).collect()
    }

    #[test]
    fn the_latest_of_each_method_is_told_in_order_and_again() {
        let mut steering = Steering::default();
        assert_eq!(steering.put("miner_start", 1, 1), Untold::default());
        assert_eq!(steering.put("miner_setMaxDASize", 2, 1), Untold::default());
        assert_eq!(steering.put("miner_stop", 3, 1), Untold::default());
        assert_eq!(steering.put("miner_setMaxDASize", 4, 1), Untold { superseded: 1, overflowed: 0 });
        assert_eq!(told(&mut steering), [1, 3, 4]);
        assert_eq!(told(&mut steering), [0; 0]);
        // What was told can't be superseded any more.
        assert_eq!(steering.put("miner_start", 5, 1), Untold::default());
        assert_eq!(told(&mut steering), [5]);
        steering.again();
        assert_eq!(told(&mut steering), [3, 4, 5]);
        let all: Vec<_> = steering.all().map(|(method, call)| (method, *call)).collect();
        assert_eq!(all, [("miner_stop", 3), ("miner_setMaxDASize", 4), ("miner_start", 5)]);
    }

    #[test]
    fn many_methods_and_large_calls_make_room() {
        let mut steering = Steering::default();
        for number in 0..MOST {
            assert_eq!(steering.put(&number.to_string(), number, 1), Untold::default());
        }
        steering.tell();
        // The first was told.
        assert_eq!(steering.put("a", 100, 1), Untold::default());
        assert_eq!(steering.put("b", 101, 1), Untold { superseded: 0, overflowed: 1 });
        assert_eq!(steering.put("c", 102, MOST_BYTES + 1), Untold { superseded: 0, overflowed: MOST });
        assert_eq!(steering.all().map(|(_, call)| *call).collect::<Vec<_>>(), [102]);
    }
}
