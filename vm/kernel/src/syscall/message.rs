//! Sending and receiving on sockets (`send(2)`, `recv(2)`), files that travel with messages included.

use std::rc::Rc;

use abi::socket::*;
use abi::{Errno, Layout, Reader};

use super::rw::{gather, scatter, unless_nonblocking};
use super::socket::{find, give_name, name_arg, with_socket};
use crate::files::OpenFile;
use crate::files::unix::{Message, Received, peer_credentials};
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::stop::{Outcome, Stop, Wait};
use crate::task::Task;

/// Files one message may carry (`SCM_MAX_FD`).
const FILES_MAX: usize = 253;
/// Bytes taken by one call: bounds our own buffers.
const PIECE_BYTES: usize = 256 * 1024;
/// Bytes of control messages looked at (`net.core.optmem_max`).
const CONTROL_BYTES_MAX: usize = 20_480;

/// Bytes of a `struct cmsghdr`: a length and two numbers.
fn control_header_bytes(layout: Layout) -> usize {
    layout.word_bytes as usize + 8
}

/// Where parts of a `struct msghdr` are, counted in words; its length, and that of a `struct mmsghdr`.
mod part {
    pub const NAME_LEN: u64 = 1;
    pub const CONTROL_LEN: u64 = 5;
    pub const FLAGS: u64 = 6;
    pub const END: u64 = 7;
    pub const NEXT: u64 = 8;
}

/// `struct msghdr`.
struct Header {
    name: u64,
    name_len: u32,
    vector: Vec<(u64, usize)>,
    control: u64,
    control_len: usize,
}

fn header_arg(t: &Rc<Task>, addr: u64) -> Outcome<Header> {
    let layout = t.layout();
    let bytes = t.struct_arg(addr, part::END * layout.word_bytes)?;
    let mut reader = layout.reader(&bytes);
    let (name, name_len) = (reader.word(), reader.u32());
    reader.align();
    let (iov, count) = (reader.word(), reader.word());
    let (control, control_len) = (reader.word(), reader.word() as usize);
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
    let (layout, mut files) = (t.layout(), Vec::new());
    let header_bytes = control_header_bytes(layout);
    if header.control == 0 || header.control_len < header_bytes {
        return Ok(files);
    }
    if header.control_len > CONTROL_BYTES_MAX {
        return Err(Errno::ENOBUFS.into());
    }
    let bytes = t.struct_arg(header.control, header.control_len as u64)?;
    let mut rest = &bytes[..];
    while rest.len() >= header_bytes {
        let mut reader = layout.reader(rest);
        let (len, level, kind) = (reader.word() as usize, reader.u32(), reader.u32());
        let body = rest.get(header_bytes..len).ok_or(Errno::EINVAL)?;
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
        rest = rest.get(len.next_multiple_of(layout.word_bytes as usize)..).unwrap_or_default();
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
    let at = |words: u64| addr.wrapping_add(words * t.layout().word_bytes);
    t.mm()?.prepare_write(addr, (part::END * t.layout().word_bytes) as usize)?;
    let received = receive(k, t, fd, &header.vector, flags)?;
    let len = received_len(&received, flags);
    let mut out_flags = if received.full_len > received.bytes.len() && is_message(t, fd)? { MSG_TRUNC } else { 0 };
    if header.name != 0 {
        // The length's place in the header serves as the place to write it to.
        give_name(t, received.from.as_ref(), header.name, at(part::NAME_LEN))?;
    }
    let control_len = give_files(k, t, &header, received.files, flags, &mut out_flags)?;
    t.write_word(at(part::CONTROL_LEN), control_len as u64)?;
    t.mm()?.write_u32(at(part::FLAGS), out_flags)?;
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
    let (layout, header_bytes) = (t.layout(), control_header_bytes(t.layout()));
    let room = header.control_len.saturating_sub(header_bytes) / 4;
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
    let len = header_bytes + fds.len() * 4;
    let head = layout.writer().word(len as u64).u32(SOL_SOCKET).u32(SCM_RIGHTS);
    let bytes = fds.iter().fold(head, |writer, fd| writer.i32(*fd)).finish();
    t.mm()?.write_user(header.control, &bytes)?;
    Ok(len.next_multiple_of(layout.word_bytes as usize).min(header.control_len))
}

/// Several messages by one call: as many as go without waiting after the first.
pub(super) fn sendmmsg(k: &mut Kernel, t: &Rc<Task>, fd: i32, vector: u64, count: u32, flags: u32) -> Outcome<u64> {
    many(t, vector, count, |addr, first| sendmsg(k, t, fd, addr, if first { flags } else { flags | MSG_DONTWAIT }))
}

pub(super) fn recvmmsg(k: &mut Kernel, t: &Rc<Task>, fd: i32, vector: u64, count: u32, flags: u32) -> Outcome<u64> {
    many(t, vector, count, |addr, first| recvmsg(k, t, fd, addr, if first { flags } else { flags | MSG_DONTWAIT }))
}

fn many(t: &Rc<Task>, vector: u64, count: u32, mut one: impl FnMut(u64, bool) -> Outcome<u64>) -> Outcome<u64> {
    let word_bytes = t.layout().word_bytes;
    let mut done = 0;
    for index in 0..u64::from(count.min(1024)) {
        let addr = vector.wrapping_add(index * part::NEXT * word_bytes);
        match one(addr, index == 0) {
            Ok(len) => {
                t.mm()?.write_u32(addr.wrapping_add(part::END * word_bytes), len as u32)?;
                done = index + 1;
            }
            Err(_) if done > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    Ok(done)
}
