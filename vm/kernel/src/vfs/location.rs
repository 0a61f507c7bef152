//! `Location`: a file as a path led to it (Linux: `struct path`), and what can be done with it as it is.

use std::fmt;
use std::rc::Rc;

use super::dentry::Dentry;
use super::mount::Mount;
use super::{Attributes, DirEntry, FileKind, FileSystemStatus, Ino, Timestamp};
use crate::stop::{Outcome, Stop};
use abi::Errno;

/// A file, by the entry and the mount through which it was reached. Cheap to clone. It knows its path even after
/// renames, and holds the inode: an unlinked file lives as long as a `Location` of it.
#[derive(Clone)]
pub struct Location {
    pub(super) mount: Rc<Mount>,
    /// Never negative.
    pub(super) dentry: Rc<Dentry>,
}

/// Access times older than this are refreshed by reading, whatever the file's other times (`relatime`).
const ACCESS_TIME_AGE_SECONDS_MAX: i64 = 24 * 60 * 60;

impl Location {
    /// What `mount` calls its file system.
    pub fn type_name(&self) -> &'static str {
        self.mount.type_name()
    }

    pub(super) fn new(mount: Rc<Mount>, dentry: Rc<Dentry>) -> Self {
        Self { mount, dentry }
    }

    fn inode(&self) -> (Ino, FileKind) {
        self.dentry.inode().expect("a location is never negative")
    }

    /// Number of the inode.
    pub fn ino(&self) -> Ino {
        self.inode().0
    }

    /// Kind of file.
    pub fn kind(&self) -> FileKind {
        self.inode().1
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind() == FileKind::Directory
    }

    /// `st_dev`: number of the file system.
    pub fn device(&self) -> u64 {
        self.dentry.volume.device
    }

    /// The mount it is in.
    pub fn mount(&self) -> &Rc<Mount> {
        &self.mount
    }

    /// Whether both are the same entry of the same mount.
    pub fn is(&self, other: &Location) -> bool {
        Rc::ptr_eq(&self.mount, &other.mount) && Rc::ptr_eq(&self.dentry, &other.dentry)
    }

    /// Whether both are the same file, under whatever names.
    pub fn same_file(&self, other: &Location) -> bool {
        Rc::ptr_eq(&self.dentry.volume, &other.dentry.volume) && self.ino() == other.ino()
    }

    /// Whether its name has been removed.
    pub fn is_deleted(&self) -> bool {
        self.dentry.deleted.get()
    }

    /// The last component of its path.
    pub fn name(&self) -> Rc<[u8]> {
        self.dentry.name()
    }

    /// The directory above, across mounts; `None` at the root of all.
    pub fn parent(&self) -> Option<Location> {
        let mut at = self.clone();
        while Rc::ptr_eq(&at.dentry, &at.mount.root) {
            at = at.mount.mount_point()?;
        }
        Some(Location::new(at.mount, at.dentry.parent()?))
    }

    /// Whether it is in or below `top`.
    pub fn is_below(&self, top: &Location) -> bool {
        let mut at = Some(self.clone());
        while let Some(location) = at {
            if location.is(top) {
                return true;
            }
            at = match Rc::ptr_eq(&location.dentry, &location.mount.root) {
                true => location.mount.mount_point(),
                false => location.dentry.parent().map(|parent| Location::new(location.mount, parent)),
            };
        }
        false
    }

    /// Its path as seen by a task whose root is `root`: what `readlink /proc/self/fd/N` shows. `" (deleted)"` follows
    /// if the name is gone; outside `root` it begins at the root of all, or of the mount if that is nowhere; something
    /// that never had a path (a pipe) has a name of its own.
    pub fn path(&self, root: &Location) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = self.clone();
        let mut path = Vec::new();
        loop {
            if at.is(root) {
                break;
            }
            if Rc::ptr_eq(&at.dentry, &at.mount.root) {
                match at.mount.mount_point() {
                    Some(point) => at = point,
                    None => break,
                }
                continue;
            }
            let name = at.dentry.name();
            match at.dentry.parent() {
                Some(parent) => at = Location::new(at.mount, parent),
                None => return name.to_vec(),
            }
            names.push(name);
        }
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if names.is_empty() {
            path.push(b'/');
        }
        if self.is_deleted() {
            path.extend_from_slice(b" (deleted)");
        }
        path
    }

    /// What `stat` tells, except [`Self::device`].
    pub fn attributes(&self) -> Outcome<Attributes> {
        self.dentry.volume.enter().attributes(self.ino())
    }

    /// Reads from a regular file, and refreshes its access time by the rules of `relatime`.
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Outcome<usize> {
        let len = self.dentry.volume.enter().read(self.ino(), offset, to)?;
        self.touch();
        Ok(len)
    }

    /// Writes to a regular file, extending it as needed. A short count means that the file system is full.
    pub fn write(&self, offset: u64, from: &[u8]) -> Outcome<usize> {
        self.dentry.volume.enter().write(self.ino(), offset, from)
    }

    /// Entries of a directory, see [`super::FileSystem::read_dir`].
    pub fn read_dir(&self, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        if !self.is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        if self.is_deleted() {
            return Err(Errno::ENOENT.into());
        }
        self.dentry.volume.enter().read_dir(self.ino(), cookie, each)?;
        self.touch();
        Ok(())
    }

    /// Target of a symbolic link; of a magic link its [`Self::path`] below `root`.
    pub fn read_link(&self, root: &Location) -> Outcome<Vec<u8>> {
        if self.kind() != FileKind::Symlink {
            return Err(Errno::EINVAL.into());
        }
        let magic = self.dentry.volume.enter().magic_link(self.ino())?;
        match magic {
            Some(location) => Ok(location.path(root)),
            None => self.dentry.volume.enter().read_link(self.ino()),
        }
    }

    /// What `statfs` tells.
    pub fn status(&self) -> Outcome<FileSystemStatus> {
        self.dentry.volume.enter().status()
    }

    /// Brings its file system to the device below (`syncfs`, `fsync`).
    pub fn sync(&self) -> Outcome<()> {
        self.dentry.volume.enter().sync()
    }

    /// Refreshes the access time after reading. That it can't be done now is no reason for reading to fail.
    fn touch(&self) {
        let flags = self.mount.flags();
        if flags.no_atime || (flags.no_dir_atime && self.is_directory()) || self.is_read_only() {
            return;
        }
        let now = self.dentry.volume.now();
        let mut file_system = self.dentry.volume.enter();
        let stale = |a: Attributes| {
            let age = now.seconds.saturating_sub(a.accessed.seconds);
            let stale = a.accessed <= a.modified || a.accessed <= a.changed || age >= ACCESS_TIME_AGE_SECONDS_MAX;
            stale || flags.strict_atime
        };
        if file_system.attributes(self.ino()).is_ok_and(|a| a.accessed != now && stale(a)) {
            let _ = file_system.touch(self.ino());
        }
    }

    /// Runs `change` on the file system, if the mount lets it be changed.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut dyn super::FileSystem, Ino) -> Outcome<T>) -> Outcome<T> {
        if self.is_read_only() {
            return Err(Stop::Errno(Errno::EROFS));
        }
        change(&mut **self.dentry.volume.enter(), self.ino())
    }

    /// Whether mount or file system forbid changes.
    pub fn is_read_only(&self) -> bool {
        self.mount.flags().read_only || self.dentry.volume.is_read_only()
    }

    /// The time new timestamps get.
    pub(super) fn now(&self) -> Timestamp {
        self.dentry.volume.now()
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.mount.id, self.ino().0, String::from_utf8_lossy(&self.name()))
    }
}
