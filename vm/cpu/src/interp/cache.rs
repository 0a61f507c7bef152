//! Lifted blocks. A block is kept once however many address spaces run it: whoever comes to an address looks for a
//! block lifted from the same bytes before lifting its own, so libc is lifted once for all processes.
//!
//! Which blocks are valid in a space is a bit per block, cleared when a page loses its code
//! ([`AddressSpace::take_stale_code`]); links between blocks are global and look at that bit.

use std::collections::BTreeSet;

use memory::{Access, AddressSpace, Fault, GuestAddr, PAGE_SIZE, PageIndex, SpaceId};
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::exit::Exit;
use crate::ir::{Block, Mark, Op};
use crate::lift::{WINDOW_BYTES, lift, lift_one};
use crate::state::Mode;

/// Index of a block.
pub(super) type BlockId = u32;

/// A count that practically never runs out.
pub(super) const NEVER_HOT: u32 = u32::MAX;

/// Targets remembered of one indirect jump.
const TARGETS_MAX: usize = 16;

/// No block.
const NONE: BlockId = BlockId::MAX;

/// Operations kept before everything is dropped and lifted afresh: 12 bytes each, so about 48 MB.
const OPS_MAX: usize = 4 << 20;

/// Operations at the start of the store set aside for the rest of an instruction that overwrote its own block.
pub(super) const TAIL_OPS: usize = 256;

/// The link that leaves them.
pub(super) const TAIL_LINK: u32 = 0;

/// Entries of the cache of blocks jumped to, a power of two; each is 24 bytes. Large programs run some ten thousand.
const JUMPS: usize = 1 << 15;

/// The longest instruction.
const INSTRUCTION_BYTES_MAX: usize = 15;

/// Entries of the filter before [`BlockCache::note_target`], a power of two.
const NOTED: usize = 1 << 10;

/// A block in the store.
pub(super) struct Stored {
    rip: u64,
    mode: Mode,
    /// Index of its first operation.
    pub start: u32,
    pub instructions: u32,
    pub marks: Box<[Mark]>,
    /// The bytes its translation depends on.
    bytes: Box<[u8]>,
    /// How it ends.
    end: End,
}

/// How a block ends, as far as a JIT wants to know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Call,
    Return,
    Other,
}

/// A way from a block to an address known in advance.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub rip: u64,
    pub block: BlockId,
    pub start: u32,
    pub instructions: u32,
}

#[derive(Clone, Copy)]
struct Jump {
    rip: u64,
    space: SpaceId,
    block: BlockId,
}

/// Which blocks are valid in one address space.
#[derive(Clone, Default)]
struct SpaceCode {
    valid: Vec<u64>,
    by_rip: HashMap<(u64, Mode), BlockId>,
    by_page: HashMap<PageIndex, Vec<BlockId>>,
}

/// All blocks.
pub(super) struct BlockCache {
    pub ops: Vec<Op>,
    pub blocks: Vec<Stored>,
    /// For each block, how many more times it runs before it is reported as hot.
    pub heat: Vec<u32>,
    pub links: Vec<Link>,
    /// Where indirect jumps have led, by the jump's address: what a JIT wants to know.
    pub targets: HashMap<u64, Vec<u64>>,
    /// Indirect jumps noted lately: the block, and the one that it led to.
    noted: Box<[(BlockId, BlockId)]>,
    /// Where functions begin: what calls have led to.
    pub functions: BTreeSet<u64>,
    /// What `heat` starts from.
    pub heat_first: u32,
    /// Addresses whose blocks are hot from the start: compiled code begins there.
    pub hot_rips: HashSet<u64>,
    /// Pages whose code has been dropped, for whoever else keeps translations.
    pub dropped: Vec<PageIndex>,
    by_rip: HashMap<(u64, Mode), Vec<BlockId>>,
    jumps: Box<[Jump]>,
    current: SpaceId,
    code: SpaceCode,
    others: HashMap<SpaceId, SpaceCode>,
}

