//! Path resolution (`path_resolution(7)`).

use std::borrow::Cow;
use std::rc::Rc;

use super::dentry::Dentry;
use super::permission::Access;
use super::{At, Context, FileKind, Location, Restrict, Vfs};
use crate::stop::{Outcome, Stop};
use abi::Errno;

/// Longest component of a path (`NAME_MAX`).
const NAME_LEN_MAX: usize = 255;
/// Longest path, without its terminating NUL (`PATH_MAX` is 4096 with it).
const PATH_LEN_MAX: usize = 4095;
/// Symbolic links followed in one resolution (`MAXSYMLINKS`).
const LINKS_MAX: u32 = 40;

/// The last component of a path: what it is that an operation works on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Last {
    /// Nothing after the root: `/`.
    Root,
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// A name, and whether slashes follow it.
    Name(Vec<u8>, bool),
}

/// A path being resolved.
pub(super) struct Walk<'a> {
    vfs: &'a Vfs,
    context: &'a Context<'a>,
    /// How far it has come.
    pub(super) at: Location,
    rest: Cow<'a, [u8]>,
    /// Where in `rest` it goes on.
    next: usize,
    links: u32,
    restrict: Restrict,
    /// The end of `..`, and where absolute links lead.
    root: Location,
}

impl<'a> Walk<'a> {
    pub(super) fn new(vfs: &'a Vfs, context: &'a Context<'a>, path: At<'a>) -> Outcome<Self> {
        if path.path.is_empty() {
            return Err(Errno::ENOENT.into());
        }
        if path.path.len() > PATH_LEN_MAX {
            return Err(Errno::ENAMETOOLONG.into());
        }
        let start = path.start.unwrap_or(context.cwd);
        let (restrict, is_absolute) = (path.restrict, path.path[0] == b'/');
        if restrict.outside && is_absolute {
            return Err(Errno::EXDEV.into());
        }
        let root = if restrict.outside || restrict.in_root { start } else { context.root };
        let at = if is_absolute { root } else { start }.clone();
        if !at.is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        let (rest, root) = (Cow::Borrowed(path.path), root.clone());
        Ok(Self { vfs, context, at, rest, next: 0, links: 0, restrict, root })
    }

    /// Goes as far as the directory of the last component, which is returned.
    pub(super) fn advance(&mut self) -> Outcome<Last> {
        loop {
            let Some((name, more)) = self.component() else { return Ok(Last::Root) };
            // Searching a directory needs permission even for `.` and `..`.
            self.at.check_bits(self.context.credentials, Access::EXECUTE)?;
            let is_last = self.rest[self.next..].iter().all(|byte| *byte == b'/');
            match &self.rest[name.clone()] {
                b"." if is_last => return Ok(Last::Dot),
                b"." => {}
                b".." if is_last => return Ok(Last::DotDot),
                b".." => self.up()?,
                name if is_last => {
                    self.at.mount.expiring.set(false);
                    return Ok(Last::Name(name.to_vec(), more));
                }
                name => {
                    let found = self.vfs.existing_child(&self.at, name)?;
                    self.check_mount(&found)?;
                    self.enter(found)?;
                }
            }
        }
    }

    /// Goes all the way.
    pub(super) fn finish(mut self, follow: bool) -> Outcome<Location> {
        loop {
            let (name, slashes) = match self.advance()? {
                Last::Root | Last::Dot => return Ok(self.at),
                Last::DotDot => {
                    self.up()?;
                    return Ok(self.at);
                }
                Last::Name(name, slashes) => (name, slashes),
            };
            let found = self.vfs.existing_child(&self.at, &name)?;
            self.check_mount(&found)?;
            if found.kind() == FileKind::Symlink && (follow || slashes) {
                if let Some(location) = self.follow(&found, slashes)? {
                    return Ok(location);
                }
                continue;
            }
            if slashes && !found.is_directory() {
                return Err(Errno::ENOTDIR.into());
            }
            return Ok(found);
        }
    }

    /// The next component's place in `rest`, and whether a slash follows.
    fn component(&mut self) -> Option<(std::ops::Range<usize>, bool)> {
        let start = self.next + self.rest[self.next..].iter().position(|byte| *byte != b'/')?;
        let len = self.rest[start..].iter().position(|byte| *byte == b'/');
        let end = len.map_or(self.rest.len(), |len| start + len);
        self.next = end;
        Some((start..end, len.is_some()))
    }

