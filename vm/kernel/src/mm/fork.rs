//! Inheriting pages across `fork`: nothing is copied until someone needs it.

use std::rc::{Rc, Weak};

use memory::{AddressSpace, HostMemory, PAGE_SIZE, PageBytes, PageIndex, PageState};

use super::{Mm, Vma, pages};
use crate::mm::vma::Backing;

impl Mm {
    /// A copy of this address space over `host`, for a child process.
    pub fn fork(self: &Rc<Self>, host: HostMemory) -> Rc<Mm> {
        let child = Mm::new(host, self.shared.clone());
        for vma in self.maps.borrow().iter().filter(|vma| !vma.flags.dont_fork) {
            child.maps.borrow_mut().insert(vma.clone());
            match &vma.backing {
                Backing::Shared { object, .. } => object.add_mapper(&child),
                _ if vma.flags.wipe_on_fork => {}
                _ => self.leave_pages(&child, vma),
            }
        }
        self.inherit_high(&child);
        child.addresses_end.set(self.addresses_end.get());
        child.map_top.set(self.map_top.get());
        child.heap_start.set(self.heap_start.get());
        child.heap_end.set(self.heap_end.get());
        child.arguments.set(self.arguments.get());
        child.environment.set(self.environment.get());
        child.vdso.set(self.vdso.get());
        child.stack_limit_bytes.set(self.stack_limit_bytes.get());
        child.auxiliary.borrow_mut().clone_from(&self.auxiliary.borrow());
        child.executable.borrow_mut().clone_from(&self.executable.borrow());
        *child.parent.borrow_mut() = Rc::downgrade(self);
        let mut children = self.children.borrow_mut();
        children.retain(|other| other.strong_count() > 0);
        children.push(Rc::downgrade(&child));
        drop(children);
        child
    }

    /// Marks the pages of a private mapping as inherited by `child`. Pages that can't be written keep their state,
    /// and with it their translated code.
    fn leave_pages(&self, child: &Mm, vma: &Vma) {
        let mut mine = self.space.borrow_mut();
        let mut theirs = child.space.borrow_mut();
        let writable = PageState::WRITE | PageState::WRITE_UNDER_CODE;
        for page in pages(vma.start..vma.end) {
            let state = mine.state(page);
            if !state.has(PageState::PRESENT) && !state.has(PageState::INHERITED) {
                continue;
            }
            theirs.set_state(page, PageState::INHERITED);
            if state.has(PageState::WRITE) || state.has(PageState::WRITE_UNDER_CODE) {
                mine.set_state(page, state.without(writable | PageState::CODE) | PageState::COW);
            }
        }
    }

    /// Fetches a page left in an ancestor.
    pub(super) fn take_inherited(&self, page: PageIndex, vma: &Vma) {
        let bytes = self.inherited_bytes(page);
        self.receive(page, vma.page_state(), |space| space.fill_page(page, &bytes));
    }

    /// Bytes of an inherited page, from the nearest ancestor that has it.
    fn inherited_bytes(&self, page: PageIndex) -> PageBytes {
        let mut bytes = [0; PAGE_SIZE as usize];
        let mut at = self.parent.borrow().upgrade();
        while let Some(ancestor) = at {
            let state = ancestor.space.borrow().state(page);
            if state.has(PageState::PRESENT) {
                ancestor.space.borrow().read_page(page, &mut bytes);
                break;
            }
            // An ancestor hands pages down before it lets go of them, so it can only be an inheritor itself.
            debug_assert!(state.has(PageState::INHERITED), "page {page:?} is lost: {state:?}");
            at = ancestor.parent.borrow().upgrade();
        }
        bytes
    }

    /// An inherited page becomes this space's own. Whoever inherits it from here goes on doing so.
    fn receive(&self, page: PageIndex, open: PageState, fill: impl FnOnce(&mut AddressSpace)) {
        let state = self.restrained(page, open);
        let mut space = self.space.borrow_mut();
        fill(&mut space);
        space.set_state(page, state);
    }

    /// `open` without what may not be allowed as long as children inherit the page.
    pub(super) fn restrained(&self, page: PageIndex, open: PageState) -> PageState {
        if !open.has(PageState::WRITE) || self.heirs(page).is_empty() {
            return open;
        }
        open.without(PageState::WRITE) | PageState::COW
    }

    /// Children that still inherit a page.
    fn heirs(&self, page: PageIndex) -> Vec<Rc<Mm>> {
        let children = self.children.borrow();
        let alive = children.iter().filter_map(Weak::upgrade);
        alive.filter(|child| child.space.borrow().state(page).has(PageState::INHERITED)).collect()
    }

    /// Gives children that still inherit a page their copy; afterwards it is this space's alone.
    pub(super) fn hand_down(&self, page: PageIndex) {
        let heirs = self.heirs(page);
        if heirs.is_empty() {
            return;
        }
        // One copy for all that are swapped out.
        let bytes = Rc::new(self.own_bytes(page));
        for heir in heirs {
            let open = heir.maps.borrow().find(page.start().0).map(Vma::page_state);
            heir.receive(page, open.unwrap_or(PageState::PRESENT), |space| space.share_page(page, &bytes));
        }
    }

    fn own_bytes(&self, page: PageIndex) -> PageBytes {
        if self.space.borrow().state(page).has(PageState::INHERITED) {
            return self.inherited_bytes(page);
        }
        let mut bytes = [0; PAGE_SIZE as usize];
        self.space.borrow().read_page(page, &mut bytes);
        bytes
    }

    /// Drops the pages of a part of a mapping, handing down what children inherit. The mapping stays.
    pub(super) fn unmap_pages(&self, part: &Vma) {
        for page in self.pages_of(part) {
            let state = self.space.borrow().state(page);
            if state == PageState::ABSENT {
                continue;
            }
            self.hand_down(page);
            self.space.borrow_mut().clear_page(page);
        }
    }
}
