//! `Packs`: the packs of a disk while it is read: which have been asked for, which are here.
//!
//! Those of the boot are asked for at once. Those of a program sleep until it is started, which reading the first block of
//! its file is the sign of. That wakes its first pack. Each other one is woken by whichever comes first:
//!
//! - half of the one before has been read, so that it is there when the program gets to it;
//! - a block is read that it has, and no pack that is awake: the program goes a way of its own, and skips what its profile
//!   read before.
//!
//! So a program that ends early does not fetch the rest, and nobody fetches anything of a program that is not started but
//! for its first pack, by looking into its file.

use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use crate::device::BlockError;
use crate::digest::ChunkDigest;
use crate::layout::Layout;
use crate::overlay::BLOCK_BYTES;
use crate::pack::{Pack, Part};

#[derive(PartialEq, Eq)]
enum State {
    /// Nothing has been read yet that would be a sign that it is needed.
    Asleep,
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
    state: State,
    /// Its blocks that have been read while the program's next pack sleeps.
    read: BTreeSet<u64>,
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
        let state = if pack.on.is_some() { State::Asleep } else { State::Coming };
        Held { pack: pack.clone(), len, runs, state, read: BTreeSet::new() }
    }

    fn is_asleep(&self) -> bool {
        self.state == State::Asleep
    }

    /// Whether reads of its blocks wait for it or are answered by it.
    fn is_answering(&self) -> bool {
        matches!(self.state, State::Coming | State::Here(_))
    }

    fn is_of_program(&self, other: &Held) -> bool {
        self.pack.on.is_some() && self.pack.on == other.pack.on
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
        let packs = packs.iter().map(|pack| Held::new(layout, pack)).collect();
        Packs { layout, packs }
    }

    /// What has to be fetched for the boot, in order: digests and lengths.
    #[must_use]
    pub fn of_boot(&self) -> Vec<(ChunkDigest, usize)> {
        let is_of_boot = |held: &&Held| held.pack.on.is_none();
        self.packs.iter().filter(is_of_boot).map(|held| (held.pack.digest, held.len)).collect()
    }

    /// What has to be fetched because `block` is being read.
    pub fn woken_by(&mut self, block: u64) -> Vec<(ChunkDigest, usize)> {
        let starts = |position: &usize| self.packs[*position].pack.on == Some(block) && self.is_first(*position);
        let first = (0..self.packs.len()).find(starts);
        let mut woken: Vec<_> = first.and_then(|first| self.wake(first)).into_iter().collect();
        let is_answered = self.packs.iter().any(|held| held.is_answering() && held.place(block).is_some());
        if !is_answered {
            let is_needed = |held: &Held| held.is_asleep() && held.place(block).is_some() && self.is_started(held);
            let needed = self.packs.iter().position(is_needed);
            woken.extend(needed.and_then(|needed| self.wake(needed)));
        }
        for position in 0..self.packs.len() {
            let next = self.next_of_half_read(position, block);
            woken.extend(next.and_then(|next| self.wake(next)));
        }
        woken
    }

    /// Wakes a pack if it sleeps.
    fn wake(&mut self, position: usize) -> Option<(ChunkDigest, usize)> {
        let held = self.packs.get_mut(position).filter(|held| held.is_asleep())?;
        held.state = State::Coming;
        Some((held.pack.digest, held.len))
    }

    /// Whether a pack is its program's first.
    fn is_first(&self, position: usize) -> bool {
        let held = &self.packs[position];
        !self.packs[..position].iter().any(|before| before.is_of_program(held))
    }

    /// Whether the first pack of this one's program has been asked for.
    fn is_started(&self, held: &Held) -> bool {
        self.packs.iter().find(|first| first.is_of_program(held)).is_some_and(|first| !first.is_asleep())
    }

    /// Notes that `block` is being read; returns the pack after the one at `position`, of the same program, if that sleeps
    /// and half of this one has been read.
    fn next_of_half_read(&mut self, position: usize, block: u64) -> Option<usize> {
        let held = &self.packs[position];
        let next = position + 1 + self.packs[position + 1..].iter().position(|next| next.is_of_program(held))?;
        if held.is_asleep() || !self.packs[next].is_asleep() || held.place(block).is_none() {
            return None;
        }
        let held = &mut self.packs[position];
        held.read.insert(block);
        if (held.read.len() as u64) < held.pack.blocks.count().div_ceil(2) {
            return None;
        }
        held.read.clear();
        Some(next)
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
            if !held.is_answering() {
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
    use crate::pack::samples::{layout, pack};

    fn program(name: &str, on: u64, blocks: &str) -> Pack {
        Pack { on: Some(on), ..pack(name, None, blocks) }
    }

    const NONE: [usize; 0] = [];

    /// Reads blocks; returns the numbers of the packs that are asked for.
    fn read(held: &mut Packs, blocks: &[u64]) -> Vec<usize> {
        let mut woken = Vec::new();
        for block in blocks {
            for (digest, len) in held.woken_by(*block) {
                let position = held.packs.iter().position(|held| held.pack.digest == digest).expect("a pack");
                assert_eq!(len, held.packs[position].len);
                woken.push(position);
            }
        }
        woken
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

    /// A boot, then a program of three packs that starts with block 9.
    fn three() -> Packs {
        let packs =
            [pack("boot", None, "1,20"), program("a", 9, "9-12"), program("b", 9, "30-35"), program("c", 9, "40-41")];
        Packs::new(layout(), &packs)
    }

    #[test]
    fn a_program_that_keeps_to_its_profile_finds_its_packs_on_their_way() {
        let mut held = three();
        assert_eq!(read(&mut held, &[1, 20, 30, 41, 10, 11]), NONE, "it has not been started");
        assert_eq!(read(&mut held, &[9]), [1]);
        assert_eq!(read(&mut held, &[9, 9, 9]), NONE, "the same block is not half of it");
        assert_eq!(read(&mut held, &[12]), [2]);
        assert_eq!(read(&mut held, &[10, 11, 30, 31, 30]), NONE);
        assert_eq!(read(&mut held, &[33]), [3]);
        assert_eq!(read(&mut held, &[32, 34, 35, 40, 41, 50]), NONE);
    }

    #[test]
    fn a_program_that_goes_its_own_way_wakes_what_it_needs() {
        let mut held = three();
        assert_eq!(read(&mut held, &[9, 50, 41]), [1, 3]);
        assert_eq!(read(&mut held, &[40, 30]), [2]);
        let mut held = three();
        assert_eq!(read(&mut held, &[9, 30, 31, 32]), [1, 2, 3]);
    }

    #[test]
    fn what_a_pack_that_is_awake_has_wakes_no_other() {
        let packs = [program("a", 9, "9,20-29"), program("b", 9, "20-22,30"), program("c", 5, "5,20,30,60")];
        let mut held = Packs::new(layout(), &packs);
        assert_eq!(read(&mut held, &[9, 20, 21]), [0]);
        assert_eq!(read(&mut held, &[30]), [1], "nobody has started the other program");
        let mut held = Packs::new(layout(), &packs);
        assert_eq!(read(&mut held, &[5, 9, 30]), [2, 0]);
        held.lost(&packs[2].digest);
        assert_eq!(read(&mut held, &[30]), [1], "instead of the lost one");
    }

    #[test]
    fn two_programs_in_one_file_share_their_packs() {
        let packs = [program("a", 9, "9-11"), program("b", 9, "9-10,20-25")];
        let mut held = Packs::new(layout(), &packs);
        assert_eq!(read(&mut held, &[9]), [0]);
        assert_eq!(read(&mut held, &[20]), [1]);
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
