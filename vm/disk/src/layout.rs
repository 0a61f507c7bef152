//! `Layout`: where a byte of the raw image is found among chunks and index pages.
//!
//! The image is cut into chunks of equal size; the last one ends where the image ends. The index has two levels:
//! a *leaf page* lists the digests of [`LEAF_CHUNKS`] consecutive chunks, the *root page* lists the leaf pages'.
//! A page is nothing but digests, [`DIGEST_BYTES`] each, and is itself stored as a chunk.

use std::fmt;

use crate::digest::DIGEST_BYTES;

/// Bytes in a chunk of a new image.
///
/// Smaller chunks waste less on a program that touches one page of a library, larger ones need fewer requests and
/// compress better. At 128 KiB a chunk of binaries is about 45 KB on the wire, which is what a connection moves in
/// the time of one round trip.
pub const CHUNK_BYTES: u32 = 128 << 10;

/// Chunks listed by one leaf page: 128 KiB of digests, one leaf for 512 MiB of image, so that a 1 TB image has a root
/// page of 64 KiB.
pub const LEAF_CHUNKS: u64 = 4096;

/// Smallest chunk: a page of guest memory.
pub const CHUNK_BYTES_MIN: u32 = 4 << 10;
/// Largest chunk: what a Worker can decode within its time limit and a visitor can wait for.
pub const CHUNK_BYTES_MAX: u32 = 1 << 20;
/// Largest image: what ext2 can address with 32-bit block numbers and 4 KiB blocks. Bounds the root page.
pub const IMAGE_BYTES_MAX: u64 = 16 << 40;
/// Largest root page a reader accepts, in bytes; the image must be cut into larger chunks beyond that.
pub const ROOT_BYTES_MAX: u64 = 4 << 20;

/// A layout that can't be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LayoutError {
    /// Empty or over [`IMAGE_BYTES_MAX`].
    ImageSize(u64),
    /// Not a power of two between [`CHUNK_BYTES_MIN`] and [`CHUNK_BYTES_MAX`].
    ChunkSize(u32),
    /// A root page over [`ROOT_BYTES_MAX`].
    RootSize(u64),
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayoutError::ImageSize(size) => {
                write!(f, "an image has between 1 and {IMAGE_BYTES_MAX} bytes, this one says {size}")
            }
            LayoutError::ChunkSize(size) => write!(
                f,
                "a chunk has a power of two between {CHUNK_BYTES_MIN} and {CHUNK_BYTES_MAX} bytes, this image says {size}"
            ),
            LayoutError::RootSize(size) => {
                write!(f, "the index needs {size} bytes at its root, more than {ROOT_BYTES_MAX}: use larger chunks")
            }
        }
    }
}

impl std::error::Error for LayoutError {}

/// Image and chunk size, validated, and the arithmetic that follows from them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    size_bytes: u64,
    chunk_bytes: u32,
}

impl Layout {
    /// Checks the two numbers a manifest states.
    ///
    /// # Errors
    /// See [`LayoutError`].
    pub fn new(size_bytes: u64, chunk_bytes: u32) -> Result<Self, LayoutError> {
        if size_bytes == 0 || size_bytes > IMAGE_BYTES_MAX {
            return Err(LayoutError::ImageSize(size_bytes));
        }
        if !chunk_bytes.is_power_of_two() || !(CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&chunk_bytes) {
            return Err(LayoutError::ChunkSize(chunk_bytes));
        }
        let layout = Layout { size_bytes, chunk_bytes };
        let root_bytes = layout.leaf_count() * DIGEST_BYTES as u64;
        if root_bytes > ROOT_BYTES_MAX { Err(LayoutError::RootSize(root_bytes)) } else { Ok(layout) }
    }

    /// Bytes in the raw image.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Bytes in every chunk but the last.
    #[must_use]
    pub fn chunk_bytes(&self) -> u32 {
        self.chunk_bytes
    }

    /// Chunks in the image.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        self.size_bytes.div_ceil(u64::from(self.chunk_bytes))
    }

    /// Leaf pages in the index.
    #[must_use]
    pub fn leaf_count(&self) -> u64 {
        self.chunk_count().div_ceil(LEAF_CHUNKS)
    }

    /// The chunk that has the byte at `offset`, and the byte's place in it.
    #[must_use]
    pub fn locate(&self, offset: u64) -> (u64, usize) {
        let chunk_bytes = u64::from(self.chunk_bytes);
        (offset / chunk_bytes, (offset % chunk_bytes) as usize)
    }

    /// Bytes in chunk `chunk`; none beyond the end.
    #[must_use]
    pub fn chunk_len(&self, chunk: u64) -> usize {
        let start = chunk.saturating_mul(u64::from(self.chunk_bytes));
        self.size_bytes.saturating_sub(start).min(u64::from(self.chunk_bytes)) as usize
    }

    /// Digests in leaf page `leaf`.
    #[must_use]
    pub fn leaf_len(&self, leaf: u64) -> usize {
        self.chunk_count().saturating_sub(leaf.saturating_mul(LEAF_CHUNKS)).min(LEAF_CHUNKS) as usize
    }

    /// The byte range `offset..offset + len`, if the image has all of it.
    #[must_use]
    pub fn contains(&self, offset: u64, len: u64) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.size_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_a_terabyte_costs_less_than_100_kb() {
        let layout = Layout::new(1 << 40, CHUNK_BYTES).expect("1 TiB");
        let root_bytes = layout.leaf_count() * DIGEST_BYTES as u64;
        assert_eq!(root_bytes, 65_536);
        assert_eq!(layout.locate((1 << 40) - 1), (layout.chunk_count() - 1, CHUNK_BYTES as usize - 1));
    }

    #[test]
    fn the_last_chunk_and_leaf_end_with_the_image() {
        let layout = Layout::new(u64::from(CHUNK_BYTES) * (LEAF_CHUNKS + 1) - 5, CHUNK_BYTES).expect("layout");
        assert_eq!((layout.chunk_count(), layout.leaf_count()), (LEAF_CHUNKS + 1, 2));
        assert_eq!((layout.leaf_len(0), layout.leaf_len(1), layout.leaf_len(2)), (LEAF_CHUNKS as usize, 1, 0));
        assert_eq!(layout.chunk_len(LEAF_CHUNKS), CHUNK_BYTES as usize - 5);
        assert_eq!(layout.chunk_len(LEAF_CHUNKS + 1), 0);
        assert_eq!(layout.chunk_len(u64::MAX), 0);
    }

    #[test]
    fn odd_numbers_are_refused() {
        assert_eq!(Layout::new(0, CHUNK_BYTES), Err(LayoutError::ImageSize(0)));
        assert_eq!(Layout::new(u64::MAX, CHUNK_BYTES), Err(LayoutError::ImageSize(u64::MAX)));
        for chunk_bytes in [0, 1, 4095, 4097, CHUNK_BYTES + 1, CHUNK_BYTES_MAX * 2, u32::MAX] {
            assert_eq!(Layout::new(1, chunk_bytes), Err(LayoutError::ChunkSize(chunk_bytes)));
        }
        assert!(matches!(Layout::new(IMAGE_BYTES_MAX, CHUNK_BYTES_MIN), Err(LayoutError::RootSize(_))));
    }
}
