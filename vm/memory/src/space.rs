//! `AddressSpace`: a guest's memory with checked access for the processor, bulk access and page
//! management for the kernel layer, and tracking of pages that hold translated code.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::address::{GUEST_TOP, GuestAddr, PAGE_COUNT, PAGE_SIZE, PageBytes, PageIndex};
use crate::high::{BLOCK_BITS, BLOCK_BYTES, Blocks, LOOKASIDE_ENTRIES, lookaside_index};
use crate::host::HostMemory;
use crate::state::PageState;
use crate::store::Store;

/// What an access wanted to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Load.
    Read,
    /// Store, or a read-modify-write.
    Write,
    /// Instruction fetch.
    Execute,
}

/// An access the page states do not allow directly. The kernel layer decides whether the page can be
/// brought in or the guest gets a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// First address that could not be accessed.
    pub addr: GuestAddr,
    /// What was wanted there.
    pub access: Access,
}

/// Names an address space for as long as the process runs; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SpaceId(pub u32);

/// Pages of one group of the "touched" map: lets tear-down skip what was never used.
const GROUP_PAGES: usize = 4096;

/// One guest's memory.
pub struct AddressSpace {
    id: SpaceId,
    store: Store,
    touched_groups: [bool; PAGE_COUNT / GROUP_PAGES],
    stale_code: Vec<PageIndex>,
    present_pages: u32,
    /// Where the bytes of high addresses are.
    blocks: Blocks,
    /// Whether the lookaside may have entries.
    has_lookaside: Cell<bool>,
    /// Accesses to high addresses that came here.
    high_accesses: Cell<u32>,
}

