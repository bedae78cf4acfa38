//! The committed files: one `{"abi": [...]}` a contract, pretty-printed so that a review sees what changed.

use eyre::{Context, Result};
use std::path::Path;

/// What is committed of one contract.
pub(crate) struct Artefact {
    /// The contract's name, and the file's.
    pub(crate) name: String,
    /// Its ABI.
    pub(crate) abi: serde_json::Value,
}

impl Artefact {
    fn file(&self) -> String {
        format!("{}.json", self.name)
    }

    fn text(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(&serde_json::json!({ "abi": self.abi }))?;
        text.push('\n');
        Ok(text)
    }
}

/// Writes all of them.
pub(crate) fn write(folder: &Path, artefacts: &[Artefact]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for artefact in artefacts {
        let path = folder.join(artefact.file());
        std::fs::write(&path, artefact.text()?).wrap_err_with(|| path.display().to_string())?;
    }
    Ok(())
}

/// The names of files that aren't what [`write`] would write, and of files that it wouldn't write at all.
pub(crate) fn differing(folder: &Path, artefacts: &[Artefact]) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for artefact in artefacts {
        if std::fs::read_to_string(folder.join(artefact.file())).ok() != Some(artefact.text()?) {
            stale.push(artefact.file());
        }
    }
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !artefacts.iter().any(|artefact| artefact.file() == name) {
            stale.push(name);
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_changed_missing_and_left_over_files() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("baton-artefact-{}", std::process::id()));
        let artefacts =
            ["Same", "Changed", "Missing"].map(|name| Artefact { name: name.into(), abi: serde_json::json!([name]) });
        write(&folder, &artefacts)?;
        std::fs::write(folder.join("Changed.json"), "{}")?;
        std::fs::remove_file(folder.join("Missing.json"))?;
        std::fs::write(folder.join("LeftOver.json"), "{}")?;
        let stale = differing(&folder, &artefacts)?;
        std::fs::remove_dir_all(&folder)?;
        assert_eq!(stale, ["Changed.json", "Missing.json", "LeftOver.json"]);
        Ok(())
    }
}
