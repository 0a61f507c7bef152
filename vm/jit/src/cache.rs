//! Compiled regions. A region is compiled once however many address spaces run it, and bound to a memory once however
//! many processes have that memory one after another. In which spaces it is valid is kept apart: it ends there when a
//! page of its code changes.

use cpu::state::Floats;
use cpu::{CpuState, Mode};
use memory::{AddressSpace, GuestAddr, PAGE_SIZE, PageIndex, SpaceId};
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::host::CodeHost;

/// Regions kept before all are dropped and compiled afresh: each takes some 30 KB of a tab, most of it code.
pub const REGIONS_MAX: usize = 20480;

/// Index of a region.
pub type RegionId = u32;

/// What the same code may be compiled as.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Variant {
    /// 64-bit or 32-bit code.
    pub mode: Mode,
    /// How it does floating-point arithmetic.
    pub floats: Floats,
    /// Whether it reaches high addresses itself.
    pub reaches_high: bool,
}

/// Accesses to high addresses that are left to the interpreter before a space's code is compiled for them: compiling it all
/// again costs more than a few.
const HIGH_ACCESSES: u32 = 20_000;

impl Variant {
    /// As a task's code is to be compiled now.
    pub fn of(cpu: &CpuState, space: &AddressSpace) -> Self {
        let reaches_high = space.high_accesses() >= HIGH_ACCESSES;
        Self { mode: cpu.mode, floats: cpu.floats(), reaches_high }
    }
}

/// A region's code, whatever it is compiled to.
pub struct Code {
    /// As what it is compiled.
    pub variant: Variant,
    /// Addresses of its entries, by label.
    pub entries: Vec<u64>,
    /// The code it was lifted from: addresses and bytes.
    pub pieces: Vec<(u64, Box<[u8]>)>,
}

/// A compiled region.
pub struct Compiled {
    /// Its code.
    pub code: Code,
    /// Index of the module it is in, and its number there.
    module: usize,
    number: usize,
}

/// A module of several regions.
struct Module<M> {
    /// Bound to no memory.
    module: M,
    /// Regions in it.
    count: usize,
    /// The regions' function table indices, by memory.
    functions: HashMap<u32, Vec<u32>>,
}

impl Code {
    /// Whether a space has the code that this was lifted from.
    fn matches(&self, space: &AddressSpace) -> bool {
        self.pieces.iter().all(|(rip, bytes)| {
            let mut there = vec![0; bytes.len()];
            space.fetch(GuestAddr(*rip), &mut there) == Ok(bytes.len()) && there[..] == bytes[..]
        })
    }

    /// Where a space that has the code has it.
    fn pages(&self, space: &AddressSpace) -> HashSet<PageIndex> {
        let pages = |(rip, bytes): &(u64, Box<[u8]>)| {
            let last = rip + bytes.len().max(1) as u64 - 1;
            (rip / PAGE_SIZE..=last / PAGE_SIZE).filter_map(|page| space.page_of(GuestAddr(page * PAGE_SIZE)))
        };
        self.pieces.iter().flat_map(pages).collect()
    }
}

/// Where compiled code begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its region.
    pub region: RegionId,
    /// Which of the region's entries.
    pub label: u32,
}

/// What is valid in one address space.
#[derive(Clone, Default)]
struct SpaceRegions {
    by_rip: HashMap<(u64, Variant), Entry>,
    by_page: HashMap<PageIndex, Vec<RegionId>>,
}

/// All compiled regions.
pub struct Cache<M> {
    modules: Vec<Module<M>>,
    regions: Vec<Compiled>,
    by_head: HashMap<(u64, Variant), Vec<RegionId>>,
    spaces: HashMap<SpaceId, SpaceRegions>,
    /// Regions kept.
    pub limit: usize,
}

impl<M> Default for Cache<M> {
    fn default() -> Self {
        Self {
            modules: Vec::new(),
            regions: Vec::new(),
            by_head: HashMap::default(),
            spaces: HashMap::default(),
            limit: REGIONS_MAX,
        }
    }
}

impl<M> Cache<M> {
    /// Number the next region gets.
    pub fn next_id(&self) -> RegionId {
        self.regions.len() as RegionId
    }

    /// Whether there is room for one more.
    pub fn is_full(&self) -> bool {
        self.regions.len() >= self.limit
    }

