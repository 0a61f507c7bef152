//! The virtual file system: paths, mounts, permissions, over file systems that know only inodes.
//!
//! [`Vfs`] resolves paths ([`Vfs::resolve`], [`Vfs::open`]) and changes directories ([`Vfs::mkdir`], [`Vfs::rename`],
//! …) for a [`Context`]: whoever asks, and where they stand. A resolved file is a [`Location`], which is then read,
//! written, examined and changed through its own methods, with or without a path.
//!
//! **Invariant:** every call may fail with `Stop::Wait` and is then repeated from the start, so each makes at most one
//! change to one file system, as its last fallible step.
//!
//! | module | subject |
//! |---|---|
//! | [`filesystem`] | the trait each file system implements |
//! | [`volume`] | a file system in use |
//! | [`dentry`] | names in directories, cached |
//! | [`location`] | a resolved file: dentry and mount; reading, writing, its path |
//! | [`mount`] | mounted trees and the table of them |
//! | [`mounting`] | mounting, binding, moving, unmounting |
//! | [`walk`] | path resolution |
//! | [`permission`] | permission bits |
//! | [`open`] | `open(2)` |
//! | [`entries`] | making and removing entries: mkdir, mknod, symlink, link, unlink, rmdir |
//! | [`rename`] | `rename(2)` |
//! | [`change`] | changing attributes: chmod, chown, utimens, truncate |
//! | [`xattr`] | extended attributes and who may use them |
//! | [`watch`] | telling who watches a file what happens to it |

mod change;
mod dentry;
mod entries;
pub mod filesystem;
mod location;
mod mount;
mod mounting;
mod open;
mod permission;
mod rename;
mod volume;
mod walk;
pub mod watch;
mod xattr;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::credentials::Credentials;
use crate::stop::Outcome;

pub use change::SetTime;
use dentry::{Dentry, DentryCache};
pub use filesystem::*;
pub use location::Location;
use mount::MountTable;
pub use mount::{Mount, MountFlags, Writing};
pub use mounting::Unmount;
pub use open::{OpenHow, Opened};
pub use permission::Access;
pub use rename::RenameMode;
use volume::Volume;
use walk::Walk;
pub use watch::Watches;

/// On whose behalf paths are resolved, and from where.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// `/` and the end of `..`.
    pub root: &'a Location,
    /// Where relative paths start.
    pub cwd: &'a Location,
    /// Who asks.
    pub credentials: &'a Credentials,
    /// Permission bits that new files don't get.
    pub umask: u16,
}

/// A path, and the open directory it starts from (`openat(2)`).
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// Where a relative path starts; `None` is the working directory.
    pub start: Option<&'a Location>,
    /// The path, without terminating NUL.
    pub path: &'a [u8],
    /// What must not be on the way.
    pub restrict: Restrict,
}

/// What is forbidden on the way (`openat2(2)`).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Restrict {
    /// `RESOLVE_NO_XDEV`: other mounts.
    pub mounts: bool,
    /// `RESOLVE_NO_MAGICLINKS`: links like `/proc/self/fd/1`.
    pub magic_links: bool,
    /// `RESOLVE_NO_SYMLINKS`: any symbolic links.
    pub symlinks: bool,
    /// `RESOLVE_BENEATH`: anything outside of where it starts.
    pub outside: bool,
    /// `RESOLVE_IN_ROOT`: not forbidden, but where it starts is the root.
    pub in_root: bool,
}

impl<'a> At<'a> {
    /// `path` from an open directory, or from the working directory.
    pub fn new(start: Option<&'a Location>, path: &'a [u8]) -> Self {
        Self { start, path, restrict: Restrict::default() }
    }

    /// `path` from the working directory.
    pub fn cwd(path: &'a [u8]) -> Self {
        Self { start: None, path, restrict: Restrict::default() }
    }
}

/// All mounted file systems. Methods take `&self`, so that it can be shared (procfs shows the mounts).
pub struct Vfs {
    mounts: RefCell<MountTable>,
    root: RefCell<Rc<Mount>>,
    /// What the machine was started from: programs may have taken its mount away and still write to it.
    started_from: Rc<Volume>,
    cache: DentryCache,
    clock: Rc<Cell<Timestamp>>,
    watches: Rc<Watches>,
    devices: Cell<u64>,
}

