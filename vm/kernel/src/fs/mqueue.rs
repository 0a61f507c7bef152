//! POSIX message queues as files (`mq_overview(7)`): a directory that is everybody's, each file in it a queue.
//!
//! There is one such file system, whether it is mounted, and how often, or not: `mq_open(2)` looks names up in it. What a
//! queue holds is in [`crate::files::mqueue`].

use std::rc::Rc;

use abi::Errno;

use super::tmpfs::Tmpfs;
use crate::files::mqueue::MessageQueues;
use crate::stop::Outcome;
use crate::vfs::{
    Attributes, DirEntry, FileKind, FileSystem, FileSystemStatus, Ino, NewFile, SetAttributes, Timestamp,
};

/// Name of its type.
pub const TYPE: &str = "mqueue";
/// Names and inodes it has room for: root may have more queues than others, but each costs memory.
const FILES_MAX: u64 = 4096;
/// What a file says of its size (`FILENT_SIZE`): so long is its text at most.
const TEXT_BYTES: u64 = 80;
/// `MQUEUE_MAGIC` of `statfs(2)`.
const MAGIC: u64 = 0x1980_0202;

/// The file system: names and attributes are a tmpfs's.
pub struct QueueFs {
    files: Tmpfs,
    queues: Rc<MessageQueues>,
}

impl QueueFs {
    /// One without queues.
    pub fn new(queues: Rc<MessageQueues>) -> Self {
        let files = Tmpfs::with_type(0, 0o1777, TYPE);
        let options = super::tmpfs::Options { inodes: Some(FILES_MAX), ..Default::default() };
        Self { files: files.configured(&options), queues }
    }

    fn forget_if_gone(&mut self, ino: Ino) {
        if self.files.attributes(ino).is_err() {
            self.queues.forget(ino);
        }
    }
}

/// The call is one that only other file systems know.
fn not_here<T>() -> Outcome<T> {
    Err(Errno::EPERM.into())
}

impl FileSystem for QueueFs {
    fn root(&self) -> Ino {
        self.files.root()
    }

    fn set_time(&mut self, now: Timestamp) {
        self.files.set_time(now);
    }

    fn lookup(&mut self, dir: Ino, name: &[u8]) -> Outcome<Ino> {
        self.files.lookup(dir, name)
    }

    fn attributes(&mut self, ino: Ino) -> Outcome<Attributes> {
        let attributes = self.files.attributes(ino)?;
        match attributes.kind {
            FileKind::Regular => Ok(Attributes { size_bytes: TEXT_BYTES, ..attributes }),
            _ => Ok(attributes),
        }
    }

    fn set_attributes(&mut self, ino: Ino, set: &SetAttributes) -> Outcome<()> {
        self.files.set_attributes(ino, &SetAttributes { size_bytes: None, ..*set })
    }

    fn read(&mut self, _ino: Ino, _offset: u64, _to: &mut [u8]) -> Outcome<usize> {
        Err(Errno::EINVAL.into())
    }

    fn write(&mut self, _ino: Ino, _offset: u64, _from: &[u8]) -> Outcome<usize> {
        Err(Errno::EINVAL.into())
    }

    fn read_dir(&mut self, dir: Ino, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        self.files.read_dir(dir, cookie, each)
    }

    fn create(&mut self, dir: Ino, name: &[u8], new: &NewFile<'_>) -> Outcome<Ino> {
        if new.kind == FileKind::Regular { self.files.create(dir, name, new) } else { not_here() }
    }

    fn link(&mut self, _dir: Ino, _name: &[u8], _ino: Ino) -> Outcome<()> {
        not_here()
    }

    fn unlink(&mut self, dir: Ino, name: &[u8]) -> Outcome<()> {
        let ino = self.files.lookup(dir, name)?;
        self.files.unlink(dir, name)?;
        self.forget_if_gone(ino);
        Ok(())
    }

    fn rename(&mut self, _from: (Ino, &[u8]), _to: (Ino, &[u8])) -> Outcome<()> {
        not_here()
    }

    fn touch(&mut self, ino: Ino) -> Outcome<()> {
        self.files.touch(ino)
    }

    fn retain(&mut self, ino: Ino) {
        self.files.retain(ino);
    }

    fn release(&mut self, ino: Ino) {
        self.files.release(ino);
        self.forget_if_gone(ino);
    }

    fn status(&mut self) -> Outcome<FileSystemStatus> {
        let FileSystemStatus { block_size, name_len_max, .. } = self.files.status()?;
        Ok(FileSystemStatus { magic: MAGIC, block_size, name_len_max, ..FileSystemStatus::default() })
    }

    fn type_name(&self) -> &'static str {
        TYPE
    }
}
