use std::{fmt, str::FromStr};

use super::{
    StateError,
    layout::{Container, FULU, GLOAS, LOOKAHEAD, Type, VALIDATORS},
};

/// A fork of the consensus layer that changed the beacon state's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fork {
    /// The first state with a `proposer_lookahead` (EIP-7917).
    Fulu,
    /// Progressive containers and lists (EIP-7495, EIP-7916), builders within the protocol (EIP-7732).
    Gloas,
}

impl Fork {
    /// Layout of its state.
    pub(crate) const fn layout(self) -> &'static Container {
        match self {
            Self::Fulu => &FULU,
            Self::Gloas => &GLOAS,
        }
    }

    /// Generalized index, in the state, of the half of `proposer_lookahead` that holds the next epoch's proposers.
    pub fn lookahead_index(self) -> u128 {
        2 * self.field_index(LOOKAHEAD) + 1
    }

    /// Generalized index, in the state, of the parent of a validator's public key and withdrawal credentials; nothing if the
    /// registry can't hold so many.
    pub fn validator_index(self, index: u64) -> Option<u128> {
        let layout = self.layout();
        let list = &layout.fields[layout.position(VALIDATORS)?].ty;
        let shape = match list {
            Type::List(_, limit) if index >= *limit => return None,
            Type::List(element, limit) => element.shape_of(*limit),
            _ => super::merkleizer::Shape::Progressive,
        };
        // The list's left child holds the elements; of a validator's eight leaves the first two have parent number 4.
        let elements = 2 * self.field_index(VALIDATORS);
        Some(concat(concat(elements, shape.generalized_index(index)), 4))
    }

    fn field_index(self, name: &str) -> u128 {
        let layout = self.layout();
        let field = layout.shape().generalized_index(layout.position(name).unwrap_or_default() as u64);
        // A progressive container's left child holds the fields, its right one tells which are active.
        if layout.progressive { concat(2, field) } else { field }
    }
}

/// Generalized index of a node below a node.
fn concat(upper: u128, lower: u128) -> u128 {
    let depth = lower.ilog2();
    (upper << depth) | (lower ^ (1 << depth))
}

impl FromStr for Fork {
    type Err = StateError;

    /// From the beacon API's `Eth-Consensus-Version` header or `version` field.
    fn from_str(version: &str) -> Result<Self, StateError> {
        match version {
            "fulu" => Ok(Self::Fulu),
            "gloas" => Ok(Self::Gloas),
            other => Err(StateError::UnknownFork(other.to_owned())),
        }
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fulu => "fulu",
            Self::Gloas => "gloas",
        })
    }
}
