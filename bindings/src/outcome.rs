//! What became of a settled run, unpacked from the contract's word.

use alloy::primitives::U256;
use baton_protocol::GatewayId;

/// What a run is declared to be, rules `[I6]` to `[I9]`. The discriminants are the ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RunKind {
    /// The settler's gateway owns the blocks.
    Own = 0,
    /// Another's blocks, with its signature.
    Recreated = 1,
    /// Another's or nobody's blocks, with the fallback key's signature or none.
    Vacant = 2,
    /// Older than the evidence horizon.
    Stale = 3,
}

/// What became of a run of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it was declared to be.
    pub kind: RunKind,
    /// Whether it carried a signature.
    pub signed: bool,
    /// Whose blocks they are.
    pub owner: GatewayId,
    /// How many blocks.
    pub blocks: u32,
    /// How many of them were charged.
    pub charged: u32,
    /// What the owner paid, in wei.
    pub paid: u128,
    /// How much of it the poster can collect after the evidence horizon, in wei.
    pub bounty: u128,
}

impl Outcome {
    /// Unpacks the contract's word: kind (8 bits), signed (8), owner (16), blocks (24), charged (24), paid (80), bounty (80), from the lowest
    /// bit up. `None` if its kind is unknown.
    pub fn unpack(word: U256) -> Option<Self> {
        let field = |shift: usize, bits: usize| -> u128 {
            ((word >> shift) & ((U256::from(1) << bits) - U256::from(1))).to::<u128>()
        };
        let small = |shift, bits| u32::try_from(field(shift, bits)).ok();
        Some(Self {
            kind: match field(0, 8) {
                0 => RunKind::Own,
                1 => RunKind::Recreated,
                2 => RunKind::Vacant,
                3 => RunKind::Stale,
                _ => return None,
            },
            signed: field(8, 8) != 0,
            owner: u16::try_from(field(16, 16)).ok()?,
            blocks: small(32, 24)?,
            charged: small(56, 24)?,
            paid: field(80, 80),
            bounty: field(160, 80),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacks_every_field() {
        let word = U256::from(1)
            | U256::from(1) << 8
            | U256::from(0x7fff) << 16
            | U256::from(0xff_ffff) << 32
            | U256::from(12) << 56
            | U256::from(10).pow(U256::from(24)) << 80
            | U256::from(7) << 160;
        let outcome = Outcome::unpack(word).expect("known kind");
        assert_eq!(
            outcome,
            Outcome {
                kind: RunKind::Recreated,
                signed: true,
                owner: 0x7fff,
                blocks: 0xff_ffff,
                charged: 12,
                paid: 10u128.pow(24),
                bounty: 7
            }
        );
        assert_eq!(Outcome::unpack(U256::from(4)), None);
    }
}
