//! `Mount`: a tree of some volume, attached somewhere; and the table of all of them (`mount(2)`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::Location;
use super::dentry::Dentry;

/// What a mount forbids or leaves out (`mount(8)`: FILE-SYSTEM-INDEPENDENT MOUNT OPTIONS).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct MountFlags {
    pub read_only: bool,
    pub no_suid: bool,
    pub no_dev: bool,
    pub no_exec: bool,
    /// Reading never changes access times; otherwise they are `relatime`.
    pub no_atime: bool,
}

/// A mounted tree.
pub struct Mount {
    /// Number shown in `/proc/self/mountinfo`.
    pub id: u64,
    /// What was mounted, as `/proc/mounts` shows it.
    pub source: String,
    pub(super) root: Rc<Dentry>,
    /// Where it sits; `None` for the root of all and for mounts that are nowhere.
    pub(super) on: RefCell<Option<Location>>,
    pub(super) flags: Cell<MountFlags>,
}

impl Mount {
    /// What it forbids.
    pub fn flags(&self) -> MountFlags {
        self.flags.get()
    }

    /// Name of the type of its file system.
    pub fn type_name(&self) -> &'static str {
        self.root.volume.type_name
    }

    /// Where it sits; `None` for the root of all.
    pub fn mount_point(&self) -> Option<Location> {
        self.on.borrow().clone()
    }

    /// Its root directory.
    pub fn root(self: &Rc<Self>) -> Location {
        Location::new(self.clone(), self.root.clone())
    }
}

/// All mounts, in the order they were made.
#[derive(Default)]
pub(super) struct MountTable {
    pub(super) mounts: Vec<Rc<Mount>>,
    last_id: u64,
}

impl MountTable {
    /// Makes a mount, not yet attached.
    pub(super) fn create(&mut self, root: Rc<Dentry>, source: &str, flags: MountFlags) -> Rc<Mount> {
        self.last_id += 1;
        let on = RefCell::default();
        Rc::new(Mount { id: self.last_id, source: source.to_owned(), root, on, flags: Cell::new(flags) })
    }

    /// Puts `mount` on top of `at`.
    pub(super) fn attach(&mut self, mount: &Rc<Mount>, at: &Location) {
        at.dentry.mounts_here.set(at.dentry.mounts_here.get() + 1);
        *mount.on.borrow_mut() = Some(at.clone());
        self.mounts.push(mount.clone());
    }

    /// Takes `mount` away from where it sits.
    pub(super) fn detach(&mut self, mount: &Rc<Mount>) {
        self.mounts.retain(|other| !Rc::ptr_eq(other, mount));
        if let Some(at) = mount.on.take() {
            at.dentry.mounts_here.set(at.dentry.mounts_here.get().saturating_sub(1));
        }
    }

    /// The mount that hides `at`, if any: the latest there.
    pub(super) fn over(&self, at: &Location) -> Option<Rc<Mount>> {
        if at.dentry.mounts_here.get() == 0 {
            return None;
        }
        self.mounts.iter().rev().find(|mount| mount.on.borrow().as_ref().is_some_and(|on| on.is(at))).cloned()
    }

    /// Mounts that sit directly in `mount`.
    pub(super) fn within(&self, mount: &Rc<Mount>) -> Vec<Rc<Mount>> {
        let inside = |on: &Location| Rc::ptr_eq(&on.mount, mount);
        self.mounts.iter().filter(|other| other.on.borrow().as_ref().is_some_and(inside)).cloned().collect()
    }
}
