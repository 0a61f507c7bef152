//! File operations, made on the host's kernel and on ours, which must agree on every result.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use kernel::credentials::Credentials;
use kernel::vfs::{At, Context, FileKind, Location, OpenHow, RenameMode, SetTime, Timestamp, Vfs};
use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};

use super::{Random, retry, tree};

type Path = Vec<u8>;
/// What an operation shows, or its error number.
pub type Seen = Result<String, u16>;

/// One operation. Modes, offsets and the like are as in the system call.
#[derive(Clone, Debug)]
pub enum Operation {
    Mkdir(Path, u16),
    Rmdir(Path),
    Unlink(Path),
    Mknod(Path, FileKind, u16, u64),
    Symlink(Path, Path),
    Link(Path, Path, bool),
    Rename(Path, Path, RenameMode),
    Write {
        path: Path,
        create: Option<u16>,
        exclusive: bool,
        truncate: bool,
        no_follow: bool,
        offset: u64,
        bytes: Vec<u8>,
    },
    Read {
        path: Path,
        directory: bool,
        offset: u64,
        len: usize,
    },
    Truncate(Path, u64),
    Chmod(Path, u16),
    Chown(Path, Option<u32>, Option<u32>, bool),
    SetTimes(Path, i64, u32),
    Stat(Path, bool),
    ReadLink(Path),
    List(Path),
    Access(Path, u16),
    GetXattr(Path, Path),
    SetXattr(Path, Path, usize, Option<bool>),
    RemoveXattr(Path, Path),
    ListXattrs(Path),
    Open(usize, Path),
    Unnamed(usize, Path, u16),
    WriteOpen(usize, u64, Vec<u8>),
    ReadOpen(usize, u64, usize),
    StatOpen(usize),
    Close(usize),
    Become(u32),
}

/// How many files can be kept open.
const SLOTS: u64 = 4;
/// Who acts: the superuser most of the time, members of a common group.
const USERS: [u32; 4] = [0, 0, 1000, 1001];
const COMMON_GROUP: u32 = 50;

/// Makes up operations.
pub struct Maker {
    pub random: Random,
    /// Files grow to this.
    pub size_max: u64,
    /// Names to choose from: few make for many encounters.
    pub names: u64,
    /// Extended attributes grow to this: there is not much room for them in small blocks.
    pub xattr_len_max: usize,
    /// Times up to 2038 only, in whole seconds.
    pub short_times: bool,
    /// Only the superuser acts.
    pub single_user: bool,
}

impl Maker {
    fn name(&mut self) -> Path {
        match self.random.below(40) {
            0 => b"..".to_vec(),
            1 => b".".to_vec(),
            2 => vec![b'n'; 255],
            3 if self.random.one_in(4) => vec![b'n'; 256],
            n => {
                format!("{}{}", ["a", "dir", "é", "longer name "][n as usize % 4], self.random.below(self.names)).into()
            }
        }
    }

    /// A path that doesn't leave the top directory.
    fn path(&mut self) -> Path {
        let mut path = Vec::new();
        let (mut up, mut down) = (false, false);
        for depth in 0..=self.random.below(4) {
            let mut name = self.name();
            if name == b".." && (up || !down) {
                name = b".".to_vec();
            }
            up |= name == b"..";
            down |= name[0] != b'.';
            if depth > 0 {
                path.push(b'/');
            }
            path.extend(name);
        }
        if self.random.one_in(12) {
            path.push(b'/');
        }
        path
    }

    /// A target below the link's directory.
    fn target(&mut self) -> Path {
        loop {
            let target = self.path();
            let may_leave =
                target.iter().all(|byte| b"./".contains(byte)) || target.windows(2).any(|pair| pair == b"..");
            if !may_leave && target.len() < 1000 {
                return target;
            }
        }
    }

    fn mode(&mut self) -> u16 {
        *self.random.pick(&[0o777, 0o755, 0o700, 0o644, 0o600, 0o444, 0o1777, 0o2775, 0o4755, 0o6777, 0o2644, 0o000])
    }

    fn offset(&mut self) -> u64 {
        let max = if self.random.one_in(6) { self.size_max } else { 20_000 };
        self.random.below(max)
    }

    fn bytes(&mut self) -> Vec<u8> {
        let max = if self.random.one_in(5) { 150_000 } else { 5000 };
        let len = self.random.below(max) as usize;
        self.random.bytes(len)
    }

