//! The two-level index: which chunk holds which part of the image.
//!
//! A fetched page becomes an [`IndexPage`] if it has the length its place in the [`Layout`] demands.
//! Nothing more needs checking: every page was verified against its digest, and any 32 bytes are a digest.

use std::rc::Rc;

use crate::digest::{ChunkDigest, DIGEST_BYTES};
use crate::layout::{LEAF_CHUNKS, Layout};

/// A page of the index, validated.
#[derive(Clone, Debug)]
pub struct IndexPage(Rc<[u8]>);

impl IndexPage {
    /// Accepts the bytes of a page that must list `entries` digests; `None` if it has another length.
    #[must_use]
    pub fn new(bytes: Rc<[u8]>, entries: usize) -> Option<Self> {
        (entries.checked_mul(DIGEST_BYTES) == Some(bytes.len())).then_some(IndexPage(bytes))
    }

    /// The digest at `position`, if the page goes that far.
    #[must_use]
    pub fn digest(&self, position: usize) -> Option<ChunkDigest> {
        let start = position.checked_mul(DIGEST_BYTES)?;
        let bytes = self.0.get(start..start.checked_add(DIGEST_BYTES)?)?;
        Some(ChunkDigest::from_bytes(bytes.try_into().ok()?))
    }

    /// All digests, in the order of the image.
    pub fn digests(&self) -> impl Iterator<Item = ChunkDigest> {
        (0..self.0.len() / DIGEST_BYTES).filter_map(|position| self.digest(position))
    }
}

/// Where chunk `chunk` is listed: leaf page and position in it.
#[must_use]
pub fn place_of(chunk: u64) -> (u64, usize) {
    (chunk / LEAF_CHUNKS, (chunk % LEAF_CHUNKS) as usize)
}

/// A finished page, to be stored like a chunk unless its digest is zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuiltPage {
    /// Its name.
    pub digest: ChunkDigest,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl BuiltPage {
    fn of(bytes: Vec<u8>) -> Self {
        BuiltPage { digest: ChunkDigest::of(&bytes), bytes }
    }
}

/// Builds the index of an image from its chunks' digests in order, holding one leaf and the root.
#[derive(Debug)]
pub struct IndexBuilder {
    layout: Layout,
    chunks: u64,
    leaf: Vec<u8>,
    root: Vec<u8>,
}

impl IndexBuilder {
    /// An index without chunks yet.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        IndexBuilder { layout, chunks: 0, leaf: Vec::new(), root: Vec::new() }
    }

    /// Adds the next chunk; returns a leaf page when it completes one.
    ///
    /// # Panics
    /// If there are more chunks than the layout has.
    pub fn push(&mut self, digest: ChunkDigest) -> Option<BuiltPage> {
        assert!(self.chunks < self.layout.chunk_count(), "more chunks than the image has");
        self.leaf.extend_from_slice(digest.as_bytes());
        self.chunks += 1;
        let is_leaf_complete = self.chunks.is_multiple_of(LEAF_CHUNKS) || self.chunks == self.layout.chunk_count();
        is_leaf_complete.then(|| {
            let page = BuiltPage::of(std::mem::take(&mut self.leaf));
            self.root.extend_from_slice(page.digest.as_bytes());
            page
        })
    }

    /// The root page.
    ///
    /// # Panics
    /// If chunks are missing.
    #[must_use]
    pub fn finish(self) -> BuiltPage {
        assert_eq!(self.chunks, self.layout.chunk_count(), "chunks are missing");
        BuiltPage::of(self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::CHUNK_BYTES;

    fn digest_of_number(number: u64) -> ChunkDigest {
        ChunkDigest::of(&(number + 1).to_le_bytes())
    }

    #[test]
    fn what_is_built_is_found() {
        let layout = Layout::new(u64::from(CHUNK_BYTES) * (2 * LEAF_CHUNKS + 3) - 7, CHUNK_BYTES).expect("layout");
        let mut builder = IndexBuilder::new(layout);
        let leaves: Vec<_> = (0..layout.chunk_count()).filter_map(|n| builder.push(digest_of_number(n))).collect();
        let root = builder.finish();
        assert_eq!(leaves.len() as u64, layout.leaf_count());

        let root = IndexPage::new(root.bytes.into(), layout.leaf_count() as usize).expect("root");
        for chunk in [0, 1, LEAF_CHUNKS - 1, LEAF_CHUNKS, 2 * LEAF_CHUNKS, 2 * LEAF_CHUNKS + 2] {
            let (leaf, position) = place_of(chunk);
            let built = &leaves[leaf as usize];
            assert_eq!(root.digest(leaf as usize), Some(built.digest));
            let page = IndexPage::new(built.bytes.clone().into(), layout.leaf_len(leaf)).expect("leaf");
            assert_eq!(page.digest(position), Some(digest_of_number(chunk)));
        }
    }

    #[test]
    fn an_empty_image_needs_no_objects() {
        let layout = Layout::new(1 << 40, CHUNK_BYTES).expect("layout");
        let mut builder = IndexBuilder::new(layout);
        for _ in 0..layout.chunk_count() {
            if let Some(leaf) = builder.push(ChunkDigest::ZERO) {
                assert!(leaf.digest.is_zero());
            }
        }
        assert!(builder.finish().digest.is_zero());
    }

    #[test]
    fn a_page_of_another_length_is_refused() {
        let bytes: Rc<[u8]> = vec![1; DIGEST_BYTES * 2].into();
        assert!(IndexPage::new(bytes.clone(), 1).is_none());
        assert!(IndexPage::new(bytes.clone(), usize::MAX).is_none());
        let page = IndexPage::new(bytes, 2).expect("page");
        assert_eq!((page.digest(1).is_some(), page.digest(2), page.digest(usize::MAX)), (true, None, None));
    }

    proptest::proptest! {
        /// Any bytes of the right length are a page; others are none; and no position outside it has a digest.
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(0u8..=255, 0..700), entries: usize, position: usize) {
            let len = bytes.len();
            for entries in [entries, len / DIGEST_BYTES] {
                match IndexPage::new(bytes.clone().into(), entries) {
                    Some(page) => {
                        proptest::prop_assert_eq!(entries * DIGEST_BYTES, len);
                        proptest::prop_assert_eq!(page.digests().count(), entries);
                        proptest::prop_assert_eq!(page.digest(position).is_some(), position < entries);
                    }
                    None => proptest::prop_assert_ne!(entries.checked_mul(DIGEST_BYTES), Some(len)),
                }
            }
        }
    }
}