impl Default for BlockCache {
    fn default() -> Self {
        let mut cache = Self {
            ops: Vec::new(),
            blocks: Vec::new(),
            heat: Vec::new(),
            links: Vec::new(),
            targets: HashMap::default(),
            noted: vec![(NONE, NONE); NOTED].into(),
            functions: BTreeSet::new(),
            heat_first: NEVER_HOT,
            hot_rips: HashSet::default(),
            dropped: Vec::new(),
            by_rip: HashMap::default(),
            jumps: vec![Jump { rip: 0, space: SpaceId(0), block: NONE }; JUMPS].into(),
            current: SpaceId(0),
            code: SpaceCode::default(),
            others: HashMap::default(),
        };
        cache.clear();
        cache
    }
}

impl BlockCache {
    /// Drops every block.
    fn clear(&mut self) {
        self.ops.clear();
        self.ops.resize(TAIL_OPS, Op::Syscall);
        self.blocks.clear();
        self.heat.clear();
        self.targets.clear();
        self.functions.clear();
        self.noted.fill((NONE, NONE));
        self.links = vec![Link { rip: 0, block: NONE, start: 0, instructions: 0 }];
        self.by_rip.clear();
        self.jumps.fill(Jump { rip: 0, space: SpaceId(0), block: NONE });
        self.code = SpaceCode::default();
        self.others.clear();
    }

    /// Makes `space` the one whose code runs.
    pub fn enter(&mut self, space: &mut AddressSpace) {
        if self.current != space.id() {
            let entered = self.others.remove(&space.id()).unwrap_or_default();
            let left = std::mem::replace(&mut self.code, entered);
            self.others.insert(self.current, left);
            self.current = space.id();
        }
        self.drop_stale(space);
    }

    /// Forgets the code of pages that have changed.
    pub fn drop_stale(&mut self, space: &mut AddressSpace) {
        if !space.has_stale_code() {
            return;
        }
        let stale = space.take_stale_code();
        if self.heat_first != NEVER_HOT {
            self.dropped.extend(&stale);
        }
        for page in stale {
            for block in self.code.by_page.remove(&page).unwrap_or_default() {
                let Some(stored) = self.blocks.get(block as usize) else { continue };
                if let Some(word) = self.code.valid.get_mut(block as usize / 64) {
                    *word &= !(1 << (block % 64));
                }
                self.code.by_rip.remove(&(stored.rip, stored.mode));
            }
        }
    }

    /// See [`crate::Engine::forked`].
    pub fn forked(&mut self, parent: SpaceId, child: &mut AddressSpace) {
        let code = if parent == self.current { Some(&self.code) } else { self.others.get(&parent) };
        let Some(code) = code.cloned() else { return };
        for page in code.by_page.keys() {
            child.mark_code(*page);
        }
        self.others.insert(child.id(), code);
    }

    /// See [`crate::Engine::forget`].
    pub fn forget(&mut self, space: SpaceId) {
        self.others.remove(&space);
        if self.current == space {
            self.code = SpaceCode::default();
            self.current = SpaceId(0);
        }
    }

    /// Whether a block may run in the current space.
    #[inline(always)]
    pub fn is_valid(&self, block: BlockId) -> bool {
        self.code.valid.get(block as usize / 64).is_some_and(|word| word >> (block % 64) & 1 != 0)
    }

    /// The block at an address, if it was jumped to recently.
    #[inline(always)]
    pub fn recent(&self, rip: u64) -> Option<BlockId> {
        let entry = &self.jumps[jump_index(rip)];
        (entry.rip == rip && entry.space == self.current && self.is_valid(entry.block)).then_some(entry.block)
    }

    /// The block at an address, lifted if need be.
    pub fn find(&mut self, rip: u64, mode: Mode, space: &mut AddressSpace) -> Result<BlockId, Exit> {
        self.drop_stale(space);
        if let Some(block) = self.recent(rip)
            && self.blocks[block as usize].mode == mode
        {
            return Ok(block);
        }
        let block = match self.code.by_rip.get(&(rip, mode)) {
            Some(block) => *block,
            None => self.adopt(rip, mode, space)?,
        };
        self.jumps[jump_index(rip)] = Jump { rip, space: self.current, block };
        Ok(block)
    }