    fn xattr(&mut self) -> Path {
        let prefix = *self.random.pick(&["user.", "user.", "trusted.", "security."]);
        format!("{prefix}{}", self.random.pick(&["x", "some longer name", "y1", "y2", "y3"])).into()
    }

    fn slot(&mut self) -> usize {
        self.random.below(SLOTS) as usize
    }

    fn kind(&mut self) -> FileKind {
        *self.random.pick(&[
            FileKind::Fifo,
            FileKind::CharDevice,
            FileKind::BlockDevice,
            FileKind::Socket,
            FileKind::Regular,
        ])
    }

    fn rename_mode(&mut self) -> RenameMode {
        *self.random.pick(&[RenameMode::Replace, RenameMode::Replace, RenameMode::NoReplace, RenameMode::Exchange])
    }

    fn owner(&mut self) -> Option<u32> {
        *self.random.pick(&[None, Some(0), Some(1000), Some(1001), Some(COMMON_GROUP), Some(70_000)])
    }

    fn write(&mut self) -> Operation {
        let mode = self.mode();
        Operation::Write {
            path: self.path(),
            create: (!self.random.one_in(3)).then_some(mode),
            exclusive: self.random.one_in(8),
            truncate: self.random.one_in(6),
            no_follow: self.random.one_in(8),
            offset: self.offset(),
            bytes: self.bytes(),
        }
    }

    /// The next operation.
    pub fn next(&mut self) -> Operation {
        use Operation::*;
        match self.random.below(46) {
            0..5 => Mkdir(self.path(), self.mode()),
            5 => Rmdir(self.path()),
            6..9 => Unlink(self.path()),
            9 => Mknod(self.path(), self.kind(), self.mode(), rustix::fs::makedev(300, 70_000)),
            10 => Mknod(self.path(), FileKind::CharDevice, self.mode(), rustix::fs::makedev(1, 3)),
            11..13 => Symlink(self.target(), self.path()),
            13..15 => Link(self.path(), self.path(), self.random.one_in(2)),
            15..19 => Rename(self.path(), self.path(), self.rename_mode()),
            19..25 => self.write(),
            25..27 => Read { path: self.path(), directory: self.random.one_in(9), offset: self.offset(), len: 9000 },
            27 => Truncate(self.path(), self.offset()),
            28 => Chmod(self.path(), self.mode()),
            29 => Chown(self.path(), self.owner(), self.owner(), self.random.one_in(2)),
            30 if self.short_times => SetTimes(self.path(), self.random.below(2_000_000_000) as i64, 0),
            30 => {
                SetTimes(self.path(), self.random.below(3_000_000_000) as i64, self.random.below(1_000_000_000) as u32)
            }
            31..33 => Stat(self.path(), self.random.one_in(2)),
            33 => ReadLink(self.path()),
            34 => List(self.path()),
            35 => Access(self.path(), self.random.below(8) as u16),
            36 => GetXattr(self.path(), self.xattr()),
            37 => {
                let exists = *self.random.pick(&[None, None, Some(true), Some(false)]);
                let len = (*self.random.pick(&[0, 1, 7, 50, 200, 800])).min(self.xattr_len_max);
                SetXattr(self.path(), self.xattr(), len, exists)
            }
            38 => RemoveXattr(self.path(), self.xattr()),
            39 => ListXattrs(self.path()),
            40 if self.random.one_in(2) => Unnamed(self.slot(), self.path(), self.mode()),
            40 => Open(self.slot(), self.path()),
            41 => WriteOpen(self.slot(), self.offset(), self.bytes()),
            42 => ReadOpen(self.slot(), self.offset(), 5000),
            43 => StatOpen(self.slot()),
            44 => Close(self.slot()),
            _ if self.single_user => Become(0),
            _ => Become(*self.random.pick(&USERS)),
        }
    }
}

/// What both sides show of a file's attributes. Directories differ in size, and the time is only what was set.
fn describe(kind: u16, mode: u16, uid: u32, gid: u32, links: u64, size_bytes: u64, rdev: u64) -> String {
    let size_bytes = if kind == 4 { 0 } else { size_bytes };
    format!("{kind} {mode:o} {uid}:{gid} {links} {size_bytes} {rdev:x}")
}

/// Opening a device without a driver, or a FIFO without a reader, is no concern of ours.
fn not_files(seen: Seen) -> Seen {
    if seen == Err(abi::Errno::ENXIO.0) { Ok("not a file".into()) } else { seen }
}

/// The host's side: a directory of its file system.
pub struct Host {
    pub top: OwnedFd,
    slots: BTreeMap<usize, OwnedFd>,
}

