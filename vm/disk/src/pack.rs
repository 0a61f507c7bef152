//! Packs: the blocks that an image's boot, or a program's start, reads, in one object instead of in the many chunks they are
//! strewn over.
//!
//! Whoever makes an image boots it once and notes which blocks are read (`scripts/src/profile`). They are put into *boot
//! packs*, in the order of the boot, so that it can begin when the first one is there. Programs that are likely to be
//! started can have packs too: the first one is fetched when a certain block is read, that which the program's file begins
//! with, and each other one when a block is read that is in the one before. A pack is stored, named, encoded, sent and
//! cached as a chunk is; the manifest lists packs together with what each has, so that nothing in a pack itself needs to
//! be interpreted, and so that a disk knows at once which reads a pack will answer:
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
use std::rc::Rc;

use crate::device::BlockError;
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
    /// The block whose reading is the sign that it will be needed; `None`: it is needed for the boot. If not this pack has
    /// the block but the one listed before, then only after that one has been asked for: others read this block too.
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

enum State {
    /// Its block has not been read yet.
    Dormant,
    /// Nobody has asked for it yet, or it is on its way.
    Coming,
    Here(Rc<[u8]>),
    /// It can't be had.
    Lost,
}

/// A pack of a disk.
struct Held {
    pack: Pack,
    len: usize,
    /// Its runs of blocks, and where in it each is.
    runs: Vec<(Range<u64>, usize)>,
    /// The pack before it must have been asked for.
    follows: bool,
    state: State,
}

impl Held {
    fn new(layout: Layout, pack: &Pack) -> Self {
        let (mut runs, mut len) = (Vec::new(), 0);
        for part in pack.parts() {
            let part_len = part.len_bytes(layout) as usize;
            if let Part::Blocks(blocks) = part {
                runs.push((blocks, len));
            }
            len += part_len;
        }
        let state = if pack.on.is_some() { State::Dormant } else { State::Coming };
        Held { pack: pack.clone(), len, runs, follows: false, state }
    }

    /// Where in the pack a block is.
    fn place(&self, block: u64) -> Option<usize> {
        let after = self.runs.partition_point(|(blocks, _)| blocks.start <= block);
        let (blocks, offset) = self.runs.get(after.checked_sub(1)?)?;
        blocks.contains(&block).then(|| offset + (block - blocks.start) as usize * BLOCK_BYTES)
    }
}

/// The packs of a disk, as far as they have arrived. They stay in memory, up to [`ALL_PACKS_BYTES_MAX`].
pub struct Packs {
    layout: Layout,
    packs: Vec<Held>,
}

impl Packs {
    /// Packs that [`check`] has accepted, none of them here.
    #[must_use]
    pub fn new(layout: Layout, packs: &[Pack]) -> Self {
        let mut held: Vec<_> = packs.iter().map(|pack| Held::new(layout, pack)).collect();
        for (held, before) in held.iter_mut().skip(1).zip(packs) {
            let follows = |on| before.blocks.contains(on) && !held.pack.blocks.contains(on);
            held.follows = held.pack.on.is_some_and(follows);
        }
        Packs { layout, packs: held }
    }

    /// What has to be fetched for the boot, in order: digests and lengths.
    #[must_use]
    pub fn of_boot(&self) -> Vec<(ChunkDigest, usize)> {
        let is_of_boot = |held: &&Held| held.pack.on.is_none();
        self.packs.iter().filter(is_of_boot).map(|held| (held.pack.digest, held.len)).collect()
    }

    /// What has to be fetched because `block` is being read.
    pub fn woken_by(&mut self, block: u64) -> Vec<(ChunkDigest, usize)> {
        let mut woken = Vec::new();
        let mut is_before_awake = true;
        for held in &mut self.packs {
            let is_woken = held.pack.on == Some(block) && (is_before_awake || !held.follows);
            is_before_awake = !matches!(held.state, State::Dormant);
            if is_woken && !is_before_awake {
                held.state = State::Coming;
                woken.push((held.pack.digest, held.len));
            }
        }
        woken
    }

    /// Whether `digest` is that of a pack that is to come.
    #[must_use]
    pub fn awaits(&self, digest: &ChunkDigest) -> bool {
        self.packs.iter().any(|held| held.pack.digest == *digest && matches!(held.state, State::Coming))
    }

    /// Takes a pack, verified; returns the index pages in it. One of another length than its lists say is of no use.
    pub fn arrived(&mut self, digest: &ChunkDigest, bytes: Rc<[u8]>) -> Vec<Rc<[u8]>> {
        let layout = self.layout;
        let Some(held) = self.packs.iter_mut().find(|held| held.pack.digest == *digest) else { return Vec::new() };
        if held.len != bytes.len() {
            held.state = State::Lost;
            return Vec::new();
        }
        let mut pages = Vec::new();
        let mut offset = 0;
        for part in held.pack.parts() {
            let end = offset + part.len_bytes(layout) as usize;
            if let (Part::Root | Part::Leaf(_), Some(page)) = (part, bytes.get(offset..end)) {
                pages.push(page.into());
            }
            offset = end;
        }
        held.state = State::Here(bytes);
        pages
    }

    /// Notes that a pack can't be had: its blocks are to be read from chunks.
    pub fn lost(&mut self, digest: &ChunkDigest) {
        if let Some(held) = self.packs.iter_mut().find(|held| held.pack.digest == *digest) {
            held.state = State::Lost;
        }
    }

