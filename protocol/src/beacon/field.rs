//! One field's root from its bytes as they come.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    StateError,
    container::ContainerHasher,
    element::ElementHasher,
    hash::{NODE, Node, hash, uint_leaf},
    layout::{Field, Type},
    merkleizer::{Merkleizer, Shape},
};

/// What to remember of a field, besides its root.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The bytes themselves.
    pub(crate) bytes: bool,
    /// Elements, by index.
    pub(crate) elements: BTreeSet<u64>,
}

/// A field that is complete.
#[derive(Debug, Default)]
pub(crate) struct FieldRoot {
    /// Its root.
    pub(crate) root: Node,
    /// Elements of a list; 0 otherwise.
    pub(crate) length: u64,
    /// Its bytes, if wanted.
    pub(crate) bytes: Vec<u8>,
    /// Bytes and branches, up to the field's root, of the elements wanted that are there.
    pub(crate) elements: BTreeMap<u64, (Vec<u8>, Vec<Node>)>,
}

/// Takes a field's bytes in any portions.
#[derive(Debug)]
pub(crate) struct FieldHasher {
    field: &'static Field,
    work: Work,
    /// Bytes of a unit that hasn't come whole yet.
    carry: Vec<u8>,
    /// Bytes taken.
    taken: u64,
    wanted: Wanted,
    bytes: Vec<u8>,
    elements: BTreeMap<u64, Vec<u8>>,
}

#[derive(Debug)]
enum Work {
    /// The bytes are the leaves.
    Chunks(Merkleizer),
    /// The elements' roots are.
    Elements(Box<ElementHasher>, Merkleizer),
    /// A container of variable length.
    Container(Box<ContainerHasher>),
}

/// Element, most elements, and tree of a type; a single value is its own only element.
fn series(ty: &'static Type) -> (&'static Type, u64, Shape) {
    match ty {
        Type::Vector(element, count) | Type::List(element, count) => (element, *count, element.shape_of(*count)),
        Type::ProgressiveList(element) => (element, u64::MAX, Shape::Progressive),
        Type::Bytes(bytes) => (ty, 1, Shape::for_chunks(bytes.div_ceil(NODE as u64))),
        Type::Uint(_) | Type::Container(_) => (ty, 1, Shape::for_chunks(1)),
    }
}

impl FieldHasher {
    /// A field of which nothing has come yet. `length` is the serialized length, if known.
    pub(crate) fn new(field: &'static Field, length: Option<u64>, wanted: Wanted) -> Self {
        let (element, _, shape) = series(&field.ty);
        // Bytes of whole chunks need no tree of their own.
        let chunks = match element {
            Type::Uint(_) => true,
            Type::Bytes(bytes) => *bytes == NODE as u64 || std::ptr::eq(element, &field.ty),
            _ => false,
        };
        let tree = Merkleizer::new(shape, wanted.elements.clone());
        let work = match (element, ElementHasher::new(element)) {
            _ if chunks => Work::Chunks(tree),
            (_, Some(hasher)) => Work::Elements(Box::new(hasher), tree),
            (Type::Container(container), None) => Work::Container(Box::new(ContainerHasher::new(container, length))),
            // No state has lists of elements of variable length: as a container without fields they would be refused at once.
            _ => Work::Container(Box::new(ContainerHasher::new(&super::layout::EMPTY, length))),
        };
        Self { field, work, carry: Vec::new(), taken: 0, wanted, bytes: Vec::new(), elements: BTreeMap::new() }
    }

    /// Bytes of an element; of a single value, its own.
    fn element_length(&self) -> u64 {
        series(&self.field.ty).0.fixed_length().unwrap_or(1)
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), StateError> {
        self.taken += bytes.len() as u64;
        if self.wanted.bytes {
            self.bytes.extend_from_slice(bytes);
        }
        let unit = match &mut self.work {
            Work::Container(container) => return container.push(bytes),
            Work::Chunks(_) => NODE,
            Work::Elements(hasher, _) => hasher.length(),
        };
        if let Type::List(_, limit) = self.field.ty
            && self.taken > limit.saturating_mul(self.element_length())
        {
            return Err(StateError::ListTooLong { field: self.field.name, limit });
        }
        if !self.carry.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(unit - self.carry.len()));
            self.carry.extend_from_slice(now);
            bytes = later;
            if self.carry.len() < unit {
                return Ok(());
            }
            let carry = std::mem::take(&mut self.carry);
            self.take_units(&carry, (self.taken - bytes.len() as u64) / unit as u64 - 1);
        }
        let (whole, rest) = bytes.split_at(bytes.len() / unit * unit);
        let first = (self.taken - bytes.len() as u64) / unit as u64;
        self.take_units(whole, first);
        self.carry.extend_from_slice(rest);
        Ok(())
    }

    /// Takes whole chunks or elements, the first of which has this index.
    fn take_units(&mut self, units: &[u8], first: u64) {
        match &mut self.work {
            Work::Chunks(tree) => tree.push(units),
            Work::Elements(hasher, tree) => {
                let length = hasher.length();
                let count = (units.len() / length) as u64;
                for index in self.wanted.elements.range(first..first + count) {
                    let element = usize::try_from(index - first).ok().and_then(|at| units.chunks_exact(length).nth(at));
                    self.elements.extend(element.map(|element| (*index, element.to_vec())));
                }
                hasher.roots(units, |roots| tree.push(roots));
            }
            Work::Container(_) => {}
        }
    }

    /// The root, now that nothing more comes.
    pub(crate) fn finish(mut self) -> Result<FieldRoot, StateError> {
        let (name, element) = (self.field.name, self.element_length());
        let is_list = matches!(self.field.ty, Type::List(..) | Type::ProgressiveList(_));
        if is_list && !self.taken.is_multiple_of(element) {
            return Err(StateError::Uneven { field: name, length: self.taken, element });
        }
        if matches!(self.work, Work::Chunks(_)) && !self.carry.is_empty() {
            let mut chunk = std::mem::take(&mut self.carry);
            chunk.resize(NODE, 0);
            self.take_units(&chunk, 0);
        }
        let tree = match self.work {
            Work::Container(container) => {
                let root = container.finish()?.root;
                return Ok(FieldRoot { root, bytes: self.bytes, ..FieldRoot::default() });
            }
            Work::Chunks(tree) | Work::Elements(_, tree) => tree.finish(),
        };
        let (length, mix_in) =
            if is_list { (self.taken / element, Some(uint_leaf(self.taken / element))) } else { (0, None) };
        let mut branches = tree.branches;
        let elements = std::mem::take(&mut self.elements).into_iter().map(|(index, element)| {
            let mut branch = branches.remove(&index).unwrap_or_default();
            branch.extend(mix_in);
            (index, (element, branch))
        });
        let root = mix_in.map_or(tree.root, |length| hash(&tree.root, &length));
        Ok(FieldRoot { root, length, bytes: self.bytes, elements: elements.collect() })
    }
}
