//! Roots of values of fixed length: the tree of a type is laid out once, then hashed height by height for many values together.

use super::{
    hash::{NODE, hash_pairs, zero},
    layout::{Container, Type},
    merkleizer::Shape,
};

/// Bytes of nodes that the values hashed together may take: within the second cache.
const WORKING_SET: usize = 128 * 1024;

/// Merkleizes values of one type.
///
/// Nodes lie by kind first, by value second, so that a kind's nodes of all values are hashed in one go.
#[derive(Debug)]
pub(crate) struct ElementHasher {
    /// Serialized length of a value.
    length: usize,
    /// Kinds of nodes: leaves, zeros, then what is hashed, by rising height.
    kinds: Vec<Kind>,
    /// Runs of hashed kinds that need nothing of each other.
    heights: Vec<std::ops::Range<usize>>,
    /// Kind of the root.
    root: usize,
    /// Values hashed together.
    batch: usize,
    nodes: Vec<u8>,
    pairs: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bytes of the value, from an offset on, so many of them.
    Leaf(usize, usize),
    /// Root of an empty tree of this depth.
    Zero(u8),
    /// Hash of two other kinds.
    Hash(usize, usize),
}

/// The tree of a type while it is laid out: kinds and their heights.
#[derive(Default)]
struct Outline {
    kinds: Vec<(Kind, u8)>,
}

impl Outline {
    fn add(&mut self, kind: Kind, height: u8) -> usize {
        self.kinds.push((kind, height));
        self.kinds.len() - 1
    }

    fn zero(&mut self, depth: u8) -> usize {
        let known = self.kinds.iter().position(|(kind, _)| *kind == Kind::Zero(depth));
        known.unwrap_or_else(|| self.add(Kind::Zero(depth), 0))
    }

    fn chunks(&mut self, offset: usize, bytes: usize) -> usize {
        let starts = (0..bytes).step_by(NODE);
        let leaves = starts.map(|at| self.add(Kind::Leaf(offset + at, NODE.min(bytes - at)), 0)).collect();
        self.merkleize(leaves)
    }

    fn merkleize(&mut self, mut nodes: Vec<usize>) -> usize {
        let Shape::Binary { depth } = Shape::for_chunks(nodes.len() as u64) else { return self.zero(0) };
        for level in 0..depth {
            if nodes.len() % 2 == 1 {
                nodes.push(self.zero(level));
            }
            nodes = nodes
                .chunks(2)
                .map(|pair| {
                    let height = 1 + self.kinds[pair[0]].1.max(self.kinds[pair[1]].1);
                    self.add(Kind::Hash(pair[0], pair[1]), height)
                })
                .collect();
        }
        nodes.first().copied().unwrap_or_else(|| self.zero(0))
    }

    /// Lays out a type whose bytes begin at an offset; nothing if its length varies or it is progressive.
    fn lay_out(&mut self, ty: &Type, offset: usize) -> Option<usize> {
        match ty {
            Type::Uint(bytes) | Type::Bytes(bytes) => Some(self.chunks(offset, usize::try_from(*bytes).ok()?)),
            Type::Vector(element, count) if element.is_packed() => {
                Some(self.chunks(offset, usize::try_from(element.fixed_length()? * count).ok()?))
            }
            Type::Vector(element, count) => {
                let (bytes, count) = (usize::try_from(element.fixed_length()?).ok()?, usize::try_from(*count).ok()?);
                let elements = (0..count).map(|i| self.lay_out(element, offset + i * bytes)).collect::<Option<_>>()?;
                Some(self.merkleize(elements))
            }
            Type::Container(Container { fields, progressive: false }) => {
                let mut at = offset;
                let mut roots = Vec::with_capacity(fields.len());
                for field in *fields {
                    roots.push(self.lay_out(&field.ty, at)?);
                    at += usize::try_from(field.ty.fixed_length()?).ok()?;
                }
                Some(self.merkleize(roots))
            }
            Type::Container(_) | Type::List(..) | Type::ProgressiveList(_) => None,
        }
    }
}

