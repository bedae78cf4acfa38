//! The header in a feed's block: enough to tell a block from none. Whether its transactions are the right ones, the keepers that re-create it look. Pure.

use alloy::primitives::{B256, hex, keccak256};

/// The longest header that is read, in bytes, with the block's own list before it: an OP Stack block's has some 650.
const LONGEST: usize = 4 << 10;
const LIST: u8 = 0xc0;
const LONG_LIST: u8 = 0xf8;
/// A string of 32 bytes.
const WORD: u8 = 0xa0;

/// A list's own bytes and those of what is in it.
pub(super) fn list(bytes: &[u8]) -> Option<(usize, usize)> {
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

/// The parent of a block, given as its RLP in hexadecimal text; `None` if that isn't a whole list that begins with the header of this hash.
pub(super) fn parent_of(block: &str, hash: B256) -> Option<B256> {
    let digits = block.strip_prefix("0x").filter(|digits| hex::check_raw(digits))?;
    let beginning = hex::decode(digits.get(..digits.len().min(2 * LONGEST))?).ok()?;
    let (own, content) = list(&beginning)?;
    if own.checked_add(content)? != digits.len() / 2 {
        return None;
    }
    let header = beginning.get(own..)?;
    let (own, content) = list(header)?;
    let header = header.get(..own.checked_add(content)?)?;
    let parent = header.get(own..)?.strip_prefix(&[WORD])?.first_chunk::<32>()?;
    (keccak256(header) == hash).then(|| B256::from(*parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::consensus::{Block, BlockBody, Header, TxEnvelope};

    fn block(extra: usize) -> (String, Header) {
        let header = Header {
            parent_hash: B256::repeat_byte(7),
            number: 9,
            extra_data: vec![1; extra].into(),
            ..Header::default()
        };
        let body = BlockBody::<TxEnvelope> { withdrawals: Some(Vec::new().into()), ..BlockBody::default() };
        (hex::encode_prefixed(alloy::rlp::encode(Block::new(header.clone(), body))), header)
    }

    #[test]
    fn a_block_with_the_header_of_the_hash_has_a_parent() {
        for extra in [0, 9, 700, 3000] {
            let (text, header) = block(extra);
            assert_eq!(parent_of(&text, header.hash_slow()), Some(header.parent_hash), "{extra}");
            assert_eq!(parent_of(&text, B256::repeat_byte(1)), None);
        }
    }

    #[test]
    fn what_is_not_a_whole_block_has_none() {
        let (text, header) = block(9);
        let hash = header.hash_slow();
        let header = hex::encode_prefixed(alloy::rlp::encode(&header));
        let longer = format!("{text}00");
        let others =
            ["", "0x", "0xc0", "0xff", "0xf9", "0xffffffffffffffffff", "0x80", "text", "0xzz", "0xc", "\u{20ac}"];
        for wrong in others.into_iter().chain([&text[..text.len() - 2], &text[2..], &header, &longer]) {
            assert_eq!(parent_of(wrong, hash), None, "{wrong}");
        }
        let (long, header) = block(LONGEST);
        assert_eq!(parent_of(&long, header.hash_slow()), None);
    }
}
