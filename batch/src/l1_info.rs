//! The L1 origin of an L2 block, from the L1-attributes deposit that opens it (specs: protocol/deposits).

use alloy::{
    eips::eip2718::Decodable2718,
    primitives::{Address, B256, TxKind, address},
};
use op_alloy::consensus::TxDeposit;

/// Sender of the L1-attributes deposit.
const DEPOSITOR: Address = address!("0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001");
/// The `L1Block` predeploy, which the deposit calls.
const L1_BLOCK: Address = address!("0x4200000000000000000000000000000000000015");

const SELECTOR: usize = 4;
/// Since Ecotone the values are packed and start alike: two fee scalars (4 bytes each), sequence number, L1 timestamp
/// and L1 number (8 each), base fee, blob base fee, block hash, batcher hash (32 each).
const ECOTONE: usize = SELECTOR + 32 * 5;
/// Isthmus appends the operator fee's scalar (4) and constant (8).
const ISTHMUS: usize = ECOTONE + 4 + 8;
/// Jovian appends the DA footprint's gas scalar (2).
const JOVIAN: usize = ISTHMUS + 2;

/// The L1 block that an L2 block takes its deposits and fees from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct L1Origin {
    /// L1 block number; also the number of the L2 block's epoch.
    pub number: u64,
    /// L1 block hash.
    pub hash: B256,
    /// Position of the L2 block in its epoch, from 0.
    pub sequence_number: u64,
}

/// Why a transaction isn't an L1-attributes deposit that this crate reads. Never retryable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum L1InfoError {
    /// Not a well-formed deposit transaction.
    #[error("the first transaction isn't a well-formed deposit (type 0x7e)")]
    NotDeposit,
    /// A deposit, but not from the L1-attributes depositor to the L1Block predeploy.
    #[error("the first deposit goes from {from} to {to:?}, not from {DEPOSITOR} to the L1Block predeploy {L1_BLOCK}")]
    NotL1Attributes {
        /// The deposit's sender.
        from: Address,
        /// The deposit's recipient, nothing for a contract creation.
        to: Option<Address>,
    },
    /// Too short for a selector, or one of another fork.
    #[error(
        "L1 attributes have selector {0:02x?}: known are 440a5e20 (Ecotone), 098999be (Isthmus) and 3db6be2b (Jovian)"
    )]
    Selector([u8; 4]),
    /// The values don't have the length that the selector calls for.
    #[error("L1 attributes with selector {selector:02x?} are {found} bytes, {expected} were expected")]
    Length {
        /// The selector.
        selector: [u8; 4],
        /// Length of the calldata.
        found: usize,
        /// Length that the fork of the selector fixes.
        expected: usize,
    },
}

impl L1Origin {
    /// Reads the origin from a raw (EIP-2718) transaction, the first of an L2 block.
    ///
    /// # Errors
    /// See [`L1InfoError`].
    pub fn from_deposit(mut raw: &[u8]) -> Result<Self, L1InfoError> {
        let deposit = TxDeposit::decode_2718(&mut raw).map_err(|_| L1InfoError::NotDeposit)?;
        if !raw.is_empty() {
            return Err(L1InfoError::NotDeposit);
        }
        if deposit.from != DEPOSITOR || deposit.to != TxKind::Call(L1_BLOCK) {
            return Err(L1InfoError::NotL1Attributes { from: deposit.from, to: deposit.to.to().copied() });
        }
        Self::from_calldata(&deposit.input)
    }