impl ElementHasher {
    /// Lays out a type; nothing if its length varies.
    pub(crate) fn new(ty: &Type) -> Option<Self> {
        let length = usize::try_from(ty.fixed_length()?).ok()?;
        let mut outline = Outline::default();
        let root = outline.lay_out(ty, 0)?;

        // Renumbers by height.
        let mut order: Vec<usize> = (0..outline.kinds.len()).collect();
        order.sort_by_key(|at| outline.kinds[*at].1);
        let mut renumbered = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            renumbered[*old] = new;
        }
        let kinds: Vec<Kind> = order
            .iter()
            .map(|old| match outline.kinds[*old].0 {
                Kind::Hash(left, right) => Kind::Hash(renumbered[left], renumbered[right]),
                other => other,
            })
            .collect();
        let heights: Vec<u8> = order.iter().map(|old| outline.kinds[*old].1).collect();
        let mut runs = Vec::new();
        for height in 1..=heights.last().copied().unwrap_or(0) {
            runs.push(
                heights.partition_point(|other| *other < height)..heights.partition_point(|other| *other <= height),
            );
        }

        let batch = (WORKING_SET / (kinds.len() * NODE)).max(1);
        let mut nodes = vec![0; kinds.len() * batch * NODE];
        for (kind, room) in kinds.iter().zip(nodes.chunks_exact_mut(batch * NODE)) {
            if let Kind::Zero(depth) = kind {
                room.as_chunks_mut::<NODE>().0.fill(zero(*depth));
            }
        }
        let widest = runs.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let pairs = vec![0; 2 * widest * batch * NODE];
        Some(Self { length, kinds, heights: runs, root: renumbered[root], batch, nodes, pairs })
    }

    /// Serialized length of a value.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Passes the roots of values that lie one after the other on, a batch at a time. What is left behind the last whole value is
    /// ignored.
    pub(crate) fn roots(&mut self, values: &[u8], mut take: impl FnMut(&[u8])) {
        for values in values.chunks(self.batch * self.length) {
            let count = values.len() / self.length;
            self.fill_leaves(values);
            for height in self.heights.clone() {
                self.hash_height(height, count);
            }
            let root = self.root * self.batch * NODE;
            take(&self.nodes[root..root + count * NODE]);
        }
    }

    fn fill_leaves(&mut self, values: &[u8]) {
        let stride = self.batch * NODE;
        for (kind, room) in self.kinds.iter().zip(self.nodes.chunks_exact_mut(stride)) {
            let Kind::Leaf(offset, bytes) = *kind else { continue };
            let leaves = room.as_chunks_mut::<NODE>().0;
            for (value, leaf) in values.chunks_exact(self.length).zip(leaves) {
                leaf[..bytes].copy_from_slice(&value[offset..offset + bytes]);
            }
        }
    }

    /// Hashes kinds next to each other, whose nodes therefore lie next to each other too: in one call if the batch is full.
    fn hash_height(&mut self, height: std::ops::Range<usize>, count: usize) {
        let stride = self.batch * NODE;
        let (known, rest) = self.nodes.split_at_mut(height.start * stride);
        let known = |kind: usize, value: usize| &known[kind * stride + value * NODE..][..NODE];
        let used = 2 * height.len() * count * NODE;
        let mut at = 0;
        for kind in &self.kinds[height.clone()] {
            let Kind::Hash(left, right) = *kind else { continue };
            for value in 0..count {
                self.pairs[at..at + NODE].copy_from_slice(known(left, value));
                self.pairs[at + NODE..at + 2 * NODE].copy_from_slice(known(right, value));
                at += 2 * NODE;
            }
        }
        if count == self.batch {
            hash_pairs(&self.pairs[..used], &mut rest[..height.len() * stride]);
            return;
        }
        for (pairs, out) in self.pairs[..used].chunks_exact(2 * count * NODE).zip(rest.chunks_exact_mut(stride)) {
            hash_pairs(pairs, &mut out[..count * NODE]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beacon::{Validator, layout::VALIDATOR};

    /// Around full batches, against the container's own tree.
    #[test]
    fn roots_of_many_validators_are_those_of_each() {
        let mut hasher = ElementHasher::new(&VALIDATOR).expect("of fixed length");
        let batch = hasher.batch;
        assert!(batch > 1);
        for count in [0, 1, batch - 1, batch, batch + 1, 2 * batch + 3] {
            let bytes: Vec<u8> =
                (0..count * hasher.length()).map(|i| i.to_le_bytes()[0] ^ (i / 121).to_le_bytes()[0]).collect();
            let expected: Vec<u8> =
                bytes.as_chunks().0.iter().flat_map(|one| Validator::from_ssz(one).root().0).collect();
            let validators = bytes.as_chunks().0.iter().map(|one| Validator::from_ssz(one).to_ssz());
            // The flag has one serialization only: the bytes to hash are the proper ones.
            let proper: Vec<u8> = validators.flatten().collect();
            let mut roots = Vec::new();
            hasher.roots(&proper, |nodes| roots.extend_from_slice(nodes));
            assert_eq!(roots, expected, "{count} validators");
        }
    }
}
