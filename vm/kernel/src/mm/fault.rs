//! Page faults: bringing in what a mapping promises, or saying which signal the program deserves.

use std::ops::Range;
use std::rc::Rc;

use abi::Errno;
use abi::signal::{BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR, SIGBUS, SIGSEGV};
use memory::{Access, BLOCK_BYTES, GUEST_TOP, GuestAddr, PAGE_SIZE, PageIndex, PageState};

use super::{Backing, MAP_MIN, Mm, Vma};
use crate::stop::{Stop, Wait};
use crate::vfs::Location;

/// Why a page can't be accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The fields are those of siginfo_t.
pub enum FaultError {
    /// The program gets a signal with this code.
    Signal { signal: u32, code: i32 },
    /// Not yet.
    Wait(Wait),
    /// There is no place left for the bytes of a high address.
    Full,
}

const UNMAPPED: FaultError = FaultError::Signal { signal: SIGSEGV, code: SEGV_MAPERR };
const FORBIDDEN: FaultError = FaultError::Signal { signal: SIGSEGV, code: SEGV_ACCERR };
pub(super) const PAST_END: FaultError = FaultError::Signal { signal: SIGBUS, code: BUS_ADRERR };

impl From<Stop> for FaultError {
    /// A file that can't be read is a bus error to whoever mapped it.
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Wait(wait) => FaultError::Wait(wait),
            Stop::Errno(_) => PAST_END,
        }
    }
}

/// Pages of a file brought in together when one is touched: a disk chunk is larger still.
const FILE_CLUSTER_PAGES: u64 = 16;
/// Fresh zero pages made available together: they cost the host nothing until written.
const ZERO_CLUSTER_PAGES: u64 = 8;
/// The stack never grows closer than this to the mapping below it (`stack_guard_gap`).
const STACK_GAP_BYTES: u64 = 256 * PAGE_SIZE;

impl Mm {
    /// Makes an access possible that just faulted.
    ///
    /// # Errors
    /// See [`FaultError`].
    pub fn resolve(self: &Rc<Self>, addr: GuestAddr, access: Access) -> Result<(), FaultError> {
        let vma = self.vma_at(addr).ok_or(UNMAPPED)?;
        if !vma.allows(access) {
            return Err(FORBIDDEN);
        }
        let page = self.place_of(addr).ok_or(FaultError::Full)?;
        let vma = self.holder_of(vma, page);
        if let Backing::Shared { object, offset } = &vma.backing {
            return object.resolve(self, page, (offset + (page.start().0 - vma.start)) / PAGE_SIZE, &vma, access);
        }
        let state = self.space.borrow().state(page);
        if state.has(PageState::INHERITED) {
            self.take_inherited(page, &vma);
        } else if !state.has(PageState::PRESENT) {
            return self.bring_in(addr, page, &vma);
        }
        if access == Access::Write {
            self.hand_down(page);
        }
        let state = self.restrained(page, vma.page_state());
        self.space.borrow_mut().set_state(page, state);
        Ok(())
    }

    /// Sees to it that the bytes at an address are here, whatever may be done to them; returns their page and mapping.
    ///
    /// # Errors
    /// See [`FaultError`].
    pub(super) fn fetch(self: &Rc<Self>, addr: GuestAddr) -> Result<(PageIndex, Vma), FaultError> {
        let vma = self.maps_at(addr.0).borrow().find(addr.0).cloned().ok_or(UNMAPPED)?;
        let page = self.place_of(addr).ok_or(FaultError::Full)?;
        let vma = self.holder_of(vma, page);
        let state = self.space.borrow().state(page);
        if state.has(PageState::PRESENT) {
            return Ok((page, vma));
        }
        if let Backing::Shared { object, offset } = &vma.backing {
            let index = (offset + (page.start().0 - vma.start)) / PAGE_SIZE;
            object.resolve(self, page, index, &vma, Access::Read)?;
        } else if state.has(PageState::INHERITED) {
            self.take_inherited(page, &vma);
        } else {
            self.bring_in(addr, page, &vma)?;
        }
        Ok((page, vma))
    }