    /// To the directory above, but not out of the task's root.
    fn up(&mut self) -> Outcome<()> {
        if self.at.is(&self.root) {
            return if self.restrict.outside { Err(Errno::EXDEV.into()) } else { Ok(()) };
        }
        if let Some(parent) = self.at.parent() {
            let parent = self.vfs.top_of(parent);
            self.check_mount(&parent)?;
            self.at = parent;
        }
        Ok(())
    }

    /// Fails if `to` is in another mount, and must not be.
    pub(super) fn check_mount(&self, to: &Location) -> Outcome<()> {
        let crosses = self.restrict.mounts && !Rc::ptr_eq(&self.at.mount, &to.mount);
        if crosses { Err(Errno::EXDEV.into()) } else { Ok(()) }
    }

    /// Into `found`, which is not the last component: a directory or a link to one.
    fn enter(&mut self, found: Location) -> Outcome<()> {
        match found.kind() {
            FileKind::Directory => self.at = found,
            FileKind::Symlink => {
                if let Some(location) = self.follow(&found, true)? {
                    self.at = location;
                }
            }
            _ => return Err(Errno::ENOTDIR.into()),
        }
        Ok(())
    }

    /// Follows `link`, found in `self.at`. `Some` if it leads straight to a file; otherwise its target now comes
    /// before the rest of the path. `directory` says that only a directory will do.
    pub(super) fn follow(&mut self, link: &Location, directory: bool) -> Outcome<Option<Location>> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::ELOOP.into());
        }
        if self.restrict.symlinks {
            return Err(Errno::ELOOP.into());
        }
        let magic = link.dentry.volume.enter().magic_link(link.ino())?;
        if let Some(location) = magic {
            if self.restrict.magic_links {
                return Err(Errno::ELOOP.into());
            }
            if self.restrict.outside || self.restrict.in_root {
                return Err(Errno::EXDEV.into());
            }
            self.check_mount(&location)?;
            return if directory && !location.is_directory() { Err(Errno::ENOTDIR.into()) } else { Ok(Some(location)) };
        }
        let mut path = link.dentry.volume.enter().read_link(link.ino())?;
        if path.is_empty() {
            return Err(Errno::ENOENT.into());
        }
        if path[0] == b'/' {
            if self.restrict.outside {
                return Err(Errno::EXDEV.into());
            }
            self.check_mount(&self.root)?;
            self.at = self.root.clone();
        }
        path.extend_from_slice(&self.rest[self.next..]);
        self.rest = Cow::Owned(path);
        self.next = 0;
        Ok(None)
    }
}

impl Vfs {
    /// The entry `name` in `dir`, which may be negative.
    pub(super) fn child(&self, dir: &Location, name: &[u8]) -> Outcome<Rc<Dentry>> {
        if name.len() > NAME_LEN_MAX {
            return Err(Errno::ENAMETOOLONG.into());
        }
        let cached = dir.dentry.cached_child(name);
        let volume = &dir.dentry.volume;
        if let Some(dentry) = &cached
            && !volume.volatile
        {
            return Ok(dentry.clone());
        }
        if dir.is_deleted() {
            return Err(Errno::ENOENT.into());
        }
        let inode = {
            let mut file_system = volume.enter();
            match file_system.lookup(dir.ino(), name) {
                Ok(ino) => Some((ino, file_system.attributes(ino)?.kind)),
                Err(Stop::Errno(Errno::ENOENT)) => None,
                Err(stop) => return Err(stop),
            }
        };
        if let Some(dentry) = cached.filter(|dentry| dentry.inode() == inode) {
            return Ok(dentry);
        }
        let dentry = dir.dentry.add_child(name, inode);
        if !volume.volatile {
            self.cache.keep(dentry.clone());
        }
        Ok(dentry)
    }

    /// The file `name` in `dir`, or what is mounted there.
    pub(super) fn existing_child(&self, dir: &Location, name: &[u8]) -> Outcome<Location> {
        match self.positive(dir, self.child(dir, name)?) {
            Some(location) => Ok(location),
            None => Err(Errno::ENOENT.into()),
        }
    }

    /// The file a dentry found in `dir` stands for, or what is mounted there; `None` if it is negative.
    pub(super) fn positive(&self, dir: &Location, dentry: Rc<Dentry>) -> Option<Location> {
        dentry.inode()?;
        Some(self.top_of(Location::new(dir.mount.clone(), dentry)))
    }

    /// What is to be seen at `at`: the root of the topmost mount there.
    pub(super) fn top_of(&self, at: Location) -> Location {
        let mut top = at;
        while top.dentry.mounts_here.get() > 0 {
            match self.mounts.borrow().over(&top) {
                Some(mount) => top = mount.root(),
                None => break,
            }
        }
        top
    }
}
