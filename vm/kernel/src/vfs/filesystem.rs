//! `FileSystem`: what ext2, tmpfs, procfs and the others each provide. Inodes are numbers, paths are not known
//! here, permissions are checked by the caller ([`super::Vfs`]).

use abi::Errno;

use super::Location;
use crate::stop::Outcome;

/// Number of an inode within its file system; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ino(pub u64);

/// Kind of file, the `S_IFMT` part of a mode.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum FileKind {
    Regular,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
}

/// Seconds and nanoseconds since 1970, UTC.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// What `stat` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are those of the man page.
pub struct Attributes {
    pub ino: Ino,
    pub kind: FileKind,
    /// Permission, setuid, setgid and sticky bits (0o7777).
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    pub size_bytes: u64,
    /// 512-byte units in use.
    pub blocks: u64,
    /// Preferred I/O size.
    pub block_size: u32,
    /// Device number of a device node (`makedev(3)` encoding, 64 bits).
    pub rdev: u64,
    pub accessed: Timestamp,
    pub modified: Timestamp,
    pub changed: Timestamp,
}

/// Attributes to change; `None` stays as it is. `changed` is always set to the file system's time.
#[derive(Clone, Copy, Default, Debug)]
#[allow(missing_docs)] // The names are those of the man page.
pub struct SetAttributes {
    pub mode: Option<u16>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size_bytes: Option<u64>,
    pub accessed: Option<Timestamp>,
    pub modified: Option<Timestamp>,
}

/// A file to create.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // The names are those of the man page.
pub struct NewFile<'a> {
    pub kind: FileKind,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// For device nodes.
    pub rdev: u64,
    /// For symbolic links.
    pub target: &'a [u8],
}

/// An entry that `getdents64` reports.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are those of the man page.
pub struct DirEntry {
    pub ino: Ino,
    pub kind: FileKind,
    pub name: Vec<u8>,
    /// Where reading goes on after this entry.
    pub next_cookie: u64,
}

/// What `statfs` tells.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are those of the man page.
pub struct FileSystemStatus {
    /// `f_type`, the magic number.
    pub magic: u64,
    pub block_size: u64,
    pub blocks: u64,
    pub blocks_free: u64,
    pub blocks_available: u64,
    pub files: u64,
    pub files_free: u64,
    pub name_len_max: u64,
}

/// A mounted file system.
///
/// Every method may return `Stop::Wait(Wait::Disk)`, having changed nothing; the caller makes the same call again
/// later. Methods that change a read-only file system fail with `EROFS`.
#[allow(unused_variables)]
pub trait FileSystem {
    /// Root directory.
    fn root(&self) -> Ino;

    /// The time that new timestamps get from now on (called before each operation that may set one).
    fn set_time(&mut self, now: Timestamp) {}

    /// Inode of an entry (`.` and `..` are resolved by the caller).
    fn lookup(&mut self, dir: Ino, name: &[u8]) -> Outcome<Ino>;

    /// Attributes of an inode.
    fn attributes(&mut self, ino: Ino) -> Outcome<Attributes>;

    /// Whether permission bits don't count because the file is about the very process that asks.
    fn is_askers_own(&mut self, ino: Ino) -> bool {
        false
    }

    /// Changes attributes; a `size_bytes` truncates or extends.
    fn set_attributes(&mut self, ino: Ino, set: &SetAttributes) -> Outcome<()> {
        Err(Errno::EPERM.into())
    }

    /// Reads from a regular file; fewer bytes than asked only at its end.
    fn read(&mut self, ino: Ino, offset: u64, to: &mut [u8]) -> Outcome<usize>;

    /// Writes to a regular file, extending it as needed.
    fn write(&mut self, ino: Ino, offset: u64, from: &[u8]) -> Outcome<usize> {
        Err(Errno::EROFS.into())
    }

    /// Target of a symbolic link.
    fn read_link(&mut self, ino: Ino) -> Outcome<Vec<u8>> {
        Err(Errno::EINVAL.into())
    }

    /// Where a magic link leads: one that stands for an open file or a task's directory rather than for a path
    /// (`/proc/self/exe`, `/proc/self/fd/3`). `None` for an ordinary symbolic link.
    fn magic_link(&mut self, ino: Ino) -> Outcome<Option<Location>> {
        Ok(None)
    }

