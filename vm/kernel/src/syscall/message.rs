//! Sending and receiving on sockets (`send(2)`, `recv(2)`), files that travel with messages included.

use std::rc::Rc;

use abi::Errno;
use abi::socket::*;

use super::buffers::{gather, scatter};
use super::control::{ControlWriter, Sent, control_arg, give_files};
use super::rw::unless_nonblocking;
use super::socket::{address_arg, give_address, with_socket};
use super::time::give_timespec;
use crate::files::OpenFile;
use crate::kernel::Kernel;
use crate::net::control::told;
use crate::net::file::{sender_credentials, within_timeout};
use crate::net::inbox::{Attached, RawAddress, Received};
use crate::net::{Outgoing, Socket};
use crate::signal::SigInfo;
use crate::stop::{Outcome, Stop, Wait};
use crate::task::Task;

/// Bytes taken by one call: bounds our own buffers.
const PIECE_BYTES: usize = 256 * 1024;
/// Messages that one call of `sendmmsg` or `recvmmsg` moves (`UIO_MAXIOV`).
const MESSAGES_MAX: u32 = 1024;

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

// ---- sending ----

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
    let vector = vec![(buf, len.min(abi::file::RW_COUNT_MAX))];
    let header = Header { name: addr, name_len: addr_len, vector, control: 0, control_len: 0 };
    send(k, t, fd, &header, flags)
}

pub(super) fn sendmsg(k: &mut Kernel, t: &Rc<Task>, fd: i32, header: u64, flags: u32) -> Outcome<u64> {
    let header = header_arg(t, header)?;
    send(k, t, fd, &header, flags)
}

fn destination_arg(t: &Rc<Task>, header: &Header) -> Outcome<Option<RawAddress>> {
    match (header.name, header.name_len as usize) {
        (0, _) | (_, 0) => Ok(None),
        (addr, len) => address_arg(t, addr, len).map(Some),
    }
}

fn send(k: &mut Kernel, t: &Rc<Task>, fd: i32, header: &Header, flags: u32) -> Outcome<u64> {
    with_socket(t, fd, |file, socket| {
        let total: usize = header.vector.iter().map(|(_, len)| len).sum();
        let to = destination_arg(t, header)?;
        let mut done = t.with_call(|call| call.done as usize).min(total);
        loop {
            let limit = if socket.has_messages() { total } else { PIECE_BYTES };
            if limit > 16 * PIECE_BYTES {
                return Err(Errno::EMSGSIZE.into());
            }
            let mut bytes = vec![0; (total - done).min(limit)];
            gather(t, &header.vector, done, &mut bytes)?;
            let family = socket.core().family;
            let sent = match done {
                0 => control_arg(k, t, family, header.control, header.control_len)?,
                _ => Sent::default(),
            };
            let sender = sent.sender.unwrap_or_else(|| sender_credentials(t));
            let (files, control) = (sent.files, sent.others);
            let mut out = Outgoing { to: to.clone(), bytes, files, sender, control, flags };
            let sent = send_once(k, t, file, socket, &mut out);
            out.files.into_iter().for_each(|file| k.close_file(file));
            match sent {
                Ok(taken) => {
                    done += taken;
                    if socket.has_messages() || done >= total {
                        return Ok(done as u64);
                    }
                }
                Err(wait @ Stop::Wait(_)) => {
                    t.with_call(|call| call.done = done as u64);
                    return Err(wait);
                }
                Err(_) if done > 0 => return Ok(done as u64),
                Err(stop) => {
                    if stop.is(Errno::EPIPE) && flags & MSG_NOSIGNAL == 0 && !socket.has_messages() {
                        k.signal_task(t, SigInfo::kernel(abi::signal::SIGPIPE));
                    }
                    return Err(stop);
                }
            }
        }
    })
}

/// Sends what goes without waiting, or waits if that is allowed.
fn send_once(
    k: &mut Kernel,
    t: &Rc<Task>,
    file: &Rc<OpenFile>,
    socket: &Rc<dyn Socket>,
    out: &mut Outgoing,
) -> Outcome<usize> {
    let sent = socket.clone().send(k, t, out);
    let sent = within_timeout(k, t, socket.core().options.send_timeout_ns.get(), Errno::EAGAIN, sent);
    unless_waiting_is_unwanted(file, out.flags, sent)
}