    /// A region.
    pub fn region(&self, id: RegionId) -> &Compiled {
        &self.regions[id as usize]
    }

    /// The entry at an address that is valid in a space.
    pub fn entry(&self, rip: u64, variant: Variant, space: SpaceId) -> Option<Entry> {
        self.spaces.get(&space)?.by_rip.get(&(rip, variant)).copied()
    }

    /// A region compiled for another space that begins at an address and has the same code here.
    pub fn find_same(&self, rip: u64, variant: Variant, space: &AddressSpace) -> Option<RegionId> {
        let candidates = self.by_head.get(&(rip, variant))?;
        candidates.iter().copied().find(|id| self.region(*id).code.matches(space))
    }

    /// Adds a module's regions, valid nowhere yet.
    pub fn add(&mut self, module: M, regions: Vec<Code>) {
        let index = self.modules.len();
        self.modules.push(Module { module, count: regions.len(), functions: HashMap::default() });
        for (number, code) in regions.into_iter().enumerate() {
            let id = self.next_id();
            self.by_head.entry((code.entries[0], code.variant)).or_default().push(id);
            self.regions.push(Compiled { code, module: index, number });
        }
    }

    /// Makes a region valid in a space that has its code.
    pub fn validate(&mut self, id: RegionId, space: &mut AddressSpace) {
        let region = &self.regions[id as usize].code;
        let valid = self.spaces.entry(space.id()).or_default();
        for (label, rip) in region.entries.iter().enumerate() {
            let entry = Entry { region: id, label: label as u32 };
            // A region made for an address serves it better than one that only passes by.
            if label == 0 {
                valid.by_rip.insert((*rip, region.variant), entry);
            } else {
                valid.by_rip.entry((*rip, region.variant)).or_insert(entry);
            }
        }
        for page in region.pages(space) {
            space.mark_code(page);
            valid.by_page.entry(page).or_default().push(id);
        }
    }

    /// Ends the regions that have code on a page of a space; returns which.
    pub fn drop_page(&mut self, page: PageIndex, space: SpaceId) -> Vec<RegionId> {
        let Some(valid) = self.spaces.get_mut(&space) else { return Vec::new() };
        let ended = valid.by_page.remove(&page).unwrap_or_default();
        for region in &ended {
            let code = &self.regions[*region as usize].code;
            for place in code.entries.iter().map(|rip| (*rip, code.variant)) {
                if valid.by_rip.get(&place).is_some_and(|entry| entry.region == *region) {
                    valid.by_rip.remove(&place);
                }
            }
        }
        ended
    }

    /// Function table index of a region bound to a memory, if it has been.
    pub fn bound(&self, id: RegionId, memory: u32) -> Option<u32> {
        let region = self.region(id);
        let functions = self.modules[region.module].functions.get(&memory)?;
        functions.get(region.number).copied()
    }

    /// Binds a region's module to a space's memory; returns the region's function table index.
    ///
    /// # Errors
    /// The host's, when it can't.
    pub fn bind<H: CodeHost<Module = M>>(
        &mut self,
        id: RegionId,
        space: &AddressSpace,
        host: &mut H,
    ) -> Result<u32, String> {
        let (module, number) = (self.region(id).module, self.region(id).number);
        let module = &mut self.modules[module];
        let memory = space.host().ok_or("a space without memory")?;
        let functions = host.link(&module.module, module.count, memory)?;
        let function = functions.get(number).copied().ok_or("a module without the region")?;
        module.functions.insert(memory.slot(), functions);
        Ok(function)
    }

    /// `child` has become a copy of `parent`.
    pub fn forked(&mut self, parent: SpaceId, child: &mut AddressSpace) {
        let Some(valid) = self.spaces.get(&parent).cloned() else { return };
        for page in valid.by_page.keys() {
            child.mark_code(*page);
        }
        self.spaces.insert(child.id(), valid);
    }

    /// A space is gone.
    pub fn forget(&mut self, space: SpaceId) {
        self.spaces.remove(&space);
    }

    /// Drops everything.
    pub fn clear<H: CodeHost<Module = M>>(&mut self, host: &mut H) {
        for function in self.modules.iter().flat_map(|module| module.functions.values().flatten()) {
            host.unlink(*function);
        }
        *self = Self { limit: self.limit, ..Self::default() };
    }
}
