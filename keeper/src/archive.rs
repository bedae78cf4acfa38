//! The archive: L2 blocks and soft blocks, own and others', until they are settled and final.
//!
//! What is lost here costs a bounty or a batch, never a second signature; so it is written without waiting for the disk.

use crate::anchor::Anchor;
use alloy::primitives::{B256, Bytes, Signature};
use baton_protocol::{FeedItem, GatewayId, Link, SignedSoftBlock, SoftBlock};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How many soft blocks of one gateway for one number are kept. An honest one signs again only after a reorg or on another base.
pub const MAX_VARIANTS: usize = 16;

/// Why the archive can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// SQLite failed.
    #[error("archive storage: {0}")]
    Storage(#[from] rusqlite::Error),
    /// No chain has such a number.
    #[error("{0} doesn't fit the archive's integers")]
    TooLarge(u64),
}

/// A soft block with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedSoftBlock {
    /// Whose signature it is; 0 for the rollup operator's.
    pub gateway: GatewayId,
    /// Commitment and signature.
    pub signed: SignedSoftBlock,
    /// RLP of the block.
    pub block: Bytes,
}

impl From<ArchivedSoftBlock> for FeedItem {
    fn from(archived: ArchivedSoftBlock) -> Self {
        let SignedSoftBlock { soft_block, signature } = archived.signed;
        Self {
            gateway: archived.gateway,
            soft_block,
            signature: Bytes::from(signature.as_bytes().to_vec()),
            block: archived.block,
        }
    }
}

/// The store.
#[derive(Debug)]
pub struct Archive {
    connection: Mutex<Connection>,
}

