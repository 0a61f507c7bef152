//! Calls that only 32-bit programs have: older forms of calls that x86-64 began with, and arguments packed otherwise.

use std::rc::Rc;

use abi::process::{long_id, short_id};
use abi::signal::*;
use abi::{Errno, Layout, Writer};
use memory::PAGE_SIZE;

use super::args::Arg;
use super::table::{Handler, argument, handler};
use super::{attributes, ids, limits, memory as maps, message, path, poll, process, rw, signal, socket, stat, time};
use crate::credentials::Credentials;
use crate::kernel::{Kernel, SECOND_NS};
use crate::signal::{Action, SignalSet};
use crate::stop::Outcome;
use crate::task::Task;

// ---- 16-bit user and group ids ----

macro_rules! short_ids {
    ($($name:ident($($id:ident),*) = $call:path;)*) => { $(
        pub(super) fn $name(k: &mut Kernel, t: &Rc<Task>, $($id: u16),*) -> Outcome<u64> {
            $call(k, t, $(long_id($id)),*)
        }
    )* };
}

short_ids! {
    setuid16(uid) = ids::setuid;
    setgid16(gid) = ids::setgid;
    setreuid16(uid, euid) = ids::setreuid;
    setregid16(gid, egid) = ids::setregid;
    setresuid16(uid, euid, suid) = ids::setresuid;
    setresgid16(gid, egid, sgid) = ids::setresgid;
    setfsuid16(uid) = ids::setfsuid;
    setfsgid16(gid) = ids::setfsgid;
}

macro_rules! own_ids {
    ($($name:ident = $field:ident;)*) => { $(
        pub(super) fn $name(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
            Ok(short_id(t.credentials().$field).into())
        }
    )* };
}

own_ids! { getuid16 = uid; geteuid16 = euid; getgid16 = gid; getegid16 = egid; }

fn give_short_ids(t: &Rc<Task>, addrs: [u64; 3], ids: impl Fn(&Credentials) -> [u32; 3]) -> Outcome<u64> {
    let mm = t.mm()?;
    for (addr, id) in addrs.into_iter().zip(ids(&t.credentials())) {
        mm.write_user(addr, &short_id(id).to_le_bytes())?;
    }
    Ok(0)
}

pub(super) fn getresuid16(_k: &mut Kernel, t: &Rc<Task>, real: u64, effective: u64, saved: u64) -> Outcome<u64> {
    give_short_ids(t, [real, effective, saved], |who| [who.uid, who.euid, who.suid])
}

pub(super) fn getresgid16(_k: &mut Kernel, t: &Rc<Task>, real: u64, effective: u64, saved: u64) -> Outcome<u64> {
    give_short_ids(t, [real, effective, saved], |who| [who.gid, who.egid, who.sgid])
}

pub(super) fn getgroups16(_k: &mut Kernel, t: &Rc<Task>, size: i32, addr: u64) -> Outcome<u64> {
    ids::give_groups(t, size, addr, |writer, group| writer.u16(short_id(group)))
}

pub(super) fn setgroups16(_k: &mut Kernel, t: &Rc<Task>, count: i32, addr: u64) -> Outcome<u64> {
    ids::take_groups(t, count, addr, 2, |reader| long_id(reader.u16()))
}

pub(super) fn chown16(k: &mut Kernel, t: &Rc<Task>, path: u64, uid: u16, gid: u16) -> Outcome<u64> {
    attributes::chown(k, t, path, long_id(uid), long_id(gid))
}

pub(super) fn lchown16(k: &mut Kernel, t: &Rc<Task>, path: u64, uid: u16, gid: u16) -> Outcome<u64> {
    attributes::lchown(k, t, path, long_id(uid), long_id(gid))
}

pub(super) fn fchown16(k: &mut Kernel, t: &Rc<Task>, fd: i32, uid: u16, gid: u16) -> Outcome<u64> {
    attributes::fchown(k, t, fd, long_id(uid), long_id(gid))
}

// ---- files ----

pub(super) fn stat(k: &mut Kernel, t: &Rc<Task>, path: u64, buf: u64) -> Outcome<u64> {
    stat::give_stat_i386(t, &path::locate(k, t, &t.path_arg(path)?, true)?, buf)
}

pub(super) fn lstat(k: &mut Kernel, t: &Rc<Task>, path: u64, buf: u64) -> Outcome<u64> {
    stat::give_stat_i386(t, &path::locate(k, t, &t.path_arg(path)?, false)?, buf)
}

pub(super) fn fstat(_k: &mut Kernel, t: &Rc<Task>, fd: i32, buf: u64) -> Outcome<u64> {
    stat::give_stat_i386(t, &t.file(fd)?.location, buf)
}