/// A wait becomes `EAGAIN` for a file, or in a call, that must not wait.
fn unless_waiting_is_unwanted<T>(file: &OpenFile, flags: u32, outcome: Outcome<T>) -> Outcome<T> {
    match outcome {
        Err(Stop::Wait(Wait::On(_))) if flags & MSG_DONTWAIT != 0 => Err(Errno::EAGAIN.into()),
        outcome => unless_nonblocking(file, outcome),
    }
}

// ---- receiving ----

/// What a call received.
struct Taken {
    /// What it returns.
    len: usize,
    attached: Attached,
    /// `msg_flags`.
    flags: u32,
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
    let vector = [(buf, len.min(abi::file::RW_COUNT_MAX))];
    let taken = receive(k, t, fd, &vector, flags)?;
    taken.attached.files.into_iter().for_each(|file| k.close_file(file));
    give_address(t, &taken.attached.from.unwrap_or_default(), addr, len_addr)?;
    Ok(taken.len as u64)
}

/// Takes bytes into the program's buffers, which are made ready first: what is taken can't be put back. With
/// `MSG_WAITALL` a stream is read until the buffers are full, or something else happens.
fn receive(k: &mut Kernel, t: &Rc<Task>, fd: i32, vector: &[(u64, usize)], flags: u32) -> Outcome<Taken> {
    with_socket(t, fd, |file, socket| {
        let total: usize = vector.iter().map(|(_, len)| len).sum();
        for (addr, len) in vector {
            t.mm()?.prepare_write(*addr, (*len).min(PIECE_BYTES))?;
        }
        let waits_for_all = flags & MSG_WAITALL != 0 && flags & (MSG_PEEK | MSG_OOB) == 0 && !socket.has_messages();
        let mut done = t.with_call(|call| call.done as usize).min(total);
        loop {
            match receive_once(k, t, file, socket, (total - done).min(PIECE_BYTES), flags) {
                Ok(received) => {
                    scatter(t, vector, done, &received.bytes)?;
                    let is_plain = received.attached.files.is_empty() && received.flags == 0;
                    let goes_on = waits_for_all && is_plain && received.full_len > 0;
                    done += if socket.has_messages() { received.bytes.len() } else { received.full_len };
                    if !goes_on || done >= total {
                        return Ok(finish_receiving(&**socket, received, done, flags));
                    }
                    t.with_call(|call| call.done = done as u64);
                }
                Err(wait @ Stop::Wait(_)) => return Err(wait),
                Err(stop) if done > 0 => {
                    // What has come is told now, what went wrong the next time.
                    if let Stop::Errno(errno) = stop
                        && errno != Errno::EAGAIN
                    {
                        socket.core().error.set(Some(errno));
                    }
                    return Ok(Taken { len: done, attached: Attached::default(), flags: 0 });
                }
                Err(stop) => return Err(stop),
            }
        }
    })
}

/// What a call returns that has received `done` bytes, `received` the last of them.
fn finish_receiving(socket: &dyn Socket, received: Received, done: usize, flags: u32) -> Taken {
    let is_cut = socket.has_messages() && received.full_len > received.offset + received.bytes.len();
    let tells_all = flags & MSG_TRUNC != 0 && socket.has_messages() && received.flags & MSG_ERRQUEUE == 0;
    let len = if tells_all { received.full_len } else { done };
    let cut_flag = if is_cut { MSG_TRUNC } else { 0 };
    Taken { len, attached: received.attached, flags: received.flags | cut_flag }
}

fn receive_once(
    k: &mut Kernel,
    t: &Rc<Task>,
    file: &Rc<OpenFile>,
    socket: &Rc<dyn Socket>,
    len: usize,
    flags: u32,
) -> Outcome<Received> {
    let received = socket.receive(k, len, flags);
    let received = within_timeout(k, t, socket.core().options.receive_timeout_ns.get(), Errno::EAGAIN, received);
    unless_waiting_is_unwanted(file, flags, received)
}

