//! Memory that several address spaces show: shared anonymous memory, and files mapped with `MAP_SHARED`.
//!
//! Each space has bytes of its own, so a page of a [`SharedObject`] is either in several spaces that may only read it,
//! or in one that may write it; a fault moves it. A page that is in no space is in the object itself, or still in the
//! file. Pages that have been writable are written to the file when it is next read by other means, and in the end.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::rc::{Rc, Weak};

use memory::{Access, PAGE_SIZE, PageBytes, PageIndex, PageState};

use super::{Backing, FaultError, Mm, Vma, pages};
use crate::stop::Outcome;
use crate::vfs::Location;

/// Shared memory.
pub struct SharedObject {
    file: Option<Location>,
    /// Bytes of pages that are in no space.
    kept: RefCell<HashMap<u64, Box<PageBytes>>>,
    /// Pages that may differ from the file.
    dirty: RefCell<BTreeSet<u64>>,
    mappers: RefCell<Vec<Weak<Mm>>>,
}

impl SharedObject {
    /// Memory behind a file, or behind nothing.
    pub fn new(file: Option<Location>) -> Rc<Self> {
        let (kept, dirty, mappers) = Default::default();
        Rc::new(Self { file, kept, dirty, mappers })
    }

    /// The file whose bytes these are.
    pub fn file(&self) -> Option<&Location> {
        self.file.as_ref()
    }

    /// Notes that `mm` maps this.
    pub(super) fn add_mapper(&self, mm: &Rc<Mm>) {
        let mut mappers = self.mappers.borrow_mut();
        mappers.retain(|other| other.strong_count() > 0);
        if !mappers.iter().any(|other| std::ptr::eq(other.as_ptr(), Rc::as_ptr(mm))) {
            mappers.push(Rc::downgrade(mm));
        }
    }

    /// How many mappings show it.
    pub fn mapping_count(&self) -> usize {
        let mappers: Vec<Rc<Mm>> = self.mappers.borrow().iter().filter_map(Weak::upgrade).collect();
        let shows =
            |vma: &&Vma| matches!(&vma.backing, Backing::Shared { object, .. } if std::ptr::eq(&**object, self));
        mappers.iter().map(|mm| mm.mappings().iter().filter(shows).count()).sum()
    }

    /// Whether a mapping shows it that may be written, or become so.
    pub fn may_be_written(&self) -> bool {
        let mappers: Vec<Rc<Mm>> = self.mappers.borrow().iter().filter_map(Weak::upgrade).collect();
        let shows = |vma: &Vma| matches!(&vma.backing, Backing::Shared { object, .. } if std::ptr::eq(&**object, self));
        mappers.iter().any(|mm| mm.mappings().iter().any(|vma| shows(vma) && !vma.flags.never_write))
    }

    /// How many pages of it exist.
    pub fn page_count(&self) -> u64 {
        let mut pages: BTreeSet<u64> = self.kept.borrow().keys().copied().collect();
        pages.extend(self.dirty.borrow().iter());
        pages.len() as u64
    }

    /// Pages of it that are in no space.
    pub fn kept_pages(&self) -> u64 {
        self.kept.borrow().len() as u64
    }

    /// Makes an access to a page possible; `page` is where `mm` sees this object's page `index`.
    pub(super) fn resolve(
        &self,
        mm: &Rc<Mm>,
        page: PageIndex,
        index: u64,
        vma: &Vma,
        access: Access,
    ) -> Result<(), FaultError> {
        if !mm.space.borrow().state(page).has(PageState::PRESENT) {
            let bytes = self.page(index)?;
            mm.space.borrow_mut().fill_page(page, &bytes[..]);
        }
        let others = self.holders(index).into_iter().filter(|(other, at)| !(Rc::ptr_eq(other, mm) && *at == page));
        let open = vma.page_state();
        let state = if access == Access::Write {
            others.for_each(|(other, at)| other.space.borrow_mut().clear_page(at));
            self.kept.borrow_mut().remove(&index);
            self.dirty.borrow_mut().insert(index);
            open
        } else {
            others.for_each(|(other, at)| {
                let mut space = other.space.borrow_mut();
                let state = space.state(at);
                if state.has(PageState::WRITE) || state.has(PageState::WRITE_UNDER_CODE) {
                    space.set_state(at, readable_only(state));
                }
            });
            open.without(PageState::WRITE)
        };
        mm.space.borrow_mut().set_state(page, state);
        Ok(())
    }

    /// Where a page is present.
    fn holders(&self, index: u64) -> Vec<(Rc<Mm>, PageIndex)> {
        let mappers: Vec<Rc<Mm>> = self.mappers.borrow().iter().filter_map(Weak::upgrade).collect();
        let mut holders = Vec::new();
        for mm in mappers {
            for page in self.places(&mm, index) {
                if mm.space.borrow().state(page).has(PageState::PRESENT) {
                    holders.push((mm.clone(), page));
                }
            }
        }
        holders
    }

    /// Where `mm` shows a page.
    fn places(&self, mm: &Mm, index: u64) -> Vec<PageIndex> {
        let maps = mm.maps.borrow();
        let place = |vma: &Vma| match &vma.backing {
            Backing::Shared { object, offset } if std::ptr::eq(&**object, self) => {
                let at = vma.start + (index * PAGE_SIZE).checked_sub(*offset)?;
                (at < vma.end).then_some(PageIndex((at / PAGE_SIZE) as u32))
            }
            _ => None,
        };
        maps.iter().filter_map(place).collect()
    }

