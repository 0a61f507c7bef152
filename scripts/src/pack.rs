//! Cutting a raw image into chunks, with index and manifest, in a directory (`disk::directory` has its layout).
//!
//! A chunk whose file exists is not compressed again, so packing a slightly changed image costs little more than
//! reading it. Files appear under their names only when they are complete: an interrupted run is just repeated.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use disk::codec::{self, Quality};
use disk::directory::{chunk_path, manifest_path};
use disk::index::{BuiltPage, IndexBuilder};
use disk::{ChunkDigest, DirectorySource, ImageConfig, Layout, Manifest};

use crate::holes::is_hole;
use crate::progress::Progress;

/// What packing did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Packed {
    /// Chunks and index pages that are not zero.
    pub chunks: u64,
    /// Of these, those that had to be compressed and written.
    pub new_chunks: u64,
    /// Size of what was written.
    pub new_bytes: u64,
}

/// A directory of chunks and manifests.
pub struct Store {
    root: PathBuf,
}

impl Store {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Store { root: root.into() }
    }

    /// Packs the raw image at `path` under the name `name`.
    pub fn pack(
        &self,
        path: &Path,
        name: &str,
        config: ImageConfig,
        chunk_bytes: u32,
        quality: Quality,
        progress: &Progress,
    ) -> Result<Packed> {
        let image = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let layout = Layout::new(image.metadata()?.len(), chunk_bytes)?;
        progress.start("packing", layout.size_bytes());
        let counters = Counters::default();
        let digests = self.pack_chunks(&image, layout, quality, progress, &counters)?;
        let mut index = IndexBuilder::new(layout);
        for digest in digests {
            if let Some(leaf) = index.push(digest) {
                self.put_page(&leaf, quality, &counters)?;
            }
        }
        let root = index.finish();
        self.put_page(&root, quality, &counters)?;
        let manifest = Manifest { layout, index_root: root.digest, config, packs: Vec::new() };
        self.put_manifest(name, &manifest)?;
        progress.finish();
        Ok(counters.total())
    }

    /// Stores all chunks, on every core; returns their digests in order.
    fn pack_chunks(
        &self,
        image: &File,
        layout: Layout,
        quality: Quality,
        progress: &Progress,
        counters: &Counters,
    ) -> Result<Vec<ChunkDigest>> {
        let digests = Mutex::new(vec![ChunkDigest::ZERO; layout.chunk_count() as usize]);
        let next = AtomicU64::new(0);
        let work = || -> Result<()> {
            let mut buffer = vec![0; layout.chunk_bytes() as usize];
            loop {
                let chunk = next.fetch_add(1, Ordering::Relaxed);
                if chunk >= layout.chunk_count() {
                    return Ok(());
                }
                let bytes = &mut buffer[..layout.chunk_len(chunk)];
                progress.add(bytes.len() as u64);
                let offset = chunk * u64::from(layout.chunk_bytes());
                if is_hole(image, offset, bytes.len() as u64) {
                    continue;
                }
                image.read_exact_at(bytes, offset)?;
                let digest = ChunkDigest::of(bytes);
                self.put(&digest, bytes, quality, counters)?;
                digests.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[chunk as usize] = digest;
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, Result<()>>| match worker.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            workers.into_iter().try_for_each(join)
        })?;
        Ok(digests.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// What is in it, to be read.
    pub fn source(&self) -> DirectorySource {
        DirectorySource::new(&self.root)
    }

    /// Stores the manifest of image `name`, in place of the one it has.
    pub fn put_manifest(&self, name: &str, manifest: &Manifest) -> Result<()> {
        self.write_file(&self.root.join(manifest_path(name)), manifest.to_json().as_bytes())
    }

    /// Stores one object, whether it is there or not; returns how many bytes it takes.
    pub fn put_object(&self, digest: &ChunkDigest, bytes: &[u8], quality: Quality) -> Result<u64> {
        let encoded = codec::encode(bytes, quality);
        self.write_file(&self.root.join(chunk_path(digest)), &encoded)?;
        Ok(encoded.len() as u64)
    }

    fn put_page(&self, page: &BuiltPage, quality: Quality, counters: &Counters) -> Result<()> {
        self.put(&page.digest, &page.bytes, quality, counters)
    }

    fn put(&self, digest: &ChunkDigest, bytes: &[u8], quality: Quality, counters: &Counters) -> Result<()> {
        if digest.is_zero() {
            return Ok(());
        }
        counters.chunks.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(chunk_path(digest));
        if path.exists() {
            return Ok(());
        }
        let encoded = codec::encode(bytes, quality);
        counters.new_chunks.fetch_add(1, Ordering::Relaxed);
        counters.new_bytes.fetch_add(encoded.len() as u64, Ordering::Relaxed);
        self.write_file(&path, &encoded)
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let directory = path.parent().context("a file has a directory")?;
        fs::create_dir_all(directory)?;
        // Readable by whoever serves it, unlike temporary files by default.
        let permissions = fs::Permissions::from_mode(0o644);
        let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(directory)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.persist(path).with_context(|| format!("writing {}", path.display()))?;
        Ok(())
    }
}

#[derive(Default)]
struct Counters {
    chunks: AtomicU64,
    new_chunks: AtomicU64,
    new_bytes: AtomicU64,
}

impl Counters {
    fn total(&self) -> Packed {
        Packed {
            chunks: self.chunks.load(Ordering::Relaxed),
            new_chunks: self.new_chunks.load(Ordering::Relaxed),
            new_bytes: self.new_bytes.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::layout::CHUNK_BYTES;
    use disk::{BlockDevice, BlockError, Disk};

    fn pack(store: &Path, image: &[u8]) -> Packed {
        let path = store.join("image");
        fs::write(&path, image).expect("written");
        let config = ImageConfig::default();
        Store::new(store).pack(&path, "x", config, CHUNK_BYTES, Quality::QUICK, &Progress::new()).expect("packed")
    }

    fn open(store: &Path) -> Disk<DirectorySource> {
        let source = DirectorySource::new(store);
        Disk::new(&source.manifest("x").expect("manifest"), source)
    }

    fn image() -> Vec<u8> {
        let mut image: Vec<u8> = (0..1_000_000u32).flat_map(|number| (number / 3).to_le_bytes()).collect();
        image.extend(vec![0; 1_000_000]);
        image.extend(b"the end");
        image
    }

    #[test]
    fn what_is_packed_is_read_back() {
        let store = tempfile::tempdir().expect("directory");
        let image = image();
        let packed = pack(store.path(), &image);
        assert!(packed.chunks < image.len() as u64 / u64::from(CHUNK_BYTES), "zero chunks are not stored");
        let mut bytes = vec![0; image.len()];
        open(store.path()).read(0, &mut bytes).expect("read");
        assert!(bytes == image);
    }

    #[test]
    fn only_what_changed_is_packed_again() {
        let store = tempfile::tempdir().expect("directory");
        let mut image = image();
        pack(store.path(), &image);
        assert_eq!(pack(store.path(), &image).new_chunks, 0);
        image[500_000] ^= 1;
        assert_eq!(pack(store.path(), &image).new_chunks, 3, "the chunk, its leaf page, the root page");
    }

    #[test]
    fn holes_cost_nothing() {
        let store = tempfile::tempdir().expect("directory");
        let path = store.path().join("image");
        let size = 64 << 30;
        let file = File::create(&path).expect("file");
        file.set_len(size).expect("length");
        file.write_all_at(b"here", size / 2).expect("written");
        let config = ImageConfig::default();
        let packed = Store::new(store.path()).pack(&path, "x", config, CHUNK_BYTES, Quality::QUICK, &Progress::new());
        assert_eq!(packed.expect("packed").chunks, 3, "the chunk, its leaf page, the root page");
        let mut bytes = [0; 6];
        open(store.path()).read(size / 2 - 1, &mut bytes).expect("read");
        assert_eq!(&bytes, b"\0here\0");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let store = tempfile::tempdir().expect("directory");
        let image = image();
        pack(store.path(), &image);
        let digest = ChunkDigest::of(&image[..CHUNK_BYTES as usize]);
        let path = store.path().join(chunk_path(&digest));
        let bytes = fs::read(&path).expect("chunk");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
        let outcome = open(store.path()).read(0, &mut [0; 10]);
        assert!(matches!(&outcome, Err(BlockError::Failed(why)) if why.contains(&digest.to_string())), "{outcome:?}");
        fs::remove_file(path).expect("removed");
        assert!(matches!(open(store.path()).read(0, &mut [0; 10]), Err(BlockError::Failed(_))));
        open(store.path()).read(u64::from(CHUNK_BYTES), &mut [0; 10]).expect("the others are fine");
    }
}
