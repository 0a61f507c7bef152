//! Guest bytes in a lazily committed private mapping of this process.
#![allow(unsafe_code)] // Raw loads and stores inside one mapping; every offset is bounded by its type.

use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{MmapMut, MmapOptions};

use crate::address::{GUEST_TOP, HOST_BASE, PAGE_COUNT, PAGE_SIZE};
use crate::high::LOOKASIDE_ENTRIES;
use crate::state::PageState;

/// Bytes reserved: any `u32` guest address plus a 16-byte access stays inside, also where generated code adds an offset
/// of up to a page.
const RESERVED: usize = (1 << 32) + HOST_BASE as usize + 2 * PAGE_SIZE as usize;

/// The memory behind one address space.
pub struct HostMemory {
    base: *mut u8,
    slot: u32,
    _mapping: MmapMut,
}

impl HostMemory {
    /// Reserves a fresh, all-zero memory.
    ///
    /// # Errors
    /// The host's, when it refuses to reserve another 4 GiB of addresses.
    pub fn new() -> std::io::Result<Self> {
        let mut mapping = MmapOptions::new().len(RESERVED).no_reserve_swap().map_anon()?;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Ok(Self { base: mapping.as_mut_ptr(), slot: NEXT.fetch_add(1, Ordering::Relaxed), _mapping: mapping })
    }

    /// Names this memory; never reused.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Where the state map begins, and at [`HOST_BASE`] the guest's bytes. For whoever lets generated code reach them.
    pub fn base(&self) -> *mut u8 {
        self.base
    }

    #[inline(always)]
    fn at(&self, addr: u32) -> *mut u8 {
        // SAFETY: HOST_BASE + any u32 lies inside RESERVED, with a page to spare.
        unsafe { self.base.add(HOST_BASE as usize + addr as usize) }
    }

    /// State byte of a page.
    #[inline(always)]
    pub fn state(&self, page: u32) -> PageState {
        // SAFETY: the index is cut to the map's size.
        PageState(unsafe { *self.base.add(page as usize & (PAGE_COUNT - 1)) })
    }

    /// Sets the state byte of a page.
    #[inline(always)]
    pub fn set_state(&mut self, page: u32, state: PageState) {
        // SAFETY: the index is cut to the map's size.
        unsafe { *self.base.add(page as usize & (PAGE_COUNT - 1)) = state.0 }
    }

    /// Copies guest bytes out, whatever the page states say.
    pub fn copy_out(&self, addr: u32, to: &mut [u8]) {
        assert!(u64::from(addr) + to.len() as u64 <= 1 << 32);
        // SAFETY: asserted inside the mapping; `to` is ours alone.
        unsafe { std::ptr::copy_nonoverlapping(self.at(addr), to.as_mut_ptr(), to.len()) }
    }

    /// Copies bytes in, whatever the page states say.
    pub fn copy_in(&mut self, addr: u32, from: &[u8]) {
        assert!(u64::from(addr) + from.len() as u64 <= 1 << 32);
        // SAFETY: as in `copy_out`.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), self.at(addr), from.len()) }
    }

    /// Sets an entry of the lookaside ([`crate::high`]), of which nothing here keeps a copy.
    pub fn set_lookaside(&self, index: u32, entry: u64) {
        assert!(u64::from(index) < LOOKASIDE_ENTRIES);
        // SAFETY: asserted inside the mapping, aligned, and never borrowed.
        unsafe { self.at(GUEST_TOP as u32).cast::<u64>().add(index as usize).write(entry) }
    }

    /// Zeroes `len` bytes.
    pub fn clear(&mut self, addr: u32, len: u32) {
        assert!(u64::from(addr) + u64::from(len) <= 1 << 32);
        // SAFETY: as in `copy_out`.
        unsafe { std::ptr::write_bytes(self.at(addr), 0, len as usize) }
    }
}

/// Generates the checked access of one width: `None` when a page state forbids the direct way or the
/// access crosses a page (the caller then goes byte by byte).
macro_rules! access {
    ($load:ident, $store:ident, $ty:ty) => {
        /// Loads if the page is directly readable and the access stays within it.
        #[inline(always)]
        pub fn $load(&self, addr: u32) -> Option<$ty> {
            let fits = addr & 0xfff <= 0x1000 - size_of::<$ty>() as u32;
            // SAFETY: `at` is always inside the mapping.
            (fits && self.state(addr >> 12).has(PageState::READ))
                .then(|| unsafe { self.at(addr).cast::<$ty>().read_unaligned() })
        }

        /// Stores if the page is directly writable and the access stays within it.
        #[inline(always)]
        pub fn $store(&mut self, addr: u32, value: $ty) -> Option<()> {
            let fits = addr & 0xfff <= 0x1000 - size_of::<$ty>() as u32;
            // SAFETY: `at` is always inside the mapping.
            (fits && self.state(addr >> 12).has(PageState::WRITE))
                .then(|| unsafe { self.at(addr).cast::<$ty>().write_unaligned(value) })
        }
    };
}

impl HostMemory {
    access!(load8, store8, u8);
    access!(load16, store16, u16);
    access!(load32, store32, u32);
    access!(load64, store64, u64);
    access!(load128, store128, u128);
}
