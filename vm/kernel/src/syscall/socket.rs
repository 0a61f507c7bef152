//! Sockets. Only unix sockets so far: for the Internet families `socket` answers as a kernel without them does.

use std::rc::Rc;

use abi::file::{O_NONBLOCK, O_RDWR};
use abi::socket::*;
use abi::{Errno, Reader, Writer};

use super::rw::unless_nonblocking;
use crate::files::OpenFile;
use crate::files::unix::{BACKLOG_MAX, Name, SocketFile, UnixSocket, is_known_kind, peer_credentials};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::{Access, At, FileKind};

/// Bytes of the family in a `struct sockaddr`.
const FAMILY_BYTES: usize = 2;

pub(super) fn with_socket<T>(
    t: &Rc<Task>,
    fd: i32,
    then: impl FnOnce(&Rc<OpenFile>, &Rc<UnixSocket>) -> Outcome<T>,
) -> Outcome<T> {
    let file = t.usable_file(fd)?;
    let socket = file.object_as::<SocketFile>().ok_or(Errno::ENOTSOCK)?.0.clone();
    then(&file, &socket)
}

fn check_kind(family: u32, kind: u32) -> Outcome<u32> {
    if family != AF_UNIX {
        return Err(Errno::EAFNOSUPPORT.into());
    }
    /// Types end here (`SOCK_MAX`).
    const KINDS: u32 = 11;
    match kind & !(SOCK_NONBLOCK | SOCK_CLOEXEC) {
        kind if is_known_kind(kind) => Ok(kind),
        KINDS.. => Err(Errno::EINVAL.into()),
        _ => Err(Errno::ESOCKTNOSUPPORT.into()),
    }
}

fn open_socket(k: &mut Kernel, t: &Rc<Task>, socket: Rc<UnixSocket>, flags: u32) -> Rc<OpenFile> {
    let location = k.anonymous.numbered(&k.vfs, FileKind::Socket, &t.credentials(), "socket");
    OpenFile::new(Rc::new(SocketFile(socket)), location, O_RDWR | flags & O_NONBLOCK)
}

pub(super) fn socket(k: &mut Kernel, t: &Rc<Task>, family: u32, kind: u32, _protocol: u32) -> Outcome<u64> {
    let socket = UnixSocket::new(check_kind(family, kind)?, peer_credentials(t));
    let file = open_socket(k, t, socket, kind);
    k.add_file(t, file, kind & SOCK_CLOEXEC != 0).map(|fd| fd as u64)
}

pub(super) fn socketpair(
    k: &mut Kernel,
    t: &Rc<Task>,
    family: u32,
    kind: u32,
    _protocol: u32,
    fds: u64,
) -> Outcome<u64> {
    let plain = check_kind(family, kind)?;
    t.mm()?.prepare_write(fds, 8)?;
    let sockets = [(); 2].map(|()| UnixSocket::new(plain, peer_credentials(t)));
    UnixSocket::pair(&sockets[0], &sockets[1]);
    let files = sockets.map(|socket| open_socket(k, t, socket, kind));
    super::fd::add_pair(k, t, files, kind & SOCK_CLOEXEC != 0, fds)
}

// ---- addresses ----