pub(super) fn recvmsg(k: &mut Kernel, t: &Rc<Task>, fd: i32, addr: u64, flags: u32) -> Outcome<u64> {
    let header = header_arg(t, addr)?;
    let at = |words: u64| addr.wrapping_add(words * t.layout().word_bytes);
    t.mm()?.prepare_write(addr, (part::END * t.layout().word_bytes) as usize)?;
    let Taken { len, mut attached, flags: mut out_flags } = receive(k, t, fd, &header.vector, flags)?;
    if header.name != 0 {
        // The length's place in the header serves as the place to write it to.
        give_address(t, &attached.from.take().unwrap_or_default(), header.name, at(part::NAME_LEN))?;
    }
    let mut control = ControlWriter { t, addr: header.control, room: header.control_len, len: 0, flags: 0 };
    for (level, kind, body) in with_socket(t, fd, |_, socket| Ok(told(socket.core(), &attached, t.layout())))? {
        control.put(level, kind, &body)?;
    }
    give_files(k, &mut control, attached.files, flags & MSG_CMSG_CLOEXEC != 0)?;
    out_flags |= control.flags | flags & MSG_CMSG_CLOEXEC;
    t.write_word(at(part::CONTROL_LEN), control.len as u64)?;
    t.mm()?.write_u32(at(part::FLAGS), out_flags)?;
    Ok(len as u64)
}

// ---- several messages by one call ----

/// As many as go without waiting after the first.
pub(super) fn sendmmsg(k: &mut Kernel, t: &Rc<Task>, fd: i32, vector: u64, count: u32, flags: u32) -> Outcome<u64> {
    let word_bytes = t.layout().word_bytes;
    let mut sent = 0;
    for index in 0..u64::from(count.min(MESSAGES_MAX)) {
        let addr = vector.wrapping_add(index * part::NEXT * word_bytes);
        let flags = if index == 0 { flags } else { flags | MSG_DONTWAIT };
        match sendmsg(k, t, fd, addr, flags) {
            Ok(len) => t.mm()?.write_u32(addr.wrapping_add(part::END * word_bytes), len as u32)?,
            Err(_) if sent > 0 => break,
            Err(stop) => return Err(stop),
        }
        t.with_call(|call| call.done = 0);
        sent = index + 1;
    }
    Ok(sent)
}

/// All there is room for: it waits for each, with `MSG_WAITFORONE` for the first only. The timeout is looked at after each
/// message, so that it ends no wait (`recvmmsg(2)`, BUGS); what is left of it is told.
pub(super) fn recvmmsg(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    vector: u64,
    count: u32,
    flags: u32,
    timeout: u64,
) -> Outcome<u64> {
    let now_ns = k.host.monotonic_ns();
    let until_ns = t.optional_timespec_arg(timeout)?.map(|timeout_ns| now_ns.saturating_add(timeout_ns));
    let until_ns = until_ns.map(|ns| t.with_call(|call| *call.until_ns.get_or_insert(ns)));
    // Messages received before it waited; the result, should a signal end it.
    let received = t.with_call(|call| {
        call.done = 0;
        call.memo.take().unwrap_or(0)
    });
    let received = receive_several(k, t, fd, (vector, count, flags), received, until_ns)?;
    if let Some(until_ns) = until_ns.filter(|_| received > 0) {
        give_timespec(t, timeout, until_ns.saturating_sub(k.host.monotonic_ns()))?;
    }
    Ok(received)
}

/// Receives further messages after `received` ones. An error after one is kept for the next call.
fn receive_several(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    (vector, count, flags): (u64, u32, u32),
    mut received: u64,
    until_ns: Option<u64>,
) -> Outcome<u64> {
    let word_bytes = t.layout().word_bytes;
    while received < u64::from(count.min(MESSAGES_MAX)) {
        let addr = vector.wrapping_add(received * part::NEXT * word_bytes);
        let waits = flags & MSG_WAITFORONE == 0 || received == 0;
        let flags = flags & !MSG_WAITFORONE | if waits { 0 } else { MSG_DONTWAIT };
        match recvmsg(k, t, fd, addr, flags) {
            Ok(len) => t.mm()?.write_u32(addr.wrapping_add(part::END * word_bytes), len as u32)?,
            Err(wait @ Stop::Wait(_)) => {
                t.with_call(|call| (call.memo, call.done) = (Some(received), received));
                return Err(wait);
            }
            Err(Stop::Errno(errno)) if received > 0 => {
                if errno != Errno::EAGAIN {
                    with_socket(t, fd, |_, socket| {
                        socket.core().error.set(Some(errno));
                        Ok(())
                    })?;
                }
                break;
            }
            Err(stop) => return Err(stop),
        }
        // Each has the socket's own timeout for itself.
        t.with_call(|call| (call.done, call.deadline_ns) = (0, None));
        received += 1;
        if until_ns.is_some_and(|until_ns| k.host.monotonic_ns() >= until_ns) {
            break;
        }
    }
    Ok(received)
}
