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
    /// Reading a directory never changes them.
    pub no_dir_atime: bool,
    /// Reading always changes them.
    pub strict_atime: bool,
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
    /// Whether bind mounts can't be made of it (`MS_UNBINDABLE`).
    unbindable: Cell<bool>,
    /// Files that are open for writing: it can't become read-only meanwhile.
    writers: Cell<u32>,
    /// Nobody has used it since somebody asked for that (`MNT_EXPIRE`).
    pub(super) expiring: Cell<bool>,
}

/// Says that a file of a mount is open for writing, while it lives.
pub struct Writing(Rc<Mount>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.writers.set(self.0.writers.get().saturating_sub(1));
    }
}

impl Mount {
    /// What it forbids.
    pub fn flags(&self) -> MountFlags {
        self.flags.get()
    }

    /// Whether bind mounts can't be made of it.
    pub fn is_unbindable(&self) -> bool {
        self.unbindable.get()
    }

    /// Sets that.
    pub fn set_unbindable(&self, unbindable: bool) {
        self.unbindable.set(unbindable);
    }

    /// A file of it is opened for writing.
    pub fn writing(self: &Rc<Self>) -> Writing {
        self.writers.set(self.writers.get() + 1);
        Writing(self.clone())
    }

    pub(super) fn is_written(&self) -> bool {
        self.writers.get() > 0
    }

    /// Whether nothing in its file system can be changed, through whichever mount.
    pub fn is_file_system_read_only(&self) -> bool {
        self.root.volume.is_read_only()
    }

    /// Where its root is in the whole file system; another place than `/` if it is a bind mount.
    pub fn root_path(&self) -> Vec<u8> {
        self.root.path()
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
        let (unbindable, expiring) = (Cell::new(false), Cell::new(false));
        let (id, source, flags, writers) = (self.last_id, source.to_owned(), Cell::new(flags), Cell::new(0));
        Rc::new(Mount { id, source, root, on, flags, unbindable, writers, expiring })
    }

    /// Puts `mount` on top of `at`.
    pub(super) fn attach(&mut self, mount: &Rc<Mount>, at: &Location) {
        self.place(mount, at);
        self.mounts.push(mount.clone());
    }

    /// Puts a mount that sits elsewhere, or nowhere, on top of `at`.
    pub(super) fn place(&mut self, mount: &Rc<Mount>, at: &Location) {
        self.displace(mount);
        at.dentry.mounts_here.set(at.dentry.mounts_here.get() + 1);
        *mount.on.borrow_mut() = Some(at.clone());
    }

    /// Takes `mount` away from where it sits.
    pub(super) fn detach(&mut self, mount: &Rc<Mount>) {
        self.mounts.retain(|other| !Rc::ptr_eq(other, mount));
        self.displace(mount);
    }

    /// Takes `mount` away from where it sits, to be put elsewhere; returns where that was.
    pub(super) fn displace(&mut self, mount: &Rc<Mount>) -> Option<Location> {
        let at = mount.on.take();
        if let Some(at) = &at {
            at.dentry.mounts_here.set(at.dentry.mounts_here.get().saturating_sub(1));
        }
        at
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
