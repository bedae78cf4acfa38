//! How many blocks fit.

use crate::channel::Compressed;

/// Finds the channel that holds as many leading batches as fit into `capacity` bytes: `n` such that `n` fit and `n + 1`
/// don't. Returns nothing when not even the first one fits.
///
/// `ends[i]` is where batch `i` ends in the uncompressed stream; `compress(n)` compresses the first `n`. How well the
/// next batch compresses shows only when it is compressed, so sizes are tried: first everything (the usual case, one
/// compression), then where the ratio seen so far points to, and by halving once that doesn't close in any more.
pub(crate) fn fit_channel(
    ends: &[usize],
    capacity: usize,
    mut compress: impl FnMut(usize) -> Compressed,
) -> Option<(usize, Vec<u8>)> {
    let mut best: Option<(usize, Vec<u8>)> = None;
    let mut lowest_excess = ends.len() + 1;
    let mut guess = ends.len();
    let mut bytes_per_output = 1.0;
    for attempt in 0.. {
        let fitting = best.as_ref().map_or(0, |(count, _)| *count);
        if fitting + 1 >= lowest_excess {
            break;
        }
        let guess_now = guess.clamp(fitting + 1, lowest_excess - 1);
        let (seen, output) = match compress(guess_now) {
            Compressed::Fits(channel) => {
                let output = channel.len();
                best = Some((guess_now, channel));
                (guess_now, output)
            }
            Compressed::Exceeds { batches, output } => {
                lowest_excess = batches.clamp(fitting + 1, guess_now);
                (lowest_excess, output)
            }
        };
        bytes_per_output = ratio(ends[seen - 1], output, bytes_per_output);
        guess = if attempt < INTERPOLATIONS {
            let target = ratio(capacity, 1, 1.0) * bytes_per_output;
            ends.partition_point(|end| ratio(*end, 1, 1.0) <= target)
        } else {
            let fitting = best.as_ref().map_or(0, |(count, _)| *count);
            fitting.midpoint(lowest_excess)
        };
    }
    best
}

/// Attempts that follow the compression ratio before halving takes over.
const INTERPOLATIONS: usize = 4;

/// Sizes here are below 2^27: a float holds them exactly.
#[allow(clippy::cast_precision_loss)]
fn ratio(numerator: usize, denominator: usize, otherwise: f64) -> f64 {
    if denominator == 0 { otherwise } else { numerator as f64 / denominator as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches of the given compressed sizes, each ten times that uncompressed.
    fn search(sizes: &[usize], capacity: usize) -> (Option<usize>, usize) {
        let sums: Vec<usize> = sizes
            .iter()
            .scan(0, |sum, size| {
                *sum += size;
                Some(*sum)
            })
            .collect();
        let ends: Vec<usize> = sums.iter().map(|sum| sum * 10).collect();
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
                assert!(attempts <= INTERPOLATIONS + 9, "{name} {capacity}: {attempts} attempts");
            }
        }
    }

    #[test]
    fn no_batches_or_no_room_is_nothing() {
        assert_eq!(search(&[], 100), (None, 0));
        assert_eq!(search(&[101, 1], 100).0, None);
    }
}
