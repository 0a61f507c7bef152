//! `Dentry`: one name in one directory, and the cache of recently used ones.
//!
//! A child keeps its parents alive, never the reverse, so there are no cycles; [`DentryCache`] keeps the recently used
//! ones alive. A negative dentry remembers that there is no such file.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use super::{FileKind, Ino, Volume};

/// Entries kept though nobody uses them: a compiler run touches about 3,000 paths; an entry takes about 200 bytes.
const CACHED_MAX: usize = 16 * 1024;

/// A name in a directory. While it lives, its inode is retained in its file system.
pub(super) struct Dentry {
    pub(super) volume: Rc<Volume>,
    /// `None`: there is no such file.
    inode: Cell<Option<(Ino, FileKind)>>,
    parent: RefCell<Option<Rc<Dentry>>>,
    name: RefCell<Rc<[u8]>>,
    children: RefCell<HashMap<Rc<[u8]>, Weak<Dentry>>>,
    /// The name has been removed from its directory.
    pub(super) deleted: Cell<bool>,
    /// Made without a name, to be given one with `linkat(2)` (`O_TMPFILE`).
    linkable: Cell<bool>,
    /// How many mounts sit on it.
    pub(super) mounts_here: Cell<u32>,
    recently_used: Cell<bool>,
    /// Where in the cache it is, if it is.
    slot: Cell<usize>,
}

impl Dentry {
    fn new(volume: &Rc<Volume>, inode: Option<(Ino, FileKind)>, parent: Option<&Rc<Dentry>>, name: &[u8]) -> Rc<Self> {
        if let Some((ino, _)) = inode {
            volume.enter().retain(ino);
        }
        Rc::new(Self {
            volume: volume.clone(),
            inode: Cell::new(inode),
            parent: RefCell::new(parent.cloned()),
            name: RefCell::new(name.into()),
            children: RefCell::default(),
            deleted: Cell::new(false),
            linkable: Cell::new(false),
            mounts_here: Cell::new(0),
            recently_used: Cell::new(false),
            slot: Cell::new(usize::MAX),
        })
    }

    /// An entry outside any directory: a file system's root, or something that never had a name (a pipe).
    pub(super) fn detached(volume: &Rc<Volume>, ino: Ino, kind: FileKind, name: &[u8]) -> Rc<Self> {
        Self::new(volume, Some((ino, kind)), None, name)
    }

    /// A file made in `parent` without a name (`O_TMPFILE`), which `linkat(2)` may give it if it is `linkable`.
    pub(super) fn unnamed(parent: &Rc<Self>, ino: Ino, linkable: bool) -> Rc<Self> {
        let name = format!("#{}", ino.0);
        let dentry = Self::new(&parent.volume, Some((ino, FileKind::Regular)), Some(parent), name.as_bytes());
        dentry.deleted.set(true);
        dentry.linkable.set(linkable);
        dentry
    }

    /// Whether it may get a name though it has none.
    pub(super) fn linkable(&self) -> bool {
        self.linkable.get()
    }

    /// The child that has just been found or made: a negative one in memory becomes it, anything else is replaced.
    pub(super) fn add_child(self: &Rc<Self>, name: &[u8], inode: Option<(Ino, FileKind)>) -> Rc<Self> {
        if let Some((ino, _)) = inode
            && let Some(child) = self.cached_child(name).filter(|child| child.inode().is_none())
        {
            self.volume.enter().retain(ino);
            child.inode.set(inode);
            return child;
        }
        let child = Self::new(&self.volume, inode, Some(self), name);
        self.children.borrow_mut().insert(child.name(), Rc::downgrade(&child));
        child
    }

    /// The child of that name, if it is in memory.
    pub(super) fn cached_child(&self, name: &[u8]) -> Option<Rc<Self>> {
        let child = self.children.borrow().get(name)?.upgrade()?;
        child.recently_used.set(true);
        Some(child)
    }

    /// All children in memory.
    pub(super) fn cached_children(&self) -> Vec<Rc<Self>> {
        self.children.borrow().values().filter_map(Weak::upgrade).collect()
    }

    /// Inode and kind; `None` if there is no such file.
    pub(super) fn inode(&self) -> Option<(Ino, FileKind)> {
        self.inode.get()
    }

    pub(super) fn name(&self) -> Rc<[u8]> {
        self.name.borrow().clone()
    }

    pub(super) fn parent(&self) -> Option<Rc<Dentry>> {
        self.parent.borrow().clone()
    }

    /// The file has lost this name: forgets it, so that the next lookup asks again.
    pub(super) fn set_deleted(&self) {
        self.deleted.set(true);
        if let Some(parent) = &*self.parent.borrow() {
            parent.children.borrow_mut().remove(&*self.name.borrow());
        }
    }

