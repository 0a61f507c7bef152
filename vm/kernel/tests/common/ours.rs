//! File operations on ours.
#![allow(dead_code)]

use std::collections::BTreeMap;

use kernel::credentials::Credentials;
use kernel::vfs::{At, Context, FileKind, Location, OpenHow, SetTime, Timestamp, Vfs};

use super::operations::{COMMON_GROUP, Operation, Seen, describe, not_files};
use super::{retry, tree};

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
