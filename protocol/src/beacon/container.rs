//! A container's root from its bytes as they come: fields of fixed length and offsets first, the other fields behind them.

use std::collections::BTreeMap;

use super::{
    StateError,
    field::{FieldHasher, FieldRoot, Wanted},
    hash::{Node, hash},
    layout::Container,
    merkleizer::Merkleizer,
};

/// A container that is complete.
#[derive(Debug)]
pub(crate) struct ContainerRoot {
    container: &'static Container,
    /// Its root.
    pub(crate) root: Node,
    roots: Vec<Node>,
    fields: BTreeMap<&'static str, FieldRoot>,
}

impl ContainerRoot {
    /// A field.
    pub(crate) fn field(&self, name: &str) -> Option<&FieldRoot> {
        self.fields.get(name)
    }

    /// Takes a field out.
    pub(crate) fn take_field(&mut self, name: &str) -> FieldRoot {
        self.fields.remove(name).unwrap_or_default()
    }

    /// Branch from a field's root to the container's.
    pub(crate) fn branch(&self, name: &str) -> Vec<Node> {
        let Some(position) = self.container.position(name) else { return Vec::new() };
        let tree = Merkleizer::of(self.container.shape(), &self.roots, Some(position as u64));
        let mut branch = tree.branches.into_values().next().unwrap_or_default();
        branch.extend(active_fields(self.container));
        branch
    }
}

/// What a progressive container mixes in: a bit for each field.
fn active_fields(container: &Container) -> Option<Node> {
    container.progressive.then(|| {
        let mut bits = [0u8; 32];
        for at in 0..container.fields.len() {
            bits[at / 8] |= 1 << (at % 8);
        }
        bits
    })
}

/// Takes a container's bytes in any portions.
#[derive(Debug)]
pub(crate) struct ContainerHasher {
    container: &'static Container,
    /// Length of the whole, if known.
    length: Option<u64>,
    taken: u64,
    stage: Stage,
    /// The field that bytes go to at the moment.
    current: Option<Current>,
    /// Bytes of an offset that hasn't come whole yet.
    offset: Vec<u8>,
    /// Fields of variable length, and where they begin.
    offsets: Vec<(usize, u64)>,
    wanted: BTreeMap<&'static str, Wanted>,
    done: BTreeMap<usize, FieldRoot>,
}

/// Which bytes come next.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Those of a field of fixed length, or an offset: of this field.
    Fixed(usize),
    /// Those of a field of variable length, by place in `offsets`.
    Variable(usize),
}

#[derive(Debug)]
struct Current {
    hasher: FieldHasher,
    /// Bytes still to come, if known.
    remaining: Option<u64>,
}

impl ContainerHasher {
    /// A container of which nothing has come yet.
    pub(crate) fn new(container: &'static Container, length: Option<u64>) -> Self {
        Self {
            container,
            length,
            taken: 0,
            stage: Stage::Fixed(0),
            current: None,
            offset: Vec::new(),
            offsets: Vec::new(),
            wanted: BTreeMap::new(),
            done: BTreeMap::new(),
        }
    }

    /// Remembers more of a field than its root.
    pub(crate) fn want(&mut self, name: &'static str, wanted: Wanted) {
        self.wanted.insert(name, wanted);
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), StateError> {
        while self.step(&mut bytes)? {}
        Ok(())
    }