    /// How many can't be had.
    #[must_use]
    pub fn lost_count(&self) -> usize {
        self.packs.iter().filter(|held| matches!(held.state, State::Lost)).count()
    }

    /// Fills `to` from `offset` on, which must not cross a block boundary; `None` if no pack that is here or to come has
    /// the block.
    ///
    /// # Errors
    /// [`BlockError::Pending`] while the pack is on its way.
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Option<Result<(), BlockError>> {
        let (block, within) = (offset / BLOCK_BYTES as u64, (offset % BLOCK_BYTES as u64) as usize);
        let mut is_coming = false;
        for held in &self.packs {
            if matches!(held.state, State::Dormant | State::Lost) {
                continue;
            }
            let Some(place) = held.place(block) else { continue };
            if let State::Here(bytes) = &held.state {
                to.copy_from_slice(bytes.get(place + within..place + within + to.len())?);
                return Some(Ok(()));
            }
            is_coming = true;
        }
        is_coming.then_some(Err(BlockError::Pending))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::CHUNK_BYTES_MIN;

    fn layout() -> Layout {
        Layout::new(100 * 4096 + 5, CHUNK_BYTES_MIN).expect("layout")
    }

    fn runs(text: &str) -> Runs {
        Runs::parse(text, u64::MAX, PACK_RUNS_MAX).expect(text)
    }

    fn pack(name: &str, index: Option<&str>, blocks: &str) -> Pack {
        Pack { digest: ChunkDigest::of(name.as_bytes()), on: None, index: index.map(runs), blocks: runs(blocks) }
    }

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

    #[test]
    fn blocks_are_found_in_whichever_pack_has_them() {
        let packs = [pack("a", Some("0"), "5,20-21"), pack("b", None, "6,100"), pack("c", None, "50")];
        let mut held = Packs::new(layout(), &packs);
        let byte_of = |held: &Packs, offset: u64| {
            let mut byte = [0];
            held.read(offset, &mut byte).map(|outcome| outcome.map(|()| byte[0]))
        };
        assert_eq!(byte_of(&held, 5 * 4096), Some(Err(BlockError::Pending)));
        assert_eq!(byte_of(&held, 4 * 4096), None);
        let index = 32 + 101 * 32;
        let mut bytes = vec![9; index];
        for fill in [5, 20, 21] {
            bytes.extend([fill; 4096]);
        }
        let pages = held.arrived(&packs[0].digest, bytes.into());
        assert_eq!(pages.iter().map(|page| page.len()).collect::<Vec<_>>(), [32, 101 * 32]);
        assert!(held.arrived(&packs[1].digest, [[6; 4096].as_slice(), &[100; 5]].concat().into()).is_empty());
        for block in [5, 6, 20, 21, 100] {
            assert_eq!(byte_of(&held, block * 4096 + 4), Some(Ok(block as u8)), "{block}");
        }
        for block in [0, 7, 19, 22, 99] {
            assert_eq!(byte_of(&held, block * 4096), None, "{block}");
        }
        held.lost(&packs[2].digest);
        assert_eq!((byte_of(&held, 50 * 4096), held.lost_count()), (None, 1));
        assert!(!packs.iter().any(|pack| held.awaits(&pack.digest)));
    }

    #[test]
    fn a_program_s_pack_sleeps_until_its_block_is_read() {
        let program = Pack { on: Some(9), ..pack("program", None, "9,20") };
        let packs = [pack("boot", None, "20"), program.clone()];
        let mut held = Packs::new(layout(), &packs);
        assert_eq!(held.of_boot(), [(packs[0].digest, 4096)]);
        assert_eq!(held.read(9 * 4096, &mut [0]), None);
        assert!(!held.awaits(&program.digest));
        assert_eq!(held.woken_by(20), []);
        assert_eq!(held.woken_by(9), [(program.digest, 8192)]);
        assert_eq!(held.woken_by(9), [], "once");
        assert_eq!(held.read(9 * 4096, &mut [0]), Some(Err(BlockError::Pending)));
        held.arrived(&program.digest, vec![3; 8192].into());
        for block in [9, 20] {
            let mut byte = [0];
            assert_eq!((held.read(block * 4096, &mut byte), byte), (Some(Ok(())), [3]), "from whichever is here");
        }
    }

    #[test]
    fn a_pack_that_follows_another_sleeps_until_that_is_asked_for() {
        let on = |on, pack| Pack { on: Some(on), ..pack };
        let packs = [pack("boot", None, "1"), on(9, pack("a", None, "9,20")), on(20, pack("b", None, "30"))];
        let mut held = Packs::new(layout(), &packs);
        assert_eq!(held.woken_by(20), []);
        assert_eq!(held.woken_by(9), [(packs[1].digest, 8192)]);
        assert_eq!(held.woken_by(20), [(packs[2].digest, 4096)]);
        // Another program, whose first block the one before reads as well.
        let mut held = Packs::new(layout(), &[on(9, pack("a", None, "9,20")), on(20, pack("b", None, "20,30"))]);
        assert_eq!(held.woken_by(20).len(), 1);
    }

    #[test]
    fn a_pack_of_another_length_is_lost() {
        for len in [0, 4095, 4097] {
            let packs = [pack("a", None, "5")];
            let mut held = Packs::new(layout(), &packs);
            held.arrived(&packs[0].digest, vec![1; len].into());
            assert_eq!((held.read(5 * 4096, &mut [0]), held.lost_count()), (None, 1));
        }
    }
}
