//! Fingerprints of inputs, so that finished work is not done again.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use disk::ChunkDigest;

/// Raised when the same inputs give another image than before.
const RECIPE_VERSION: u32 = 2;

/// Collects what an output depends on.
pub struct Fingerprint(Vec<u8>);

impl Fingerprint {
    pub fn new() -> Self {
        Fingerprint(RECIPE_VERSION.to_le_bytes().to_vec())
    }

    /// Adds a value.
    pub fn add(&mut self, value: &[u8]) {
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value);
    }

    /// Adds the names, sizes and times of all files at and below `path`; not their contents, which may be large.
    pub fn add_files(&mut self, path: &Path) -> Result<()> {
        self.add_files_except(path, &[])
    }

    /// [`Self::add_files`] without what lies at `excluded` paths, such as the tool's own output.
    pub fn add_files_except(&mut self, path: &Path, excluded: &[&Path]) -> Result<()> {
        if excluded.contains(&path) {
            return Ok(());
        }
        let status = fs::symlink_metadata(path).with_context(|| path.display().to_string())?;
        // The name alone: where the project lies makes no difference.
        self.add(path.file_name().unwrap_or_default().as_encoded_bytes());
        if status.is_dir() {
            let mut children: Vec<_> = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
            children.sort();
            return children.iter().try_for_each(|child| self.add_files_except(child, excluded));
        }
        self.add(&status.len().to_le_bytes());
        let modified = status.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.add(&modified.as_nanos().to_le_bytes());
        Ok(())
    }

    /// Whether `stamp` holds this fingerprint.
    pub fn is_at(&self, stamp: &Path) -> bool {
        fs::read_to_string(stamp).is_ok_and(|text| text.trim() == self.text())
    }

    /// Notes in `stamp` that the work is done.
    pub fn write(&self, stamp: &Path) -> Result<()> {
        fs::write(stamp, self.text()).with_context(|| stamp.display().to_string())
    }

    fn text(&self) -> String {
        ChunkDigest::of(&self.0).to_string()
    }
}
