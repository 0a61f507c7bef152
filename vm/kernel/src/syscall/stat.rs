//! What files are: `stat`, `statx`, `statfs`, `getdents64`.

use std::rc::Rc;

use abi::file::*;
use abi::inotify::IN_ACCESS;
use abi::{Errno, Layout, Writer};

use super::path::{locate, resolve};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::{DirEntry, FileKind, FileSystemStatus, Location, Timestamp};

/// Bytes of directory entries made in one call, whatever the program's buffer: bounds our own.
const ENTRIES_BYTES_MAX: usize = 64 * 1024;

/// The `S_IFMT` bits of a kind.
pub fn kind_mode(kind: FileKind) -> u32 {
    match kind {
        FileKind::Regular => S_IFREG,
        FileKind::Directory => S_IFDIR,
        FileKind::Symlink => S_IFLNK,
        FileKind::CharDevice => S_IFCHR,
        FileKind::BlockDevice => S_IFBLK,
        FileKind::Fifo => S_IFIFO,
        FileKind::Socket => S_IFSOCK,
    }
}

fn stat_of(location: &Location) -> Outcome<Stat> {
    let a = location.attributes()?;
    let time = |time: Timestamp| (time.seconds, time.nanoseconds);
    Ok(Stat {
        dev: location.device(),
        ino: a.ino.0,
        mode: kind_mode(a.kind) | u32::from(a.mode),
        nlink: u64::from(a.links),
        uid: a.uid,
        gid: a.gid,
        rdev: a.rdev,
        size: a.size_bytes,
        blksize: u64::from(a.block_size),
        blocks: a.blocks,
        atime: time(a.accessed),
        mtime: time(a.modified),
        ctime: time(a.changed),
    })
}

fn give_stat(t: &Rc<Task>, location: &Location, buf: u64) -> Outcome<u64> {
    t.mm()?.write_user(buf, &stat_of(location)?.encode(t.layout())).map(|()| 0)
}

/// i386's first `struct stat`.
pub(super) fn give_stat_i386(t: &Rc<Task>, location: &Location, buf: u64) -> Outcome<u64> {
    t.mm()?.write_user(buf, &stat_of(location)?.encode_i386()?).map(|()| 0)
}

pub(super) fn stat(k: &mut Kernel, t: &Rc<Task>, path: u64, buf: u64) -> Outcome<u64> {
    give_stat(t, &locate(k, t, &t.path_arg(path)?, true)?, buf)
}

pub(super) fn lstat(k: &mut Kernel, t: &Rc<Task>, path: u64, buf: u64) -> Outcome<u64> {
    give_stat(t, &locate(k, t, &t.path_arg(path)?, false)?, buf)
}

pub(super) fn fstat(_k: &mut Kernel, t: &Rc<Task>, fd: i32, buf: u64) -> Outcome<u64> {
    give_stat(t, &t.file(fd)?.location, buf)
}

pub(super) fn newfstatat(k: &mut Kernel, t: &Rc<Task>, dirfd: i32, path: u64, buf: u64, flags: u32) -> Outcome<u64> {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT) != 0 {
        return Err(Errno::EINVAL.into());
    }
    give_stat(t, &resolve(k, t, dirfd, path, flags)?, buf)
}

pub(super) fn statx(
    k: &mut Kernel,
    t: &Rc<Task>,
    dirfd: i32,
    path: u64,
    flags: u32,
    _mask: u32,
    buf: u64,
) -> Outcome<u64> {
    const AT_STATX_SYNC_TYPE: u32 = 0x6000;
    let known = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE;
    if flags & !known != 0 {
        return Err(Errno::EINVAL.into());
    }
    let location = resolve(k, t, dirfd, path, flags)?;
    let bytes = stat_of(&location)?.encode_statx(location.mount().id);
    t.mm()?.write_user(buf, &bytes).map(|()| 0)
}

pub(super) fn statfs(k: &mut Kernel, t: &Rc<Task>, path: u64, buf: u64) -> Outcome<u64> {
    give_statfs(t, &locate(k, t, &t.path_arg(path)?, true)?, buf)
}

pub(super) fn fstatfs(_k: &mut Kernel, t: &Rc<Task>, fd: i32, buf: u64) -> Outcome<u64> {
    give_statfs(t, &t.file(fd)?.location, buf)
}

/// Bytes of i386's `struct statfs64`.
pub(super) const STATFS64_BYTES: usize = 84;