    /// Reads the origin from the deposit's calldata.
    ///
    /// # Errors
    /// [`L1InfoError::Selector`] and [`L1InfoError::Length`].
    pub fn from_calldata(input: &[u8]) -> Result<Self, L1InfoError> {
        let selector = input.first_chunk::<SELECTOR>().copied().ok_or(L1InfoError::Selector([0; SELECTOR]))?;
        let expected = match selector {
            [0x44, 0x0a, 0x5e, 0x20] => ECOTONE,
            [0x09, 0x89, 0x99, 0xbe] => ISTHMUS,
            [0x3d, 0xb6, 0xbe, 0x2b] => JOVIAN,
            _ => return Err(L1InfoError::Selector(selector)),
        };
        if input.len() != expected {
            return Err(L1InfoError::Length { selector, found: input.len(), expected });
        }
        let word = |at: usize| {
            let mut bytes = [0u8; 8];
            bytes.copy_from_slice(&input[at..at + 8]);
            u64::from_be_bytes(bytes)
        };
        Ok(Self { sequence_number: word(12), number: word(28), hash: B256::from_slice(&input[100..132]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{eips::eip2718::Encodable2718, primitives::Bytes};
    use kona_protocol::{L1BlockInfoEcotone, L1BlockInfoIsthmus};

    fn deposit(from: Address, to: Address, input: Bytes) -> Vec<u8> {
        TxDeposit { from, to: TxKind::Call(to), input, ..Default::default() }.encoded_2718()
    }

    #[test]
    fn the_origin_is_the_one_that_kona_wrote() {
        let (number, block_hash, sequence_number) = (0x0102_0304_0506, B256::repeat_byte(9), 11);
        let expected = L1Origin { number, hash: block_hash, sequence_number };
        let ecotone = L1BlockInfoEcotone {
            number,
            block_hash,
            sequence_number,
            time: u64::MAX,
            base_fee: u64::MAX,
            ..Default::default()
        };
        let isthmus = L1BlockInfoIsthmus {
            number,
            block_hash,
            sequence_number,
            time: u64::MAX,
            base_fee: u64::MAX,
            ..Default::default()
        };
        for input in [ecotone.encode_calldata(), isthmus.encode_calldata()] {
            assert_eq!(L1Origin::from_deposit(&deposit(DEPOSITOR, L1_BLOCK, input)), Ok(expected));
        }
        // kona 0.4.5 knows no Jovian: the same values with two more bytes.
        let mut jovian = isthmus.encode_calldata().to_vec();
        jovian[..4].copy_from_slice(&[0x3d, 0xb6, 0xbe, 0x2b]);
        jovian.extend([0, 1]);
        assert_eq!(L1Origin::from_deposit(&deposit(DEPOSITOR, L1_BLOCK, jovian.into())), Ok(expected));
    }

    #[test]
    fn other_deposits_are_refused() {
        let input = L1BlockInfoEcotone::default().encode_calldata();
        let stranger = Address::repeat_byte(1);
        assert_eq!(
            L1Origin::from_deposit(&deposit(stranger, L1_BLOCK, input.clone())),
            Err(L1InfoError::NotL1Attributes { from: stranger, to: Some(L1_BLOCK) })
        );
        assert_eq!(
            L1Origin::from_deposit(&deposit(DEPOSITOR, stranger, input.clone())),
            Err(L1InfoError::NotL1Attributes { from: DEPOSITOR, to: Some(stranger) })
        );
        let mut trailing = deposit(DEPOSITOR, L1_BLOCK, input.clone());
        trailing.push(0);
        for raw in [trailing.as_slice(), &trailing[..40], &[0x7e], &[], &[0x02, 0xc0]] {
            assert_eq!(L1Origin::from_deposit(raw), Err(L1InfoError::NotDeposit));
        }
    }

    #[test]
    fn selector_and_length_must_match() {
        let input = L1BlockInfoEcotone::default().encode_calldata();
        assert_eq!(
            L1Origin::from_calldata(&input[..163]),
            Err(L1InfoError::Length { selector: [0x44, 0x0a, 0x5e, 0x20], found: 163, expected: 164 })
        );
        assert_eq!(L1Origin::from_calldata(&[1, 2]), Err(L1InfoError::Selector([0; 4])));
        let bedrock = [&[0x01, 0x5d, 0x8e, 0xb9][..], &[0; 256]].concat();
        assert_eq!(L1Origin::from_calldata(&bedrock), Err(L1InfoError::Selector([0x01, 0x5d, 0x8e, 0xb9])));
    }
}