    /// Takes the part of the bytes that the current field wants; false if it needs more than there are.
    fn step(&mut self, bytes: &mut &[u8]) -> Result<bool, StateError> {
        let fields = self.container.fields;
        let position = match self.stage {
            Stage::Fixed(at) if at == fields.len() => {
                self.stage = Stage::Variable(0);
                return Ok(true);
            }
            Stage::Fixed(at) if fields[at].ty.fixed_length().is_none() => return self.take_offset(at, bytes),
            Stage::Variable(at) if at == self.offsets.len() => {
                let expected = self.taken;
                return if bytes.is_empty() { Ok(false) } else { Err(StateError::TooLong { expected }) };
            }
            Stage::Fixed(at) => at,
            Stage::Variable(at) => self.offsets[at].0,
        };
        if self.current.is_none() {
            self.current = Some(self.open(position));
        }
        let Some(current) = &mut self.current else { return Ok(false) };
        let room = current
            .remaining
            .map_or(bytes.len(), |left| usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len())));
        let (now, later) = bytes.split_at(room);
        current.hasher.push(now)?;
        *bytes = later;
        self.taken += now.len() as u64;
        if let Some(left) = &mut current.remaining {
            *left -= now.len() as u64;
        }
        if current.remaining != Some(0) {
            return Ok(false);
        }
        self.close(position)?;
        Ok(true)
    }

    /// Begins the field that comes next.
    fn open(&mut self, position: usize) -> Current {
        let field = &self.container.fields[position];
        let remaining = match self.stage {
            Stage::Fixed(_) => field.ty.fixed_length(),
            Stage::Variable(at) => {
                let end = self.offsets.get(at + 1).map(|(_, offset)| *offset).or(self.length);
                end.map(|end| end.saturating_sub(self.offsets[at].1))
            }
        };
        let wanted = self.wanted.remove(field.name).unwrap_or_default();
        Current { hasher: FieldHasher::new(field, remaining, wanted), remaining }
    }

    fn close(&mut self, position: usize) -> Result<(), StateError> {
        if let Some(current) = self.current.take() {
            self.done.insert(position, current.hasher.finish()?);
        }
        self.stage = match self.stage {
            Stage::Fixed(at) => Stage::Fixed(at + 1),
            Stage::Variable(at) => Stage::Variable(at + 1),
        };
        Ok(())
    }

    fn take_offset(&mut self, position: usize, bytes: &mut &[u8]) -> Result<bool, StateError> {
        let (now, later) = bytes.split_at(bytes.len().min(4 - self.offset.len()));
        self.offset.extend_from_slice(now);
        self.taken += now.len() as u64;
        *bytes = later;
        let Ok(offset) = <[u8; 4]>::try_from(self.offset.as_slice()) else { return Ok(false) };
        self.offset.clear();
        let (field, offset) = (self.container.fields[position].name, u64::from(u32::from_le_bytes(offset)));
        match self.offsets.last() {
            None if offset != self.container.fixed_part() => {
                return Err(StateError::FirstOffset { field, offset, expected: self.container.fixed_part() });
            }
            Some((_, previous)) if offset < *previous => {
                return Err(StateError::OffsetsOutOfOrder { field, offset, previous: *previous });
            }
            _ => {}
        }
        if let Some(end) = self.length.filter(|end| offset > *end) {
            return Err(StateError::OffsetBeyondEnd { field, offset, end });
        }
        self.offsets.push((position, offset));
        self.stage = Stage::Fixed(position + 1);
        Ok(true)
    }

    /// The root, now that nothing more comes.
    pub(crate) fn finish(mut self) -> Result<ContainerRoot, StateError> {
        // Fields without bytes may still wait for their turn.
        self.push(&[])?;
        if let (Stage::Variable(at), None) = (self.stage, self.length)
            && at + 1 == self.offsets.len()
        {
            let position = self.offsets[at].0;
            self.close(position)?;
        }
        let fields = self.container.fields;
        if self.done.len() < fields.len() {
            let missing = (0..fields.len()).filter(|at| !self.done.contains_key(at));
            let next = match self.stage {
                Stage::Fixed(at) => Some(at),
                Stage::Variable(at) => self.offsets.get(at).map(|(position, _)| *position),
            };
            let field = next.or(missing.min()).and_then(|at| fields.get(at)).map_or("", |field| field.name);
            return Err(StateError::Truncated { field, got: self.taken });
        }
        let roots: Vec<Node> = self.done.values().map(|field| field.root).collect();
        let tree = Merkleizer::of(self.container.shape(), &roots, None);
        let root = active_fields(self.container).map_or(tree.root, |active| hash(&tree.root, &active));
        let fields = self.done.into_iter().map(|(at, root)| (fields[at].name, root)).collect();
        Ok(ContainerRoot { container: self.container, root, roots, fields })
    }
}