    /// Lifts one instruction as a block that nobody else finds; also where its links begin, for [`Self::drop_alone`].
    pub fn lift_alone(&mut self, rip: u64, mode: Mode, space: &mut AddressSpace) -> Result<(BlockId, usize), Exit> {
        self.drop_stale(space);
        let mut window = [0; INSTRUCTION_BYTES_MAX];
        let length = space.fetch(GuestAddr(rip), &mut window).map_err(Exit::Fault)?;
        let window = &window[..length];
        let lifted = lift_one(window, rip, mode)
            .ok_or(Exit::Fault(Fault { addr: GuestAddr(rip) + length as u64, access: Access::Execute }))?;
        let links = lifted.exits.len();
        let block = self.store(lifted, mode, window);
        if let Some(known) = self.by_rip.get_mut(&(rip, mode)) {
            known.retain(|other| *other != block);
        }
        Ok((block, self.links.len() - links))
    }

    /// Forgets what [`Self::lift_alone`] has just made.
    pub fn drop_alone(&mut self, block: BlockId, first_link: usize) {
        if block as usize + 1 == self.blocks.len()
            && let Some(stored) = self.blocks.pop()
        {
            self.heat.pop();
            self.ops.truncate(stored.start as usize);
            self.links.truncate(first_link);
        }
    }

    /// Finds a block lifted elsewhere from the same bytes, or lifts one, and makes it valid here.
    fn adopt(&mut self, rip: u64, mode: Mode, space: &mut AddressSpace) -> Result<BlockId, Exit> {
        let mut window = [0; WINDOW_BYTES];
        let length = space.fetch(GuestAddr(rip), &mut window).map_err(Exit::Fault)?;
        let window = &window[..length];
        let candidates = self.by_rip.get(&(rip, mode)).map_or(&[][..], Vec::as_slice);
        let same = |block: &&BlockId| window.starts_with(&self.blocks[**block as usize].bytes);
        let block = match candidates.iter().find(same) {
            Some(block) => *block,
            None => {
                let lifted = lift(window, rip, mode)
                    .ok_or(Exit::Fault(Fault { addr: GuestAddr(rip) + length as u64, access: Access::Execute }))?;
                self.store(lifted, mode, window)
            }
        };
        self.validate(block, space);
        Ok(block)
    }

    fn store(&mut self, lifted: Block, mode: Mode, window: &[u8]) -> BlockId {
        if self.ops.len() + lifted.ops.len() > OPS_MAX {
            self.clear();
        }
        let first_link = self.links.len() as u32;
        let start = self.ops.len() as u32;
        let unlinked = |rip: &u64| Link { rip: *rip, block: NONE, start: 0, instructions: 0 };
        self.links.extend(lifted.exits.iter().map(unlinked));
        self.ops.extend(lifted.ops.iter().map(|op| op.with_exits_from(first_link)));
        let id = self.blocks.len() as BlockId;
        let end = match (lifted.returns_to, lifted.is_return) {
            (Some(_), _) => End::Call,
            (None, true) => End::Return,
            (None, false) => End::Other,
        };
        if end == End::Call {
            self.functions.extend(lifted.exits.first());
        }
        self.heat.push(if self.hot_rips.contains(&lifted.rip) { 1 } else { self.heat_first });
        self.blocks.push(Stored {
            rip: lifted.rip,
            mode,
            start,
            instructions: lifted.marks.len() as u32,
            marks: lifted.marks.into(),
            bytes: window[..usize::from(lifted.depends_on)].into(),
            end,
        });
        self.by_rip.entry((lifted.rip, mode)).or_default().push(id);
        id
    }

    fn validate(&mut self, block: BlockId, space: &mut AddressSpace) {
        let stored = &self.blocks[block as usize];
        let word = block as usize / 64;
        if self.code.valid.len() <= word {
            self.code.valid.resize(word + 1, 0);
        }
        self.code.valid[word] |= 1 << (block % 64);
        self.code.by_rip.insert((stored.rip, stored.mode), block);
        let last = stored.rip + stored.bytes.len().max(1) as u64 - 1;
        for page in stored.rip / PAGE_SIZE..=last / PAGE_SIZE {
            // It has been fetched from there.
            let Some(page) = space.page_of(GuestAddr(page * PAGE_SIZE)) else { continue };
            space.mark_code(page);
            self.code.by_page.entry(page).or_default().push(block);
        }
    }