fn check_statfs64_size(size: usize) -> Outcome<()> {
    if size == stat::STATFS64_BYTES { Ok(()) } else { Err(Errno::EINVAL.into()) }
}

pub(super) fn statfs64(k: &mut Kernel, t: &Rc<Task>, path: u64, size: usize, buf: u64) -> Outcome<u64> {
    check_statfs64_size(size)?;
    stat::give_statfs64(t, &path::locate(k, t, &t.path_arg(path)?, true)?, buf)
}

pub(super) fn fstatfs64(_k: &mut Kernel, t: &Rc<Task>, fd: i32, size: usize, buf: u64) -> Outcome<u64> {
    check_statfs64_size(size)?;
    stat::give_statfs64(t, &t.file(fd)?.location, buf)
}

pub(super) fn umount(k: &mut Kernel, t: &Rc<Task>, path: u64) -> Outcome<u64> {
    super::mount::umount2(k, t, path, 0)
}

pub(super) fn llseek(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    high: u32,
    low: u32,
    result: u64,
    whence: u32,
) -> Outcome<u64> {
    t.mm()?.prepare_write(result, 8)?;
    let position = rw::lseek(k, t, fd, (u64::from(high) << 32 | u64::from(low)) as i64, whence)?;
    t.mm()?.write_u64(result, position).map(|()| 0)
}

/// The arguments of `select` as one struct.
pub(super) fn old_select(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    let [count, read, write, except, timeout] = words(t, addr)?;
    poll::select(k, t, count as i32, read, write, except, timeout)
}

/// So many arguments in memory.
fn words<const N: usize>(t: &Rc<Task>, addr: u64) -> Outcome<[u64; N]> {
    let layout = t.layout();
    let bytes = t.struct_arg(addr, N as u64 * layout.word_bytes)?;
    let mut reader = layout.reader(&bytes);
    Ok(std::array::from_fn(|_| reader.word()))
}

// ---- memory ----

/// The arguments of `mmap` as one struct.
pub(super) fn old_mmap(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    let [addr, len, prot, flags, fd, offset] = words(t, addr)?;
    maps::mmap(k, t, addr, len, prot as u32, flags as u32, fd as i32, offset)
}

/// The offset counts pages.
pub(super) fn mmap2(
    k: &mut Kernel,
    t: &Rc<Task>,
    addr: u64,
    len: u64,
    prot: u32,
    flags: u32,
    fd: i32,
    offset_pages: u64,
) -> Outcome<u64> {
    maps::mmap(k, t, addr, len, prot, flags, fd, offset_pages * PAGE_SIZE)
}

// ---- processes ----

pub(super) fn waitpid(k: &mut Kernel, t: &Rc<Task>, pid: i32, status: u64, options: u32) -> Outcome<u64> {
    process::wait4(k, t, pid, status, options, 0)
}

pub(super) fn nice(k: &mut Kernel, t: &Rc<Task>, increment: i32) -> Outcome<u64> {
    const PRIO_PROCESS: u32 = abi::process::PRIO_PROCESS;
    let wanted = t.process.nice.get() + increment.clamp(-40, 40);
    limits::setpriority(k, t, PRIO_PROCESS, 0, wanted).map_err(|stop| match stop {
        stop if stop.is(Errno::EACCES) => Errno::EPERM.into(),
        stop => stop,
    })
}

/// Limits beyond 31 bits show as the largest number there is.
pub(super) fn old_getrlimit(_k: &mut Kernel, t: &Rc<Task>, resource: usize, addr: u64) -> Outcome<u64> {
    let limit = limits::limit_of(&t.process, resource)?;
    let short = |limit: u64| limit.min(i32::MAX as u64) as u32;
    t.mm()?.write_user(addr, &Writer::new().u32(short(limit.soft)).u32(short(limit.hard)).finish()).map(|()| 0)
}

/// FS and GS bases are set by `set_thread_area` here; everything else `arch_prctl` is asked for is not offered.
pub(super) fn arch_prctl(_k: &mut Kernel, _t: &Rc<Task>) -> Outcome<u64> {
    Err(Errno::EINVAL.into())
}

pub(super) fn stime(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    let seconds = t.mm()?.read_u32(addr)?;
    time::set_realtime(k, t, u64::from(seconds) * SECOND_NS)
}

/// Five names of 65 bytes.
pub(super) fn olduname(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    super::system::give_names(k, t, addr, 5, 65)
}

/// Five names of 9 bytes.
pub(super) fn oldolduname(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    super::system::give_names(k, t, addr, 5, 9)
}

// ---- signals, of which there were 32 ----

fn low_set(t: &Rc<Task>, addr: u64) -> Outcome<SignalSet> {
    Ok(SignalSet(t.mm()?.read_u32(addr)?.into()))
}