/// The name in a `struct sockaddr_un`; empty asks for an automatic one.
pub(super) fn name_arg(t: &Rc<Task>, addr: u64, len: usize) -> Outcome<Name> {
    if !(FAMILY_BYTES..=FAMILY_BYTES + UNIX_PATH_MAX).contains(&len) {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = vec![0; len];
    t.mm()?.read_user(addr, &mut bytes)?;
    if u32::from(Reader::new(&bytes).u16()) != AF_UNIX {
        return Err(Errno::EINVAL.into());
    }
    let mut name = bytes[FAMILY_BYTES..].to_vec();
    if name.first().is_some_and(|byte| *byte != 0) {
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    }
    Ok(name)
}

fn is_abstract(name: &Name) -> bool {
    name.first() == Some(&0)
}

/// Writes a `struct sockaddr_un` as far as there is room, and its true length.
pub(super) fn give_name(t: &Rc<Task>, name: Option<&Name>, addr: u64, len_addr: u64) -> Outcome<()> {
    if addr == 0 {
        return Ok(());
    }
    let mm = t.mm()?;
    let mut bytes = Writer::new().u16(AF_UNIX as u16).raw(name.map_or(&[], |name| &name[..])).finish();
    if name.is_some_and(|name| !name.is_empty() && !is_abstract(name)) {
        bytes.push(0);
    }
    let room = mm.read_u32(len_addr)? as usize;
    mm.write_user(addr, &bytes[..bytes.len().min(room)])?;
    mm.write_u32(len_addr, bytes.len() as u32)
}

pub(super) fn find(k: &Kernel, t: &Rc<Task>, name: &Name) -> Outcome<Rc<UnixSocket>> {
    if name.is_empty() {
        return Err(Errno::ECONNREFUSED.into());
    }
    if is_abstract(name) {
        return k.unix_names.at_name(name);
    }
    let (fs, who) = (t.fs_state(), t.credentials());
    let location = k.vfs.resolve(&fs.context(&who), At::cwd(name), true)?;
    location.check_access(&who, Access::WRITE)?;
    if location.kind() == FileKind::Socket { k.unix_names.at_node(&location) } else { Err(Errno::ECONNREFUSED.into()) }
}

pub(super) fn bind(k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, len: usize) -> Outcome<u64> {
    with_socket(t, fd, |_, socket| {
        let mut name = name_arg(t, addr, len)?;
        if socket.name.borrow().is_some() {
            return Err(Errno::EINVAL.into());
        }
        if name.is_empty() {
            let number = u32::from_le_bytes(k.random_bytes()) & 0xf_ffff;
            name = format!("\0{number:05x}").into_bytes();
        }
        if is_abstract(&name) {
            k.unix_names.bind_abstract(&name, socket)?;
        } else {
            let (fs, who) = (t.fs_state(), t.credentials());
            let made = k.vfs.mknod(&fs.context(&who), At::cwd(&name), FileKind::Socket, 0o777, 0);
            let location = made.map_err(|stop| match stop {
                stop if stop.is(Errno::EEXIST) => Errno::EADDRINUSE.into(),
                stop => stop,
            })?;
            k.unix_names.bind_node(&location, socket);
        }
        *socket.name.borrow_mut() = Some(name);
        Ok(0)
    })
}

pub(super) fn listen(_k: &mut Kernel, t: &Rc<Task>, fd: i32, backlog: i32) -> Outcome<u64> {
    with_socket(t, fd, |_, socket| {
        socket.owner.set(peer_credentials(t));
        socket.listen(usize::try_from(backlog).unwrap_or(BACKLOG_MAX)).map(|()| 0)
    })
}

pub(super) fn connect(k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, len: usize) -> Outcome<u64> {
    with_socket(t, fd, |file, socket| {
        let name = name_arg(t, addr, len)?;
        let to = find(k, t, &name)?;
        unless_nonblocking(file, socket.connect(k, &to)).map(|()| 0)
    })
}

pub(super) fn accept(k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, len_addr: u64) -> Outcome<u64> {
    accept4(k, t, fd, addr, len_addr, 0)
}

pub(super) fn accept4(k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, len_addr: u64, flags: u32) -> Outcome<u64> {
    if flags & !(SOCK_NONBLOCK | SOCK_CLOEXEC) != 0 {
        return Err(Errno::EINVAL.into());
    }
    with_socket(t, fd, |file, socket| {
        if socket.kind == SOCK_DGRAM {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let accepted = unless_nonblocking(file, socket.accept(k))?;
        let name = accepted.peer().and_then(|peer| peer.name.borrow().clone());
        give_name(t, name.as_ref(), addr, len_addr)?;
        let file = open_socket(k, t, accepted, flags);
        k.add_file(t, file, flags & SOCK_CLOEXEC != 0).map(|fd| fd as u64)
    })
}

pub(super) fn getsockname(_k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, len_addr: u64) -> Outcome<u64> {
    with_socket(t, fd, |_, socket| {
        let name = socket.name.borrow().clone();
        give_name(t, name.as_ref(), addr, len_addr).map(|()| 0)
    })
}

pub(super) fn getpeername(_k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, len_addr: u64) -> Outcome<u64> {
    with_socket(t, fd, |_, socket| {
        let peer = socket.peer().ok_or(Errno::ENOTCONN)?;
        let name = peer.name.borrow().clone();
        give_name(t, name.as_ref(), addr, len_addr).map(|()| 0)
    })
}

pub(super) fn shutdown(k: &mut Kernel, t: &Rc<Task>, fd: i32, how: u32) -> Outcome<u64> {
    if how > SHUT_RDWR {
        return Err(Errno::EINVAL.into());
    }
    with_socket(t, fd, |_, socket| socket.shutdown(k, how != SHUT_WR, how != SHUT_RD).map(|()| 0))
}

// ---- options ----

pub(super) fn getsockopt(
    _k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    level: u32,
    option: u32,
    value: u64,
    len_addr: u64,
) -> Outcome<u64> {
    /// What the buffer sizes are said to be.
    const BUFFER_BYTES: u32 = 212_992;
    with_socket(t, fd, |_, socket| {
        if level != SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let number = |value: u32| value.to_le_bytes().to_vec();
        let bytes = match option {
            SO_TYPE => number(socket.kind),
            SO_DOMAIN => number(AF_UNIX),
            SO_PROTOCOL | SO_ERROR | SO_REUSEADDR | SO_PASSCRED => number(0),
            SO_SNDBUF | SO_RCVBUF => number(BUFFER_BYTES),
            SO_ACCEPTCONN => number(u32::from(socket.is_listening())),
            SO_PEERCRED => {
                let peer = socket.peer_owner.get();
                Writer::new().i32(peer.pid).u32(peer.uid).u32(peer.gid).finish()
            }
            _ => return Err(Errno::ENOPROTOOPT.into()),
        };
        let mm = t.mm()?;
        let len = bytes.len().min(mm.read_u32(len_addr)? as usize);
        mm.write_user(value, &bytes[..len])?;
        mm.write_u32(len_addr, len as u32).map(|()| 0)
    })
}

/// Sizes and timeouts are accepted and have no effect.
pub(super) fn setsockopt(_k: &mut Kernel, t: &Rc<Task>, fd: i32, level: u32, option: u32) -> Outcome<u64> {
    /// `SO_RCVTIMEO` and `SO_SNDTIMEO` would change behaviour, and are refused.
    const TIMEOUTS: [u32; 2] = [20, 21];
    with_socket(t, fd, |_, _| {
        if level != SOL_SOCKET || TIMEOUTS.contains(&option) {
            return Err(Errno::ENOPROTOOPT.into());
        }
        Ok(0)
    })
}