    /// Counts a run of a block; whether it is hot now.
    #[inline(always)]
    pub fn is_hot(&mut self, block: BlockId) -> bool {
        match self.heat.get_mut(block as usize) {
            Some(left) => {
                *left = left.saturating_sub(1);
                *left == 0
            }
            None => false,
        }
    }

    /// How often a block at an address has run in the current space, if it is known there.
    pub fn runs(&self, rip: u64, mode: Mode) -> Option<u32> {
        let block = self.code.by_rip.get(&(rip, mode))?;
        Some(self.heat_first.saturating_sub(self.heat[*block as usize]))
    }

    /// See [`Interpreter::is_cold`](super::Interpreter::is_cold).
    pub fn is_cold(&mut self, rip: u64, mode: Mode, runs: u32) -> bool {
        let Some(block) = self.recent(rip) else { return false };
        let left = &mut self.heat[block as usize];
        let is_cold = *left > runs + 1 && self.blocks[block as usize].mode == mode;
        if is_cold && *left != NEVER_HOT {
            *left -= runs;
        }
        is_cold
    }

    /// Sets what remains until the blocks at an address are hot.
    pub fn set_heat(&mut self, rip: u64, mode: Mode, left: u32) {
        for block in self.by_rip.get(&(rip, mode)).into_iter().flatten() {
            self.heat[*block as usize] = left;
        }
    }

    /// Notes where the indirect jump that ends a block leads, unless that has been done lately.
    #[inline(always)]
    pub fn note_next(&mut self, block: BlockId, next: BlockId, to: u64) {
        let noted = &mut self.noted[(block ^ next.rotate_left(5)) as usize % NOTED];
        if *noted != (block, next) {
            *noted = (block, next);
            self.note_target(block, to);
        }
    }

    /// Notes where the indirect jump that ends a block leads.
    pub fn note_target(&mut self, block: BlockId, to: u64) {
        let stored = &self.blocks[block as usize];
        if self.heat_first == NEVER_HOT || stored.end == End::Return {
            return;
        }
        // What stubs of shared libraries jump to are functions too.
        if stored.end == End::Call || self.functions.contains(&stored.rip) {
            self.functions.insert(to);
        }
        let at = stored.rip + stored.marks.last().map_or(0, |mark| u64::from(mark.offset));
        let targets = self.targets.entry(at).or_default();
        if targets.len() < TARGETS_MAX && !targets.contains(&to) {
            targets.push(to);
        }
    }

    /// Lets an exit lead straight to a block from now on.
    pub fn link(&mut self, link: u32, block: BlockId) {
        let stored = &self.blocks[block as usize];
        // After `clear` the number may mean another exit.
        if let Some(link) = self.links.get_mut(link as usize).filter(|link| link.rip == stored.rip) {
            *link = Link { rip: link.rip, block, start: stored.start, instructions: stored.instructions };
        }
    }

    /// Address of the instruction that an operation of `block` belongs to, and of the next one with the index of its
    /// first operation (none if it is the last).
    pub fn locate(&self, block: BlockId, op: usize) -> (u64, Option<(u64, usize)>) {
        let stored = &self.blocks[block as usize];
        let at = op.saturating_sub(stored.start as usize);
        let next = stored.marks.partition_point(|mark| usize::from(mark.op) <= at);
        let rip = |mark: &Mark| stored.rip + u64::from(mark.offset);
        let following = stored.marks.get(next).map(|mark| (rip(mark), stored.start as usize + usize::from(mark.op)));
        (stored.marks.get(next.saturating_sub(1)).map_or(stored.rip, rip), following)
    }
}

fn jump_index(rip: u64) -> usize {
    (rip ^ rip >> 12) as usize % JUMPS
}
