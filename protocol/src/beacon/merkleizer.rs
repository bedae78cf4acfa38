//! Merkle trees from leaves that come one after the other: a few kilobytes a level, whatever the number of leaves.

use std::collections::{BTreeMap, BTreeSet};

use super::hash::{NODE, Node, hash, hash_pairs, zero};

/// Nodes of a level that wait to be hashed together: enough to keep wide instructions busy, few enough to stay in the cache.
const BATCH: usize = 512;

/// Bytes of such a batch.
const BATCH_BYTES: usize = BATCH * NODE;

/// How leaves become a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A binary tree of a fixed depth, filled up with zeros.
    Binary {
        /// Levels below the root.
        depth: u8,
    },
    /// EIP-7916: subtrees of 1, 4, 16, ... leaves, each to the left of all that follow.
    Progressive,
}

impl Shape {
    /// The tree that so many chunks at most need.
    #[expect(clippy::cast_possible_truncation, reason = "64 at most")]
    pub(crate) const fn for_chunks(chunks: u64) -> Self {
        let depth = match chunks {
            0 | 1 => 0,
            more => (u64::BITS - (more - 1).leading_zeros()) as u8,
        };
        Self::Binary { depth }
    }

    /// Generalized index of a leaf below the tree's root.
    pub(crate) fn generalized_index(self, leaf: u64) -> u128 {
        match self {
            Self::Binary { depth } => (1u128 << depth) + u128::from(leaf),
            Self::Progressive => {
                let (mut subtree, mut start) = (0u32, 0u128);
                while u128::from(leaf) >= start + (1 << (2 * subtree)) {
                    start += 1 << (2 * subtree);
                    subtree += 1;
                }
                // Right as many times as subtrees are left behind, then left into the subtree, then down in it.
                let spine = (1u128 << (subtree + 2)) - 2;
                (spine << (2 * subtree)) + (u128::from(leaf) - start)
            }
        }
    }
}

/// A finished tree.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Its root.
    pub(crate) root: Node,
    /// Branches of the leaves watched that are there, lowest sibling first.
    pub(crate) branches: BTreeMap<u64, Vec<Node>>,
}

/// Takes leaves in order, gives the root and the branches of the leaves watched.
#[derive(Debug)]
pub(crate) struct Merkleizer {
    shape: Shape,
    watched: BTreeSet<u64>,
    /// The binary tree, or the progressive tree's current subtree.
    current: Binary,
    /// Index of the current subtree's first leaf.
    start: u64,
    /// Roots of the subtrees done.
    subtrees: Vec<Node>,
    branches: BTreeMap<u64, Vec<Node>>,
}

impl Merkleizer {
    /// An empty tree that will tell the branches of the leaves watched.
    pub(crate) fn new(shape: Shape, watched: BTreeSet<u64>) -> Self {
        let depth = match shape {
            Shape::Binary { depth } => depth,
            Shape::Progressive => 0,
        };
        let current = Binary::new(depth, watched.iter().copied());
        Self { shape, watched, current, start: 0, subtrees: Vec::new(), branches: BTreeMap::new() }
    }

    /// Root of leaves that are all there, and the branch of one of them.
    pub(crate) fn of(shape: Shape, leaves: &[Node], watched: Option<u64>) -> Tree {
        let mut tree = Self::new(shape, watched.into_iter().collect());
        tree.push(leaves.as_flattened());
        tree.finish()
    }

    /// Takes the next leaves. Their number is for the caller to bound by the shape.
    pub(crate) fn push(&mut self, mut leaves: &[u8]) {
        while self.shape == Shape::Progressive && !leaves.is_empty() {
            let room = (self.current.capacity() - self.current.count).saturating_mul(NODE as u64);
            let now = usize::try_from(room).map_or(leaves.len(), |room| room.min(leaves.len()));
            self.current.push(&leaves[..now]);
            leaves = &leaves[now..];
            if self.current.count == self.current.capacity() {
                self.close_subtree();
            }
        }
        self.current.push(leaves);
    }

