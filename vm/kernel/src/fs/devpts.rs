//! `/dev/pts`: a node for each pseudo-terminal.

use std::rc::Rc;

use abi::Errno;
use abi::file::{DEVPTS_SUPER_MAGIC, NAME_MAX};

use crate::files::device::number;
use crate::stop::Outcome;
use crate::tty::PtyTable;
use crate::vfs::{Attributes, DirEntry, FileKind, FileSystem, FileSystemStatus, Ino, SetAttributes, Timestamp};

const ROOT: Ino = Ino(1);
const PTMX: Ino = Ino(2);
/// Inode of terminal 0; the others follow.
const FIRST: u64 = 3;

/// The file system.
pub struct DevPts {
    ptys: Rc<PtyTable>,
    now: Timestamp,
}

impl DevPts {
    /// A view of all terminals.
    pub fn new(ptys: Rc<PtyTable>) -> Self {
        Self { ptys, now: Timestamp::default() }
    }

    fn entries(&self) -> Vec<(Ino, FileKind, Vec<u8>)> {
        let fixed = [
            (ROOT, FileKind::Directory, b".".to_vec()),
            (ROOT, FileKind::Directory, b"..".to_vec()),
            (PTMX, FileKind::CharDevice, b"ptmx".to_vec()),
        ];
        let node = |index: u32| (Ino(FIRST + u64::from(index)), FileKind::CharDevice, index.to_string().into_bytes());
        fixed.into_iter().chain(self.ptys.indices().into_iter().map(node)).collect()
    }
}

impl FileSystem for DevPts {
    fn root(&self) -> Ino {
        ROOT
    }

    fn set_time(&mut self, now: Timestamp) {
        self.now = now;
    }

    fn lookup(&mut self, _dir: Ino, name: &[u8]) -> Outcome<Ino> {
        let found = self.entries().into_iter().find(|(_, _, entry)| entry == name);
        found.map(|(ino, _, _)| ino).ok_or(Errno::ENOENT.into())
    }

    fn attributes(&mut self, ino: Ino) -> Outcome<Attributes> {
        let (kind, mode, (uid, gid), rdev) = match ino {
            ROOT => (FileKind::Directory, 0o755, (0, 0), 0),
            PTMX => (FileKind::CharDevice, 0o666, (0, 0), number::PTMX),
            Ino(ino) => {
                let pty = self.ptys.get((ino - FIRST) as u32).ok_or(Errno::ENOENT)?;
                (FileKind::CharDevice, pty.mode.get(), pty.owner.get(), pty.tty.rdev)
            }
        };
        let (accessed, modified, changed) = (self.now, self.now, self.now);
        let links = if kind == FileKind::Directory { 2 } else { 1 };
        let (size_bytes, blocks, block_size) = (0, 0, 1024);
        Ok(Attributes {
            ino,
            kind,
            mode,
            uid,
            gid,
            links,
            size_bytes,
            blocks,
            block_size,
            rdev,
            accessed,
            modified,
            changed,
        })
    }

    fn set_attributes(&mut self, ino: Ino, set: &SetAttributes) -> Outcome<()> {
        let index = ino.0.checked_sub(FIRST).ok_or(Errno::EPERM)?;
        let pty = self.ptys.get(index as u32).ok_or(Errno::ENOENT)?;
        let (uid, gid) = pty.owner.get();
        pty.owner.set((set.uid.unwrap_or(uid), set.gid.unwrap_or(gid)));
        pty.mode.set(set.mode.unwrap_or(pty.mode.get()));
        Ok(())
    }

    fn read(&mut self, _ino: Ino, _offset: u64, _to: &mut [u8]) -> Outcome<usize> {
        Err(Errno::EINVAL.into())
    }

    fn read_dir(&mut self, _dir: Ino, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        let start = usize::try_from(cookie).unwrap_or(usize::MAX);
        for (index, (ino, kind, name)) in self.entries().into_iter().enumerate().skip(start) {
            if !each(DirEntry { ino, kind, name, next_cookie: index as u64 + 1 }) {
                break;
            }
        }
        Ok(())
    }

    fn status(&mut self) -> Outcome<FileSystemStatus> {
        let name_len_max = NAME_MAX as u64;
        Ok(FileSystemStatus { magic: DEVPTS_SUPER_MAGIC, block_size: 4096, name_len_max, ..Default::default() })
    }

    fn type_name(&self) -> &'static str {
        "devpts"
    }

    fn is_volatile(&self) -> bool {
        true
    }
}
