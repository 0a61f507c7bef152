//! Files: `open(2)`, `fcntl(2)`, the `*at` flags, `stat(2)` and its relatives.

use crate::errno::Errno;
use crate::layout::{Layout, Writer};

constants! { open_flags: u32 {
    O_RDONLY = 0; O_WRONLY = 1; O_RDWR = 2; O_ACCMODE = 3; O_CREAT = 0o100; O_EXCL = 0o200; O_NOCTTY = 0o400;
    O_TRUNC = 0o1000; O_APPEND = 0o2000; O_NONBLOCK = 0o4000; O_DSYNC = 0o10000; O_ASYNC = 0o20000;
    O_DIRECT = 0o40000; O_DIRECTORY = 0o200000; O_NOFOLLOW = 0o400000; O_NOATIME = 0o1000000;
    O_CLOEXEC = 0o2000000; O_SYNC = 0o4010000; O_PATH = 0o10000000; O_TMPFILE = 0o20200000;
} }

/// Set by the kernel on every 64-bit program's descriptors; the C library shows it as 0.
pub const O_LARGEFILE: u32 = 0o100000;

constants! { fcntl: u32 {
    F_DUPFD = 0; F_GETFD = 1; F_SETFD = 2; F_GETFL = 3; F_SETFL = 4; F_GETLK = 5; F_SETLK = 6; F_SETLKW = 7;
    F_SETOWN = 8; F_GETOWN = 9; F_OFD_GETLK = 36; F_OFD_SETLK = 37; F_OFD_SETLKW = 38; F_DUPFD_CLOEXEC = 1030;
    F_SETPIPE_SZ = 1031; F_GETPIPE_SZ = 1032; F_ADD_SEALS = 1033; F_GET_SEALS = 1034; F_SEAL_SEAL = 1;
    F_SEAL_SHRINK = 2; F_SEAL_GROW = 4; F_SEAL_WRITE = 8; F_SEAL_FUTURE_WRITE = 16; FD_CLOEXEC = 1;
    F_RDLCK = 0; F_WRLCK = 1; F_UNLCK = 2; LOCK_SH = 1; LOCK_EX = 2; LOCK_NB = 4; LOCK_UN = 8;
} }

/// Owners of files in full (`asm-generic/fcntl.h`).
#[allow(missing_docs)]
mod owners {
    pub const F_SETSIG: u32 = 10;
    pub const F_GETSIG: u32 = 11;
    pub const F_SETOWN_EX: u32 = 15;
    pub const F_GETOWN_EX: u32 = 16;
    pub const F_OWNER_TID: u32 = 0;
    pub const F_OWNER_PID: u32 = 1;
    pub const F_OWNER_PGRP: u32 = 2;
}
pub use owners::*;

/// Record locks with 64-bit offsets: numbers that only i386 has (`asm-generic/fcntl.h`).
#[allow(missing_docs)]
mod fcntl64 {
    pub const F_GETLK64: u32 = 12;
    pub const F_SETLK64: u32 = 13;
    pub const F_SETLKW64: u32 = 14;
}
pub use fcntl64::*;

constants! { at_flags: u32 {
    AT_SYMLINK_NOFOLLOW = 0x100; AT_EACCESS = 0x200; AT_REMOVEDIR = 0x200; AT_SYMLINK_FOLLOW = 0x400;
    AT_NO_AUTOMOUNT = 0x800; AT_EMPTY_PATH = 0x1000;
} }

constants! { at_cwd: i32 { AT_FDCWD = -100; } }

constants! { modes: u32 {
    S_IFMT = 0o170000; S_IFSOCK = 0o140000; S_IFLNK = 0o120000; S_IFREG = 0o100000; S_IFBLK = 0o060000;
    S_IFDIR = 0o040000; S_IFCHR = 0o020000; S_IFIFO = 0o010000; S_ISUID = 0o4000; S_ISGID = 0o2000;
    S_ISVTX = 0o1000; R_OK = 4; W_OK = 2; X_OK = 1;
} }

constants! { seek: u32 {
    SEEK_SET = 0; SEEK_CUR = 1; SEEK_END = 2; SEEK_DATA = 3; SEEK_HOLE = 4;
    RENAME_NOREPLACE = 1; RENAME_EXCHANGE = 2; RENAME_WHITEOUT = 4;
    FALLOC_FL_KEEP_SIZE = 1; FALLOC_FL_PUNCH_HOLE = 2; FALLOC_FL_ZERO_RANGE = 16;
    MFD_CLOEXEC = 1; MFD_ALLOW_SEALING = 2; UTIME_NOW = 0x3fff_ffff; UTIME_OMIT = 0x3fff_fffe;
    XATTR_CREATE = 1; XATTR_REPLACE = 2;
} }

