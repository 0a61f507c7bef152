//! Sockets: making, naming, connecting them; their options (`socket(2)` and its neighbours).

use std::rc::Rc;

use abi::Errno;
use abi::file::{O_NONBLOCK, O_RDWR};
use abi::socket::*;

use super::filter;
use super::rw::unless_nonblocking;
use crate::files::OpenFile;
use crate::kernel::Kernel;
use crate::net::file::{SocketFile, owner, within_timeout};
use crate::net::netlink::{NetlinkSocket, is_known_protocol};
use crate::net::unix::UnixSocket;
use crate::net::{BACKLOG_MAX, Socket, inet, options};
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::FileKind;

/// Bits of a type that say how the descriptor is; those that say what the socket is.
const KIND_MASK: u32 = 0xf;

pub(super) fn with_socket<T>(
    t: &Rc<Task>,
    fd: i32,
    then: impl FnOnce(&Rc<OpenFile>, &Rc<dyn Socket>) -> Outcome<T>,
) -> Outcome<T> {
    let file = t.usable_file(fd)?;
    let socket = file.object_as::<SocketFile>().ok_or(Errno::ENOTSOCK)?.0.clone();
    then(&file, &socket)
}

/// The type asked for, without its flags.
fn kind_arg(family: u32, kind: u32) -> Outcome<u32> {
    /// Types end here (`SOCK_MAX`).
    const KINDS: u32 = 11;
    if kind & !(KIND_MASK | SOCK_NONBLOCK | SOCK_CLOEXEC) != 0 {
        return Err(Errno::EINVAL.into());
    }
    match kind & KIND_MASK {
        _ if family >= AF_MAX => Err(Errno::EAFNOSUPPORT.into()),
        KINDS.. => Err(Errno::EINVAL.into()),
        kind => Ok(kind),
    }
}

fn create(k: &mut Kernel, t: &Rc<Task>, family: u32, kind: u32, protocol: u32) -> Outcome<Rc<dyn Socket>> {
    match (family, kind) {
        (AF_UNIX, _) if protocol > AF_UNIX => Err(Errno::EPROTONOSUPPORT.into()),
        (AF_UNIX, SOCK_STREAM | SOCK_DGRAM | SOCK_SEQPACKET) => Ok(UnixSocket::new(kind, owner(t))),
        (AF_UNIX, SOCK_RAW) => Ok(UnixSocket::new(SOCK_DGRAM, owner(t))),
        (AF_INET | AF_INET6, _) => inet::create(k, &t.credentials(), family, kind, protocol),
        (AF_NETLINK, SOCK_RAW | SOCK_DGRAM) if is_known_protocol(protocol) => Ok(NetlinkSocket::new(kind, protocol)),
        (AF_NETLINK, SOCK_RAW | SOCK_DGRAM) => Err(Errno::EPROTONOSUPPORT.into()),
        (AF_UNIX | AF_NETLINK, _) => Err(Errno::ESOCKTNOSUPPORT.into()),
        // Most of what a network carries is never a packet here, so nobody may look at those of the interface.
        (AF_PACKET, _) => Err(Errno::EPERM.into()),
        _ => Err(Errno::EAFNOSUPPORT.into()),
    }
}

fn open_socket(k: &mut Kernel, t: &Rc<Task>, socket: Rc<dyn Socket>, flags: u32) -> Rc<OpenFile> {
    let location = k.anonymous.numbered(&k.vfs, FileKind::Socket, &t.credentials(), "socket");
    socket.core().inode.set(location.ino().0);
    socket.core().uid.set(t.credentials().fsuid);
    k.net.register(&socket);
    OpenFile::new(Rc::new(SocketFile(socket)), location, O_RDWR | flags & O_NONBLOCK)
}

pub(super) fn socket(k: &mut Kernel, t: &Rc<Task>, family: u32, kind: u32, protocol: u32) -> Outcome<u64> {
    let socket = create(k, t, family, kind_arg(family, kind)?, protocol)?;
    let file = open_socket(k, t, socket, kind);
    k.add_file(t, file, kind & SOCK_CLOEXEC != 0).map(|fd| fd as u64)
}

pub(super) fn socketpair(
    k: &mut Kernel,
    t: &Rc<Task>,
    family: u32,
    kind: u32,
    protocol: u32,
    fds: u64,
) -> Outcome<u64> {
    let plain = kind_arg(family, kind)?;
    let first = create(k, t, family, plain, protocol)?;
    if family != AF_UNIX {
        return Err(Errno::EOPNOTSUPP.into());
    }
    t.mm()?.prepare_write(fds, 8)?;
    let sockets = [(); 2].map(|()| UnixSocket::new(first.core().kind, owner(t)));
    UnixSocket::pair(&sockets[0], &sockets[1]);
    let files = sockets.map(|socket| open_socket(k, t, socket, kind));
    super::fd::add_pair(k, t, files, kind & SOCK_CLOEXEC != 0, fds)
}

// ---- addresses ----

/// The bytes of an address: whatever they are, there are not too many.
pub(super) fn address_arg(t: &Rc<Task>, addr: u64, len: usize) -> Outcome<Vec<u8>> {
    if len > ADDRESS_BYTES_MAX {
        return Err(Errno::EINVAL.into());
    }
    t.struct_arg(addr, len as u64)
}

/// Gives an address to a program that wants one.
pub(super) fn give_address(t: &Rc<Task>, address: &[u8], addr: u64, len_addr: u64) -> Outcome<()> {
    if addr == 0 { Ok(()) } else { write_address(t, address, addr, len_addr) }
}

