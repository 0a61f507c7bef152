//! Sockets. Only unix sockets so far: for the Internet families `socket` answers as a kernel without them does.

use std::rc::Rc;

use abi::file::{O_NONBLOCK, O_RDWR};
use abi::socket::*;
use abi::{Errno, Reader, Writer};

use super::rw::{gather, scatter, unless_nonblocking};
use crate::files::OpenFile;
use crate::files::unix::{
    BACKLOG_MAX, Message, Name, Received, SocketFile, UnixSocket, is_known_kind, peer_credentials,
};
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::stop::{Outcome, Stop, Wait};
use crate::task::Task;
use crate::vfs::{Access, At, FileKind};

/// Bytes of the family in a `struct sockaddr`.
const FAMILY_BYTES: usize = 2;
/// Files one message may carry (`SCM_MAX_FD`).
const FILES_MAX: usize = 253;
/// Bytes taken by one call: bounds our own buffers.
const PIECE_BYTES: usize = 256 * 1024;
/// Bytes of control messages looked at (`net.core.optmem_max`).
const CONTROL_BYTES_MAX: usize = 20_480;
const CONTROL_HEADER_BYTES: usize = 16;

fn with_socket<T>(
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
fn name_arg(t: &Rc<Task>, addr: u64, len: usize) -> Outcome<Name> {
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
fn give_name(t: &Rc<Task>, name: Option<&Name>, addr: u64, len_addr: u64) -> Outcome<()> {
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

fn find(k: &Kernel, t: &Rc<Task>, name: &Name) -> Outcome<Rc<UnixSocket>> {
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

// ---- messages ----

/// `struct msghdr`.
struct Header {
    name: u64,
    name_len: u32,
    vector: Vec<(u64, usize)>,
    control: u64,
    control_len: usize,
}

fn header_arg(t: &Rc<Task>, addr: u64) -> Outcome<Header> {
    let mut bytes = [0; 56];
    t.mm()?.read_user(addr, &mut bytes)?;
    let mut reader = Reader::new(&bytes);
    let (name, name_len, _, iov, count) = (reader.u64(), reader.u32(), reader.u32(), reader.u64(), reader.u64());
    let (control, control_len) = (reader.u64(), reader.u64() as usize);
    let count = usize::try_from(count).ok().filter(|count| *count <= abi::file::IOV_MAX).ok_or(Errno::EMSGSIZE)?;
    Ok(Header { name, name_len, vector: t.vector_arg(iov, count)?, control, control_len })
}

pub(super) fn sendto(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    buf: u64,
    len: usize,
    flags: u32,
    addr: u64,
    addr_len: u32,
) -> Outcome<u64> {
    let header = Header { name: addr, name_len: addr_len, vector: vec![(buf, len)], control: 0, control_len: 0 };
    send(k, t, fd, &header, flags)
}

pub(super) fn sendmsg(k: &mut Kernel, t: &Rc<Task>, fd: i32, header: u64, flags: u32) -> Outcome<u64> {
    let header = header_arg(t, header)?;
    send(k, t, fd, &header, flags)
}

/// Files named in control messages.
fn files_to_send(t: &Rc<Task>, header: &Header) -> Outcome<Vec<Rc<OpenFile>>> {
    let mut files = Vec::new();
    if header.control == 0 || header.control_len < CONTROL_HEADER_BYTES {
        return Ok(files);
    }
    if header.control_len > CONTROL_BYTES_MAX {
        return Err(Errno::ENOBUFS.into());
    }
    let mut bytes = vec![0; header.control_len];
    t.mm()?.read_user(header.control, &mut bytes)?;
    let mut rest = &bytes[..];
    while rest.len() >= CONTROL_HEADER_BYTES {
        let mut reader = Reader::new(rest);
        let (len, level, kind) = (reader.u64() as usize, reader.u32(), reader.u32());
        let body = rest.get(CONTROL_HEADER_BYTES..len).ok_or(Errno::EINVAL)?;
        match (level, kind) {
            (SOL_SOCKET, SCM_RIGHTS) => {
                let mut fds = Reader::new(body);
                for _ in 0..body.len() / 4 {
                    files.push(t.file(fds.i32())?);
                }
            }
            // Credentials are filled in by the kernel whatever the program says.
            (SOL_SOCKET, SCM_CREDENTIALS) => {}
            _ => return Err(Errno::EINVAL.into()),
        }
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    if files.len() > FILES_MAX { Err(Errno::EINVAL.into()) } else { Ok(files) }
}

fn send(k: &mut Kernel, t: &Rc<Task>, fd: i32, header: &Header, flags: u32) -> Outcome<u64> {
    with_socket(t, fd, |file, socket| {
        let total: usize = header.vector.iter().map(|(_, len)| len).sum();
        let to = match header.name {
            0 => None,
            _ if socket.kind != SOCK_DGRAM && socket.is_connected() => return Err(Errno::EISCONN.into()),
            _ if socket.kind != SOCK_DGRAM => return Err(Errno::EOPNOTSUPP.into()),
            addr => Some(find(k, t, &name_arg(t, addr, header.name_len as usize)?)?),
        };
        let mut done = t.with_call(|call| call.done as usize).min(total);
        loop {
            let limit = if socket.has_messages() { total } else { PIECE_BYTES };
            if limit > 16 * PIECE_BYTES {
                return Err(Errno::EMSGSIZE.into());
            }
            let mut bytes = vec![0; (total - done).min(limit)];
            gather(t, &header.vector, done, &mut bytes)?;
            let files = if done == 0 { files_to_send(t, header)? } else { Vec::new() };
            let (sender, from) = (peer_credentials(t), socket.name.borrow().clone());
            let message = Message { bytes: bytes.into(), files, sender, from };
            match socket.send(k, to.clone(), message) {
                Ok(taken) => {
                    done += taken;
                    if socket.has_messages() || done == total {
                        return Ok(done as u64);
                    }
                }
                Err(refused) => {
                    refused.files.into_iter().for_each(|file| k.close_file(file));
                    return refused_send(k, t, file, refused.stop, flags, done);
                }
            }
        }
    })
}

fn refused_send(
    k: &mut Kernel,
    t: &Rc<Task>,
    file: &Rc<OpenFile>,
    stop: Stop,
    flags: u32,
    done: usize,
) -> Outcome<u64> {
    let waits = matches!(stop, Stop::Wait(_)) && !file.is_nonblocking() && flags & MSG_DONTWAIT == 0;
    if waits {
        t.with_call(|call| call.done = done as u64);
        return Err(stop);
    }
    if done > 0 {
        return Ok(done as u64);
    }
    if stop.is(Errno::EPIPE) && flags & MSG_NOSIGNAL == 0 {
        k.signal_task(t, SigInfo::kernel(abi::signal::SIGPIPE));
    }
    Err(if matches!(stop, Stop::Wait(_)) { Errno::EAGAIN.into() } else { stop })
}

pub(super) fn recvfrom(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    buf: u64,
    len: usize,
    flags: u32,
    addr: u64,
    len_addr: u64,
) -> Outcome<u64> {
    let vector = [(buf, len)];
    let received = receive(k, t, fd, &vector, flags)?;
    give_name(t, received.from.as_ref(), addr, len_addr)?;
    let len = received_len(&received, flags);
    received.files.into_iter().for_each(|file| k.close_file(file));
    Ok(len)
}

fn received_len(received: &Received, flags: u32) -> u64 {
    if flags & MSG_TRUNC != 0 { received.full_len as u64 } else { received.bytes.len() as u64 }
}

/// Takes bytes into the program's buffers, which are made ready first: what is taken can't be put back.
fn receive(k: &mut Kernel, t: &Rc<Task>, fd: i32, vector: &[(u64, usize)], flags: u32) -> Outcome<Received> {
    with_socket(t, fd, |file, socket| {
        let total: usize = vector.iter().map(|(_, len)| len).sum();
        for (addr, len) in vector {
            t.mm()?.prepare_write(*addr, (*len).min(PIECE_BYTES))?;
        }
        let received = match socket.receive(k, total.min(PIECE_BYTES), flags & MSG_PEEK != 0) {
            Err(Stop::Wait(Wait::On(_))) if flags & MSG_DONTWAIT != 0 => Err(Errno::EAGAIN.into()),
            outcome => unless_nonblocking(file, outcome),
        }?;
        scatter(t, vector, 0, &received.bytes)?;
        Ok(received)
    })
}

pub(super) fn recvmsg(k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, flags: u32) -> Outcome<u64> {
    let header = header_arg(t, addr)?;
    t.mm()?.prepare_write(addr, 56)?;
    let received = receive(k, t, fd, &header.vector, flags)?;
    let len = received_len(&received, flags);
    let mut out_flags = if received.full_len > received.bytes.len() && is_message(t, fd)? { MSG_TRUNC } else { 0 };
    if header.name != 0 {
        // The length's place in the header serves as the place to write it to.
        give_name(t, received.from.as_ref(), header.name, addr + 8)?;
    }
    let control_len = give_files(k, t, &header, received.files, flags, &mut out_flags)?;
    let mm = t.mm()?;
    mm.write_u64(addr + 40, control_len as u64)?;
    mm.write_u32(addr + 48, out_flags)?;
    Ok(len)
}

fn is_message(t: &Rc<Task>, fd: i32) -> Outcome<bool> {
    with_socket(t, fd, |_, socket| Ok(socket.has_messages()))
}

/// Gives received files numbers and writes them as a control message; those there is no room for are closed.
fn give_files(
    k: &mut Kernel,
    t: &Rc<Task>,
    header: &Header,
    files: Vec<Rc<OpenFile>>,
    flags: u32,
    out_flags: &mut u32,
) -> Outcome<usize> {
    if files.is_empty() {
        return Ok(0);
    }
    let room = header.control_len.saturating_sub(CONTROL_HEADER_BYTES) / 4;
    let close_on_exec = flags & MSG_CMSG_CLOEXEC != 0;
    let mut fds = Vec::new();
    for file in files {
        if fds.len() >= room {
            *out_flags |= MSG_CTRUNC;
            k.close_file(file);
            continue;
        }
        match k.add_file(t, file, close_on_exec) {
            Ok(fd) => fds.push(fd),
            Err(_) => *out_flags |= MSG_CTRUNC,
        }
    }
    if fds.is_empty() {
        return Ok(0);
    }
    let len = CONTROL_HEADER_BYTES + fds.len() * 4;
    let head = Writer::new().u64(len as u64).u32(SOL_SOCKET).u32(SCM_RIGHTS);
    let bytes = fds.iter().fold(head, |writer, fd| writer.i32(*fd)).finish();
    t.mm()?.write_user(header.control, &bytes)?;
    Ok(len.next_multiple_of(8).min(header.control_len))
}

/// Several messages by one call: as many as go without waiting after the first.
pub(super) fn sendmmsg(k: &mut Kernel, t: &Rc<Task>, fd: i32, vector: u64, count: u32, flags: u32) -> Outcome<u64> {
    many(t, vector, count, |addr, first| sendmsg(k, t, fd, addr, if first { flags } else { flags | MSG_DONTWAIT }))
}

pub(super) fn recvmmsg(k: &mut Kernel, t: &Rc<Task>, fd: i32, vector: u64, count: u32, flags: u32) -> Outcome<u64> {
    many(t, vector, count, |addr, first| recvmsg(k, t, fd, addr, if first { flags } else { flags | MSG_DONTWAIT }))
}

fn many(t: &Rc<Task>, vector: u64, count: u32, mut one: impl FnMut(u64, bool) -> Outcome<u64>) -> Outcome<u64> {
    const ELEMENT_BYTES: u64 = 64;
    let mut done = 0;
    for index in 0..u64::from(count.min(1024)) {
        let addr = vector.wrapping_add(index * ELEMENT_BYTES);
        match one(addr, index == 0) {
            Ok(len) => {
                t.mm()?.write_u32(addr + 56, len as u32)?;
                done = index + 1;
            }
            Err(_) if done > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    Ok(done)
}