    /// Bytes of a page as they are now.
    fn page(&self, index: u64) -> Result<Box<PageBytes>, FaultError> {
        if let Some(bytes) = self.page_in_memory(index) {
            return Ok(bytes);
        }
        let mut bytes = Box::new([0; PAGE_SIZE as usize]);
        if let Some(file) = &self.file {
            let len = file.read(index * PAGE_SIZE, &mut bytes[..])?;
            if len == 0 {
                return Err(super::fault::PAST_END);
            }
        }
        Ok(bytes)
    }

    fn page_in_memory(&self, index: u64) -> Option<Box<PageBytes>> {
        if let Some((mm, page)) = self.holders(index).first() {
            let mut bytes = Box::new([0; PAGE_SIZE as usize]);
            mm.space.borrow().read_page(*page, &mut bytes);
            return Some(bytes);
        }
        self.kept.borrow().get(&index).cloned()
    }

    /// Before `mm` unmaps `vma`, a mapping of this: saves the pages that are nowhere else.
    pub(super) fn leave(&self, mm: &Mm, vma: &Vma, offset: u64) {
        for page in pages(vma.start..vma.end) {
            if !mm.space.borrow().state(page).has(PageState::PRESENT) {
                continue;
            }
            let index = (offset + page.start().0 - vma.start) / PAGE_SIZE;
            let changed = self.file.is_none() || self.dirty.borrow().contains(&index);
            if changed && self.holders(index).len() <= 1 {
                let mut bytes = Box::new([0; PAGE_SIZE as usize]);
                mm.space.borrow().read_page(page, &mut bytes);
                self.kept.borrow_mut().insert(index, bytes);
            }
            mm.space.borrow_mut().clear_page(page);
        }
    }

    /// Writes changed pages to the file. What is past its end is lost, as it is with Linux.
    pub fn flush(&self) -> Outcome<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let dirty: Vec<u64> = self.dirty.borrow().iter().copied().collect();
        if dirty.is_empty() {
            return Ok(());
        }
        let size_bytes = file.attributes()?.size_bytes;
        for index in dirty {
            let start = index * PAGE_SIZE;
            let len = size_bytes.saturating_sub(start).min(PAGE_SIZE) as usize;
            if let Some(bytes) = self.page_in_memory(index) {
                file.write(start, &bytes[..len])?;
            }
            for (mm, page) in self.holders(index) {
                let mut space = mm.space.borrow_mut();
                let state = space.state(page);
                space.set_state(page, readable_only(state));
            }
            self.kept.borrow_mut().remove(&index);
            self.dirty.borrow_mut().remove(&index);
        }
        Ok(())
    }

    /// Forgets pages whose bytes in the file have been changed by other means, or removed.
    pub fn forget(&self, bytes: Range<u64>) {
        let mappers: Vec<Rc<Mm>> = self.mappers.borrow().iter().filter_map(Weak::upgrade).collect();
        for mm in mappers {
            for vma in mm.maps.borrow().iter() {
                let Backing::Shared { object, offset } = &vma.backing else { continue };
                if !std::ptr::eq(&**object, self) {
                    continue;
                }
                let place = |at: u64| vma.start.saturating_add(at.saturating_sub(*offset)).min(vma.end);
                let first = place(bytes.start) & !(PAGE_SIZE - 1);
                pages(first..place(bytes.end).next_multiple_of(PAGE_SIZE))
                    .for_each(|page| mm.space.borrow_mut().clear_page(page));
            }
        }
        let range = bytes.start / PAGE_SIZE..bytes.end.div_ceil(PAGE_SIZE);
        self.kept.borrow_mut().retain(|index, _| !range.contains(index));
        self.dirty.borrow_mut().retain(|index| !range.contains(index));
    }

    fn has_mappers(&self) -> bool {
        self.mappers.borrow().iter().any(|mm| mm.strong_count() > 0)
    }
}

fn readable_only(state: PageState) -> PageState {
    state.without(PageState::WRITE | PageState::WRITE_UNDER_CODE | PageState::CODE)
}

/// Objects by device and inode.
type ByFile = HashMap<(u64, u64), Rc<SharedObject>>;

/// Files that are mapped shared somewhere, or whose changes still wait to be written.
/// Every address space knows them: what is mapped privately shows what others have written through shared mappings.
#[derive(Clone, Default)]
pub struct SharedObjects {
    by_file: Rc<RefCell<ByFile>>,
}

impl SharedObjects {
    /// The object of a file.
    pub fn of(&self, file: &Location) -> Rc<SharedObject> {
        let make = || SharedObject::new(Some(file.clone()));
        self.by_file.borrow_mut().entry((file.device(), file.ino().0)).or_insert_with(make).clone()
    }

    /// The object of a file, if it is mapped.
    pub fn get(&self, file: &Location) -> Option<Rc<SharedObject>> {
        let by_file = self.by_file.borrow();
        if by_file.is_empty() {
            return None;
        }
        by_file.get(&(file.device(), file.ino().0)).cloned()
    }

    /// Writes back what can be written now, and forgets files that nobody maps any more.
    pub fn write_back(&self) -> Outcome<()> {
        let mut result = Ok(());
        let objects: Vec<_> = self.by_file.borrow().iter().map(|(key, object)| (*key, object.clone())).collect();
        for (key, object) in objects {
            let flushed = object.flush();
            // A page that can't be written for good (no space) is lost, as it is with Linux.
            let waiting = matches!(flushed, Err(crate::stop::Stop::Wait(_)));
            result = result.and(flushed);
            if !waiting && !object.has_mappers() {
                self.by_file.borrow_mut().remove(&key);
            }
        }
        result
    }
}
