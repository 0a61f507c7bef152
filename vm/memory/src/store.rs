//! Where the bytes and page states of a space are: in a memory of the host, or put aside.
//!
//! A host has only so many memories (a browser tab about a hundred). A space that nobody runs can be *swapped out*: what it
//! has lies in the engine's own heap until it is run again. The kernel layer reads and changes it there as if it were in
//! its memory.

use std::collections::HashMap;
use std::rc::Rc;

use crate::address::{PAGE_SIZE, PageBytes};
use crate::host::HostMemory;
use crate::state::PageState;

/// The bytes and page states of a space. Addresses and lengths are in bytes.
pub(crate) enum Store {
    /// In a memory, where an engine can run.
    Memory(HostMemory),
    /// Put aside.
    SwappedOut(SwappedOut),
}

/// Pages that differ from absent and zero.
#[derive(Default)]
pub(crate) struct SwappedOut {
    states: HashMap<u32, PageState>,
    /// Spaces that have a page in common may share its bytes.
    bytes: HashMap<u32, Rc<PageBytes>>,
}

impl SwappedOut {
    /// The parts of a range that lie in a page each: the page, where in it the part begins, and its part of the range.
    fn parts(addr: u32, len: usize) -> impl Iterator<Item = (u32, usize, std::ops::Range<usize>)> {
        let page_bytes = PAGE_SIZE as usize;
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = addr as usize + done;
            let part = done..len.min(done + page_bytes - at % page_bytes);
            done = part.end;
            (!part.is_empty()).then_some(((at / page_bytes) as u32, at % page_bytes, part))
        })
    }

    fn copy_out(&self, addr: u32, to: &mut [u8]) {
        for (page, start, part) in Self::parts(addr, to.len()) {
            let to = &mut to[part];
            match self.bytes.get(&page) {
                Some(bytes) => to.copy_from_slice(&bytes[start..start + to.len()]),
                None => to.fill(0),
            }
        }
    }

    fn copy_in(&mut self, addr: u32, from: &[u8]) {
        for (page, start, part) in Self::parts(addr, from.len()) {
            let from = &from[part];
            let bytes = self.bytes.entry(page).or_insert_with(|| Rc::new([0; PAGE_SIZE as usize]));
            Rc::make_mut(bytes)[start..start + from.len()].copy_from_slice(from);
        }
    }

    fn clear(&mut self, addr: u32, len: usize) {
        for (page, start, part) in Self::parts(addr, len) {
            if part.len() == PAGE_SIZE as usize {
                self.bytes.remove(&page);
            } else if let Some(bytes) = self.bytes.get_mut(&page) {
                Rc::make_mut(bytes)[start..start + part.len()].fill(0);
            }
        }
    }
}

impl Store {
    /// The memory; `None` if the space is swapped out.
    pub fn memory(&self) -> Option<&HostMemory> {
        if let Store::Memory(host) = self { Some(host) } else { None }
    }

    /// Puts these pages of the memory aside; it is all zero then, and the caller's.
    pub fn swap_out(&mut self, pages: impl Iterator<Item = u32>) -> Option<HostMemory> {
        let Store::Memory(host) = self else { return None };
        let mut aside = SwappedOut::default();
        for page in pages {
            let state = host.state(page);
            if state.has(PageState::PRESENT) {
                let mut bytes = [0; PAGE_SIZE as usize];
                host.copy_out(page * PAGE_SIZE as u32, &mut bytes);
                if bytes != [0; PAGE_SIZE as usize] {
                    host.clear(page * PAGE_SIZE as u32, PAGE_SIZE as u32);
                    aside.bytes.insert(page, Rc::new(bytes));
                }
            }
            host.set_state(page, PageState::ABSENT);
            aside.states.insert(page, state);
        }
        match std::mem::replace(self, Store::SwappedOut(aside)) {
            Store::Memory(host) => Some(host),
            Store::SwappedOut(_) => None,
        }
    }

    /// Brings everything into a memory, which is all zero.
    pub fn swap_in(&mut self, mut host: HostMemory) {
        if let Store::SwappedOut(aside) = self {
            for (page, bytes) in &aside.bytes {
                host.copy_in(page * PAGE_SIZE as u32, &bytes[..]);
            }
            for (page, state) in &aside.states {
                host.set_state(*page, *state);
            }
        }
        *self = Store::Memory(host);
    }

    /// Bytes that a space takes that is swapped out, its part of those it shares.
    pub fn bytes_aside(&self) -> Option<u64> {
        let Store::SwappedOut(aside) = self else { return None };
        Some(aside.bytes.values().map(|bytes| PAGE_SIZE / Rc::strong_count(bytes) as u64).sum())
    }