impl AddressSpace {
    /// An empty space over an all-zero memory.
    pub fn new(host: HostMemory) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self {
            id: SpaceId(NEXT.fetch_add(1, Ordering::Relaxed)),
            store: Store::Memory(host),
            touched_groups: [false; PAGE_COUNT / GROUP_PAGES],
            stale_code: Vec::new(),
            present_pages: 0,
            blocks: Blocks::default(),
            has_lookaside: Cell::new(false),
            high_accesses: Cell::new(0),
        }
    }

    /// This space's name.
    pub fn id(&self) -> SpaceId {
        self.id
    }

    /// The memory behind it, unless it is swapped out.
    pub fn host(&self) -> Option<&HostMemory> {
        self.store.memory()
    }

    /// Puts everything aside, until [`Self::swap_in`], and gives the memory away, all zero. `None` if that has been done.
    pub fn swap_out(&mut self) -> Option<HostMemory> {
        let pages = self.used_pages();
        self.forget_lookaside();
        self.store.swap_out(pages.into_iter().map(|page| page.0))
    }

    /// Whether it has no memory to be run in.
    pub fn is_swapped_out(&self) -> bool {
        self.store.memory().is_none()
    }

    /// Goes on in another memory, all zero.
    pub fn swap_in(&mut self, host: HostMemory) {
        self.store.swap_in(host);
    }

    fn forget_lookaside(&mut self) {
        if self.has_lookaside.take() {
            self.store.clear(GUEST_TOP as u32, LOOKASIDE_ENTRIES as u32 * 8);
        }
    }

    /// Pages whose bytes are in this memory (its resident size).
    pub fn present_pages(&self) -> u32 {
        self.present_pages
    }

    /// Bytes that its pages take: of those of swapped-out spaces that share some, each has its part.
    pub fn used_bytes(&self) -> u64 {
        self.store.bytes_aside().unwrap_or_else(|| u64::from(self.present_pages) * PAGE_SIZE)
    }

    /// Empties the space and gives its memory back, all zero, for another; `None` if it has none.
    pub fn into_host(mut self) -> Option<HostMemory> {
        self.clear_all();
        self.forget_lookaside();
        if let Store::Memory(host) = self.store { Some(host) } else { None }
    }

    // ---- page management, for the kernel layer ----

    /// State of a page.
    #[inline]
    pub fn state(&self, page: PageIndex) -> PageState {
        self.store.state(page.0)
    }

    /// Sets a page's state without touching its bytes. `state` never carries `CODE`: a page that held
    /// translated code is reported through [`Self::take_stale_code`] instead.
    pub fn set_state(&mut self, page: PageIndex, state: PageState) {
        let old = self.state(page);
        if old.has(PageState::CODE) {
            self.stale_code.push(page);
        }
        self.touched_groups[page.0 as usize / GROUP_PAGES] = true;
        self.present_pages += u32::from(state.has(PageState::PRESENT));
        self.present_pages -= u32::from(old.has(PageState::PRESENT));
        self.store.set_state(page.0, state);
    }

    /// Fills a page's first bytes from `bytes`, whatever its state (demand paging); what is not given stays as it
    /// is, which is zero on a page that was not present.
    pub fn fill_page(&mut self, page: PageIndex, bytes: &[u8]) {
        assert!(bytes.len() as u64 <= PAGE_SIZE, "more than a page");
        self.drop_code(page);
        self.store.copy_in(page.start().0 as u32, bytes);
    }

    /// Fills a page, whatever its state, with bytes that other spaces get as well.
    pub fn share_page(&mut self, page: PageIndex, bytes: &Rc<PageBytes>) {
        self.drop_code(page);
        self.store.share_in(page.0, bytes);
    }

    /// Reads a whole page, whatever its state.
    pub fn read_page(&self, page: PageIndex, to: &mut PageBytes) {
        self.store.copy_out(page.start().0 as u32, to);
    }

    /// Drops a page: its bytes become zero, its state absent.
    pub fn clear_page(&mut self, page: PageIndex) {
        let old = self.state(page);
        if old == PageState::ABSENT {
            return;
        }
        if old.has(PageState::PRESENT) {
            self.store.clear(page.start().0 as u32, PAGE_SIZE as u32);
        }
        self.set_state(page, PageState::ABSENT);
    }

    /// Drops every page.
    pub fn clear_all(&mut self) {
        for page in self.used_pages() {
            self.clear_page(page);
        }
    }

    /// Where the bytes of high addresses are.
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// Puts the block that begins at a high address at `low`, in place of where it was.
    pub fn place_block(&mut self, high: GuestAddr, low: GuestAddr) {
        assert!(low.0.is_multiple_of(BLOCK_BYTES) && low.0 < GUEST_TOP, "no place for a block: {low}");
        self.take_block(high);
        self.blocks.insert(high.0 >> BLOCK_BITS, low);
    }

    /// Forgets where the block is that begins at a high address; returns where it was.
    pub fn take_block(&mut self, high: GuestAddr) -> Option<GuestAddr> {
        let block = high.0 >> BLOCK_BITS;
        let low = self.blocks.remove(block)?;
        if self.has_lookaside.get() {
            self.store.set_lookaside(lookaside_index(block) as u32, 0);
        }
        Some(low)
    }

    /// The blocks of another space, at the same places: for a child that inherits their pages.
    pub fn inherit_blocks(&mut self, parent: &AddressSpace) {
        self.blocks = parent.blocks.clone();
    }

    /// The page with the byte at an address, if there is one.
    pub fn page_of(&self, addr: GuestAddr) -> Option<PageIndex> {
        if addr.0 < GUEST_TOP { addr.page() } else { self.blocks.find(addr)?.page() }
    }

    /// Accesses to high addresses that did not go directly: whoever generates code may want to spare them the way.
    pub fn high_accesses(&self) -> u32 {
        self.high_accesses.get()
    }

    /// The part of an access that lies in its first page: page, where its first byte is, length.
    fn chunk(&self, addr: GuestAddr, len: usize, access: Access) -> Result<(PageIndex, u32, usize), Fault> {
        let low = if addr.0 < GUEST_TOP { Some(addr) } else { self.high_access(addr) };
        let page = low.and_then(GuestAddr::page).ok_or(Fault { addr, access })?;
        let room = (PAGE_SIZE - addr.page_offset()) as usize;
        Ok((page, low.unwrap_or_default().0 as u32, len.min(room)))
    }

    /// Where the byte at a high address is; the lookaside knows from now on.
    #[cold]
    fn high_access(&self, addr: GuestAddr) -> Option<GuestAddr> {
        let block = addr.0 >> BLOCK_BITS;
        let entry = self.blocks.entry(block)?;
        self.high_accesses.set(self.high_accesses.get().saturating_add(1));
        self.has_lookaside.set(true);
        self.store.set_lookaside(lookaside_index(block) as u32, entry);
        self.blocks.find(addr)
    }

    /// Every page whose state is not absent, ascending.
    pub fn used_pages(&self) -> Vec<PageIndex> {
        (0..PAGE_COUNT)
            .step_by(GROUP_PAGES)
            .filter(|start| self.touched_groups[start / GROUP_PAGES])
            .flat_map(|start| start..start + GROUP_PAGES)
            .map(|index| PageIndex(index as u32))
            .filter(|page| self.state(*page) != PageState::ABSENT)
            .collect()
    }

    // ---- bulk access, for the kernel layer ----

    /// Reads guest memory as the guest could.
    ///
    /// # Errors
    /// The first byte that can't be read directly; what precedes it has been copied.
    pub fn read(&self, addr: GuestAddr, to: &mut [u8]) -> Result<(), Fault> {
        let mut done = 0;
        while done < to.len() {
            let at = addr + done as u64;
            let (page, low, len) = self.chunk(at, to.len() - done, Access::Read)?;
            if !self.state(page).has(PageState::READ) {
                return Err(Fault { addr: at, access: Access::Read });
            }
            self.store.copy_out(low, &mut to[done..done + len]);
            done += len;
        }
        Ok(())
    }

    /// Writes guest memory as the guest could; translated code in the way becomes stale.
    ///
    /// # Errors
    /// The first byte that can't be written directly; what precedes it has been written.
    pub fn write(&mut self, addr: GuestAddr, from: &[u8]) -> Result<(), Fault> {
        let mut done = 0;
        while done < from.len() {
            let at = addr + done as u64;
            let (page, low, len) = self.chunk(at, from.len() - done, Access::Write)?;
            self.drop_code(page);
            if !self.state(page).has(PageState::WRITE) {
                return Err(Fault { addr: at, access: Access::Write });
            }
            self.store.copy_in(low, &from[done..done + len]);
            done += len;
        }
        Ok(())
    }

    /// Writes bytes of present pages whatever their protection (program loading, debuggers).
    ///
    /// # Errors
    /// The first byte whose page is not present.
    pub fn poke(&mut self, addr: GuestAddr, from: &[u8]) -> Result<(), Fault> {
        let mut done = 0;
        while done < from.len() {
            let at = addr + done as u64;
            let (page, low, len) = self.chunk(at, from.len() - done, Access::Write)?;
            self.drop_code(page);
            if !self.state(page).has(PageState::PRESENT) {
                return Err(Fault { addr: at, access: Access::Write });
            }
            self.store.copy_in(low, &from[done..done + len]);
            done += len;
        }
        Ok(())
    }

    // ---- code tracking, for engines ----

    /// Reads instruction bytes: as many as can be fetched, up to `to.len()`; returns how many.
    ///
    /// # Errors
    /// When not even the first byte can be fetched.
    pub fn fetch(&self, addr: GuestAddr, to: &mut [u8]) -> Result<usize, Fault> {
        let mut done = 0;
        while done < to.len() {
            let step = self.chunk(addr + done as u64, to.len() - done, Access::Execute);
            let (low, len) = match step {
                Ok((page, low, len)) if self.state(page).has(PageState::EXEC | PageState::PRESENT) => (low, len),
                _ if done > 0 => break,
                _ => return Err(Fault { addr, access: Access::Execute }),
            };
            self.store.copy_out(low, &mut to[done..done + len]);
            done += len;
        }
        Ok(done)
    }

    /// Notes that an engine keeps code translated from this page: stores to it will come to
    /// [`Self::drop_code`] first.
    pub fn mark_code(&mut self, page: PageIndex) {
        let mut state = self.state(page);
        if state.has(PageState::WRITE) {
            state = state.without(PageState::WRITE) | PageState::WRITE_UNDER_CODE;
        }
        self.store.set_state(page.0, state | PageState::CODE);
    }

    /// Makes a page's translations stale, so that it may be written. Returns whether it had any.
    pub fn drop_code(&mut self, page: PageIndex) -> bool {
        let state = self.state(page);
        if !state.has(PageState::CODE) {
            return false;
        }
        let mut open = state.without(PageState::CODE | PageState::WRITE_UNDER_CODE);
        if state.has(PageState::WRITE_UNDER_CODE) {
            open |= PageState::WRITE;
        }
        self.store.set_state(page.0, open);
        self.stale_code.push(page);
        true
    }

    /// Whether pages have lost their code since the last [`Self::take_stale_code`].
    #[inline(always)]
    pub fn has_stale_code(&self) -> bool {
        !self.stale_code.is_empty()
    }

    /// Pages whose translations must be forgotten before the next instruction runs.
    pub fn take_stale_code(&mut self) -> Vec<PageIndex> {
        std::mem::take(&mut self.stale_code)
    }
}

