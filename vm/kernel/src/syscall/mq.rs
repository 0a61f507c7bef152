//! POSIX message queues: `mq_open(2)` and its relatives.

use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_SYS_RESOURCE;
use abi::file::{NAME_MAX, O_ACCMODE, O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_WRONLY};
use abi::process::RLIMIT_MSGQUEUE;
use abi::signal::{SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD};

use super::rw::unless_nonblocking;
use crate::credentials::Credentials;
use crate::files::OpenFile;
use crate::files::mqueue::*;
use crate::kernel::Kernel;
use crate::stop::{Outcome, Stop};
use crate::task::Task;
use crate::vfs::{Access, At, Context, FileKind, Location};

/// Bytes of the cookie that `SIGEV_THREAD` sends (`NOTIFY_COOKIE_LEN`).
const COOKIE_BYTES: u64 = 32;

/// The C library has taken the slash away that names begin with.
fn name_arg(t: &Rc<Task>, addr: u64) -> Outcome<Vec<u8>> {
    let name = t.mm()?.read_string(addr, abi::file::PATH_MAX, Errno::ENAMETOOLONG)?;
    match &*name {
        b"" => Err(Errno::ENOENT.into()),
        b"." | b".." => Err(Errno::EACCES.into()),
        name if name.contains(&b'/') => Err(Errno::EACCES.into()),
        name if name.len() > NAME_MAX => Err(Errno::ENAMETOOLONG.into()),
        _ => Ok(name),
    }
}

pub(super) fn mq_open(k: &mut Kernel, t: &Rc<Task>, name: u64, flags: u32, mode: u32, attr: u64) -> Outcome<u64> {
    let sizes = match attr {
        0 => None,
        addr => {
            let layout = t.layout();
            let bytes = t.struct_arg(addr, 8 * layout.word_bytes)?;
            let mut reader = layout.reader(&bytes);
            reader.long();
            Some((reader.long(), reader.long()))
        }
    };
    let name = name_arg(t, name)?;
    let access = flags & O_ACCMODE;
    let (place, who) = (Place::of(k, t), t.credentials());
    let location = match k.vfs.resolve(&place.context(&who), At::cwd(&name), false) {
        Ok(_) if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL => return Err(Errno::EEXIST.into()),
        Ok(_) if access == O_ACCMODE => return Err(Errno::EINVAL.into()),
        Ok(found) => {
            found.check_access(&who, Access { read: access != O_WRONLY, write: access != O_RDONLY, execute: false })?;
            found
        }
        Err(stop) if stop.is(Errno::ENOENT) && flags & O_CREAT != 0 => {
            let sizes = sizes.unwrap_or((MESSAGES_MAX, MESSAGE_BYTES_MAX));
            check_limits(k, t, sizes)?;
            let made = k.vfs.mknod(&place.context(&who), At::cwd(&name), FileKind::Regular, mode as u16 & 0o7777, 0)?;
            k.message_queues.make(made.ino(), who.uid, sizes.0 as usize, sizes.1 as usize);
            made
        }
        Err(stop) => return Err(stop),
    };
    let queue = k.message_queues.get(location.ino(), who.uid);
    let file = OpenFile::new(Rc::new(QueueFile(queue)), location, access | flags & O_NONBLOCK);
    k.add_file(t, file, true).map(|fd| fd as u64)
}

/// Where names of queues are: in a file system of their own, whether or not it is mounted.
struct Place {
    root: Location,
    umask: u16,
}

impl Place {
    fn of(k: &Kernel, t: &Rc<Task>) -> Self {
        Self { root: k.queues_mount.root(), umask: t.fs_state().umask }
    }

    fn context<'a>(&'a self, credentials: &'a Credentials) -> Context<'a> {
        Context { root: &self.root, cwd: &self.root, credentials, umask: self.umask }
    }
}

/// Whether a queue with room for so many messages of so many bytes may be made.
fn check_limits(k: &Kernel, t: &Rc<Task>, sizes: (i64, i64)) -> Outcome<()> {
    let who = t.credentials();
    let (messages_max, bytes_max) = match who.has(CAP_SYS_RESOURCE) {
        true => (ROOT_MESSAGES_MAX, ROOT_MESSAGE_BYTES_MAX),
        false => (MESSAGES_MAX, MESSAGE_BYTES_MAX),
    };
    if k.message_queues.count() >= QUEUES_MAX && !who.has(CAP_SYS_RESOURCE) {
        return Err(Errno::ENOSPC.into());
    }
    if !(1..=messages_max).contains(&sizes.0) || !(1..=bytes_max).contains(&sizes.1) {
        return Err(Errno::EINVAL.into());
    }
    let reserved = k.message_queues.reserved_by(who.uid) + reserved_bytes(sizes.0 as u64, sizes.1 as u64);
    if reserved > t.process.limits.borrow().soft(RLIMIT_MSGQUEUE) {
        return Err(Errno::EMFILE.into());
    }
    Ok(())
}

pub(super) fn mq_unlink(k: &mut Kernel, t: &Rc<Task>, name: u64) -> Outcome<u64> {
    let name = name_arg(t, name)?;
    let (place, who) = (Place::of(k, t), t.credentials());
    k.vfs.unlink(&place.context(&who), At::cwd(&name)).map(|()| 0)
}

fn queue_of(file: &OpenFile) -> Outcome<Rc<MessageQueue>> {
    file.object_as::<QueueFile>().map(|queue| queue.0.clone()).ok_or(Errno::EBADF.into())
}

