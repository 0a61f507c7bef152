//! File operations on the host's kernel.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use kernel::vfs::{FileKind, RenameMode};
use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};

use super::operations::{COMMON_GROUP, Operation, Seen, describe, not_files};

/// Whether the host protects sticky directories and links as it does by default. If not, only one user can be compared.
pub fn has_default_protection() -> bool {
    [("hardlinks", "1"), ("symlinks", "0"), ("fifos", "0"), ("regular", "0")].iter().all(|(name, value)| {
        let set = std::fs::read_to_string(format!("/proc/sys/fs/protected_{name}"));
        set.is_ok_and(|set| set.trim() == *value)
    })
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
                    RenameMode::Whiteout { no_replace: false } => RenameFlags::WHITEOUT,
                    RenameMode::Whiteout { no_replace: true } => RenameFlags::WHITEOUT | RenameFlags::NOREPLACE,
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