impl Archive {
    /// Opens it, or begins one. Takes the same time whatever it holds.
    ///
    /// # Errors
    /// Storage errors.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let connection = Connection::open(path)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS blocks (
                 hash BLOB PRIMARY KEY, number INTEGER NOT NULL, parent BLOB NOT NULL, rlp BLOB NOT NULL
             );
             CREATE INDEX IF NOT EXISTS blocks_by_number ON blocks (number);
             CREATE TABLE IF NOT EXISTS soft_blocks (
                 number INTEGER NOT NULL, gateway INTEGER NOT NULL, parent_link BLOB NOT NULL, block_hash BLOB NOT NULL,
                 anchor_number INTEGER NOT NULL, anchor_hash BLOB NOT NULL, signature BLOB NOT NULL,
                 PRIMARY KEY (number, gateway, parent_link, block_hash, anchor_number, anchor_hash)
             ) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS records (slot INTEGER PRIMARY KEY, record BLOB NOT NULL, bounty BLOB NOT NULL);",
        )?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Keeps a block.
    ///
    /// # Errors
    /// Storage errors.
    pub fn put_block(&self, number: u64, hash: B256, parent: B256, rlp: &[u8]) -> Result<(), ArchiveError> {
        self.lock()
            .prepare_cached("INSERT OR IGNORE INTO blocks (hash, number, parent, rlp) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![hash.0, integer(number)?, parent.0, rlp])?;
        Ok(())
    }

    /// RLP of a block.
    ///
    /// # Errors
    /// Storage errors.
    pub fn block(&self, hash: B256) -> Result<Option<Bytes>, ArchiveError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT rlp FROM blocks WHERE hash = ?1")?;
        Ok(statement.query_row(params![hash.0], |row| row.get::<_, Vec<u8>>(0)).optional()?.map(Bytes::from))
    }

    /// Keeps a soft block and its block. The answer says whether it was new and there was room for it, see [`MAX_VARIANTS`].
    ///
    /// # Errors
    /// Storage errors.
    pub fn put_soft_block(&self, archived: &ArchivedSoftBlock, parent: B256) -> Result<bool, ArchiveError> {
        let soft_block = &archived.signed.soft_block;
        let number = integer(soft_block.number)?;
        let mut connection = self.lock();
        // One that reads first can't write any more once another process has, and isn't let wait for it.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let variants: i64 = transaction.query_row(
            "SELECT count(*) FROM soft_blocks WHERE number = ?1 AND gateway = ?2",
            params![number, archived.gateway],
            |row| row.get(0),
        )?;
        if usize::try_from(variants).is_ok_and(|variants| variants >= MAX_VARIANTS) {
            return Ok(false);
        }
        let inserted = transaction.execute(
            "INSERT OR IGNORE INTO soft_blocks (number, gateway, parent_link, block_hash, anchor_number, anchor_hash, signature)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                number,
                archived.gateway,
                soft_block.parentLink.0,
                soft_block.blockHash.0,
                integer(soft_block.anchorNumber)?,
                soft_block.anchorHash.0,
                archived.signed.signature.as_bytes()
            ],
        )?;
        transaction.execute(
            "INSERT OR IGNORE INTO blocks (hash, number, parent, rlp) VALUES (?1, ?2, ?3, ?4)",
            params![soft_block.blockHash.0, number, parent.0, archived.block.as_ref()],
        )?;
        transaction.commit()?;
        Ok(inserted > 0)
    }

    /// Soft blocks of a gateway over one block on one base: as many as there are anchors.
    ///
    /// # Errors
    /// Storage errors.
    pub fn soft_blocks_of(
        &self,
        gateway: GatewayId,
        number: u64,
        parent_link: Link,
        block_hash: B256,
    ) -> Result<Vec<SignedSoftBlock>, ArchiveError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT number, parent_link, block_hash, anchor_number, anchor_hash, signature FROM soft_blocks
             WHERE number = ?1 AND gateway = ?2 AND parent_link = ?3 AND block_hash = ?4",
        )?;
        let rows = statement.query_map(params![integer(number)?, gateway, parent_link.0.0, block_hash.0], |row| {
            signed_soft_block(row)
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first `count` soft blocks of a gateway for numbers from `from` on, with their blocks; fewer if more than `max_bytes` of blocks would
    /// be read, but always all of a number.
    ///
    /// # Errors
    /// Storage errors.
    pub fn soft_blocks(
        &self,
        gateway: GatewayId,
        from: u64,
        count: usize,
        max_bytes: usize,
    ) -> Result<Vec<ArchivedSoftBlock>, ArchiveError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT s.number, s.parent_link, s.block_hash, s.anchor_number, s.anchor_hash, s.signature, b.rlp
             FROM soft_blocks s JOIN blocks b ON b.hash = s.block_hash
             WHERE s.number >= ?2 AND s.gateway = ?1 ORDER BY s.number",
        )?;
        let mut rows = statement.query(params![gateway, integer(from)?])?;
        let (mut found, mut bytes) = (Vec::<ArchivedSoftBlock>::new(), 0usize);
        while let Some(row) = rows.next()? {
            let signed = signed_soft_block(row)?;
            let block = Bytes::from(row.get::<_, Vec<u8>>(6)?);
            bytes += block.len();
            // Never part of a number: who reads goes on with the number after the last one.
            let number = signed.soft_block.number;
            let full = bytes > max_bytes || found.len() >= count;
            if full && found.last().is_some_and(|last| last.signed.soft_block.number != number) {
                break;
            }
            found.push(ArchivedSoftBlock { gateway, signed, block });
        }
        Ok(found)
    }

    /// Keeps an own settlement's record, ABI-encoded, with the bounty that it may bring.
    ///
    /// # Errors
    /// Storage errors.
    pub fn put_record(&self, slot: u64, record: &[u8], bounty: u128) -> Result<(), ArchiveError> {
        self.lock().execute(
            "INSERT OR REPLACE INTO records (slot, record, bounty) VALUES (?1, ?2, ?3)",
            params![integer(slot)?, record, bounty.to_be_bytes()],
        )?;
        Ok(())
    }

    /// Own records whose bounties weren't collected, by slot.
    ///
    /// # Errors
    /// Storage errors.
    pub fn records(&self) -> Result<Vec<(u64, Bytes, u128)>, ArchiveError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT slot, record, bounty FROM records ORDER BY slot")?;
        let rows = statement.query_map([], |row| {
            let slot = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
            Ok((slot, Bytes::from(row.get::<_, Vec<u8>>(1)?), u128::from_be_bytes(row.get(2)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets a record, because its bounties are collected or the L1 dropped it.
    ///
    /// # Errors
    /// Storage errors.
    pub fn forget_record(&self, slot: u64) -> Result<(), ArchiveError> {
        self.lock().execute("DELETE FROM records WHERE slot = ?1", params![integer(slot)?])?;
        Ok(())
    }

    /// Forgets blocks and soft blocks below a number.
    ///
    /// # Errors
    /// Storage errors.
    pub fn forget_below(&self, number: u64) -> Result<(), ArchiveError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        transaction.execute("DELETE FROM soft_blocks WHERE number < ?1", params![integer(number)?])?;
        transaction.execute("DELETE FROM blocks WHERE number < ?1", params![integer(number)?])?;
        transaction.commit()?;
        Ok(())
    }

    /// How many blocks it holds.
    ///
    /// # Errors
    /// Storage errors.
    pub fn block_count(&self) -> Result<u64, ArchiveError> {
        let count: i64 = self.lock().query_row("SELECT count(*) FROM blocks", [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The anchor of a soft block.
pub fn anchor_of(soft_block: &SoftBlock) -> Anchor {
    Anchor { number: soft_block.anchorNumber, hash: soft_block.anchorHash }
}

fn signed_soft_block(row: &Row<'_>) -> rusqlite::Result<SignedSoftBlock> {
    let integer = |index| row.get::<_, i64>(index).map(|value| u64::try_from(value).unwrap_or_default());
    let hash = |index| row.get::<_, [u8; 32]>(index).map(B256::from);
    let signature = row.get::<_, Vec<u8>>(5)?;
    Ok(SignedSoftBlock {
        soft_block: SoftBlock {
            number: integer(0)?,
            parentLink: hash(1)?,
            blockHash: hash(2)?,
            anchorNumber: integer(3)?,
            anchorHash: hash(4)?,
        },
        signature: Signature::from_raw(&signature).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(5, rusqlite::types::Type::Blob, Box::new(error))
        })?,
    })
}

fn integer(value: u64) -> Result<i64, ArchiveError> {
    i64::try_from(value).map_err(|_| ArchiveError::TooLarge(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archived(number: u64, block: u8, anchor: u8) -> ArchivedSoftBlock {
        ArchivedSoftBlock {
            gateway: 1,
            signed: SignedSoftBlock {
                soft_block: SoftBlock {
                    number,
                    parentLink: B256::repeat_byte(3),
                    blockHash: B256::repeat_byte(block),
                    anchorNumber: 5,
                    anchorHash: B256::repeat_byte(anchor),
                },
                signature: Signature::test_signature(),
            },
            block: Bytes::from(vec![block; 100]),
        }
    }

    fn open() -> (tempfile::TempDir, Archive) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let archive = Archive::open(&dir.path().join("archive.sqlite")).expect("opened");
        (dir, archive)
    }

    #[test]
    fn what_was_put_comes_back() {
        let (_dir, archive) = open();
        assert!(archive.put_soft_block(&archived(7, 1, 1), B256::ZERO).expect("put"));
        assert!(!archive.put_soft_block(&archived(7, 1, 1), B256::ZERO).expect("put"), "not new");
        assert_eq!(archive.soft_blocks(1, 5, 9, usize::MAX).expect("read"), [archived(7, 1, 1)]);
        assert_eq!(archive.soft_blocks(2, 5, 9, usize::MAX).expect("read"), []);
        assert_eq!(archive.block(B256::repeat_byte(1)).expect("read"), Some(archived(7, 1, 1).block));
        let base = Link(B256::repeat_byte(3));
        assert_eq!(archive.soft_blocks_of(1, 7, base, B256::repeat_byte(1)).expect("read").len(), 1);
        assert_eq!(archive.soft_blocks_of(1, 7, Link::default(), B256::repeat_byte(1)).expect("read").len(), 0);
    }

    #[test]
    fn two_processes_keep_soft_blocks_at_once() {
        let (dir, archive) = open();
        // `keeper evidence check --keep` beside a keeper that runs.
        let other = Archive::open(&dir.path().join("archive.sqlite")).expect("opened");
        std::thread::scope(|scope| {
            for (archive, block) in [(&archive, 1), (&other, 2)] {
                scope.spawn(move || {
                    (0..500).for_each(|number| {
                        assert!(archive.put_soft_block(&archived(number, block, 1), B256::ZERO).expect("put"));
                    });
                });
            }
        });
        assert_eq!(archive.soft_blocks(1, 0, 2000, usize::MAX).expect("read").len(), 1000);
    }

    #[test]
    fn a_gateway_cannot_fill_the_archive_with_one_number() {
        let (_dir, archive) = open();
        let accepted =
            (0..40).filter(|anchor| archive.put_soft_block(&archived(7, 1, *anchor), B256::ZERO).expect("put"));
        assert_eq!(accepted.count(), MAX_VARIANTS);
        assert!(archive.put_soft_block(&archived(8, 1, 1), B256::ZERO).expect("put"));
    }

    #[test]
    fn a_range_ends_at_a_number_when_it_grows_too_long() {
        let (_dir, archive) = open();
        for number in 1..5 {
            archive
                .put_soft_block(&archived(number, u8::try_from(number).expect("small"), 1), B256::ZERO)
                .expect("put");
        }
        archive.put_soft_block(&archived(2, 9, 2), B256::ZERO).expect("put");
        let numbers = |from, count, bytes| -> Vec<u64> {
            let found = archive.soft_blocks(1, from, count, bytes).expect("read");
            found.iter().map(|item| item.signed.soft_block.number).collect()
        };
        assert_eq!(numbers(1, 4, usize::MAX), [1, 2, 2, 3]);
        assert_eq!(numbers(1, 2, usize::MAX), [1, 2, 2]);
        assert_eq!(numbers(1, 9, 150), [1]);
        assert_eq!(numbers(2, 9, 150), [2, 2]);
        assert_eq!(numbers(2, 9, 0), [2, 2]);
    }

    #[test]
    fn forgetting_leaves_what_is_above() {
        let (_dir, archive) = open();
        for number in 1..5 {
            archive
                .put_soft_block(&archived(number, u8::try_from(number).expect("small"), 1), B256::ZERO)
                .expect("put");
        }
        archive.forget_below(3).expect("forgotten");
        assert_eq!(archive.block_count().expect("counted"), 2);
        assert_eq!(archive.soft_blocks(1, 0, 10, usize::MAX).expect("read").len(), 2);
    }

    #[test]
    fn records_stay_until_forgotten() {
        let (_dir, archive) = open();
        archive.put_record(9, &[1, 2], u128::MAX).expect("put");
        archive.put_record(4, &[3], 1).expect("put");
        archive.forget_record(4).expect("forgotten");
        assert_eq!(archive.records().expect("read"), [(9, Bytes::from(vec![1, 2]), u128::MAX)]);
    }

    #[test]
    #[ignore = "a measurement: how long a long archive takes to open"]
    fn reopening_a_hundred_thousand_blocks() {
        let (dir, archive) = open();
        let mut connection = archive.lock();
        let transaction = connection.transaction().expect("begun");
        for number in 0..100_000u64 {
            let hash = alloy::primitives::keccak256(number.to_be_bytes());
            transaction
                .execute(
                    "INSERT INTO blocks (hash, number, parent, rlp) VALUES (?1, ?2, ?3, ?4)",
                    params![hash.0, integer(number).expect("small"), hash.0, vec![7u8; 2_000]],
                )
                .expect("put");
        }
        transaction.commit().expect("committed");
        drop(connection);
        drop(archive);
        let start = std::time::Instant::now();
        let archive = Archive::open(&dir.path().join("archive.sqlite")).expect("opened");
        assert!(archive.block(alloy::primitives::keccak256(99_999u64.to_be_bytes())).expect("read").is_some());
        println!("opened and read in {:?}", start.elapsed());
        assert_eq!(archive.block_count().expect("counted"), 100_000);
    }
}
