//! Inodes of files that have no path: pipes, sockets, event counters.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use abi::Errno;

use crate::credentials::Credentials;
use crate::stop::Outcome;
use crate::vfs::{
    Attributes, DirEntry, FileKind, FileSystem, FileSystemStatus, Ino, Location, Mount, MountFlags, Timestamp, Vfs,
};

type Inodes = Rc<RefCell<HashMap<Ino, (Attributes, u32)>>>;

/// The mount they all live in.
pub struct AnonymousFiles {
    mount: Rc<Mount>,
    inodes: Inodes,
    last: u64,
}

impl AnonymousFiles {
    /// Makes the mount.
    pub fn new(vfs: &Vfs) -> Self {
        let inodes = Inodes::default();
        let file_system = AnonymousFs { inodes: inodes.clone(), now: Timestamp::default() };
        let mount = vfs.mount_nowhere(Box::new(file_system), "anon_inodefs", MountFlags::default());
        Self { mount, inodes, last: ROOT.0 }
    }

    /// A new inode owned by `who`. `name` becomes `name:[number]`, as `/proc/PID/fd` shows pipes and sockets.
    pub fn numbered(&mut self, vfs: &Vfs, kind: FileKind, who: &Credentials, name: &str) -> Location {
        let ino = self.make(kind, who);
        vfs.anonymous(&self.mount, ino, kind, format!("{name}:[{}]", ino.0).as_bytes())
    }

    /// A new inode owned by `who`, shown as `anon_inode:name`.
    pub fn named(&mut self, vfs: &Vfs, who: &Credentials, name: &str) -> Location {
        let ino = self.make(FileKind::Regular, who);
        vfs.anonymous(&self.mount, ino, FileKind::Regular, format!("anon_inode:{name}").as_bytes())
    }

    fn make(&mut self, kind: FileKind, who: &Credentials) -> Ino {
        self.last += 1;
        let ino = Ino(self.last);
        let mode = if kind == FileKind::Socket { 0o777 } else { 0o600 };
        let attributes = Attributes { mode, uid: who.fsuid, gid: who.fsgid, ..blank(ino, kind) };
        self.inodes.borrow_mut().insert(ino, (attributes, 0));
        ino
    }
}

const ROOT: Ino = Ino(1);

fn blank(ino: Ino, kind: FileKind) -> Attributes {
    let time = Timestamp::default();
    Attributes {
        ino,
        kind,
        mode: 0o600,
        uid: 0,
        gid: 0,
        links: 1,
        size_bytes: 0,
        blocks: 0,
        block_size: 4096,
        rdev: 0,
        accessed: time,
        modified: time,
        changed: time,
    }
}

struct AnonymousFs {
    inodes: Inodes,
    now: Timestamp,
}

impl FileSystem for AnonymousFs {
    fn root(&self) -> Ino {
        ROOT
    }

    fn set_time(&mut self, now: Timestamp) {
        self.now = now;
    }

    fn lookup(&mut self, _dir: Ino, _name: &[u8]) -> Outcome<Ino> {
        Err(Errno::ENOENT.into())
    }

    fn attributes(&mut self, ino: Ino) -> Outcome<Attributes> {
        if ino == ROOT {
            return Ok(blank(ROOT, FileKind::Directory));
        }
        let mut inodes = self.inodes.borrow_mut();
        let (attributes, _) = inodes.get_mut(&ino).ok_or(Errno::ENOENT)?;
        if attributes.changed == Timestamp::default() {
            let now = self.now;
            (attributes.accessed, attributes.modified, attributes.changed) = (now, now, now);
        }
        Ok(*attributes)
    }

    fn set_attributes(&mut self, ino: Ino, set: &crate::vfs::SetAttributes) -> Outcome<()> {
        let mut inodes = self.inodes.borrow_mut();
        let (attributes, _) = inodes.get_mut(&ino).ok_or(Errno::EPERM)?;
        attributes.mode = set.mode.unwrap_or(attributes.mode);
        attributes.uid = set.uid.unwrap_or(attributes.uid);
        attributes.gid = set.gid.unwrap_or(attributes.gid);
        Ok(())
    }

    fn read(&mut self, _ino: Ino, _offset: u64, _to: &mut [u8]) -> Outcome<usize> {
        Err(Errno::EINVAL.into())
    }

    fn read_dir(&mut self, _dir: Ino, _cookie: u64, _each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        Ok(())
    }

    fn retain(&mut self, ino: Ino) {
        if let Some((_, holders)) = self.inodes.borrow_mut().get_mut(&ino) {
            *holders += 1;
        }
    }

    fn release(&mut self, ino: Ino) {
        let mut inodes = self.inodes.borrow_mut();
        if let Some((_, holders)) = inodes.get_mut(&ino) {
            *holders = holders.saturating_sub(1);
            if *holders == 0 {
                inodes.remove(&ino);
            }
        }
    }

    fn status(&mut self) -> Outcome<FileSystemStatus> {
        Ok(FileSystemStatus { magic: 0x0904_1934, block_size: 4096, name_len_max: 255, ..Default::default() })
    }

    fn type_name(&self) -> &'static str {
        "anon_inodefs"
    }

    fn is_volatile(&self) -> bool {
        true
    }
}
