//! The signing journal: what this gateway ever committed to, durable before a signature leaves.
//!
//! One SQLite file per gateway, held exclusively by one process: a second one fails at its start. Every commit is on disk before it returns,
//! so that `kill -9`, at whatever instruction, can lose a signature but never the memory of one.

mod error;
mod verdict;

pub use error::JournalError;
pub use verdict::{Intent, Refusal, Verdict, may_sign};

use crate::{anchor::Anchor, signer::DigestSigner};
use alloy::primitives::{B256, Signature};
use baton_protocol::{Domain, GatewayId, Link, SignedSoftBlock, SoftBlock};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

const SCHEMA_VERSION: i64 = 1;

/// The journal of one gateway on one deployment.
#[derive(Debug)]
pub struct Journal {
    connection: Mutex<Connection>,
    path: PathBuf,
    domain: Domain,
    count: AtomicU64,
}

impl Journal {
    /// Opens the journal of a gateway, or begins one, and keeps every other process out of it.
    ///
    /// # Errors
    /// [`JournalError::InUse`] if another process holds it, [`JournalError::WrongOwner`] if it belongs to another gateway or deployment.
    pub fn open(path: &Path, gateway: GatewayId, domain: Domain) -> Result<Self, JournalError> {
        let in_use = |error| match error {
            rusqlite::Error::SqliteFailure(cause, _)
                if matches!(cause.code, rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) =>
            {
                JournalError::InUse { path: path.to_owned() }
            }
            other => JournalError::Storage(other),
        };
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::ZERO)?;
        // EXTRA syncs the directory as well, so that a rolled back journal file can't come back after a power cut. The rollback journal, not
        // the WAL: it needs no shared memory beside the file, and the lock below holds for the whole life of the connection.
        let prepare = |connection: &mut Connection| -> rusqlite::Result<()> {
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
            connection.pragma_update(None, "synchronous", "EXTRA")?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
            transaction.execute_batch(
                "CREATE TABLE IF NOT EXISTS identity (
                     schema INTEGER NOT NULL, gateway INTEGER NOT NULL, chain_id INTEGER NOT NULL, inbox BLOB NOT NULL,
                     floor INTEGER NOT NULL
                 );
                 CREATE TABLE IF NOT EXISTS intents (
                     number INTEGER NOT NULL, parent_link BLOB NOT NULL, anchor_number INTEGER NOT NULL, anchor_hash BLOB NOT NULL,
                     block_hash BLOB NOT NULL, signature BLOB,
                     PRIMARY KEY (number, parent_link, anchor_number, anchor_hash)
                 ) WITHOUT ROWID;",
            )?;
            transaction.commit()
        };
        prepare(&mut connection).map_err(in_use)?;
        let count = AtomicU64::new(count(&connection)?);
        let journal = Self { connection: Mutex::new(connection), path: path.to_owned(), domain, count };
        journal.claim(gateway)?;
        Ok(journal)
    }

    /// Writes down whose journal it is, or checks it.
    fn claim(&self, gateway: GatewayId) -> Result<(), JournalError> {
        let connection = self.lock();
        let found = connection
            .query_row("SELECT schema, gateway, chain_id, inbox FROM identity", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, u16>(1)?, row.get::<_, i64>(2)?, row.get::<_, [u8; 20]>(3)?))
            })
            .optional()?;
        let expected = (SCHEMA_VERSION, gateway, integer(self.domain.chain_id)?, self.domain.inbox.into_array());
        match found {
            None => {
                connection.execute(
                    "INSERT INTO identity (schema, gateway, chain_id, inbox, floor) VALUES (?1, ?2, ?3, ?4, 0)",
                    params![expected.0, expected.1, expected.2, expected.3],
                )?;
                Ok(())
            }
            Some(found) if found == expected => Ok(()),
            Some((schema, ..)) if schema != SCHEMA_VERSION => {
                Err(JournalError::UnknownSchema { path: self.path.clone(), found: schema })
            }
            Some((_, found, chain_id, inbox)) => {
                Err(JournalError::WrongOwner { path: self.path.clone(), gateway: found, chain_id, inbox: inbox.into() })
            }
        }
    }

    /// Commits to a soft block, durably, or says why that mustn't be. [`Verdict::Again`] changes nothing.
    ///
    /// # Errors
    /// [`JournalError::Refused`] with the rule that stands against it; storage errors.
    pub fn commit(&self, soft_block: &SoftBlock) -> Result<Verdict, JournalError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let number = integer(soft_block.number)?;
        let floor: i64 = transaction.query_row("SELECT floor FROM identity", [], |row| row.get(0))?;
        if number < floor {
            return Err(JournalError::Forgotten { number: soft_block.number });
        }
        let history = history(&transaction, soft_block.number, Link(soft_block.parentLink))?;
        let candidate = Intent {
            anchor: Anchor { number: soft_block.anchorNumber, hash: soft_block.anchorHash },
            block_hash: soft_block.blockHash,
        };
        let verdict = may_sign(&history, &candidate);
        match verdict {
            Verdict::Refuse(refusal) => return Err(JournalError::Refused { number: soft_block.number, refusal }),
            Verdict::Again => {}
            Verdict::Sign => {
                transaction.execute(
                    "INSERT INTO intents (number, parent_link, anchor_number, anchor_hash, block_hash) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![
                        number,
                        soft_block.parentLink.0,
                        integer(soft_block.anchorNumber)?,
                        soft_block.anchorHash.0,
                        soft_block.blockHash.0
                    ],
                )?;
                transaction.commit()?;
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(verdict)
    }

    /// Signs a soft block: commits to it first, and gives the stored signature if there is one.
    ///
    /// # Errors
    /// As [`Journal::commit`], and the signer's.
    pub async fn sign(
        &self,
        soft_block: SoftBlock,
        signer: &dyn DigestSigner,
    ) -> Result<SignedSoftBlock, JournalError> {
        if self.commit(&soft_block)? == Verdict::Again
            && let Some(signature) = self.signature(&soft_block)?
        {
            let stored = SignedSoftBlock { soft_block: soft_block.clone(), signature };
            // A signature of a key used before is of no use.
            if stored.verify(&self.domain, signer.address()).is_ok() {
                return Ok(stored);
            }
        }
        let signature = signer.sign(soft_block.digest(&self.domain)).await?;
        let signed = SignedSoftBlock { soft_block, signature };
        signed.verify(&self.domain, signer.address())?;
        self.lock().execute(
            "UPDATE intents SET signature = ?5 WHERE number = ?1 AND parent_link = ?2 AND anchor_number = ?3 AND anchor_hash = ?4",
            params![
                integer(signed.soft_block.number)?,
                signed.soft_block.parentLink.0,
                integer(signed.soft_block.anchorNumber)?,
                signed.soft_block.anchorHash.0,
                signed.signature.as_bytes()
            ],
        )?;
        Ok(signed)
    }

    /// All that was committed to for a number on a base.
    ///
    /// # Errors
    /// Storage errors.
    pub fn history(&self, number: u64, parent_link: Link) -> Result<Vec<Intent>, JournalError> {
        history(&self.lock(), number, parent_link)
    }

    /// How many commitments the journal holds.
    pub fn len(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether nothing was ever committed to, or all of it forgotten.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything below a number, and refuses to sign there ever again. For numbers that are settled for longer than signatures count.
    ///
    /// # Errors
    /// Storage errors.
    pub fn forget_below(&self, number: u64) -> Result<(), JournalError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("UPDATE identity SET floor = max(floor, ?1)", params![integer(number)?])?;
        transaction.execute("DELETE FROM intents WHERE number < ?1", params![integer(number)?])?;
        transaction.commit()?;
        self.count.store(count(&connection)?, Ordering::Relaxed);
        Ok(())
    }

    fn signature(&self, soft_block: &SoftBlock) -> Result<Option<Signature>, JournalError> {
        let bytes: Option<Vec<u8>> = self.lock().query_row(
            "SELECT signature FROM intents WHERE number = ?1 AND parent_link = ?2 AND anchor_number = ?3 AND anchor_hash = ?4",
            params![
                integer(soft_block.number)?,
                soft_block.parentLink.0,
                integer(soft_block.anchorNumber)?,
                soft_block.anchorHash.0
            ],
            |row| row.get(0),
        )?;
        Ok(bytes.and_then(|bytes| Signature::from_raw(&bytes).ok()))
    }

    /// SQLite rolls back whatever a panicking thread left unfinished, so that a poisoned lock protects nothing.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn history(connection: &Connection, number: u64, parent_link: Link) -> Result<Vec<Intent>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT anchor_number, anchor_hash, block_hash FROM intents WHERE number = ?1 AND parent_link = ?2",
    )?;
    let rows = statement.query_map(params![integer(number)?, parent_link.0.0], |row| {
        Ok(Intent {
            anchor: Anchor {
                number: u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
                hash: B256::from(row.get::<_, [u8; 32]>(1)?),
            },
            block_hash: B256::from(row.get::<_, [u8; 32]>(2)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn count(connection: &Connection) -> Result<u64, JournalError> {
    let count: i64 = connection.query_row("SELECT count(*) FROM intents", [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// SQLite's integers are signed.
fn integer(value: u64) -> Result<i64, JournalError> {
    i64::try_from(value).map_err(|_| JournalError::TooLarge(value))
}
