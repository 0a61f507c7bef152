//! `HostDir`: a directory of the host as a file system of the guest (`--bind HOSTDIR:GUESTDIR`, `--root DIR`).
//!
//! The guest never gets out of the directory: every file is opened by the kernel of the host with
//! `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS` (`openat2(2)`) on the way that led to it, one verified name per step, and
//! links are read as links. What the guest may do is what the user who runs it may do on the host; ownership is as on
//! the host, and files made for a guest user whom the host user can't act for stay the host user's.
//!
//! Other programs may change the directory meanwhile, so nothing is remembered but the way to each inode in use. A file
//! whose last known name is removed while it is in use is kept by an open descriptor.
//!
//! | module | subject |
//! |---|---|
//! | [`ways`] | from inode numbers to files of the host |

mod ways;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use abi::Errno;
use kernel::stop::{Outcome, Stop};
use kernel::vfs::{
    Attributes, DirEntry, FileKind, FileSystem, FileSystemStatus, Ino, NewFile, SetAttributes, Timestamp,
};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps};

use ways::Node;

/// Files kept open for reading and writing, so that a run of small reads doesn't open the file for each.
const OPEN_FILES_MAX: usize = 32;
/// Directories whose listing is remembered from its first piece to its last.
const LISTINGS_MAX: usize = 16;

/// See the module's documentation.
pub struct HostDir {
    top: OwnedFd,
    root: Ino,
    nodes: HashMap<Ino, Node>,
    /// Devices met: the top's first. Inode numbers of the others are marked by their index.
    devices: Vec<u64>,
    /// Least recently used first, with whether they are open for writing.
    open_files: Vec<(Ino, OwnedFd, bool)>,
    listings: Vec<(Ino, Vec<DirEntry>)>,
    read_only: bool,
}

/// An error of the host's kernel is one of Linux, as the guest expects it.
fn host_error(errno: rustix::io::Errno) -> Stop {
    Stop::Errno(Errno(errno.raw_os_error() as u16))
}

/// As a path for calls that take one; a name can't contain NUL.
fn os(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// A path to whatever a descriptor stands for, for calls that have no other way.
fn magic(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn kind_of(stat: &Stat) -> FileKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::CharacterDevice => FileKind::CharDevice,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        _ => FileKind::Regular,
    }
}

fn host_kind(kind: FileKind) -> FileType {
    match kind {
        FileKind::Regular => FileType::RegularFile,
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
        FileKind::CharDevice => FileType::CharacterDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
        FileKind::Fifo => FileType::Fifo,
        FileKind::Socket => FileType::Socket,
    }
}

impl HostDir {
    /// The directory at `path`.
    ///
    /// # Errors
    /// What the host says if it can't be opened.
    pub fn new(path: &Path, read_only: bool) -> std::io::Result<Self> {
        let top = fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let stat = fs::fstat(&top)?;
        let root = Ino(stat.st_ino);
        let identity = (stat.st_dev, stat.st_ino);
        let node = Node { parent: root, name: Vec::new(), identity, holders: 1, kept: None };
        Ok(Self {
            top,
            root,
            nodes: HashMap::from([(root, node)]),
            devices: vec![stat.st_dev],
            open_files: Vec::new(),
            listings: Vec::new(),
            read_only,
        })
    }