/// Waits until this time on the clock of the day.
fn set_deadline(k: &Kernel, t: &Rc<Task>, addr: u64) -> Outcome<()> {
    if let Some(until_ns) = t.optional_timespec_arg(addr)? {
        k.set_timeout(t, Some(until_ns.saturating_sub(k.realtime_ns())));
    }
    Ok(())
}

/// A wait ends when its time is over.
fn unless_late<T>(k: &Kernel, t: &Rc<Task>, outcome: Outcome<T>) -> Outcome<T> {
    match outcome {
        Err(Stop::Wait(_)) if k.deadline_passed(t) => Err(Errno::ETIMEDOUT.into()),
        outcome => outcome,
    }
}

pub(super) fn mq_timedsend(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    text: u64,
    len: usize,
    priority: u32,
    until: u64,
) -> Outcome<u64> {
    set_deadline(k, t, until)?;
    if priority >= PRIORITIES {
        return Err(Errno::EINVAL.into());
    }
    let file = t.usable_file(fd)?;
    let queue = queue_of(&file)?;
    if !file.is_writable() {
        return Err(Errno::EBADF.into());
    }
    if len > queue.message_bytes_max {
        return Err(Errno::EMSGSIZE.into());
    }
    let bytes = t.struct_arg(text, len as u64)?;
    let sent = unless_nonblocking(&file, queue.send(k, t, bytes, priority));
    unless_late(k, t, sent).map(|()| 0)
}

pub(super) fn mq_timedreceive(
    k: &mut Kernel,
    t: &Rc<Task>,
    fd: i32,
    text: u64,
    len: usize,
    priority: u64,
    until: u64,
) -> Outcome<u64> {
    set_deadline(k, t, until)?;
    let file = t.usable_file(fd)?;
    let queue = queue_of(&file)?;
    if !file.is_readable() {
        return Err(Errno::EBADF.into());
    }
    if len < queue.message_bytes_max {
        return Err(Errno::EMSGSIZE.into());
    }
    let next = unless_nonblocking(&file, queue.peek());
    let (bytes, with_priority) = unless_late(k, t, next)?;
    let mm = t.mm()?;
    let mut given = mm.write_user(text, &bytes);
    if priority != 0 {
        given = given.and_then(|()| mm.write_u32(priority, with_priority));
    }
    // It is gone even if it could not be given.
    if !matches!(given, Err(Stop::Wait(_))) {
        queue.remove(k);
    }
    given.map(|()| bytes.len() as u64)
}

pub(super) fn mq_getsetattr(_k: &mut Kernel, t: &Rc<Task>, fd: i32, new: u64, old: u64) -> Outcome<u64> {
    let layout = t.layout();
    let wanted = match new {
        0 => None,
        addr => {
            let flags = layout.reader(&t.struct_arg(addr, 8 * layout.word_bytes)?).word();
            let flags = u32::try_from(flags).ok().filter(|flags| flags & !O_NONBLOCK == 0);
            Some(flags.ok_or(Errno::EINVAL)?)
        }
    };
    let file = t.usable_file(fd)?;
    let queue = queue_of(&file)?;
    let bytes = encode_attributes(layout, &queue, file.flags.get() & O_NONBLOCK);
    if old != 0 {
        t.mm()?.prepare_write(old, bytes.len())?;
    }
    if let Some(flags) = wanted {
        file.flags.set(file.flags.get() & !O_NONBLOCK | flags);
    }
    if old != 0 {
        t.mm()?.write_user(old, &bytes)?;
    }
    Ok(0)
}

pub(super) fn mq_notify(k: &mut Kernel, t: &Rc<Task>, fd: i32, event: u64) -> Outcome<u64> {
    let way = match event {
        0 => None,
        addr => Some(way_arg(k, t, addr)?),
    };
    let queue = t.usable_file(fd).and_then(|file| queue_of(&file));
    let owner = queue.as_ref().ok().and_then(|queue| queue.notified.borrow().as_ref().map(|notified| notified.pid));
    let (queue, way) = match (queue, way) {
        (Ok(queue), Some(way)) if owner.is_none() => (queue, way),
        (Ok(queue), None) => {
            if owner == Some(t.process.pid) {
                queue.forget_notified(k);
            }
            return Ok(0);
        }
        (queue, way) => {
            if let Some(Way::Socket { file, .. }) = way {
                k.close_file(file);
            }
            return queue.and(Err(Errno::EBUSY.into()));
        }
    };
    *queue.notified.borrow_mut() = Some(Notified { pid: t.process.pid, way });
    Ok(0)
}

/// How `struct sigevent` asks to be told.
fn way_arg(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<Way> {
    let layout = t.layout();
    let bytes = t.struct_arg(addr, 64)?;
    let mut reader = layout.reader(&bytes);
    let (value, signal, notify) = (reader.word(), reader.u32(), reader.u32());
    match notify {
        SIGEV_NONE => Ok(Way::None),
        SIGEV_SIGNAL if crate::signal::valid_signal(signal) => Ok(Way::Signal { signal, value, layout }),
        SIGEV_THREAD => {
            let cookie = t.struct_arg(value, COOKIE_BYTES)?;
            let file = t.usable_file(signal as i32)?;
            if netlink_of(&file).is_none() {
                k.close_file(file);
                return Err(Errno::EINVAL.into());
            }
            Ok(Way::Socket { file, cookie })
        }
        _ => Err(Errno::EINVAL.into()),
    }
}