fn give_statfs(t: &Rc<Task>, location: &Location, buf: u64) -> Outcome<u64> {
    let s = location.status()?;
    let layout = t.layout();
    let largest = s.blocks.max(s.blocks_free).max(s.blocks_available).max(s.files).max(s.files_free);
    if layout.is_32() && largest > u32::MAX.into() {
        return Err(Errno::EOVERFLOW.into());
    }
    let bytes = encode_statfs(&s, location, layout, Writer::word).pad_to(15 * layout.word_bytes as usize);
    t.mm()?.write_user(buf, &bytes.finish()).map(|()| 0)
}

/// i386's variant: what is counted has 64 bits.
pub(super) fn give_statfs64(t: &Rc<Task>, location: &Location, buf: u64) -> Outcome<u64> {
    let bytes = encode_statfs(&location.status()?, location, t.layout(), Writer::u64).pad_to(STATFS64_BYTES);
    t.mm()?.write_user(buf, &bytes.finish()).map(|()| 0)
}

fn encode_statfs(
    s: &FileSystemStatus,
    location: &Location,
    layout: Layout,
    count: impl Fn(Writer, u64) -> Writer,
) -> Writer {
    const ST_VALID: u64 = 0x20;
    const ST_RELATIME: u64 = 4096;
    let flags = location.mount().flags();
    let relative = !flags.no_atime && !flags.strict_atime;
    let bits = [
        (location.is_read_only(), MS_RDONLY),
        (flags.no_suid, MS_NOSUID),
        (flags.no_dev, MS_NODEV),
        (flags.no_exec, MS_NOEXEC),
        (flags.no_atime, MS_NOATIME),
        (flags.no_dir_atime, MS_NODIRATIME),
        (relative, ST_RELATIME),
    ];
    let flags = bits.iter().filter(|(on, _)| *on).fold(ST_VALID, |all, (_, bit)| all | bit);
    let counts = [s.blocks, s.blocks_free, s.blocks_available, s.files, s.files_free];
    let head = counts.into_iter().fold(layout.writer().word(s.magic).word(s.block_size), count);
    head.u64(location.device()).word(s.name_len_max).word(s.block_size).word(flags)
}

pub(super) fn getdents64(_k: &mut Kernel, t: &Rc<Task>, fd: i32, buf: u64, size: usize) -> Outcome<u64> {
    give_entries(t, fd, buf, size, encode_entry)
}

/// Entries as they were before there were 64-bit offsets on 32-bit machines.
pub(super) fn getdents(_k: &mut Kernel, t: &Rc<Task>, fd: i32, buf: u64, size: usize) -> Outcome<u64> {
    let layout = t.layout();
    give_entries(t, fd, buf, size, |entry| encode_old_entry(entry, layout))
}

fn give_entries(t: &Rc<Task>, fd: i32, buf: u64, size: usize, encode: impl Fn(&DirEntry) -> Vec<u8>) -> Outcome<u64> {
    let file = t.usable_file(fd)?;
    let room = size.min(ENTRIES_BYTES_MAX);
    let mut bytes = Vec::new();
    let mut next = file.position.get();
    let mut refused = false;
    file.object.clone().read_dir(&file, next, &mut |entry| {
        let record = encode(&entry);
        refused = bytes.len() + record.len() > room;
        if !refused {
            bytes.extend(record);
            next = entry.next_cookie;
        }
        !refused
    })?;
    if bytes.is_empty() && refused {
        return Err(Errno::EINVAL.into());
    }
    t.mm()?.write_user(buf, &bytes)?;
    file.position.set(next);
    file.location.notify(IN_ACCESS);
    Ok(bytes.len() as u64)
}

/// `struct linux_dirent64`.
fn encode_entry(entry: &DirEntry) -> Vec<u8> {
    const NAME_OFFSET: usize = 19;
    let len = (NAME_OFFSET + entry.name.len() + 1).next_multiple_of(8);
    let kind = (kind_mode(entry.kind) >> 12) as u8;
    let head = Writer::new().u64(entry.ino.0).u64(entry.next_cookie).u16(len as u16).u8(kind);
    head.raw(&entry.name).pad_to(len).finish()
}

/// `struct linux_dirent`: the kind is the last byte.
fn encode_old_entry(entry: &DirEntry, layout: Layout) -> Vec<u8> {
    let word_bytes = layout.word_bytes as usize;
    let len = (2 * word_bytes + 2 + entry.name.len() + 2).next_multiple_of(word_bytes);
    let head = layout.writer().word(entry.ino.0).word(entry.next_cookie).u16(len as u16);
    head.raw(&entry.name).pad_to(len - 1).u8((kind_mode(entry.kind) >> 12) as u8).finish()
}
