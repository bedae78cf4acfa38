//! SHA-256 of pairs of nodes, many at a time.

use std::sync::LazyLock;

/// A node of a Merkle tree.
pub(crate) type Node = [u8; NODE];

/// Bytes of a node.
pub(crate) const NODE: usize = 32;

/// Hashes pairs of nodes that lie one after the other, into one node each.
///
/// # Panics
/// If `out` isn't half as long as `pairs`, or no whole number of nodes: the hash below reads and writes without looking.
pub(crate) fn hash_pairs(pairs: &[u8], out: &mut [u8]) {
    assert!(out.len().is_multiple_of(NODE) && pairs.len() == 2 * out.len(), "pairs and their hashes differ in number");
    hashtree_rs::hash(out, pairs, out.len() / NODE);
}

/// Hash of two nodes.
pub(crate) fn hash(left: &Node, right: &Node) -> Node {
    let mut pair = [0; 2 * NODE];
    pair[..NODE].copy_from_slice(left);
    pair[NODE..].copy_from_slice(right);
    let mut out = [0; NODE];
    hash_pairs(&pair, &mut out);
    out
}

/// Root of a tree of this depth whose leaves are all zero.
///
/// # Panics
/// If the depth is above 64: no list of SSZ is that long.
pub(crate) fn zero(depth: u8) -> Node {
    static ZEROS: LazyLock<[Node; 65]> = LazyLock::new(|| {
        let mut zeros = [[0; NODE]; 65];
        for depth in 1..zeros.len() {
            zeros[depth] = hash(&zeros[depth - 1], &zeros[depth - 1]);
        }
        zeros
    });
    ZEROS[usize::from(depth)]
}

/// Root that a branch (lowest sibling first) and a leaf at this generalized index lead to; nothing if the branch's length
/// doesn't fit the index.
pub(crate) fn climb(leaf: Node, branch: &[impl AsRef<[u8]>], generalized_index: u128) -> Option<Node> {
    if generalized_index == 0 || u32::try_from(branch.len()).ok()? != generalized_index.ilog2() {
        return None;
    }
    branch.iter().enumerate().try_fold(leaf, |node, (height, sibling)| {
        let sibling: &Node = sibling.as_ref().try_into().ok()?;
        Some(if generalized_index >> height & 1 == 1 { hash(sibling, &node) } else { hash(&node, sibling) })
    })
}

/// An integer as a leaf: little-endian, padded with zeros.
pub(crate) fn uint_leaf(value: u64) -> Node {
    let mut leaf = [0; NODE];
    leaf[..8].copy_from_slice(&value.to_le_bytes());
    leaf
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// Another implementation of SHA-256, at every count around the widths that processors hash at once, and at any alignment.
    #[test]
    fn hashes_pairs_as_sha256_does() {
        let bytes: Vec<u8> = (0..64 * 70 + 7u32).map(|i| ((i * 37) >> 3).to_le_bytes()[0]).collect();
        for count in 0..70 {
            for shift in [0, 1, 7] {
                let pairs = &bytes[shift..shift + 64 * count];
                let mut out = vec![0; 32 * count];
                hash_pairs(pairs, &mut out);
                let expected: Vec<u8> = pairs.chunks(64).flat_map(|pair| Sha256::digest(pair).to_vec()).collect();
                assert_eq!(out, expected, "{count} pairs, {shift} bytes into the buffer");
            }
        }
    }

    #[test]
    #[should_panic(expected = "differ in number")]
    fn refuses_a_buffer_that_is_too_small() {
        hash_pairs(&[0; 128], &mut [0; 32]);
    }

    #[test]
    fn climbs_branches_of_the_right_length_only() {
        let (a, b, c) = ([1; 32], [2; 32], [3; 32]);
        let root = hash(&c, &hash(&a, &b));
        assert_eq!(climb(b, &[a, c], 7), Some(root));
        assert_eq!(climb(a, &[b, c], 6), Some(root));
        assert_ne!(climb(b, &[a, c], 5), Some(root));
        for index in [0, 1, 3, 15] {
            assert_eq!(climb(b, &[a, c], index), None);
        }
    }
}
