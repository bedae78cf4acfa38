//! How many blocks fit.

use crate::channel::Compressed;

/// Finds the channel that holds as many leading batches as fit into `capacity` bytes: `n` such that `n` fit and `n + 1`
/// don't. Returns nothing when not even the first one fits.
///
/// `ends[i]` is where batch `i` ends in the uncompressed stream; `compress(n)` compresses the first `n`. How well the
/// next batch compresses shows only when it is compressed, so sizes are tried: first everything (the usual case, one
/// compression), or of a backlog a part that shows the ratio at less cost; then where the ratio seen so far points to, and if that hasn't closed in, in growing steps from the last
/// one tried, at most half way at a time. A backlog takes four to six compressions, each of about what fits.
pub(crate) fn fit_channel(
    ends: &[usize],
    capacity: usize,
    mut compress: impl FnMut(usize) -> Compressed,
) -> Option<(usize, Vec<u8>)> {
    let mut best: Option<(usize, Vec<u8>)> = None;
    // Between these two lies what isn't known: `fitting` fit, `exceeding` don't.
    let (mut fitting, mut exceeding) = (0, ends.len() + 1);
    let backlog = ends.last().is_some_and(|bytes| *bytes > BACKLOG * capacity);
    let mut guess = if backlog { ends.partition_point(|end| *end <= capacity) } else { ends.len() };
    let mut step = 1;
    for attempt in 1.. {
        if fitting + 1 >= exceeding {
            break;
        }
        let count = guess.clamp(fitting + 1, exceeding - 1);
        let (measured, output, fits) = match compress(count) {
            Compressed::Fits(channel) => {
                fitting = count;
                let output = channel.len();
                best = Some((count, channel));
                (count, output, true)
            }
            Compressed::Exceeds { batches, output } => {
                exceeding = batches.clamp(fitting + 1, count);
                (exceeding, output, false)
            }
        };
        guess = if attempt < INTERPOLATIONS {
            let room = exact(capacity) / exact(output) * exact(ends[measured - 1]);
            ends.partition_point(|end| exact(*end) <= room)
        } else {
            let half_way = fitting.midpoint(exceeding);
            let reach = step;
            step *= 2;
            if fits { half_way.min(fitting + reach) } else { half_way.max(exceeding.saturating_sub(reach)) }
        };
    }
    best
}

/// Uncompressed bytes, in capacities, beyond which it is unlikely that everything fits.
const BACKLOG: usize = 2;

/// Attempts that follow the compression ratio before halving takes over.
const INTERPOLATIONS: usize = 4;

/// Sizes here are below 2^27: a float holds them exactly.
#[allow(clippy::cast_precision_loss)]
fn exact(size: usize) -> f64 {
    size as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches of the given compressed sizes, each twice that uncompressed.
    fn search(sizes: &[usize], capacity: usize) -> (Option<usize>, usize) {
        let sums: Vec<usize> = sizes
            .iter()
            .scan(0, |sum, size| {
                *sum += size;
                Some(*sum)
            })
            .collect();
        let ends: Vec<usize> = sums.iter().map(|sum| sum * 2).collect();
        let mut attempts = 0;
        let found = fit_channel(&ends, capacity, |count| {
            attempts += 1;
            match sums[..count].iter().position(|sum| *sum > capacity) {
                // A compressor notices late that it is over: some batches later, though never beyond the end.
                Some(index) => {
                    Compressed::Exceeds { batches: (index + 20).min(count), output: sums[(index + 20).min(count) - 1] }
                }
                None => Compressed::Fits(vec![0; sums[count - 1]]),
            }
        });
        if let Some((count, channel)) = &found {
            assert_eq!(channel.len(), sums[count - 1]);
        }
        (found.map(|(count, _)| count), attempts)
    }

    #[test]
    fn everything_that_fits_takes_one_attempt() {
        assert_eq!(search(&[10; 50], 500), (Some(50), 1));
    }

    #[test]
    fn the_first_that_does_not_fit_is_found_at_any_capacity() {
        for (sizes, name) in [
            (vec![10; 300], "even"),
            ((0..300).map(|i| 1 + i % 40).collect(), "mixed"),
            ((0..300).map(|i| if i < 150 { 1 } else { 50 }).collect(), "late heavy"),
            ((0..300).map(|i| if i < 150 { 50 } else { 1 }).collect(), "early heavy"),
        ] {
            let total: usize = sizes.iter().sum();
            for capacity in (0..=total + 10).step_by(7) {
                let mut sum = 0;
                let expected = sizes
                    .iter()
                    .take_while(|size| {
                        sum += **size;
                        sum <= capacity
                    })
                    .count();
                let (found, attempts) = search(&sizes, capacity);
                assert_eq!(found.unwrap_or(0), expected, "{name} {capacity}");
                assert!(attempts <= INTERPOLATIONS + 14, "{name} {capacity}: {attempts} attempts");
            }
        }
    }

    #[test]
    fn a_backlog_of_similar_blocks_takes_few_attempts() {
        let sizes: Vec<usize> = (0..2000).map(|i| 760 + i * 7919 % 81).collect();
        for capacity in (100_000..1_500_000).step_by(7_777) {
            let (found, attempts) = search(&sizes, capacity);
            assert!(found.is_some() && attempts <= 6, "{capacity}: {attempts} attempts");
        }
    }

    #[test]
    fn no_batches_or_no_room_is_nothing() {
        assert_eq!(search(&[], 100), (None, 0));
        assert_eq!(search(&[101, 1], 100).0, None);
    }
}
