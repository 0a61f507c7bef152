//! Addresses of unix sockets, and who has them.

use std::collections::{BTreeMap, HashMap};
use std::rc::{Rc, Weak};

use abi::socket::*;
use abi::{Errno, Reader, Writer};

use super::UnixSocket;
use crate::kernel::Kernel;
use crate::net::inbox::RawAddress;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::{Access, At, FileKind, Location};

/// Bytes of the family in a `struct sockaddr`.
const FAMILY_BYTES: usize = 2;

/// A socket's address: a path, or bytes after a zero byte (abstract).
pub type Name = Vec<u8>;

/// The name in a `struct sockaddr_un`; empty asks for an automatic one.
pub(super) fn name_of(address: &[u8]) -> Outcome<Name> {
    if !(FAMILY_BYTES..=FAMILY_BYTES + UNIX_PATH_MAX).contains(&address.len()) {
        return Err(Errno::EINVAL.into());
    }
    if u32::from(Reader::new(address).u16()) != AF_UNIX {
        return Err(Errno::EINVAL.into());
    }
    let mut name = address[FAMILY_BYTES..].to_vec();
    if name.first().is_some_and(|byte| *byte != 0) {
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    }
    Ok(name)
}

pub(super) fn is_abstract(name: &Name) -> bool {
    name.first() == Some(&0)
}

pub(super) fn raw_name(name: &Name) -> RawAddress {
    raw(Some(name))
}

/// A `struct sockaddr_un`.
pub(super) fn raw(name: Option<&Name>) -> RawAddress {
    let mut bytes = Writer::new().u16(AF_UNIX as u16).raw(name.map_or(&[], |name| &name[..])).finish();
    if name.is_some_and(|name| !name.is_empty() && !is_abstract(name)) {
        bytes.push(0);
    }
    bytes
}

/// The socket with an address.
pub(super) fn find(k: &Kernel, t: &Rc<Task>, name: &Name) -> Outcome<Rc<UnixSocket>> {
    if name.is_empty() {
        return Err(Errno::EINVAL.into());
    }
    if is_abstract(name) {
        return k.net.unix_names.at_name(name);
    }
    let (fs, who) = (t.fs_state(), t.credentials());
    let location = k.vfs.resolve(&fs.context(&who), At::cwd(name), true)?;
    location.check_access(&who, Access::WRITE)?;
    match location.kind() {
        FileKind::Socket => k.net.unix_names.at_node(&location),
        _ => Err(Errno::ECONNREFUSED.into()),
    }
}

/// Sockets that have an address: by inode, or by abstract name.
#[derive(Default)]
pub struct UnixNames {
    by_inode: HashMap<(u64, u64), Weak<UnixSocket>>,
    by_name: BTreeMap<Name, Weak<UnixSocket>>,
}

impl UnixNames {
    /// Binds a socket to the node at `location`.
    pub(super) fn bind_node(&mut self, location: &Location, socket: &Rc<UnixSocket>) {
        self.by_inode.insert((location.device(), location.ino().0), Rc::downgrade(socket));
    }

    /// Binds a socket to an abstract name.
    pub(super) fn bind_abstract(&mut self, name: &Name, socket: &Rc<UnixSocket>) -> Outcome<()> {
        if self.by_name.get(name).is_some_and(|other| other.strong_count() > 0) {
            return Err(Errno::EADDRINUSE.into());
        }
        self.by_name.insert(name.clone(), Rc::downgrade(socket));
        Ok(())
    }

    /// The socket behind a node.
    fn at_node(&self, location: &Location) -> Outcome<Rc<UnixSocket>> {
        let found = self.by_inode.get(&(location.device(), location.ino().0)).and_then(Weak::upgrade);
        found.ok_or(Errno::ECONNREFUSED.into())
    }

    /// The socket with an abstract name.
    fn at_name(&self, name: &Name) -> Outcome<Rc<UnixSocket>> {
        self.by_name.get(name).and_then(Weak::upgrade).ok_or(Errno::ECONNREFUSED.into())
    }

    /// Takes a socket's addresses away.
    pub(super) fn forget(&mut self, socket: &UnixSocket) {
        if socket.name.borrow().is_some() {
            let other = |weak: &Weak<UnixSocket>| weak.strong_count() > 0 && !std::ptr::eq(weak.as_ptr(), socket);
            self.by_inode.retain(|_, weak| other(weak));
            self.by_name.retain(|_, weak| other(weak));
        }
    }
}