/// Generates the processor's load and store of one width.
macro_rules! access {
    ($load:ident, $store:ident, $ty:ty) => {
        /// Loads as the guest does.
        ///
        /// # Errors
        /// The first byte that can't be read.
        #[inline(always)]
        pub fn $load(&self, addr: u64) -> Result<$ty, Fault> {
            if addr < GUEST_TOP {
                if let Some(value) = self.store.$load(addr as u32) {
                    return Ok(value);
                }
            }
            let mut bytes = [0; size_of::<$ty>()];
            self.read_slow(GuestAddr(addr), &mut bytes)?;
            Ok(<$ty>::from_le_bytes(bytes))
        }

        /// Stores as the guest does; nothing is stored when any byte of it faults.
        ///
        /// # Errors
        /// The first byte that can't be written.
        #[inline(always)]
        pub fn $store(&mut self, addr: u64, value: $ty) -> Result<(), Fault> {
            if addr < GUEST_TOP {
                if let Some(()) = self.store.$store(addr as u32, value) {
                    return Ok(());
                }
            }
            self.write_slow(GuestAddr(addr), &value.to_le_bytes())
        }
    };
}

impl AddressSpace {
    access!(load8, store8, u8);
    access!(load16, store16, u16);
    access!(load32, store32, u32);
    access!(load64, store64, u64);
    access!(load128, store128, u128);