    fn close_subtree(&mut self) {
        let next_start = self.start + self.current.capacity();
        let next_depth = self.current.depth + 2;
        let next = Binary::new(next_depth, self.watched.range(next_start..).map(|leaf| leaf - next_start));
        let done = std::mem::replace(&mut self.current, next);
        let start = self.start;
        let (root, branches) = done.finish();
        self.branches.extend(branches.into_iter().map(|(leaf, branch)| (start + leaf, branch)));
        self.subtrees.push(root);
        self.start = next_start;
    }

    /// Fills up with zeros.
    pub(crate) fn finish(mut self) -> Tree {
        if self.shape != Shape::Progressive {
            let (root, branches) = self.current.finish();
            return Tree { root, branches };
        }
        if self.current.count > 0 {
            self.close_subtree();
        }
        // Root of everything from a subtree on, the last of them first.
        let mut rest = vec![zero(0)];
        for subtree in self.subtrees.iter().rev() {
            rest.push(hash(subtree, &rest[rest.len() - 1]));
        }
        rest.reverse();
        let mut starts = 0u64;
        for (at, _) in self.subtrees.iter().enumerate() {
            let end = starts + (1 << (2 * at));
            for (_, branch) in self.branches.range_mut(starts..end) {
                branch.push(rest[at + 1]);
                branch.extend(self.subtrees[..at].iter().rev());
            }
            starts = end;
        }
        Tree { root: rest[0], branches: self.branches }
    }
}

/// A binary tree of fixed depth.
#[derive(Debug)]
struct Binary {
    depth: u8,
    /// Leaves taken.
    count: u64,
    /// Nodes that wait to be hashed, from the leaves up.
    levels: Vec<Level>,
    /// Watched leaves.
    leaves: Vec<u64>,
    /// Siblings on the way of the leaves watched, by height and index; zeros until they come.
    siblings: BTreeMap<(u8, u64), Node>,
}

#[derive(Debug, Default)]
struct Level {
    /// Index of the first node that waits.
    first: u64,
    nodes: Vec<u8>,
}

impl Binary {
    fn new(depth: u8, watched: impl Iterator<Item = u64>) -> Self {
        let capacity = 1u128 << depth;
        let leaves: Vec<u64> = watched.take_while(|leaf| u128::from(*leaf) < capacity).collect();
        let siblings = leaves
            .iter()
            .flat_map(|leaf| (0..depth).map(move |height| ((height, (leaf >> height) ^ 1), zero(height))))
            .collect();
        let levels = std::iter::repeat_with(Level::default).take(usize::from(depth) + 1).collect();
        Self { depth, count: 0, levels, leaves, siblings }
    }

    fn capacity(&self) -> u64 {
        1u64.checked_shl(self.depth.into()).unwrap_or(u64::MAX)
    }

    fn push(&mut self, mut nodes: &[u8]) {
        self.count += (nodes.len() / NODE) as u64;
        while !nodes.is_empty() {
            let waiting = &mut self.levels[0].nodes;
            let (now, later) = nodes.split_at(nodes.len().min(BATCH_BYTES - waiting.len()));
            waiting.extend_from_slice(now);
            nodes = later;
            let mut height = 0;
            while height < self.depth && self.levels[usize::from(height)].nodes.len() >= BATCH_BYTES {
                self.hash_level(height);
                height += 1;
            }
        }
    }

    /// Hashes the nodes that wait at a height, an even number of them, into the next.
    fn hash_level(&mut self, height: u8) {
        let at = usize::from(height);
        let (below, above) = self.levels.split_at_mut(at + 1);
        let (Level { first, nodes }, above) = (&mut below[at], &mut above[0]);
        let count = (nodes.len() / NODE) as u64;
        for ((_, index), sibling) in self.siblings.range_mut((height, *first)..(height, *first + count)) {
            let before =
                usize::try_from(*index - *first).ok().and_then(|before| nodes.as_chunks::<NODE>().0.get(before));
            sibling.copy_from_slice(before.unwrap_or(&zero(height)));
        }
        let before = above.nodes.len();
        above.nodes.resize(before + nodes.len() / 2, 0);
        hash_pairs(nodes, &mut above.nodes[before..]);
        *first += count;
        nodes.clear();
    }