    /// The mapping at an address, growing a stack down to it if that is what it takes.
    fn vma_at(&self, addr: GuestAddr) -> Option<Vma> {
        let mut maps = self.maps_at(addr.0).borrow_mut();
        if let Some(vma) = maps.find(addr.0) {
            return Some(vma.clone());
        }
        let stack = maps.next_from(addr.0).filter(|vma| vma.flags.grows_down)?.clone();
        let start = addr.page_start().0;
        let gap_free = maps.is_free(start.saturating_sub(STACK_GAP_BYTES)..stack.start);
        if start < MAP_MIN || stack.end - start > self.stack_limit_bytes.get() || !gap_free {
            return None;
        }
        maps.remove(stack.start..stack.end);
        let grown = Vma { start, ..stack };
        maps.insert(grown.clone());
        Some(grown)
    }

    /// Brings in an absent page of a private mapping, and absent neighbours that are likely to be next.
    fn bring_in(&self, addr: GuestAddr, page: PageIndex, vma: &Vma) -> Result<(), FaultError> {
        match &vma.backing {
            Backing::File { file, offset } => self.bring_in_file(page, vma, file, *offset),
            _ => {
                // What of the mapping is in one piece there.
                let range = match addr.0 < GUEST_TOP {
                    true => vma.start..vma.end,
                    false => {
                        let block = addr.0 / BLOCK_BYTES * BLOCK_BYTES;
                        let low = |at: u64| page.start().0 + at - addr.page_start().0;
                        low(vma.start.max(block))..low(vma.end.min(block + BLOCK_BYTES))
                    }
                };
                let run = self.absent_run(page, range, ZERO_CLUSTER_PAGES);
                let mut space = self.space.borrow_mut();
                run.for_each(|index| space.set_state(PageIndex(index), vma.page_state()));
                Ok(())
            }
        }
    }

    /// Reads the cluster of file pages around `page`.
    fn bring_in_file(&self, page: PageIndex, vma: &Vma, file: &Location, offset: u64) -> Result<(), FaultError> {
        if let Some(object) = self.shared.get(file) {
            object.flush()?;
        }
        let run = self.absent_run(page, vma.start..vma.end, FILE_CLUSTER_PAGES);
        let first = PageIndex(run.start).start().0;
        let mut bytes = vec![0; run.len() * PAGE_SIZE as usize];
        let len = file.read(offset + (first - vma.start), &mut bytes).map_err(FaultError::from)?;
        let wanted = (page.0 - run.start) as usize * PAGE_SIZE as usize;
        if len <= wanted {
            return Err(PAST_END);
        }
        let mut space = self.space.borrow_mut();
        for (index, chunk) in run.zip(bytes[..len].chunks(PAGE_SIZE as usize)) {
            space.fill_page(PageIndex(index), chunk);
            space.set_state(PageIndex(index), vma.page_state());
        }
        Ok(())
    }

    /// The longest run of absent pages around `page` within a range and its aligned cluster.
    fn absent_run(&self, page: PageIndex, range: Range<u64>, cluster_pages: u64) -> Range<u32> {
        let space = self.space.borrow();
        let absent = |index: &u32| space.state(PageIndex(*index)) == PageState::ABSENT;
        let cluster = u64::from(page.0) / cluster_pages * cluster_pages;
        let lowest = cluster.max(range.start / PAGE_SIZE) as u32;
        let highest = (cluster + cluster_pages).min(range.end / PAGE_SIZE) as u32;
        let start = (lowest..page.0).rev().take_while(absent).last().unwrap_or(page.0);
        let end = (page.0..highest).take_while(absent).last().unwrap_or(page.0) + 1;
        start..end
    }
}

impl FaultError {
    /// What a system call makes of it.
    pub fn into_stop(self) -> Stop {
        match self {
            FaultError::Signal { .. } => Stop::Errno(Errno::EFAULT),
            FaultError::Wait(wait) => Stop::Wait(wait),
            FaultError::Full => Stop::Errno(Errno::ENOMEM),
        }
    }
}
