//! Ways to inodes: how [`HostDir`] gets from a number to a file of the host without ever leaving the directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use abi::Errno;
use kernel::stop::Outcome;
use kernel::vfs::Ino;
use rustix::fs::{self, Mode, OFlags, ResolveFlags, Stat};

use super::{HostDir, host_error, os};

/// Ways remembered for inodes nobody holds, before they are cleared out.
const UNHELD_MAX: usize = 1024;

/// How an inode is reached.
pub(super) struct Node {
    pub(super) parent: Ino,
    pub(super) name: Vec<u8>,
    /// Device and inode on the host, to notice when the name stands for something else now.
    pub(super) identity: (u64, u64),
    pub(super) holders: u32,
    /// Keeps it when it has no name any more.
    pub(super) kept: Option<OwnedFd>,
}

impl HostDir {
    pub(super) fn node(&self, ino: Ino) -> Outcome<&Node> {
        self.nodes.get(&ino).ok_or(Errno::ESTALE.into())
    }

    /// The inode number for a file of the host.
    pub(super) fn ino_of(&mut self, stat: &Stat) -> Ino {
        let index = self.devices.iter().position(|device| *device == stat.st_dev).unwrap_or_else(|| {
            self.devices.push(stat.st_dev);
            self.devices.len() - 1
        });
        Ino(stat.st_ino ^ (index as u64) << 48)
    }

    /// Opens a file by the way to it, as `O_PATH` unless other flags are given.
    pub(super) fn open(&self, ino: Ino) -> Outcome<OwnedFd> {
        let node = self.node(ino)?;
        if let Some(kept) = &node.kept {
            return kept.try_clone().map_err(|_| Errno::EMFILE.into());
        }
        let mut names = Vec::new();
        let (mut at, mut here) = (ino, node);
        while at != self.root {
            names.push(&*here.name);
            at = here.parent;
            here = self.node(at)?;
            if let Some(kept) = &here.kept {
                return self.open_below(kept.as_fd(), &names, node);
            }
        }
        self.open_below(self.top.as_fd(), &names, node)
    }

    /// Opens what `names`, last first, lead to from `top`, if it still is `node`.
    pub(super) fn open_below(&self, top: BorrowedFd<'_>, names: &[&[u8]], node: &Node) -> Outcome<OwnedFd> {
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.extend_from_slice(name);
            path.push(b'/');
        }
        path.pop();
        if path.is_empty() {
            path.push(b'.');
        }
        let file = open_beneath(top, &path)?;
        let stat = fs::fstat(&file).map_err(host_error)?;
        if (stat.st_dev, stat.st_ino) == node.identity { Ok(file) } else { Err(Errno::ESTALE.into()) }
    }

    /// Looks at `name` in a directory and remembers the way to it.
    pub(super) fn discover(&mut self, dir: Ino, name: &[u8]) -> Outcome<Ino> {
        let parent = self.open(dir)?;
        let file = open_beneath(parent.as_fd(), name)?;
        let stat = fs::fstat(&file).map_err(host_error)?;
        let ino = self.ino_of(&stat);
        if ino == self.root {
            return Ok(ino);
        }
        let identity = (stat.st_dev, stat.st_ino);
        let holders = self.nodes.get(&ino).map_or(0, |node| node.holders);
        if self.nodes.len() > UNHELD_MAX {
            self.forget_unheld();
        }
        let node = Node { parent: dir, name: name.to_vec(), identity, holders, kept: None };
        self.nodes.insert(ino, node);
        Ok(ino)
    }

    /// Forgets the ways to inodes that are neither held nor above one that is.
    pub(super) fn forget_unheld(&mut self) {
        let parents: std::collections::HashSet<Ino> = self.nodes.values().map(|node| node.parent).collect();
        self.nodes.retain(|ino, node| node.holders > 0 || parents.contains(ino));
    }

    /// `name` in `dir` is about to go: keeps what it stands for, if it is in use.
    pub(super) fn keep_before_removal(&mut self, dir: Ino, name: &[u8]) {
        let Ok(ino) = self.discover(dir, name) else { return };
        let held = self.nodes.get(&ino).is_some_and(|node| node.holders > 0);
        if held
            && let Ok(file) = self.open(ino)
            && let Some(node) = self.nodes.get_mut(&ino)
        {
            node.kept = Some(file);
        }
    }
}

/// Opens `path` as `O_PATH`, staying below `top` and following no link.
fn open_beneath(top: BorrowedFd<'_>, path: &[u8]) -> Outcome<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match fs::openat2(top, os(path), flags, Mode::empty(), resolve) {
            // Something above was renamed meanwhile, says openat2(2): try again.
            Err(rustix::io::Errno::AGAIN) => {}
            result => return result.map_err(host_error),
        }
    }
}