    /// A file opened for reading, or for reading and writing.
    fn data_file(&mut self, ino: Ino, write: bool) -> Outcome<&OwnedFd> {
        let known = self.open_files.iter().position(|(other, _, writable)| *other == ino && (*writable || !write));
        let (ino, file, writable) = match known {
            Some(index) => self.open_files.remove(index),
            None => {
                let path = self.open(ino)?;
                let stat = fs::fstat(&path).map_err(host_error)?;
                if kind_of(&stat) != FileKind::Regular {
                    return Err(Errno::EINVAL.into());
                }
                let mode = if write { OFlags::RDWR } else { OFlags::RDONLY };
                let opened = fs::open(magic(&path), mode | OFlags::CLOEXEC, Mode::empty());
                let opened = match opened {
                    // A file may be writable without being readable.
                    Err(rustix::io::Errno::ACCESS) if write => {
                        fs::open(magic(&path), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
                    }
                    opened => opened,
                };
                (ino, opened.map_err(host_error)?, write)
            }
        };
        self.keep_open(ino, file, writable);
        Ok(&self.open_files[self.open_files.len() - 1].1)
    }

    fn keep_open(&mut self, ino: Ino, file: OwnedFd, writable: bool) {
        if self.open_files.len() >= OPEN_FILES_MAX {
            self.open_files.remove(0);
        }
        self.open_files.push((ino, file, writable));
    }

    /// All entries of a directory. The dots come first, the others in the order of their names.
    fn listing(&mut self, dir: Ino) -> Outcome<Vec<DirEntry>> {
        let parent = self.node(dir)?.parent;
        let opened =
            fs::openat(self.open(dir)?, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let mut entries = Vec::new();
        for entry in fs::Dir::new(opened.map_err(host_error)?).map_err(host_error)? {
            let entry = entry.map_err(host_error)?;
            let name = entry.file_name().to_bytes().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Directory => FileKind::Directory,
                FileType::Symlink => FileKind::Symlink,
                FileType::CharacterDevice => FileKind::CharDevice,
                FileType::BlockDevice => FileKind::BlockDevice,
                FileType::Fifo => FileKind::Fifo,
                FileType::Socket => FileKind::Socket,
                _ => FileKind::Regular,
            };
            entries.push(DirEntry { ino: Ino(entry.ino()), kind, name, next_cookie: 0 });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        let kind = FileKind::Directory;
        entries.insert(0, DirEntry { ino: dir, kind, name: b".".to_vec(), next_cookie: 0 });
        entries.insert(1, DirEntry { ino: parent, kind, name: b"..".to_vec(), next_cookie: 0 });
        for (index, entry) in (1..).zip(&mut entries) {
            entry.next_cookie = index;
        }
        Ok(entries)
    }

    fn check_writable(&self) -> Outcome<()> {
        if self.read_only { Err(Errno::EROFS.into()) } else { Ok(()) }
    }

    /// Makes what has just been created the guest user's, as far as the host user can.
    fn give(&self, parent: &OwnedFd, name: &[u8], new: &NewFile<'_>) {
        let (uid, gid) = (fs::Uid::from_raw(new.uid), fs::Gid::from_raw(new.gid));
        // Without the privilege it stays the host user's: the directory of an ordinary user must stay usable.
        let _ = fs::chownat(parent, os(name), Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        if new.kind != FileKind::Symlink {
            let _ = fs::chmodat(parent, os(name), Mode::from_raw_mode(u32::from(new.mode)), AtFlags::empty());
        }
    }
}

impl FileSystem for HostDir {
    fn root(&self) -> Ino {
        self.root
    }

    fn lookup(&mut self, dir: Ino, name: &[u8]) -> Outcome<Ino> {
        self.discover(dir, name)
    }

    fn attributes(&mut self, ino: Ino) -> Outcome<Attributes> {
        let stat = fs::fstat(self.open(ino)?).map_err(host_error)?;
        let time = |seconds: i64, nanoseconds: u64| Timestamp { seconds, nanoseconds: nanoseconds as u32 };
        Ok(Attributes {
            ino,
            kind: kind_of(&stat),
            mode: (stat.st_mode & 0o7777) as u16,
            uid: stat.st_uid,
            gid: stat.st_gid,
            links: stat.st_nlink as u32,
            size_bytes: stat.st_size as u64,
            blocks: stat.st_blocks as u64,
            block_size: stat.st_blksize as u32,
            rdev: stat.st_rdev,
            accessed: time(stat.st_atime, stat.st_atime_nsec as u64),
            modified: time(stat.st_mtime, stat.st_mtime_nsec as u64),
            changed: time(stat.st_ctime, stat.st_ctime_nsec as u64),
        })
    }

    fn set_attributes(&mut self, ino: Ino, set: &SetAttributes) -> Outcome<()> {
        self.check_writable()?;
        if let Some(size_bytes) = set.size_bytes {
            fs::ftruncate(self.data_file(ino, true)?, size_bytes).map_err(host_error)?;
        }
        let file = self.open(ino)?;
        if set.uid.is_some() || set.gid.is_some() {
            let (uid, gid) = (set.uid.map(fs::Uid::from_raw), set.gid.map(fs::Gid::from_raw));
            fs::chownat(&file, "", uid, gid, AtFlags::EMPTY_PATH).map_err(host_error)?;
        }
        if let Some(mode) = set.mode {
            fs::chmod(magic(&file), Mode::from_raw_mode(u32::from(mode))).map_err(host_error)?;
        }
        if set.accessed.is_some() || set.modified.is_some() {
            let value = |time: Option<Timestamp>| match time {
                Some(time) => Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() },
                None => Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT },
            };
            let times = Timestamps { last_access: value(set.accessed), last_modification: value(set.modified) };
            fs::utimensat(&file, "", &times, AtFlags::EMPTY_PATH).map_err(host_error)?;
        }
        Ok(())
    }

    fn read(&mut self, ino: Ino, offset: u64, to: &mut [u8]) -> Outcome<usize> {
        let file = self.data_file(ino, false)?;
        let mut done = 0;
        while done < to.len() {
            match rustix::io::pread(file, &mut to[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(len) => done += len,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(host_error(errno)),
            }
        }
        Ok(done)
    }

    fn write(&mut self, ino: Ino, offset: u64, from: &[u8]) -> Outcome<usize> {
        self.check_writable()?;
        let file = self.data_file(ino, true)?;
        loop {
            match rustix::io::pwrite(file, from, offset) {
                Err(rustix::io::Errno::INTR) => {}
                result => return result.map_err(host_error),
            }
        }
    }

    fn read_link(&mut self, ino: Ino) -> Outcome<Vec<u8>> {
        let target = fs::readlinkat(self.open(ino)?, "", Vec::new()).map_err(host_error)?;
        Ok(target.into_bytes())
    }

    fn read_dir(&mut self, dir: Ino, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        let known = self.listings.iter().position(|(other, _)| *other == dir);
        if cookie == 0 || known.is_none() {
            let listing = self.listing(dir)?;
            if let Some(known) = known {
                self.listings.remove(known);
            } else if self.listings.len() >= LISTINGS_MAX {
                self.listings.remove(0);
            }
            self.listings.push((dir, listing));
        }
        let listing = self.listings.iter().find(|(other, _)| *other == dir);
        let entries = listing.map_or(&[][..], |(_, entries)| entries);
        for entry in entries.iter().skip(usize::try_from(cookie).unwrap_or(usize::MAX)) {
            if !each(entry.clone()) {
                break;
            }
        }
        Ok(())
    }

    fn create(&mut self, dir: Ino, name: &[u8], new: &NewFile<'_>) -> Outcome<Ino> {
        self.check_writable()?;
        let parent = self.open(dir)?;
        let mode = Mode::from_raw_mode(u32::from(new.mode & 0o777));
        if new.kind == FileKind::Regular {
            // Whoever creates a file may write to it whatever its mode, so it had better be open now.
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
            let file = fs::openat(&parent, os(name), flags, mode).map_err(host_error)?;
            self.give(&parent, name, new);
            let ino = self.discover(dir, name)?;
            self.keep_open(ino, file, true);
            return Ok(ino);
        }
        match new.kind {
            FileKind::Directory => fs::mkdirat(&parent, os(name), mode),
            FileKind::Symlink => fs::symlinkat(os(new.target), &parent, os(name)),
            kind => fs::mknodat(&parent, os(name), host_kind(kind), mode, new.rdev),
        }
        .map_err(host_error)?;
        self.give(&parent, name, new);
        self.discover(dir, name)
    }

    fn create_unnamed(&mut self, dir: Ino, new: &NewFile<'_>) -> Outcome<Ino> {
        self.check_writable()?;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(u32::from(new.mode));
        let file = fs::openat(self.open(dir)?, ".", flags, mode).map_err(host_error)?;
        let stat = fs::fstat(&file).map_err(host_error)?;
        let ino = self.ino_of(&stat);
        let identity = (stat.st_dev, stat.st_ino);
        self.nodes.insert(ino, Node { parent: dir, name: Vec::new(), identity, holders: 0, kept: Some(file) });
        Ok(ino)
    }

    fn link(&mut self, dir: Ino, name: &[u8], ino: Ino) -> Outcome<()> {
        self.check_writable()?;
        let (file, parent) = (self.open(ino)?, self.open(dir)?);
        fs::linkat(fs::CWD, magic(&file), &parent, os(name), AtFlags::SYMLINK_FOLLOW).map_err(host_error)
    }

    fn unlink(&mut self, dir: Ino, name: &[u8]) -> Outcome<()> {
        self.check_writable()?;
        self.keep_before_removal(dir, name);
        fs::unlinkat(self.open(dir)?, os(name), AtFlags::empty()).map_err(host_error)
    }

    fn remove_dir(&mut self, dir: Ino, name: &[u8]) -> Outcome<()> {
        self.check_writable()?;
        self.keep_before_removal(dir, name);
        fs::unlinkat(self.open(dir)?, os(name), AtFlags::REMOVEDIR).map_err(host_error)
    }

    fn rename(&mut self, from: (Ino, &[u8]), to: (Ino, &[u8])) -> Outcome<()> {
        self.check_writable()?;
        self.keep_before_removal(to.0, to.1);
        let (old, new) = (self.open(from.0)?, self.open(to.0)?);
        fs::renameat(&old, os(from.1), &new, os(to.1)).map_err(host_error)?;
        self.discover(to.0, to.1).map(|_| ())
    }

    fn exchange(&mut self, one: (Ino, &[u8]), other: (Ino, &[u8])) -> Outcome<()> {
        self.check_writable()?;
        let (first, second) = (self.open(one.0)?, self.open(other.0)?);
        fs::renameat_with(&first, os(one.1), &second, os(other.1), RenameFlags::EXCHANGE).map_err(host_error)?;
        self.discover(one.0, one.1)?;
        self.discover(other.0, other.1).map(|_| ())
    }

    fn retain(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.holders += 1;
        }
    }

    fn release(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.holders = node.holders.saturating_sub(1);
            if node.holders == 0 {
                node.kept = None;
                self.open_files.retain(|(other, ..)| *other != ino);
            }
        }
    }