    #[inline(always)]
    pub fn state(&self, page: u32) -> PageState {
        match self {
            Store::Memory(host) => host.state(page),
            Store::SwappedOut(aside) => aside.states.get(&page).copied().unwrap_or(PageState::ABSENT),
        }
    }

    #[inline(always)]
    pub fn set_state(&mut self, page: u32, state: PageState) {
        match self {
            Store::Memory(host) => host.set_state(page, state),
            Store::SwappedOut(aside) if state == PageState::ABSENT => drop(aside.states.remove(&page)),
            Store::SwappedOut(aside) => drop(aside.states.insert(page, state)),
        }
    }

    pub fn copy_out(&self, addr: u32, to: &mut [u8]) {
        match self {
            Store::Memory(host) => host.copy_out(addr, to),
            Store::SwappedOut(aside) => aside.copy_out(addr, to),
        }
    }

    pub fn copy_in(&mut self, addr: u32, from: &[u8]) {
        match self {
            Store::Memory(host) => host.copy_in(addr, from),
            Store::SwappedOut(aside) => aside.copy_in(addr, from),
        }
    }

    /// Gives a page bytes that others have, too; they are copied only for a memory.
    pub fn share_in(&mut self, page: u32, bytes: &Rc<PageBytes>) {
        match self {
            Store::Memory(host) => host.copy_in(page * PAGE_SIZE as u32, &bytes[..]),
            Store::SwappedOut(aside) => drop(aside.bytes.insert(page, bytes.clone())),
        }
    }

    pub fn clear(&mut self, addr: u32, len: u32) {
        match self {
            Store::Memory(host) => host.clear(addr, len),
            Store::SwappedOut(aside) => aside.clear(addr, len as usize),
        }
    }

    /// Sets an entry of the lookaside, which only a memory has.
    pub fn set_lookaside(&self, index: u32, entry: u64) {
        if let Store::Memory(host) = self {
            host.set_lookaside(index, entry);
        }
    }
}

/// The processor's loads and stores: they go the direct way in a memory only.
macro_rules! accesses {
    ($($load:ident, $store:ident: $ty:ty;)*) => { impl Store { $(
        #[inline(always)]
        pub fn $load(&self, addr: u32) -> Option<$ty> {
            self.memory()?.$load(addr)
        }

        #[inline(always)]
        pub fn $store(&mut self, addr: u32, value: $ty) -> Option<()> {
            if let Store::Memory(host) = self { host.$store(addr, value) } else { None }
        }
    )* } };
}

accesses! {
    load8, store8: u8;
    load16, store16: u16;
    load32, store32: u32;
    load64, store64: u64;
    load128, store128: u128;
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn what_is_aside_is_read_and_changed_as_in_memory() {
        let mut store = Store::Memory(HostMemory::new().unwrap());
        let code = PageState::PRESENT | PageState::EXEC | PageState::CODE;
        for (page, state) in [(1, PageState::PRESENT), (2, code), (5, PageState::INHERITED)] {
            store.set_state(page, state);
        }
        store.copy_in(0x1ffe, b"across");
        let memory = store.swap_out([1, 2, 5].into_iter()).unwrap();
        assert_eq!(
            (memory.state(1), memory.state(2), memory.load8(0x2000)),
            (PageState::ABSENT, PageState::ABSENT, None)
        );
        assert!(store.memory().is_none() && store.swap_out([].into_iter()).is_none());
        let mut text = [0; 8];
        store.copy_out(0x1ffd, &mut text);
        assert_eq!((&text, store.state(2), store.state(7)), (b"\0across\0", code, PageState::ABSENT));
        store.copy_in(0x1fff, b"Cr");
        store.clear(0x2002, 1);
        let shared = Rc::new([7; PAGE_SIZE as usize]);
        store.share_in(9, &shared);
        assert_eq!(store.bytes_aside(), Some(2 * PAGE_SIZE + PAGE_SIZE / 2));
        store.copy_in(0x9001, &[8]);
        assert_eq!(shared[1], 7);
        store.set_state(5, PageState::ABSENT);
        store.swap_in(memory);
        store.copy_out(0x1ffd, &mut text);
        assert_eq!((&text, store.state(2), store.state(5)), (b"\0aCro\0s\0", code, PageState::ABSENT));
        store.copy_out(0x9000, &mut text[..3]);
        assert_eq!(text[..3], [7, 8, 7]);
    }
}