    fn finish(mut self) -> (Node, BTreeMap<u64, Vec<Node>>) {
        for height in 0..self.depth {
            let nodes = &mut self.levels[usize::from(height)].nodes;
            if nodes.is_empty() {
                continue;
            }
            if !(nodes.len() / NODE).is_multiple_of(2) {
                nodes.extend_from_slice(&zero(height));
            }
            self.hash_level(height);
        }
        let root =
            self.levels[usize::from(self.depth)].nodes.first_chunk().copied().unwrap_or_else(|| zero(self.depth));
        let branch = |leaf: u64| (0..self.depth).map(|height| self.siblings[&(height, (leaf >> height) ^ 1)]).collect();
        let branches =
            self.leaves.iter().filter(|leaf| **leaf < self.count).map(|leaf| (*leaf, branch(*leaf))).collect();
        (root, branches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beacon::hash::climb;

    fn leaves(count: u64) -> Vec<Node> {
        (0..count).map(|i| hash(&super::super::hash::uint_leaf(i), &[7; 32])).collect()
    }

    /// The definition, word for word: SSZ's merkleize and EIP-7916's merkleize_progressive.
    fn merkleize(chunks: &[Node], depth: u8) -> Node {
        if depth == 0 {
            return chunks.first().copied().unwrap_or([0; 32]);
        }
        let (left, right) = chunks.split_at(chunks.len().min(1 << (depth - 1)));
        hash(&merkleize(left, depth - 1), &merkleize(right, depth - 1))
    }

    fn merkleize_progressive(chunks: &[Node], depth: u8) -> Node {
        if chunks.is_empty() {
            return [0; 32];
        }
        let (first, rest) = chunks.split_at(chunks.len().min(1 << depth));
        hash(&merkleize(first, depth), &merkleize_progressive(rest, depth + 2))
    }

    #[test]
    fn roots_and_branches_follow_the_definition() {
        for count in [0, 1, 2, 3, 4, 5, 6, 20, 21, 22, 84, 85, 86, 341, 511, 512, 513, 1023, 1024, 1025, 1600, 3000] {
            let leaves = leaves(count);
            for shape in [Shape::Binary { depth: 12 }, Shape::Progressive] {
                let watched: BTreeSet<u64> =
                    [0, 1, 4, 5, 20, 21, 511, 512, 1023, 1024, count.saturating_sub(1), count, 9000].into();
                let mut tree = Merkleizer::new(shape, watched.clone());
                for part in leaves.chunks(100) {
                    tree.push(part.as_flattened());
                }
                let tree = tree.finish();
                let expected = match shape {
                    Shape::Binary { depth } => merkleize(&leaves, depth),
                    Shape::Progressive => merkleize_progressive(&leaves, 0),
                };
                assert_eq!(tree.root, expected, "{shape:?} of {count}");
                let there: Vec<u64> = watched.into_iter().filter(|leaf| *leaf < count).collect();
                assert_eq!(tree.branches.keys().copied().collect::<Vec<_>>(), there);
                for (leaf, branch) in tree.branches {
                    let index = shape.generalized_index(leaf);
                    assert_eq!(
                        climb(leaves[usize::try_from(leaf).expect("a leaf")], &branch, index),
                        Some(expected),
                        "{shape:?}, leaf {leaf} of {count}"
                    );
                }
            }
        }
    }

    #[test]
    fn full_trees_need_no_zeros() {
        let leaves = leaves(1024);
        let tree = Merkleizer::of(Shape::for_chunks(1024), &leaves, Some(1023));
        assert_eq!(tree.root, merkleize(&leaves, 10));
        assert_eq!(tree.branches[&1023].len(), 10);
    }

    #[test]
    fn depths_hold_their_chunks() {
        let depths =
            [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 38, 38), ((1 << 38) + 1, 39), (u64::MAX, 64)];
        for (chunks, depth) in depths {
            assert_eq!(Shape::for_chunks(chunks), Shape::Binary { depth });
        }
    }
}
