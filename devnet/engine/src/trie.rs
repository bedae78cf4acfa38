//! A persistent Merkle-Patricia trie over 32-byte hashed keys (Ethereum Yellow Paper, appendix D).
//!
//! Nodes are shared between versions: changing a key copies only the path to it, so that the state after each block
//! costs what the block changed, any recent block can be built upon, and hashes of untouched subtries are kept.
//! Keys all have one length, so a branch never carries a value of its own.

use std::sync::{Arc, OnceLock};

use alloy::primitives::{B256, keccak256};
use alloy_rlp::{BufMut, EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::EMPTY_ROOT_HASH;

/// What a trie's leaf holds.
pub trait TrieValue: Clone {
    /// The RLP item that the leaf commits to.
    fn encode_value(&self) -> Vec<u8>;
}

/// One version of a trie; cloning it is cheap.
#[derive(Debug)]
pub struct Trie<V> {
    root: Option<Arc<Node<V>>>,
}

impl<V> Clone for Trie<V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone() }
    }
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

#[derive(Debug)]
struct Node<V> {
    kind: NodeKind<V>,
    /// How the parent refers to this node: its RLP if shorter than 32 bytes, else the RLP of its hash. Filled when
    /// a root is first asked for, hence once per changed node and block, however often the block rewrote it.
    reference: OnceLock<Vec<u8>>,
}

#[derive(Debug)]
enum NodeKind<V> {
    Leaf { path: Vec<u8>, value: V },
    Extension { path: Vec<u8>, child: Arc<Node<V>> },
    Branch { children: Children<V> },
}

type Children<V> = [Option<Arc<Node<V>>>; 16];

impl<V: TrieValue> Trie<V> {
    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The value at `key`.
    pub fn get(&self, key: B256) -> Option<&V> {
        let nibbles = nibbles(key);
        let mut rest = nibbles.as_slice();
        let mut node = self.root.as_deref()?;
        loop {
            match &node.kind {
                NodeKind::Leaf { path, value } => return (path.as_slice() == rest).then_some(value),
                NodeKind::Extension { path, child } => {
                    rest = rest.strip_prefix(path.as_slice())?;
                    node = child;
                }
                NodeKind::Branch { children } => {
                    let (first, tail) = rest.split_first()?;
                    node = children[usize::from(*first)].as_deref()?;
                    rest = tail;
                }
            }
        }
    }

    /// Sets the value at `key`.
    pub fn insert(&mut self, key: B256, value: V) {
        self.root = Some(Node::insert(self.root.as_ref(), &nibbles(key), value));
    }

    /// Removes `key`; absent keys change nothing.
    pub fn remove(&mut self, key: B256) {
        if let Some(root) = &self.root
            && let Some(changed) = Node::remove(root, &nibbles(key))
        {
            self.root = changed;
        }
    }

    /// The trie's root hash.
    pub fn root(&self) -> B256 {
        let Some(root) = &self.root else { return EMPTY_ROOT_HASH };
        match root.reference() {
            // A hashed node's reference is the RLP string of 32 bytes; an embedded node's is shorter.
            [0xa0, hash @ ..] if hash.len() == 32 => B256::from_slice(hash),
            embedded => keccak256(embedded),
        }
    }
}

impl<V: TrieValue> Node<V> {
    fn new(kind: NodeKind<V>) -> Arc<Self> {
        Arc::new(Self { kind, reference: OnceLock::new() })
    }

    fn leaf(path: &[u8], value: V) -> Arc<Self> {
        Self::new(NodeKind::Leaf { path: path.to_vec(), value })
    }

    /// `child` under a shared `path`; an empty path needs no node of its own.
    fn extension(path: &[u8], child: Arc<Self>) -> Arc<Self> {
        if path.is_empty() { child } else { Self::new(NodeKind::Extension { path: path.to_vec(), child }) }
    }

    fn insert(node: Option<&Arc<Self>>, path: &[u8], value: V) -> Arc<Self> {
        let Some(node) = node else { return Self::leaf(path, value) };
        match &node.kind {
            NodeKind::Leaf { path: own, value: existing } => {
                let shared = shared_prefix(own, path);
                if shared == own.len() {
                    return Self::leaf(path, value);
                }
                let existing = (own[shared], Self::leaf(&own[shared + 1..], existing.clone()));
                let added = (path[shared], Self::leaf(&path[shared + 1..], value));
                Self::extension(&path[..shared], Self::branch([existing, added]))
            }
            NodeKind::Extension { path: own, child } => {
                let shared = shared_prefix(own, path);
                if shared == own.len() {
                    return Self::extension(own, Self::insert(Some(child), &path[shared..], value));
                }
                let existing = (own[shared], Self::extension(&own[shared + 1..], child.clone()));
                let added = (path[shared], Self::leaf(&path[shared + 1..], value));
                Self::extension(&path[..shared], Self::branch([existing, added]))
            }
            NodeKind::Branch { children } => {
                let mut children = children.clone();
                let slot = &mut children[usize::from(path[0])];
                *slot = Some(Self::insert(slot.as_ref(), &path[1..], value));
                Self::new(NodeKind::Branch { children })
            }
        }
    }

    fn branch(entries: [(u8, Arc<Self>); 2]) -> Arc<Self> {
        let mut children: Children<V> = Default::default();
        for (nibble, child) in entries {
            children[usize::from(nibble)] = Some(child);
        }
        Self::new(NodeKind::Branch { children })
    }