impl Vfs {
    /// A tree that consists of `file_system`; `source` is what `/proc/mounts` says about where it comes from.
    pub fn new(file_system: Box<dyn FileSystem>, source: &str, flags: MountFlags) -> Self {
        let clock = Rc::new(Cell::new(Timestamp::default()));
        let watches = Rc::<Watches>::default();
        // Device 0 is nobody's.
        let volume = Volume::new(file_system, 1, clock.clone(), watches.clone());
        let mut mounts = MountTable::default();
        let root = mounts.create(root_of(&volume), source, flags);
        mounts.mounts.push(root.clone());
        let (mounts, root) = (RefCell::new(mounts), RefCell::new(root));
        let (cache, devices) = (DentryCache::default(), Cell::new(1));
        Self { mounts, root, started_from: volume, cache, clock, watches, devices }
    }

    /// The root of all.
    pub fn root(&self) -> Location {
        self.top_of(self.root.borrow().root())
    }

    /// Who watches which file.
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// The time that new timestamps get from now on.
    pub fn set_time(&self, now: Timestamp) {
        self.clock.set(now);
    }

    /// The file a path leads to. `follow` says whether a symbolic link as the last component is followed.
    pub fn resolve(&self, context: &Context<'_>, path: At<'_>, follow: bool) -> Outcome<Location> {
        let found = Walk::new(self, context, path)?.finish(follow)?;
        found.mount.expiring.set(false);
        Ok(found)
    }

    /// Mounts `file_system` on `at`, which may be a directory or (for one whose root is a file) a file.
    pub fn mount(
        &self,
        file_system: Box<dyn FileSystem>,
        source: &str,
        at: &Location,
        flags: MountFlags,
    ) -> Outcome<()> {
        let mount = self.mount_nowhere(file_system, source, flags);
        self.attach(&mount, at)
    }

    /// A mount that no path leads to: for pipes, sockets and memfds. See [`Self::anonymous`].
    pub fn mount_nowhere(&self, file_system: Box<dyn FileSystem>, source: &str, flags: MountFlags) -> Rc<Mount> {
        self.devices.set(self.devices.get() + 1);
        let volume = Volume::new(file_system, self.devices.get(), self.clock.clone(), self.watches.clone());
        self.mounts.borrow_mut().create(root_of(&volume), source, flags)
    }

    /// A file of `mount` that has no path; `name` is what `/proc/self/fd` shows for it (`pipe:[12]`).
    pub fn anonymous(&self, mount: &Rc<Mount>, ino: Ino, kind: FileKind, name: &[u8]) -> Location {
        Location::new(mount.clone(), Dentry::detached(&mount.root.volume, ino, kind, name))
    }

    /// A regular file of `mount` that never gets a path (`memfd_create(2)`), shown as `name`.
    pub fn anonymous_file(&self, mount: &Rc<Mount>, who: &Credentials, mode: u16, name: &[u8]) -> Outcome<Location> {
        let (uid, gid) = (who.fsuid, who.fsgid);
        let new = NewFile { kind: FileKind::Regular, mode, uid, gid, rdev: 0, target: b"" };
        let ino = mount.root().change(|file_system, root| file_system.create_unnamed(root, &new))?;
        Ok(self.anonymous(mount, ino, FileKind::Regular, name))
    }

    /// All mounts, in the order they were made.
    pub fn mounts(&self) -> Vec<Rc<Mount>> {
        self.mounts.borrow().mounts.clone()
    }

    /// Brings all file systems to their devices (`sync(2)`).
    pub fn sync(&self) -> Outcome<()> {
        for mount in self.mounts() {
            mount.root.volume.enter().sync()?;
        }
        self.started_from.enter().sync()
    }

    /// Takes every mount but the root away and brings all file systems to their devices. For when no process is left: a
    /// deleted file that is mounted somewhere, or has something mounted on it, would never be freed.
    pub fn shut_down(&self) -> Outcome<()> {
        self.sync()?;
        let root = self.root.borrow().clone();
        for mount in self.mounts().iter().rev().filter(|mount| !Rc::ptr_eq(mount, &root)) {
            self.mounts.borrow_mut().detach(mount);
            self.cache.forget_volume(&mount.root.volume);
        }
        self.sync()
    }
}

fn root_of(volume: &Rc<Volume>) -> Rc<Dentry> {
    let root = volume.enter().root();
    Dentry::detached(volume, root, FileKind::Directory, b"/")
}
