//! File operations, to be made on the host's kernel and on ours, which must agree on every result.
#![allow(dead_code)]

use kernel::vfs::{FileKind, RenameMode};

use super::Random;

pub type Path = Vec<u8>;
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
pub const COMMON_GROUP: u32 = 50;

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
    /// Only the superuser acts, and there are no sticky directories.
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
        let modes = [0o777, 0o755, 0o700, 0o644, 0o600, 0o444, 0o1777, 0o2775, 0o4755, 0o6777, 0o2644, 0o000];
        let mode = *self.random.pick(&modes);
        if self.single_user { mode & !0o1000 } else { mode }
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
pub fn describe(kind: u16, mode: u16, uid: u32, gid: u32, links: u64, size_bytes: u64, rdev: u64) -> String {
    let size_bytes = if kind == 4 { 0 } else { size_bytes };
    format!("{kind} {mode:o} {uid}:{gid} {links} {size_bytes} {rdev:x}")
}

/// Opening a device without a driver, or a FIFO without a reader, is no concern of ours.
pub fn not_files(seen: Seen) -> Seen {
    if seen == Err(abi::Errno::ENXIO.0) { Ok("not a file".into()) } else { seen }
}