    /// The file has another name now. Whatever was known under that one must have been [`Self::set_deleted`].
    pub(super) fn moved(self: &Rc<Self>, parent: &Rc<Dentry>, name: &[u8]) {
        if let Some(old) = &*self.parent.borrow() {
            let mut siblings = old.children.borrow_mut();
            // In an exchange the other one may already be there.
            if siblings.get(&*self.name.borrow()).is_some_and(|there| std::ptr::eq(there.as_ptr(), &**self)) {
                siblings.remove(&*self.name.borrow());
            }
        }
        let name: Rc<[u8]> = name.into();
        parent.children.borrow_mut().insert(name.clone(), Rc::downgrade(self));
        *self.name.borrow_mut() = name;
        *self.parent.borrow_mut() = Some(parent.clone());
    }

    /// Whether this is `other` or one of the directories above it.
    pub(super) fn is_ancestor_of(self: &Rc<Self>, other: &Rc<Dentry>) -> bool {
        let mut at = Some(other.clone());
        while let Some(dentry) = at {
            if Rc::ptr_eq(self, &dentry) {
                return true;
            }
            at = dentry.parent();
        }
        false
    }

    /// Where it is in its file system.
    pub(super) fn path(self: &Rc<Self>) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = self.clone();
        while let Some(parent) = at.parent() {
            names.push(at.name());
            at = parent;
        }
        match names.is_empty() {
            true => b"/".to_vec(),
            false => names.iter().rev().flat_map(|name| [b"/", &name[..]].concat()).collect(),
        }
    }

    /// Unhooks itself before being dropped, and hands over its hold on the parent.
    fn leave(&mut self) -> Option<Rc<Dentry>> {
        if let Some((ino, _)) = self.inode.take() {
            if self.deleted.get() {
                self.volume.watches.abandon(&self.volume, ino);
            }
            self.volume.release_later(ino);
        }
        let parent = self.parent.take()?;
        {
            let mut siblings = parent.children.borrow_mut();
            let name = self.name.borrow();
            if siblings.get(&*name).is_some_and(|weak| weak.strong_count() == 0) {
                siblings.remove(&*name);
            }
        }
        Some(parent)
    }
}

impl Drop for Dentry {
    /// Drops the parents nobody else holds one after the other: a guest may nest directories deeper than our stack.
    fn drop(&mut self) {
        let mut next = self.leave();
        while let Some(parent) = next {
            next = Rc::into_inner(parent).and_then(|mut parent| parent.leave());
        }
    }
}

/// Keeps recently used entries alive: a clock, whose hand spares those used since it last came by.
#[derive(Default)]
pub(super) struct DentryCache {
    slots: RefCell<Vec<Option<Rc<Dentry>>>>,
    hand: Cell<usize>,
}

impl DentryCache {
    /// Keeps `dentry` until enough others have come.
    pub(super) fn keep(&self, dentry: Rc<Dentry>) {
        let mut slots = self.slots.borrow_mut();
        if self.holds(&slots, &dentry) {
            return;
        }
        if slots.len() < CACHED_MAX {
            dentry.slot.set(slots.len());
            slots.push(Some(dentry));
            return;
        }
        let mut at = self.hand.get();
        // Two rounds at most: the first takes away all marks.
        while slots[at].as_ref().is_some_and(|dentry| dentry.recently_used.take()) {
            at = (at + 1) % CACHED_MAX;
        }
        self.hand.set((at + 1) % CACHED_MAX);
        dentry.slot.set(at);
        let evicted = slots[at].replace(dentry);
        drop(slots);
        drop(evicted);
    }

    fn holds(&self, slots: &[Option<Rc<Dentry>>], dentry: &Rc<Dentry>) -> bool {
        let kept = slots.get(dentry.slot.get()).and_then(Option::as_ref);
        kept.is_some_and(|kept| Rc::ptr_eq(kept, dentry))
    }

    /// Lets go of an entry that is of no more use.
    pub(super) fn forget(&self, dentry: &Rc<Dentry>) {
        let mut slots = self.slots.borrow_mut();
        if self.holds(&slots, dentry) {
            slots[dentry.slot.get()] = None;
        }
    }

    /// Lets go of everything in `volume`.
    pub(super) fn forget_volume(&self, volume: &Rc<Volume>) {
        for slot in self.slots.borrow_mut().iter_mut() {
            if slot.as_ref().is_some_and(|dentry| Rc::ptr_eq(&dentry.volume, volume)) {
                *slot = None;
            }
        }
    }
}
