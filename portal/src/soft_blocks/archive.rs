//! Where evidence is kept: a file for each block signed besides, and no more of one gateway than a bound, so that none can fill the disk or crowd out what accuses another.

use baton_protocol::{Delivered, Evidence, GatewayId};
use serde_json::value::RawValue;
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::{fs, io::AsyncWriteExt};

/// How many files of one gateway are kept.
const MOST_FILES: usize = 64;
/// How many bytes of one gateway's.
const MOST_BYTES: u64 = 256 << 20;

/// A kind of evidence, and how much is kept of one gateway when it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shelf {
    /// What files' names say of it. What may be honest mustn't lie where something that accuses would, about the same block.
    mark: &'static str,
    files: usize,
    bytes: u64,
}

impl Shelf {
    /// For what accuses.
    pub(crate) const fn of_accusing() -> Self {
        Self { mark: "", files: MOST_FILES, bytes: MOST_BYTES }
    }

    /// For what may be honest: it leaves half of the room to what accuses.
    pub(crate) const fn of_doubtful() -> Self {
        Self { mark: "-doubtful", files: MOST_FILES / 2, bytes: MOST_BYTES / 2 }
    }
}

/// Why evidence isn't kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It can't be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The bound is reached. What came first is kept.
    #[error("{files} files with {bytes} bytes of this gateway's are there; move them to make room for more")]
    Full {
        /// How many there are.
        files: usize,
        /// How long they are together.
        bytes: u64,
    },
}

/// Whether files can be kept in a directory, which is made if there is none: better known before there is evidence than after.
pub(crate) fn try_out(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let path = directory.join(format!("{}.partial", std::process::id()));
    std::fs::write(&path, "")?;
    match std::fs::remove_file(path) {
        // Another try has been as far.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Keeps evidence as a file of its own, and says which. If there is one of this kind about the other block, that stays.
pub(crate) async fn keep(
    directory: &Path,
    evidence: &Evidence<&RawValue>,
    Shelf { mark, files: most_files, bytes: most_bytes }: Shelf,
) -> Result<PathBuf, ArchiveError> {
    let (gateway, other) = (evidence.other.gateway, &evidence.other.soft_block);
    let delivered = match evidence.delivered {
        Delivered::Item(_) => "item",
        Delivered::Payload(_) => "payload",
    };
    let path = directory.join(format!("{gateway}-{}-{}-{delivered}{mark}.json", other.number, other.blockHash));
    if fs::try_exists(&path).await? {
        return Ok(path);
    }
    let text = serde_json::to_vec(evidence)?;
    fs::create_dir_all(directory).await?;
    let (files, bytes) = kept_of(directory, gateway).await?;
    if files >= most_files || bytes.saturating_add(text.len() as u64) > most_bytes {
        return Err(ArchiveError::Full { files, bytes });
    }
    // Under its name it is there whole or not at all, after a loss of power too.
    let partial = path.with_extension("partial");
    let mut file = fs::File::create(&partial).await?;
    file.write_all(&text).await?;
    // A write that fails later than it was taken is said by this alone.
    file.flush().await?;
    file.sync_all().await?;
    fs::rename(&partial, &path).await?;
    fs::File::open(directory).await?.sync_all().await?;
    Ok(path)
}

/// How many files there are of a gateway, and how long they are together. Those that were never finished count, too.
async fn kept_of(directory: &Path, gateway: GatewayId) -> io::Result<(usize, u64)> {
    let (mut files, mut bytes) = (0, 0);
    let prefix = format!("{gateway}-");
    let mut entries = fs::read_dir(directory).await?;
    while let Some(entry) = entries.next_entry().await? {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            files += 1;
            bytes += entry.metadata().await?.len();
        }
    }
    Ok((files, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{Address, B256};
    use baton_protocol::{FeedItem, SoftBlock};

    async fn keep_in(directory: &Path, gateway: GatewayId, number: u64, shelf: Shelf) -> Result<PathBuf, ArchiveError> {
        let soft_block = SoftBlock {
            number,
            parentLink: B256::ZERO,
            blockHash: B256::ZERO,
            anchorNumber: 1,
            anchorHash: B256::ZERO,
        };
        let other = FeedItem { gateway, soft_block, signature: Default::default(), block: vec![0; 1000].into() };
        let payload = serde_json::value::to_raw_value("payload").expect("JSON");
        let delivered = Delivered::Payload(&*payload);
        keep(directory, &Evidence { chain_id: 1, inbox: Address::ZERO, other, delivered }, shelf).await
    }

    #[test]
    fn a_directory_is_tried_out_and_left_as_it_was() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let archive = directory.path().join("new/archive");
        for _ in 0..2 {
            try_out(&archive).expect("it can be written to");
            assert_eq!(std::fs::read_dir(&archive).expect("there").count(), 0);
        }
        let file = directory.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert!(try_out(&file).is_err() && try_out(&file.join("archive")).is_err());
    }

    #[tokio::test]
    async fn no_gateway_fills_the_disk_or_crowds_out_another() {
        let few = Shelf { files: 3, ..Shelf::of_accusing() };
        for (shelf, most) in [(few, 3), (Shelf { bytes: 6000, ..Shelf::of_accusing() }, 2)] {
            let directory = tempfile::tempdir().expect("temporary directory");
            let archive = directory.path().join("new");
            let mut kept = Vec::new();
            for number in 0..10 {
                match keep_in(&archive, 1, number, shelf).await {
                    Ok(path) => kept.push(path),
                    Err(error) => {
                        assert!(matches!(error, ArchiveError::Full { files, .. } if files == most), "{error}")
                    }
                }
            }
            assert_eq!(kept.len(), most, "the oldest");
            assert!(kept.iter().enumerate().all(|(number, path)| {
                path.exists() && path.ends_with(format!("1-{number}-{}-payload.json", B256::ZERO))
            }));
            // What is there needs no more room, and others have their own.
            assert_eq!(keep_in(&archive, 1, 0, shelf).await.expect("there"), kept[0]);
            keep_in(&archive, 11, 0, shelf).await.expect("another's");
            assert_eq!(std::fs::read_dir(&archive).expect("there").count(), most + 1);
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_the_disk_has_no_room_for_is_not_kept() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let name = directory.path().join(format!("1-0-{}-payload", B256::ZERO));
        // Which takes nothing, and can't be synchronized either: the first must be what is said.
        std::os::unix::fs::symlink("/dev/full", name.with_extension("partial")).expect("a link");
        let kept = keep_in(directory.path(), 1, 0, Shelf::of_accusing()).await;
        assert!(
            matches!(&kept, Err(ArchiveError::Io(error)) if error.kind() == io::ErrorKind::StorageFull),
            "{kept:?}"
        );
        assert!(!name.with_extension("json").exists());
    }

    #[tokio::test]
    async fn what_may_be_honest_is_not_taken_for_what_accuses() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let [doubtful, accusing] = [Shelf::of_doubtful(), Shelf::of_accusing()];
        let doubtful = keep_in(directory.path(), 1, 0, doubtful).await.expect("kept");
        let accusing = keep_in(directory.path(), 1, 0, accusing).await.expect("kept");
        assert!(doubtful != accusing && doubtful.exists() && accusing.exists(), "{doubtful:?}, {accusing:?}");
    }
}