constants! { directory_types: u8 {
    DT_FIFO = 1; DT_CHR = 2; DT_DIR = 4; DT_BLK = 6; DT_REG = 8; DT_LNK = 10; DT_SOCK = 12;
} }

constants! { mount_flags: u64 {
    MS_RDONLY = 1; MS_NOSUID = 2; MS_NODEV = 4; MS_NOEXEC = 8; MS_REMOUNT = 32; MS_BIND = 4096; MS_MOVE = 8192;
    MS_REC = 16384; MS_NOATIME = 1024; MS_NODIRATIME = 2048; MS_SILENT = 32768; MS_UNBINDABLE = 1 << 17;
    MS_PRIVATE = 1 << 18; MS_SLAVE = 1 << 19; MS_SHARED = 1 << 20; MS_RELATIME = 1 << 21; MS_STRICTATIME = 1 << 24;
} }

constants! { unmount_flags: u32 {
    MNT_FORCE = 1; MNT_DETACH = 2; MNT_EXPIRE = 4; UMOUNT_NOFOLLOW = 8;
} }

constants! { file_system_magic: u64 {
    EXT4_SUPER_MAGIC = 0xef53; TMPFS_MAGIC = 0x0102_1994; PROC_SUPER_MAGIC = 0x9fa0;
} }

/// `DEVPTS_SUPER_MAGIC` (`linux/magic.h`).
pub const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
/// `SYSFS_MAGIC` (`linux/magic.h`).
pub const SYSFS_MAGIC: u64 = 0x6265_6572;

/// Longest path with its terminator, `PATH_MAX`.
pub const PATH_MAX: usize = 4096;
/// Most buffers of one `readv` or `writev`, `UIO_MAXIOV`.
pub const IOV_MAX: usize = 1024;
/// Longest file name, `NAME_MAX`.
pub const NAME_MAX: usize = 255;
/// Most bytes one `read` or `write` moves, `MAX_RW_COUNT`.
pub const RW_COUNT_MAX: usize = 0x7fff_f000;

/// Device number as `makedev(3)` packs it.
pub const fn make_device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xfff) << 8 | (major & !0xfff) << 32 | minor & 0xff | (minor & !0xff) << 12
}

/// Major number of a device.
pub const fn device_major(device: u64) -> u32 {
    ((device >> 8) & 0xfff | (device >> 32) & !0xfff) as u32
}

/// Minor number of a device.
pub const fn device_minor(device: u64) -> u32 {
    (device & 0xff | (device >> 12) & 0xffff_ff00) as u32
}

/// What `stat`, `statx` and their relatives tell, independent of layout.
#[derive(Clone, Copy, Default, Debug)]
#[allow(missing_docs)] // Named as in stat(2).
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub mode: u32,
    pub nlink: u64,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u64,
    pub size: u64,
    pub blksize: u64,
    pub blocks: u64,
    /// Seconds and nanoseconds.
    pub atime: (i64, u32),
    pub mtime: (i64, u32),
    pub ctime: (i64, u32),
}

impl Stat {
    /// `struct stat` of x86-64, 144 bytes; `struct stat64` of i386, 96 bytes.
    pub fn encode(&self, layout: Layout) -> Vec<u8> {
        if layout.is_32() { self.encode_stat64() } else { self.encode_stat() }
    }

    fn encode_stat(&self) -> Vec<u8> {
        let time = |writer: Writer, (seconds, nanos): (i64, u32)| writer.i64(seconds).u64(u64::from(nanos));
        let head = Writer::new().u64(self.dev).u64(self.ino).u64(self.nlink);
        let head = head.u32(self.mode).u32(self.uid).u32(self.gid).u32(0).u64(self.rdev);
        let head = head.u64(self.size).u64(self.blksize).u64(self.blocks);
        time(time(time(head, self.atime), self.mtime), self.ctime).pad_to(144).finish()
    }

    /// Its fields are aligned as i386 has it, to four bytes.
    fn encode_stat64(&self) -> Vec<u8> {
        let head = Writer::new().u64(self.dev).u32(0).u32(self.ino as u32).u32(self.mode).u32(self.nlink as u32);
        let head = head.u32(self.uid).u32(self.gid).u64(self.rdev).u32(0).u64(self.size);
        let head = head.u32(self.blksize as u32).u64(self.blocks);
        self.times_32(head).u64(self.ino).finish()
    }

