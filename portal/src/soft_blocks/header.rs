//! The header in a feed's block: enough to tell a block from none. Whether its transactions are the right ones, the keepers that re-create it look. Pure.

use alloy::primitives::{B256, Bytes, hex};
use baton_protocol::rlp::{BlockHeader, list};

/// The longest header that is read, in bytes, with the block's own list before it: an OP Stack block's has some 650.
const LONGEST: usize = 4 << 10;

/// What is read of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) parent: B256,
    /// RLP of the header, as a block that has nothing else.
    pub(super) header: Bytes,
}

/// Reads a block, given as its RLP in hexadecimal text; `None` if that isn't a whole list that begins with the header of this hash.
pub(super) fn read(block: &str, hash: B256) -> Option<Read> {
    let digits = block.strip_prefix("0x").filter(|digits| hex::check_raw(digits))?;
    let beginning = hex::decode(digits.get(..digits.len().min(2 * LONGEST))?).ok()?;
    let (own, content) = list(&beginning)?;
    if own.checked_add(content)? != digits.len() / 2 {
        return None;
    }
    let header = BlockHeader::of_block(&beginning, hash)?;
    Some(Read { parent: header.parent, header: header.alone().into() })
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
            let hash = header.hash_slow();
            let seen = read(&text, hash).expect("a block");
            assert_eq!(seen.parent, header.parent_hash, "{extra}");
            assert_eq!(read(&text, B256::repeat_byte(1)), None);
            // The header alone is enough for that.
            assert!(seen.header.len() < text.len() / 2);
            assert_eq!(read(&seen.header.to_string(), hash), Some(seen));
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
            assert_eq!(read(wrong, hash), None, "{wrong}");
        }
        let (long, header) = block(LONGEST);
        assert_eq!(read(&long, header.hash_slow()), None);
    }
}