    /// Entries from `cookie` on (0 is the start), `.` and `..` included, until `each` returns false: the entry it
    /// refused is the next one's start.
    fn read_dir(&mut self, dir: Ino, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()>;

    /// Creates a file of any kind.
    fn create(&mut self, dir: Ino, name: &[u8], new: &NewFile<'_>) -> Outcome<Ino> {
        Err(Errno::EROFS.into())
    }

    /// Adds a hard link.
    fn link(&mut self, dir: Ino, name: &[u8], ino: Ino) -> Outcome<()> {
        Err(Errno::EROFS.into())
    }

    /// Removes an entry that is not a directory. An inode without links lives on until [`Self::release`].
    fn unlink(&mut self, dir: Ino, name: &[u8]) -> Outcome<()> {
        Err(Errno::EROFS.into())
    }

    /// Removes an empty directory.
    fn remove_dir(&mut self, dir: Ino, name: &[u8]) -> Outcome<()> {
        Err(Errno::EROFS.into())
    }

    /// Creates a file without a name (`O_TMPFILE`); the caller retains it at once. `dir` says where it may be linked.
    fn create_unnamed(&mut self, dir: Ino, new: &NewFile<'_>) -> Outcome<Ino> {
        Err(Errno::EOPNOTSUPP.into())
    }

    /// Moves an entry, replacing a compatible one in the way (`rename(2)`); the caller has checked for loops.
    fn rename(&mut self, from: (Ino, &[u8]), to: (Ino, &[u8])) -> Outcome<()> {
        Err(Errno::EROFS.into())
    }

    /// Swaps two entries (`RENAME_EXCHANGE`); the caller has checked for loops.
    fn exchange(&mut self, one: (Ino, &[u8]), other: (Ino, &[u8])) -> Outcome<()> {
        Err(Errno::EINVAL.into())
    }

    /// The file has been read: its access time, and nothing else, becomes the file system's time.
    fn touch(&mut self, ino: Ino) -> Outcome<()> {
        Ok(())
    }

    /// Someone holds this inode open (or maps it, or stands in it): keep it even without links. Counted.
    fn retain(&mut self, ino: Ino) {}

    /// Undoes one [`Self::retain`]; frees the inode if it has neither links nor holders. The freeing itself may have
    /// to wait for the disk, so a file system queues it and works it off in later calls.
    fn release(&mut self, ino: Ino) {}

    /// Extended attribute, by its full name (`user.x`).
    fn get_xattr(&mut self, ino: Ino, name: &[u8]) -> Outcome<Vec<u8>> {
        Err(Errno::EOPNOTSUPP.into())
    }

    /// Names of all extended attributes.
    fn list_xattrs(&mut self, ino: Ino) -> Outcome<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    /// Sets or (with `None`) removes an extended attribute.
    fn set_xattr(&mut self, ino: Ino, name: &[u8], value: Option<&[u8]>) -> Outcome<()> {
        Err(Errno::EOPNOTSUPP.into())
    }

    /// What may no longer be done to a file (`F_SEAL_*`).
    ///
    /// # Errors
    /// `EINVAL` if its files can't be sealed.
    fn seals(&mut self, ino: Ino) -> Outcome<u32> {
        Err(Errno::EINVAL.into())
    }

    /// Sets that.
    fn set_seals(&mut self, ino: Ino, seals: u32) -> Outcome<()> {
        Err(Errno::EINVAL.into())
    }

    /// Takes room for the bytes from `start` to `end`, which may lie past the end of the file (`fallocate(2)`). One that
    /// does not keep account takes it when they are written.
    fn allocate(&mut self, ino: Ino, start: u64, end: u64) -> Outcome<()> {
        Ok(())
    }

    /// Makes these bytes zeroes that take no room (`FALLOC_FL_PUNCH_HOLE`).
    fn punch(&mut self, ino: Ino, start: u64, end: u64) -> Outcome<()> {
        Err(Errno::EOPNOTSUPP.into())
    }

    /// Renames, and leaves behind a mark that stands for nothing: a device numbered 0 (`RENAME_WHITEOUT`).
    fn rename_leaving_whiteout(&mut self, from: (Ino, &[u8]), to: (Ino, &[u8]), mark: &NewFile<'_>) -> Outcome<()> {
        Err(Errno::EINVAL.into())
    }

    /// Size and use.
    fn status(&mut self) -> Outcome<FileSystemStatus>;

    /// Brings everything to the device below, and works off what had to wait.
    fn sync(&mut self) -> Outcome<()> {
        Ok(())
    }

    /// Takes other mount options (`mount -o remount`).
    ///
    /// # Errors
    /// `EINVAL` for what it does not understand or can't do any more.
    fn reconfigure(&mut self, options: &str) -> Outcome<()> {
        Ok(())
    }

    /// Name of its type as `/proc/mounts` shows it.
    fn type_name(&self) -> &'static str {
        "none"
    }

    /// Whether nothing in it can be changed, ever.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Whether entries come and go other than through the calls above (procfs): lookups are then never cached.
    fn is_volatile(&self) -> bool {
        false
    }
}