    /// `None`: the key isn't there. `Some(None)`: nothing is left of the subtrie.
    fn remove(node: &Arc<Self>, path: &[u8]) -> Option<Option<Arc<Self>>> {
        match &node.kind {
            NodeKind::Leaf { path: own, .. } => (own.as_slice() == path).then_some(None),
            NodeKind::Extension { path: own, child } => {
                let rest = path.strip_prefix(own.as_slice())?;
                Some(Self::remove(child, rest)?.map(|child| Self::under(own, &child)))
            }
            NodeKind::Branch { children } => {
                let (first, rest) = path.split_first()?;
                let changed = Self::remove(children[usize::from(*first)].as_ref()?, rest)?;
                let mut children = children.clone();
                children[usize::from(*first)] = changed;
                let mut left = (0u8..).zip(&children).filter_map(|(nibble, child)| Some((nibble, child.as_ref()?)));
                // A branch has at least two children; one alone merges with what is below it.
                Some(match (left.next(), left.next()) {
                    (None, _) => None,
                    (Some((nibble, child)), None) => Some(Self::under(&[nibble], child)),
                    _ => {
                        drop(left);
                        Some(Self::new(NodeKind::Branch { children }))
                    }
                })
            }
        }
    }

    /// `node` moved below `prefix`, merged with its own path where it has one.
    fn under(prefix: &[u8], node: &Arc<Self>) -> Arc<Self> {
        match &node.kind {
            NodeKind::Leaf { path, value } => Self::leaf(&[prefix, path].concat(), value.clone()),
            NodeKind::Extension { path, child } => Self::extension(&[prefix, path].concat(), child.clone()),
            NodeKind::Branch { .. } => Self::extension(prefix, node.clone()),
        }
    }

    fn reference(&self) -> &[u8] {
        self.reference.get_or_init(|| {
            let node = self.encode_node();
            if node.len() < 32 { node } else { alloy_rlp::encode(keccak256(&node)) }
        })
    }

    fn encode_node(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(64);
        match &self.kind {
            NodeKind::Leaf { path, value } => {
                hex_prefix(path, true).as_slice().encode(&mut payload);
                value.encode_value().as_slice().encode(&mut payload);
            }
            NodeKind::Extension { path, child } => {
                hex_prefix(path, false).as_slice().encode(&mut payload);
                payload.put_slice(child.reference());
            }
            NodeKind::Branch { children } => {
                for child in children {
                    match child {
                        Some(child) => payload.put_slice(child.reference()),
                        None => payload.put_u8(EMPTY_STRING_CODE),
                    }
                }
                payload.put_u8(EMPTY_STRING_CODE);
            }
        }
        let mut node = Vec::with_capacity(payload.len() + 4);
        Header { list: true, payload_length: payload.len() }.encode(&mut node);
        node.extend_from_slice(&payload);
        node
    }
}

fn nibbles(key: B256) -> [u8; 64] {
    let mut nibbles = [0; 64];
    for (pair, byte) in nibbles.chunks_exact_mut(2).zip(key) {
        pair[0] = byte >> 4;
        pair[1] = byte & 0x0f;
    }
    nibbles
}

fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Hex-prefix encoding of a nibble path (Yellow Paper, appendix C).
fn hex_prefix(path: &[u8], leaf: bool) -> Vec<u8> {
    let flag = if leaf { 0x20 } else { 0x00 };
    let mut encoded = Vec::with_capacity(path.len() / 2 + 1);
    let pairs = if path.len() % 2 == 1 {
        encoded.push(flag | 0x10 | path[0]);
        &path[1..]
    } else {
        encoded.push(flag);
        path
    };
    encoded.extend(pairs.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]));
    encoded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy::primitives::U256;
    use alloy_trie::root::storage_root;
    use proptest::prelude::*;

    use super::*;

    /// Keys crowded into few prefixes, so that extensions, splits and merges occur all the time.
    fn crowded_key() -> impl Strategy<Value = B256> {
        (0u8..4, 0u8..4, 0u8..3, 0u8..3).prop_map(|(head, middle, tail, last)| {
            let mut key = B256::ZERO;
            key[0] = [0x00, 0x01, 0x10, 0xff][usize::from(head)];
            key[15] = middle;
            key[30] = tail << 4;
            key[31] = last;
            key
        })
    }

    proptest! {
        // Each case compares the roots of many versions; more of them would only be slow in a debug build.
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn agrees_with_alloy_trie_over_any_history(
            changes in proptest::collection::vec((crowded_key(), 0u64..6), 1..40),
        ) {
            let mut trie = Trie::<U256>::default();
            let mut model = BTreeMap::new();
            for (key, value) in changes {
                let before = (trie.clone(), trie.root());
                if value == 0 {
                    trie.remove(key);
                    model.remove(&key);
                } else {
                    trie.insert(key, U256::from(value));
                    model.insert(key, U256::from(value));
                }
                prop_assert_eq!(trie.root(), storage_root(model.clone()));
                prop_assert_eq!(trie.get(key), model.get(&key));
                prop_assert_eq!(before.0.root(), before.1, "an older version changed");
            }
            for (key, value) in &model {
                prop_assert_eq!(trie.get(*key), Some(value));
            }
        }
    }

    #[test]
    fn empty_trie_has_the_empty_root() {
        let mut trie = Trie::<U256>::default();
        assert_eq!(trie.root(), EMPTY_ROOT_HASH);
        trie.insert(B256::ZERO, U256::from(1));
        trie.remove(B256::repeat_byte(1));
        assert!(!trie.is_empty());
        trie.remove(B256::ZERO);
        assert!(trie.is_empty());
        assert_eq!(trie.root(), EMPTY_ROOT_HASH);
    }
}