    /// i386's first `struct stat`, 64 bytes.
    ///
    /// # Errors
    /// `EOVERFLOW` if the size, the inode number or the number of links does not fit.
    pub fn encode_i386(&self) -> Result<Vec<u8>, Errno> {
        let ino = u32::try_from(self.ino).map_err(|_| Errno::EOVERFLOW)?;
        let links = u16::try_from(self.nlink).map_err(|_| Errno::EOVERFLOW)?;
        let size = i32::try_from(self.size).map_err(|_| Errno::EOVERFLOW)?;
        let head = Writer::new().u32(self.dev as u32).u32(ino).u16(self.mode as u16).u16(links);
        let head = head.u16(crate::process::short_id(self.uid)).u16(crate::process::short_id(self.gid));
        let head = head.u32(self.rdev as u32).i32(size).u32(self.blksize as u32).u32(self.blocks as u32);
        Ok(self.times_32(head).pad_to(64).finish())
    }

    fn times_32(&self, head: Writer) -> Writer {
        [self.atime, self.mtime, self.ctime]
            .into_iter()
            .fold(head, |writer, (seconds, nanos)| writer.u32(seconds as u32).u32(nanos))
    }

    /// `struct statx`, 256 bytes; `mount_id` fills `stx_mnt_id`.
    pub fn encode_statx(&self, mount_id: u64) -> Vec<u8> {
        /// `STATX_BASIC_STATS | STATX_MNT_ID`.
        const MASK: u32 = 0x7ff | 0x1000;
        let time = |writer: Writer, (seconds, nanos): (i64, u32)| writer.i64(seconds).u32(nanos).u32(0);
        let head = Writer::new().u32(MASK).u32(self.blksize as u32).u64(0);
        let head = head.u32(self.nlink as u32).u32(self.uid).u32(self.gid).u16(self.mode as u16).u16(0);
        let head = head.u64(self.ino).u64(self.size).u64(self.blocks).u64(0);
        let times = time(time(time(time(head, self.atime), (0, 0)), self.ctime), self.mtime);
        let devices = times.u32(device_major(self.rdev)).u32(device_minor(self.rdev));
        let devices = devices.u32(device_major(self.dev)).u32(device_minor(self.dev));
        devices.u64(mount_id).pad_to(256).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn stat_has_the_layout_of_the_c_library() {
        let stat = Stat { dev: 1, ino: 2, mode: 3, nlink: 4, uid: 5, gid: 6, rdev: 7, size: 8, ..Stat::default() };
        let bytes = stat.encode(Layout::X86_64);
        assert_eq!(bytes.len(), size_of::<libc::stat>());
        let at = |offset: usize| u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap());
        assert_eq!(at(offset_of!(libc::stat, st_nlink)), 4);
        assert_eq!(at(offset_of!(libc::stat, st_mode)), 3);
        assert_eq!(at(offset_of!(libc::stat, st_gid)), 6);
        assert_eq!(at(offset_of!(libc::stat, st_rdev)), 7);
        assert_eq!(at(offset_of!(libc::stat, st_size)), 8);
    }

    #[test]
    fn statx_has_the_layout_of_the_c_library() {
        let stat = Stat { ino: 2, mode: 3, size: 8, mtime: (9, 1), rdev: make_device(4, 5), ..Stat::default() };
        let bytes = stat.encode_statx(11);
        assert_eq!(bytes.len(), size_of::<libc::statx>());
        let at = |offset: usize| u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap());
        assert_eq!(at(offset_of!(libc::statx, stx_ino)), 2);
        assert_eq!(at(offset_of!(libc::statx, stx_mode)), 3);
        assert_eq!(at(offset_of!(libc::statx, stx_size)), 8);
        assert_eq!(at(offset_of!(libc::statx, stx_mtime)), 9);
        assert_eq!(at(offset_of!(libc::statx, stx_rdev_minor)), 5);
        assert_eq!(at(offset_of!(libc::statx, stx_mnt_id)), 11);
    }

    #[test]
    fn device_numbers_pack_as_makedev_does() {
        for (major, minor) in [(1, 3), (136, 300), (4096 + 5, 70000)] {
            let device = make_device(major, minor);
            assert_eq!(device, libc::makedev(major, minor));
            assert_eq!((device_major(device), device_minor(device)), (major, minor));
        }
    }
}
