//! Packs: the blocks that an image's boot, or a program's start, reads, in one object instead of in the many chunks they are
//! strewn over.
//!
//! Whoever makes an image boots it once and notes which blocks are read (`scripts/src/profile`). They are put into *boot
//! packs*, in the order of the boot, so that it can begin when the first ones are there. Programs that are likely to be
//! started can have packs too, which are fetched as the program goes on ([`crate::packs`]). A pack is stored, named,
//! encoded, sent and cached as a chunk is; the manifest lists packs together with what each has, so that nothing in a pack
//! itself needs to be interpreted, and so that a disk knows at once which reads a pack will answer:
//!
//! ```text
//! pack   = [root page, leaf pages listed in "index"] blocks listed in "blocks"
//! ```
//!
//! One after the other, ascending, nothing in between: all lengths follow from the [`Layout`]. Index pages ride along for
//! reads that no pack answers; they are looked up by their digests as if they had been fetched.
//!
//! Packs hold nothing that chunks don't. A disk that can't have one reads chunks instead.

use std::ops::Range;

use crate::digest::{ChunkDigest, DIGEST_BYTES};
use crate::layout::{Layout, ROOT_BYTES_MAX};
use crate::overlay::BLOCK_BYTES;
use crate::runs::Runs;

/// Packs of an image: those of its boot and of a few programs. Each is looked into when a block is read.
pub const PACKS_MAX: usize = 32;
/// Bytes of a pack, decoded: as much as any object may have that a Worker decodes.
pub const PACK_BYTES_MAX: usize = ROOT_BYTES_MAX as usize;
/// Bytes of all packs: they stay in memory once they have been fetched. Whatever reads more reads the rest from chunks.
pub const ALL_PACKS_BYTES_MAX: u64 = 64 << 20;
/// Runs of blocks or pages listed for one pack: 30 KB of a manifest.
pub const PACK_RUNS_MAX: usize = 2048;

/// A pack and what is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pack {
    /// Its name.
    pub digest: ChunkDigest,
    /// The block whose reading is the sign that a program has been started; `None`: the pack is needed for the boot. Packs
    /// with the same block are one program's, in the order in which it needs them.
    pub on: Option<u64>,
    /// Leaf pages of the index, which the root page precedes; `None`: neither.
    pub index: Option<Runs>,
    /// Blocks of 4 KiB of the image.
    pub blocks: Runs,
}

/// A piece of a pack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// The index's root page.
    Root,
    /// A leaf page, by its number.
    Leaf(u64),
    /// Consecutive blocks.
    Blocks(Range<u64>),
}

/// Blocks in an image; the last one may be shorter.
#[must_use]
pub fn block_count(layout: Layout) -> u64 {
    layout.size_bytes().div_ceil(BLOCK_BYTES as u64)
}

impl Part {
    /// Its length in bytes.
    #[must_use]
    pub fn len_bytes(&self, layout: Layout) -> u64 {
        match self {
            Part::Root => layout.leaf_count() * DIGEST_BYTES as u64,
            Part::Leaf(leaf) => (layout.leaf_len(*leaf) * DIGEST_BYTES) as u64,
            Part::Blocks(blocks) => {
                let end = |block: u64| block.saturating_mul(BLOCK_BYTES as u64).min(layout.size_bytes());
                end(blocks.end) - end(blocks.start)
            }
        }
    }
}

impl Pack {
    /// What it consists of, in order.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        let root = self.index.iter().map(|_| Part::Root);
        let leaves = self.index.iter().flat_map(|leaves| leaves.iter().flatten().map(Part::Leaf));
        root.chain(leaves).chain(self.blocks.iter().map(Part::Blocks))
    }

    /// Completes a pack, whose digest is not known yet, with what `read` delivers; returns its bytes too.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn build<E>(
        mut self,
        layout: Layout,
        mut read: impl FnMut(&Part, &mut [u8]) -> Result<(), E>,
    ) -> Result<(Pack, Vec<u8>), E> {
        let mut bytes = Vec::new();
        for part in self.parts() {
            let start = bytes.len();
            bytes.resize(start + part.len_bytes(layout) as usize, 0);
            read(&part, &mut bytes[start..])?;
        }
        self.digest = ChunkDigest::of(&bytes);
        Ok((self, bytes))
    }

    /// Its length, decoded. The lists must be within the layout.
    #[must_use]
    pub fn len_bytes(&self, layout: Layout) -> u64 {
        self.parts().map(|part| part.len_bytes(layout)).fold(0, u64::saturating_add)
    }
}