/// `struct old_sigaction`: handler, mask, flags, restorer.
pub(super) fn sigaction(_k: &mut Kernel, t: &Rc<Task>, number: u32, new: u64, old: u64) -> Outcome<u64> {
    let wanted = match new {
        0 => None,
        addr => {
            let [handler, mask, flags, restorer] = words(t, addr)?;
            Some(Action { handler, flags, restorer, mask: SignalSet(mask), layout: Layout::I386 })
        }
    };
    if old != 0 {
        t.mm()?.prepare_write(old, 16)?;
    }
    let before = signal::change_action(t, number, wanted)?;
    if old != 0 {
        let writer = Layout::I386.writer().word(before.handler).word(before.mask.0).word(before.flags);
        t.mm()?.write_user(old, &writer.word(before.restorer).finish())?;
    }
    Ok(0)
}

/// `signal(2)` as it was: the handler works once, and its signal is not blocked meanwhile.
pub(super) fn signal(_k: &mut Kernel, t: &Rc<Task>, number: u32, handler: u64) -> Outcome<u64> {
    let flags = SA_RESETHAND | SA_NODEFER;
    let action = Action { handler, flags, layout: Layout::I386, ..Action::default() };
    signal::change_action(t, number, Some(action)).map(|before| before.handler)
}

pub(super) fn sigprocmask(_k: &mut Kernel, t: &Rc<Task>, how: u32, set: u64, old: u64) -> Outcome<u64> {
    let before = t.blocked.get();
    if set != 0 {
        let set = low_set(t, set)?;
        // Signals that don't fit the argument stay as they are.
        let set = if how == SIG_SETMASK { SignalSet(before.0 & !0xffff_ffff | set.0) } else { set };
        t.blocked.set(signal::masked(before, how, set)?);
    }
    if old != 0 {
        t.mm()?.write_u32(old, before.0 as u32)?;
    }
    Ok(0)
}

pub(super) fn sgetmask(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    Ok(t.blocked.get().0 & 0xffff_ffff)
}

pub(super) fn ssetmask(_k: &mut Kernel, t: &Rc<Task>, set: u32) -> Outcome<u64> {
    let before = t.blocked.replace(SignalSet(set.into()).without(SignalSet::UNSTOPPABLE));
    Ok(before.0 & 0xffff_ffff)
}

pub(super) fn sigpending(_k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    t.mm()?.write_u32(addr, signal::pending(t).0 as u32).map(|()| 0)
}

pub(super) fn sigsuspend(_k: &mut Kernel, t: &Rc<Task>, set: u32) -> Outcome<u64> {
    signal::suspend(t, SignalSet(set.into()))
}

pub(super) fn sigreturn(k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    k.return_from_handler(t, crate::signal::FrameKind::Plain32)?;
    t.call.take();
    Ok(0)
}

// ---- sockets ----

/// `socketcall(2)`: the calls by their numbers, and how many arguments each takes.
#[rustfmt::skip]
const SOCKET_CALLS: [(Handler, usize); 20] = [
    (handler!(I386, socket::socket, 3), 3),
    (handler!(I386, socket::bind, 3), 3),
    (handler!(I386, socket::connect, 3), 3),
    (handler!(I386, socket::listen, 2), 2),
    (handler!(I386, socket::accept, 3), 3),
    (handler!(I386, socket::getsockname, 3), 3),
    (handler!(I386, socket::getpeername, 3), 3),
    (handler!(I386, socket::socketpair, 4), 4),
    // send, recv: sendto and recvfrom without an address.
    (handler!(I386, message::sendto, 6), 4),
    (handler!(I386, message::recvfrom, 6), 4),
    (handler!(I386, message::sendto, 6), 6),
    (handler!(I386, message::recvfrom, 6), 6),
    (handler!(I386, socket::shutdown, 2), 2),
    (handler!(I386, socket::setsockopt, 5), 5),
    (handler!(I386, socket::getsockopt, 5), 5),
    (handler!(I386, message::sendmsg, 3), 3),
    (handler!(I386, message::recvmsg, 3), 3),
    (handler!(I386, socket::accept4, 4), 4),
    (handler!(I386, message::recvmmsg, 5), 5),
    (handler!(I386, message::sendmmsg, 4), 4),
];

pub(super) fn socketcall(k: &mut Kernel, t: &Rc<Task>, call: usize, addr: u64) -> Outcome<u64> {
    let (handler, count) = call.checked_sub(1).and_then(|index| SOCKET_CALLS.get(index)).ok_or(Errno::EINVAL)?;
    let layout = t.layout();
    let bytes = t.struct_arg(addr, *count as u64 * layout.word_bytes)?;
    let mut reader = layout.reader(&bytes);
    // What is past the end reads as zero.
    handler(k, t, std::array::from_fn(|_| reader.word()))
}