impl Host {
    pub fn new(top: &std::path::Path) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        Self { top: fs::open(top, flags, Mode::empty()).unwrap(), slots: BTreeMap::new() }
    }

    pub fn apply(&mut self, operation: &Operation) -> Seen {
        not_files(self.make(operation).map_err(|errno| errno.raw_os_error() as u16))
    }

    /// Acts as another user, of this thread only.
    fn become_user(uid: u32) {
        use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
        let (root, id) = (Uid::from_raw(0), Uid::from_raw(uid));
        set_thread_res_uid(root, root, root).unwrap();
        let common = [Gid::from_raw(COMMON_GROUP)];
        set_thread_groups(if uid == 0 { &[] } else { &common }).unwrap();
        let (gid, real) = (Gid::from_raw(uid), Gid::from_raw(0));
        set_thread_res_gid(real, gid, real).unwrap();
        set_thread_res_uid(root, id, root).unwrap();
    }

    fn make(&mut self, operation: &Operation) -> rustix::io::Result<String> {
        use Operation::*;
        let top = &self.top;
        let mode = |mode: u16| Mode::from_raw_mode(u32::from(mode));
        match operation {
            Mkdir(path, m) => fs::mkdirat(top, &**path, mode(*m))?,
            Rmdir(path) => fs::unlinkat(top, &**path, AtFlags::REMOVEDIR)?,
            Unlink(path) => fs::unlinkat(top, &**path, AtFlags::empty())?,
            Mknod(path, kind, m, rdev) => {
                let kind = match kind {
                    FileKind::Fifo => fs::FileType::Fifo,
                    FileKind::CharDevice => fs::FileType::CharacterDevice,
                    FileKind::BlockDevice => fs::FileType::BlockDevice,
                    FileKind::Socket => fs::FileType::Socket,
                    _ => fs::FileType::RegularFile,
                };
                fs::mknodat(top, &**path, kind, mode(*m), *rdev)?;
            }
            Symlink(target, path) => fs::symlinkat(&**target, top, &**path)?,
            Link(from, to, follow) => {
                let flags = if *follow { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
                fs::linkat(top, &**from, top, &**to, flags)?;
            }
            Rename(from, to, how) => {
                let flags = match how {
                    RenameMode::Replace => RenameFlags::empty(),
                    RenameMode::NoReplace => RenameFlags::NOREPLACE,
                    RenameMode::Exchange => RenameFlags::EXCHANGE,
                };
                fs::renameat_with(top, &**from, top, &**to, flags)?;
            }
            Write { path, create, exclusive, truncate, no_follow, offset, bytes } => {
                let mut flags = OFlags::WRONLY | OFlags::NONBLOCK;
                flags.set(OFlags::CREATE, create.is_some());
                flags.set(OFlags::EXCL, *exclusive && create.is_some());
                flags.set(OFlags::TRUNC, *truncate);
                flags.set(OFlags::NOFOLLOW, *no_follow);
                let file = fs::openat(top, &**path, flags, mode(create.unwrap_or(0)))?;
                if fs::fstat(&file)?.st_mode & 0o170_000 != 0o100_000 {
                    return Ok("not a file".into());
                }
                return Ok(format!("{}", rustix::io::pwrite(&file, bytes, *offset)?));
            }
            Read { path, directory, offset, len } => {
                let mut flags = OFlags::RDONLY | OFlags::NONBLOCK;
                flags.set(OFlags::DIRECTORY, *directory);
                let file = fs::openat(top, &**path, flags, Mode::empty())?;
                if fs::fstat(&file)?.st_mode & 0o170_000 != 0o100_000 {
                    return Ok("not a file".into());
                }
                let mut bytes = vec![0; *len];
                let len = rustix::io::pread(&file, &mut bytes[..], *offset)?;
                return Ok(format!("{:?}", &bytes[..len]));
            }
            Truncate(path, size) => {
                truncate(top, path, *size)?;
            }
            Chmod(path, m) => fs::chmodat(top, &**path, mode(*m), AtFlags::empty())?,
            Chown(path, uid, gid, follow) => {
                let flags = if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
                let (uid, gid) = (uid.map(fs::Uid::from_raw), gid.map(fs::Gid::from_raw));
                fs::chownat(top, &**path, uid, gid, flags)?;
            }
            SetTimes(path, seconds, nanoseconds) => {
                let time = fs::Timespec { tv_sec: *seconds, tv_nsec: (*nanoseconds).into() };
                let times = fs::Timestamps { last_access: time, last_modification: time };
                fs::utimensat(top, &**path, &times, AtFlags::empty())?;
                let stat = fs::statat(top, &**path, AtFlags::empty())?;
                return Ok(format!("{} {}", stat.st_mtime, stat.st_mtime_nsec));
            }
            Stat(path, follow) => {
                let flags = if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
                return Ok(stat(&fs::statat(top, &**path, flags)?));
            }
            ReadLink(path) => return Ok(format!("{:?}", fs::readlinkat(top, &**path, Vec::new())?)),
            List(path) => {
                let dir = fs::openat(top, &**path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
                let mut names: Vec<_> = fs::Dir::new(dir)?.map(|entry| entry.unwrap().file_name().to_owned()).collect();
                names.sort();
                return Ok(format!("{names:?}"));
            }
            Access(path, bits) => {
                let access = fs::Access::from_bits_retain(u32::from(*bits));
                fs::accessat(top, &**path, access, AtFlags::EACCESS)?;
            }
            GetXattr(path, name) => {
                let mut value = vec![0; 65536];
                let len = fs::lgetxattr(self.link_path(path), &**name, &mut value[..])?;
                return Ok(format!("{len}"));
            }
            SetXattr(path, name, len, exists) => {
                let flags = match exists {
                    None => fs::XattrFlags::empty(),
                    Some(true) => fs::XattrFlags::REPLACE,
                    Some(false) => fs::XattrFlags::CREATE,
                };
                fs::lsetxattr(self.link_path(path), &**name, &vec![b'v'; *len], flags)?;
            }
            RemoveXattr(path, name) => fs::lremovexattr(self.link_path(path), &**name)?,
            ListXattrs(path) => {
                let mut names = vec![0u8; 65536];
                let len = fs::llistxattr(self.link_path(path), &mut names[..])?;
                let mut names: Vec<_> = names[..len].split(|byte| *byte == 0).filter(|n| !n.is_empty()).collect();
                names.sort();
                return Ok(format!("{names:?}"));
            }
            Open(slot, path) => {
                self.slots.remove(slot);
                let flags = OFlags::RDWR | OFlags::NONBLOCK;
                let file = fs::openat(top, &**path, flags, Mode::empty())?;
                if fs::fstat(&file)?.st_mode & 0o170_000 != 0o100_000 {
                    return Ok("not a file".into());
                }
                self.slots.insert(*slot, file);
            }
            Unnamed(slot, path, m) => {
                self.slots.remove(slot);
                let flags = OFlags::RDWR | OFlags::TMPFILE;
                self.slots.insert(*slot, fs::openat(top, &**path, flags, mode(*m))?);
            }
            WriteOpen(slot, offset, bytes) => {
                let Some(file) = self.slots.get(slot) else { return Ok("closed".into()) };
                return Ok(format!("{}", rustix::io::pwrite(file, bytes, *offset)?));
            }
            ReadOpen(slot, offset, len) => {
                let Some(file) = self.slots.get(slot) else { return Ok("closed".into()) };
                let mut bytes = vec![0; *len];
                let len = rustix::io::pread(file, &mut bytes[..], *offset)?;
                return Ok(format!("{:?}", &bytes[..len]));
            }
            StatOpen(slot) => {
                let Some(file) = self.slots.get(slot) else { return Ok("closed".into()) };
                return Ok(stat(&fs::fstat(file)?));
            }
            Close(slot) => drop(self.slots.remove(slot)),
            Become(uid) => Self::become_user(*uid),
        }
        Ok(String::new())
    }

    fn link_path(&self, path: &[u8]) -> Vec<u8> {
        [format!("/proc/self/fd/{}/", std::os::fd::AsRawFd::as_raw_fd(&self.top)).as_bytes(), path].concat()
    }
}

/// `truncate(2)`, which rustix hasn't.
fn truncate(top: &OwnedFd, path: &[u8], size: u64) -> rustix::io::Result<()> {
    let file = fs::openat(top, path, OFlags::PATH, Mode::empty())?;
    match fs::fstat(&file)?.st_mode & 0o170_000 {
        0o040_000 => return Err(rustix::io::Errno::ISDIR),
        0o100_000 => {}
        _ => return Err(rustix::io::Errno::INVAL),
    }
    let file = fs::openat(top, path, OFlags::WRONLY, Mode::empty())?;
    fs::ftruncate(&file, size)
}

fn stat(stat: &fs::Stat) -> String {
    let (kind, mode) = ((stat.st_mode >> 12) as u16, (stat.st_mode & 0o7777) as u16);
    describe(kind, mode, stat.st_uid, stat.st_gid, stat.st_nlink, stat.st_size as u64, stat.st_rdev)
}

/// Our side.
pub struct Ours {
    pub vfs: Vfs,
    root: Location,
    who: Credentials,
    slots: BTreeMap<usize, Location>,
}

impl Ours {
    pub fn new(vfs: Vfs) -> Self {
        let root = vfs.root();
        Self { vfs, root, who: Credentials::root(), slots: BTreeMap::new() }
    }

    pub fn apply(&mut self, operation: &Operation) -> Seen {
        let who = self.who.clone();
        let root = self.root.clone();
        let context = Context { root: &root, cwd: &root, credentials: &who, umask: 0 };
        not_files(self.make(&context, operation).map_err(|errno| errno.0))
    }

    fn resolve(&self, context: &Context<'_>, path: &[u8], follow: bool) -> Result<Location, abi::Errno> {
        retry(|| self.vfs.resolve(context, At::cwd(path), follow))
    }

    fn make(&mut self, context: &Context<'_>, operation: &Operation) -> Result<String, abi::Errno> {
        use Operation::*;
        let vfs = &self.vfs;
        let who = context.credentials;
        match operation {
            Mkdir(path, mode) => drop(retry(|| vfs.mkdir(context, At::cwd(path), *mode))?),
            Rmdir(path) => retry(|| vfs.rmdir(context, At::cwd(path)))?,
            Unlink(path) => retry(|| vfs.unlink(context, At::cwd(path)))?,
            Mknod(path, kind, mode, rdev) => drop(retry(|| vfs.mknod(context, At::cwd(path), *kind, *mode, *rdev))?),
            Symlink(target, path) => drop(retry(|| vfs.symlink(context, target, At::cwd(path)))?),
            Link(from, to, follow) => {
                let from = self.resolve(context, from, *follow)?;
                retry(|| vfs.link(context, &from, At::cwd(to)))?;
            }
            Rename(from, to, how) => retry(|| vfs.rename(context, At::cwd(from), At::cwd(to), *how))?,
            Write { path, create, exclusive, truncate, no_follow, offset, bytes } => {
                let how = OpenHow {
                    access: kernel::vfs::Access::WRITE,
                    create: *create,
                    exclusive: *exclusive && create.is_some(),
                    truncate: *truncate,
                    no_follow: *no_follow,
                    ..OpenHow::default()
                };
                return self.write(context, path, &how, *offset, bytes);
            }
            Read { path, directory, offset, len } => {
                let how = OpenHow { access: kernel::vfs::Access::READ, directory: *directory, ..OpenHow::default() };
                let file = retry(|| vfs.open(context, At::cwd(path), &how))?.location;
                if file.kind() != FileKind::Regular {
                    return Ok("not a file".into());
                }
                return read(&file, *offset, *len);
            }
            Truncate(path, size) => {
                let file = self.resolve(context, path, true)?;
                retry(|| file.truncate(who, *size))?;
            }
            Chmod(path, mode) => {
                let file = self.resolve(context, path, true)?;
                retry(|| file.chmod(who, *mode))?;
            }
            Chown(path, uid, gid, follow) => {
                let file = self.resolve(context, path, *follow)?;
                retry(|| file.chown(who, *uid, *gid))?;
            }
            SetTimes(path, seconds, nanoseconds) => {
                let file = self.resolve(context, path, true)?;
                let time = SetTime::To(Timestamp { seconds: *seconds, nanoseconds: *nanoseconds });
                retry(|| file.set_times(who, time, time))?;
                let modified = retry(|| file.attributes())?.modified;
                return Ok(format!("{} {}", modified.seconds, modified.nanoseconds));
            }
            Stat(path, follow) => return ours_stat(&self.resolve(context, path, *follow)?),
            ReadLink(path) => {
                let target = self.resolve(context, path, false)?;
                let target = retry(|| target.read_link(context.root))?;
                return Ok(format!("{:?}", std::ffi::CString::new(target).unwrap()));
            }
            List(path) => {
                let how = OpenHow { access: kernel::vfs::Access::READ, directory: true, ..OpenHow::default() };
                let dir = retry(|| vfs.open(context, At::cwd(path), &how))?.location;
                let mut names = tree::names(&dir)?;
                names.extend([b".".to_vec(), b"..".to_vec()]);
                let mut names: Vec<_> = names.into_iter().map(|name| std::ffi::CString::new(name).unwrap()).collect();
                names.sort();
                return Ok(format!("{names:?}"));
            }
            Access(path, bits) => {
                let file = self.resolve(context, path, true)?;
                let access = kernel::vfs::Access { read: bits & 4 != 0, write: bits & 2 != 0, execute: bits & 1 != 0 };
                retry(|| file.check_access(who, access))?;
            }
            GetXattr(path, name) => {
                let file = self.resolve(context, path, false)?;
                return Ok(format!("{}", retry(|| file.get_xattr(who, name))?.len()));
            }
            SetXattr(path, name, len, exists) => {
                let file = self.resolve(context, path, false)?;
                retry(|| file.set_xattr(who, name, &vec![b'v'; *len], *exists))?;
            }
            RemoveXattr(path, name) => {
                let file = self.resolve(context, path, false)?;
                retry(|| file.remove_xattr(who, name))?;
            }
            ListXattrs(path) => {
                let file = self.resolve(context, path, false)?;
                let mut names = retry(|| file.list_xattrs(who))?;
                names.sort();
                return Ok(format!("{names:?}"));
            }
            _ => return self.make_open(context, operation),
        }
        Ok(String::new())
    }

    /// Those that work on open files.
    fn make_open(&mut self, context: &Context<'_>, operation: &Operation) -> Result<String, abi::Errno> {
        use Operation::*;
        let read_write = kernel::vfs::Access { read: true, write: true, execute: false };
        match operation {
            Open(slot, path) => {
                self.slots.remove(slot);
                let how = OpenHow { access: read_write, ..OpenHow::default() };
                let file = retry(|| self.vfs.open(context, At::cwd(path), &how))?.location;
                if file.kind() != FileKind::Regular {
                    return Ok("not a file".into());
                }
                self.slots.insert(*slot, file);
            }
            Unnamed(slot, path, mode) => {
                self.slots.remove(slot);
                let how = OpenHow { access: read_write, unnamed: Some(*mode), ..OpenHow::default() };
                self.slots.insert(*slot, retry(|| self.vfs.open(context, At::cwd(path), &how))?.location);
            }
            WriteOpen(slot, offset, bytes) => {
                let Some(file) = self.slots.get(slot) else { return Ok("closed".into()) };
                return write(file, context.credentials, *offset, bytes);
            }
            ReadOpen(slot, offset, len) => {
                let Some(file) = self.slots.get(slot) else { return Ok("closed".into()) };
                return read(file, *offset, *len);
            }
            StatOpen(slot) => {
                let Some(file) = self.slots.get(slot) else { return Ok("closed".into()) };
                return ours_stat(file);
            }
            Close(slot) => drop(self.slots.remove(slot)),
            Become(0) => self.who = Credentials::root(),
            Become(uid) => self.who = Credentials::user(*uid, *uid, vec![COMMON_GROUP]),
            _ => unreachable!(),
        }
        Ok(String::new())
    }

    fn write(
        &self,
        context: &Context<'_>,
        path: &[u8],
        how: &OpenHow,
        offset: u64,
        bytes: &[u8],
    ) -> Result<String, abi::Errno> {
        let file = retry(|| self.vfs.open(context, At::cwd(path), how))?.location;
        if file.kind() != FileKind::Regular {
            return Ok("not a file".into());
        }
        write(&file, context.credentials, offset, bytes)
    }
}

fn write(file: &Location, who: &Credentials, offset: u64, bytes: &[u8]) -> Result<String, abi::Errno> {
    if !bytes.is_empty() {
        retry(|| file.drop_privileges(who))?;
    }
    Ok(format!("{}", retry(|| file.write(offset, bytes))?))
}

fn read(file: &Location, offset: u64, len: usize) -> Result<String, abi::Errno> {
    let mut bytes = vec![0; len];
    let len = retry(|| file.read(offset, &mut bytes))?;
    Ok(format!("{:?}", &bytes[..len]))
}

fn ours_stat(file: &Location) -> Result<String, abi::Errno> {
    let a = retry(|| file.attributes())?;
    let kind = match a.kind {
        FileKind::Fifo => 1,
        FileKind::CharDevice => 2,
        FileKind::Directory => 4,
        FileKind::BlockDevice => 6,
        FileKind::Regular => 8,
        FileKind::Symlink => 10,
        FileKind::Socket => 12,
    };
    Ok(describe(kind, a.mode, a.uid, a.gid, a.links.into(), a.size_bytes, a.rdev))
}