/// Stores an address where there is so much room as `len_addr` says, and how long it is.
fn write_address(t: &Rc<Task>, address: &[u8], addr: u64, len_addr: u64) -> Outcome<()> {
    let mm = t.mm()?;
    let room = i32::from_le_bytes(mm.read_u32(len_addr)?.to_le_bytes());
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    mm.write_user(addr, &address[..address.len().min(room)])?;
    mm.write_u32(len_addr, address.len() as u32)
}

pub(super) fn bind(k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, len: usize) -> Outcome<u64> {
    with_socket(t, fd, |_, socket| {
        let address = address_arg(t, addr, len)?;
        socket.clone().bind(k, t, &address).map(|()| 0)
    })
}

pub(super) fn listen(k: &mut Kernel, t: &Rc<Task>, fd: i32, backlog: i32) -> Outcome<u64> {
    with_socket(t, fd, |_, socket| {
        socket.clone().listen(k, t, usize::try_from(backlog).unwrap_or(BACKLOG_MAX)).map(|()| 0)
    })
}

pub(super) fn connect(k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, len: usize) -> Outcome<u64> {
    with_socket(t, fd, |file, socket| {
        let address = address_arg(t, addr, len)?;
        let core = socket.core();
        let (timeout_ns, is_unix) = (core.options.send_timeout_ns.get(), core.family == AF_UNIX);
        let connected = socket.clone().connect(k, t, &address, file.is_nonblocking());
        let errno = if is_unix { Errno::EAGAIN } else { Errno::EINPROGRESS };
        unless_nonblocking(file, within_timeout(k, t, timeout_ns, errno, connected)).map(|()| 0)
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
        k.check_room_for_file(t)?;
        let accepted = socket.clone().accept(k);
        let timeout_ns = socket.core().options.receive_timeout_ns.get();
        let accepted = unless_nonblocking(file, within_timeout(k, t, timeout_ns, Errno::EAGAIN, accepted))?;
        let address = accepted.accepted_address();
        let file = open_socket(k, t, accepted, flags);
        let given = address.and_then(|address| give_address(t, &address, addr, len_addr));
        match given {
            Err(stop) if addr != 0 => {
                k.close_file(file);
                Err(if stop.is(Errno::ENOTCONN) { Errno::ECONNABORTED.into() } else { stop })
            }
            _ => k.add_file(t, file, flags & SOCK_CLOEXEC != 0).map(|fd| fd as u64),
        }
    })
}

pub(super) fn getsockname(_k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, len_addr: u64) -> Outcome<u64> {
    with_socket(t, fd, |_, socket| write_address(t, &socket.local_address(), addr, len_addr).map(|()| 0))
}

pub(super) fn getpeername(_k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, len_addr: u64) -> Outcome<u64> {
    with_socket(t, fd, |_, socket| write_address(t, &socket.peer_address()?, addr, len_addr).map(|()| 0))
}

pub(super) fn shutdown(k: &mut Kernel, t: &Rc<Task>, fd: i32, how: u32) -> Outcome<u64> {
    with_socket(t, fd, |_, socket| {
        if how > SHUT_RDWR {
            return Err(Errno::EINVAL.into());
        }
        socket.shutdown(k, how != SHUT_WR, how != SHUT_RD).map(|()| 0)
    })
}

// ---- options ----

pub(super) fn getsockopt(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    level: u32,
    option: u32,
    value: u64,
    len_addr: u64,
) -> Outcome<u64> {
    with_socket(t, fd, |_, socket| {
        let mm = t.mm()?;
        let room = i32::from_le_bytes(mm.read_u32(len_addr)?.to_le_bytes());
        let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
        if (level, option) == (SOL_SOCKET, SO_ATTACH_FILTER) {
            return filter::get(t, socket.core(), value, len_addr, room).map(|()| 0);
        }
        // Reading an error clears it: it must arrive.
        mm.prepare_write(value, room.min(options::VALUE_BYTES_MAX))?;
        let bytes = match socket.get_option(k, level, option) {
            _ if (level, option) == (SOL_SOCKET, SO_PEERNAME) => socket.peer_address(),
            Err(stop) if level == SOL_SOCKET && stop.is(Errno::ENOPROTOOPT) => {
                options::get(socket.core(), t.layout(), option)
            }
            outcome => outcome,
        }?;
        if (level, option) == (SOL_SOCKET, SO_PEERGROUPS) && bytes.len() > room {
            // Told how many there are, it can ask again.
            mm.write_u32(len_addr, bytes.len() as u32)?;
            return Err(Errno::ERANGE.into());
        }
        let len = bytes.len().min(room);
        mm.write_user(value, &bytes[..len])?;
        mm.write_u32(len_addr, len as u32).map(|()| 0)
    })
}

pub(super) fn setsockopt(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    level: u32,
    option: u32,
    value: u64,
    len: i32,
) -> Outcome<u64> {
    with_socket(t, fd, |_, socket| {
        let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
        let bytes = t.struct_arg(value, len.min(options::VALUE_BYTES_MAX) as u64)?;
        match level {
            SOL_SOCKET if option == SO_ATTACH_FILTER => filter::attach(t, socket.core(), &bytes),
            SOL_SOCKET => options::set(socket.core(), &t.credentials(), t.layout(), option, &bytes),
            _ => socket.set_option(k, t, level, option, &bytes),
        }
        .map(|()| 0)
    })
}
