//! The header that a block's RLP begins with: enough to say whose child a block is, whatever follows.

use alloy::primitives::{B256, keccak256};

const LIST: u8 = 0xc0;
const LONG_LIST: u8 = 0xf8;
/// A string of 32 bytes.
const WORD: u8 = 0xa0;

/// A list's own bytes and those of what is in it; `None` if none begins here.
pub fn list(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.first()? {
        first @ LONG_LIST.. => {
            let length = usize::from(first - LONG_LIST) + 1;
            let digits = bytes.get(1..=length)?;
            let content =
                digits.iter().try_fold(0usize, |sum, digit| sum.checked_mul(256)?.checked_add((*digit).into()));
            Some((1 + length, content?))
        }
        first @ LIST.. => Some((1, usize::from(first - LIST))),
        _ => None,
    }
}

/// A block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader<'a> {
    /// The parent's hash.
    pub parent: B256,
    /// All of it, as RLP.
    pub rlp: &'a [u8],
}

impl<'a> BlockHeader<'a> {
    /// The header of this hash that a block's RLP begins with; `None` if it begins with another. What stands behind it isn't looked at, and may be missing.
    pub fn of_block(block: &'a [u8], hash: B256) -> Option<Self> {
        let (own, _) = list(block)?;
        let header = block.get(own..)?;
        let (own, content) = list(header)?;
        let rlp = header.get(..own.checked_add(content)?)?;
        let parent = rlp.get(own..)?.strip_prefix(&[WORD])?.first_chunk::<32>()?;
        (keccak256(rlp) == hash).then(|| Self { parent: B256::from(*parent), rlp })
    }

    /// The RLP of a block that has nothing else.
    pub fn alone(&self) -> Vec<u8> {
        let digits: Vec<u8> = self.rlp.len().to_be_bytes().into_iter().skip_while(|digit| *digit == 0).collect();
        let own = match digits[..] {
            [length] if length < LONG_LIST - LIST => vec![LIST + length],
            _ => [vec![digits.iter().fold(LONG_LIST - 1, |first, _| first + 1)], digits].concat(),
        };
        [&own, self.rlp].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header that names a parent, with so many bytes behind that.
    fn header(parent: B256, more: usize) -> Vec<u8> {
        let content = [&[WORD][..], &parent[..], &vec![1; more]].concat();
        BlockHeader { parent, rlp: &content }.alone()
    }

    #[test]
    fn a_header_is_found_whatever_follows_and_is_a_block_alone() {
        let parent = B256::repeat_byte(7);
        for more in [0, 20, 21, 22, 23, 300, 70_000] {
            let rlp = header(parent, more);
            let found = BlockHeader { parent, rlp: &rlp };
            let alone = found.alone();
            let (own, content) = list(&alone).expect("a list");
            assert_eq!((own + content, content), (alone.len(), rlp.len()));
            for block in [alone.clone(), [&alone[..], &[0xff; 9]].concat()] {
                assert_eq!(BlockHeader::of_block(&block, keccak256(&rlp)), Some(found), "{more}");
                assert_eq!(BlockHeader::of_block(&block, B256::ZERO), None);
            }
            for cut in [0, 1, own, alone.len() - 1] {
                assert_eq!(BlockHeader::of_block(&alone[..cut], keccak256(&rlp)), None, "{cut}");
            }
        }
    }
}