/// Looks at all packs of an image together; each one's lists are within the layout already.
///
/// # Errors
/// What is wrong, for whoever made the manifest.
pub fn check(layout: Layout, packs: &[Pack]) -> Result<(), String> {
    if packs.len() > PACKS_MAX {
        return Err(format!("it names {} packs, {PACKS_MAX} are allowed", packs.len()));
    }
    for (position, pack) in packs.iter().enumerate() {
        if pack.digest.is_zero() {
            return Err("a pack of zeros has no object".into());
        }
        if packs[..position].iter().any(|other| other.digest == pack.digest) {
            return Err(format!("pack {} is there twice", pack.digest));
        }
        let len = pack.len_bytes(layout);
        if len > PACK_BYTES_MAX as u64 {
            return Err(format!("pack {} has {len} bytes, {PACK_BYTES_MAX} are allowed", pack.digest));
        }
    }
    let total: u64 = packs.iter().map(|pack| pack.len_bytes(layout)).sum();
    if total > ALL_PACKS_BYTES_MAX {
        return Err(format!("they have {total} bytes together, {ALL_PACKS_BYTES_MAX} are allowed"));
    }
    Ok(())
}

/// Packs for tests.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::layout::CHUNK_BYTES_MIN;

    /// 101 blocks, the last of which has 5 bytes.
    pub fn layout() -> Layout {
        Layout::new(100 * 4096 + 5, CHUNK_BYTES_MIN).expect("layout")
    }

    fn runs(text: &str) -> Runs {
        Runs::parse(text, u64::MAX, PACK_RUNS_MAX).expect(text)
    }

    /// A pack of the boot, with these runs in it.
    pub fn pack(name: &str, index: Option<&str>, blocks: &str) -> Pack {
        Pack { digest: ChunkDigest::of(name.as_bytes()), on: None, index: index.map(runs), blocks: runs(blocks) }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{layout, pack};
    use super::*;
    use crate::layout::CHUNK_BYTES_MIN;

    #[test]
    fn lengths_follow_from_the_layout() {
        let layout = layout();
        assert_eq!(block_count(layout), 101);
        let pack = pack("a", Some("0"), "3,7-8,100");
        let lengths: Vec<_> = pack.parts().map(|part| part.len_bytes(layout)).collect();
        assert_eq!(lengths, [32, 101 * 32, 4096, 8192, 5]);
        assert_eq!(pack.len_bytes(layout), 32 + 101 * 32 + 3 * 4096 + 5);
    }

    #[test]
    fn what_can_not_be_right() {
        let cases = [
            (vec![pack("a", None, "1"), pack("a", None, "2")], "is there twice"),
            (vec![pack("\0", None, "1")], "zeros"),
            (vec![pack("a", None, "0-1024")], "bytes, 4194304 are allowed"),
            ((0..33).map(|n| pack(&n.to_string(), None, &n.to_string())).collect(), "33 packs"),
            ((0..17).map(|n| pack(&n.to_string(), None, "0-1023")).collect(), "71303168 bytes together"),
        ];
        let layout = Layout::new(1 << 30, CHUNK_BYTES_MIN).expect("layout");
        for (packs, why) in cases {
            assert!(check(layout, &packs).is_err_and(|error| error.contains(why)), "{why}");
        }
        assert_eq!(check(layout, &[pack("a", Some(""), "1-3"), pack("b", None, "0,4")]), Ok(()));
    }
}