    #[cold]
    #[inline(never)]
    fn read_slow(&self, addr: GuestAddr, to: &mut [u8]) -> Result<(), Fault> {
        self.read(addr, to)
    }

    #[cold]
    #[inline(never)]
    fn write_slow(&mut self, addr: GuestAddr, from: &[u8]) -> Result<(), Fault> {
        self.check_writable(addr, from.len() as u64)?;
        self.write(addr, from)
    }

    /// Whether every byte of a range can be stored to directly, after dropping translated code in it.
    ///
    /// # Errors
    /// The first byte that can't.
    pub fn check_writable(&mut self, addr: GuestAddr, len: u64) -> Result<(), Fault> {
        let mut done = 0;
        while done < len {
            let at = addr + done;
            let (page, _, step) = self.chunk(at, (len - done) as usize, Access::Write)?;
            self.drop_code(page);
            if !self.state(page).has(PageState::WRITE) {
                return Err(Fault { addr: at, access: Access::Write });
            }
            done += step as u64;
        }
        Ok(())
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    const RW: PageState = PageState(PageState::READ.0 | PageState::WRITE.0 | PageState::PRESENT.0);

    fn space_with(pages: &[(u32, PageState)]) -> AddressSpace {
        let mut space = AddressSpace::new(HostMemory::new().unwrap());
        for (page, state) in pages {
            space.set_state(PageIndex(*page), *state);
        }
        space
    }

    #[test]
    fn a_store_across_pages_is_all_or_nothing() {
        let mut space = space_with(&[(1, RW)]);
        let fault = space.store64(0x1ffc, u64::MAX).unwrap_err();
        assert_eq!(fault, Fault { addr: GuestAddr(0x2000), access: Access::Write });
        assert_eq!(space.load32(0x1ffc), Ok(0));
        space.set_state(PageIndex(2), RW);
        space.store64(0x1ffc, 0x1122_3344_5566_7788).unwrap();
        assert_eq!(space.load64(0x1ffc), Ok(0x1122_3344_5566_7788));
    }

    #[test]
    fn addresses_past_4_gib_do_not_wrap() {
        let space = space_with(&[(1, RW)]);
        assert!(space.load8(0x1000).is_ok());
        assert_eq!(space.load8(0x1_0000_1000).unwrap_err().addr, GuestAddr(0x1_0000_1000));
    }

    #[test]
    fn high_addresses_are_found_in_their_blocks() {
        let mut space = space_with(&[(0x10f, RW), (0x200, RW)]);
        let high = |addr: u64| GuestAddr(0x6000_0000_0000 + addr);
        space.place_block(high(0), GuestAddr(0x10_0000));
        space.place_block(high(BLOCK_BYTES), GuestAddr(0x20_0000));
        space.store64(high(0xfffc).0, 0x1122_3344_5566_7788).unwrap();
        assert_eq!(space.load64(high(0xfffc).0), Ok(0x1122_3344_5566_7788));
        assert_eq!((space.load32(0x10_fffc), space.load32(0x20_0000)), (Ok(0x5566_7788), Ok(0x1122_3344)));
        assert_eq!(space.store16(high(0x1_0fff).0, 0).unwrap_err().addr, high(0x1_1000));
        assert_eq!(space.load8(high(0x2_0000).0).unwrap_err().addr, high(0x2_0000));
        space.set_state(PageIndex(0x10f), RW | PageState::EXEC);
        assert_eq!(space.fetch(high(0xf000), &mut [0]), Ok(1));
        assert_eq!(space.take_block(high(0)), Some(GuestAddr(0x10_0000)));
        assert!(space.load8(high(0xfffc).0).is_err());
    }

    #[test]
    fn stores_to_code_make_it_stale() {
        let mut space = space_with(&[(1, RW | PageState::EXEC)]);
        space.mark_code(PageIndex(1));
        assert!(!space.state(PageIndex(1)).has(PageState::WRITE));
        space.store8(0x1234, 0x90).unwrap();
        assert_eq!(space.take_stale_code(), [PageIndex(1)]);
        assert!(!space.has_stale_code());
        assert!(space.state(PageIndex(1)).has(PageState::WRITE));
    }

    #[test]
    fn cleared_pages_are_zero_again() {
        let mut space = space_with(&[(1, RW)]);
        space.store8(0x1000, 7).unwrap();
        assert_eq!(space.present_pages(), 1);
        space.clear_all();
        assert_eq!((space.present_pages(), space.used_pages()), (0, vec![]));
        space.set_state(PageIndex(1), RW);
        assert_eq!(space.load8(0x1000), Ok(0));
    }
}