    fn get_xattr(&mut self, ino: Ino, name: &[u8]) -> Outcome<Vec<u8>> {
        let mut value = vec![0; 64 * 1024];
        let len = fs::getxattr(magic(&self.open(ino)?), os(name), &mut value[..]).map_err(host_error)?;
        value.truncate(len);
        Ok(value)
    }

    fn list_xattrs(&mut self, ino: Ino) -> Outcome<Vec<Vec<u8>>> {
        let mut names = vec![0; 64 * 1024];
        let len = fs::listxattr(magic(&self.open(ino)?), &mut names[..]).map_err(host_error)?;
        let names = names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(<[u8]>::to_vec).collect())
    }

    fn set_xattr(&mut self, ino: Ino, name: &[u8], value: Option<&[u8]>) -> Outcome<()> {
        self.check_writable()?;
        let file = self.open(ino)?;
        let path = magic(&file);
        match value {
            Some(value) => fs::setxattr(path, os(name), value, fs::XattrFlags::empty()),
            None => fs::removexattr(path, os(name)),
        }
        .map_err(host_error)
    }

    fn status(&mut self) -> Outcome<FileSystemStatus> {
        let status = fs::fstatfs(&self.top).map_err(host_error)?;
        Ok(FileSystemStatus {
            magic: status.f_type as u64,
            block_size: status.f_bsize as u64,
            blocks: status.f_blocks,
            blocks_free: status.f_bfree,
            blocks_available: status.f_bavail,
            files: status.f_files,
            files_free: status.f_ffree,
            name_len_max: status.f_namelen as u64,
        })
    }

    fn type_name(&self) -> &'static str {
        "hostdir"
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn is_volatile(&self) -> bool {
        true
    }
}
