//! System V message queues: `msgget(2)`, `msgop(2)`, `msgctl(2)`.

use abi::capability::CAP_SYS_RESOURCE;
use std::rc::Rc;

use abi::ipc::*;
use abi::{Errno, Layout};

use super::ipc::owner_of;
use crate::ipc::msg::*;
use crate::ipc::{Asked, Use, check_access, check_owner, new_perm, set_owner};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::{Restart, Task};

const READ: u32 = 0o444;
const WRITE: u32 = 0o222;

pub(super) fn msgget(k: &mut Kernel, t: &Rc<Task>, key: i32, flags: u32) -> Outcome<u64> {
    let (asked, who) = (Asked { key, flags }, t.credentials());
    if let Some(id) = k.ipc.queues.find(asked, &who, |_| Ok(()))? {
        return Ok(id as u64);
    }
    let now = k.realtime_seconds();
    Ok(k.ipc.queues.add(MessageQueue::new(new_perm(asked, &who), now))? as u64)
}

fn current(k: &Kernel, t: &Rc<Task>) -> Use {
    Use { pid: t.process.pid, time: k.realtime_seconds() }
}

/// The queue of a call; one that has waited learns that it has been removed.
fn queue<'k>(k: &'k mut Kernel, t: &Rc<Task>, id: i32) -> Outcome<&'k mut MessageQueue> {
    let waited = t.with_call(|call| call.is_retry);
    Ok(k.ipc.queues.get(id).map_err(|errno| if waited { Errno::EIDRM } else { errno })?)
}

pub(super) fn msgsnd(k: &mut Kernel, t: &Rc<Task>, id: i32, addr: u64, len: i64, flags: u32) -> Outcome<u64> {
    t.with_call(|call| call.restart = Restart::Never);
    let layout = t.layout();
    let kind = layout.reader(&t.struct_arg(addr, layout.word_bytes)?).long();
    let fits = usize::try_from(len).ok().filter(|len| *len <= MESSAGE_BYTES_MAX && id >= 0);
    let len = fits.ok_or(Errno::EINVAL)?;
    if kind < 1 {
        return Err(Errno::EINVAL.into());
    }
    let text = t.struct_arg(addr.wrapping_add(layout.word_bytes), len as u64)?;
    let by = current(k, t);
    let held: u64 = k.ipc.queues.iter().map(|(_, queue)| queue.bytes).sum();
    let queue = queue(k, t, id)?;
    check_access(&queue.perm, &t.credentials(), WRITE)?;
    if !queue.has_room(len) {
        return Err(if flags & IPC_NOWAIT != 0 { Errno::EAGAIN.into() } else { queue.changes.stop() });
    }
    if held + len as u64 > BYTES_MAX {
        return Err(Errno::ENOMEM.into());
    }
    queue.push(Message { kind, text }, by);
    wake(k, id);
    Ok(0)
}

/// Wakes all who wait for a queue.
fn wake(k: &mut Kernel, id: i32) {
    if let Ok(queue) = k.ipc.queues.get(id) {
        let queue = queue.changes.id();
        k.wake_queue(queue);
    }
}

pub(super) fn msgrcv(
    k: &mut Kernel,
    t: &Rc<Task>,
    id: i32,
    addr: u64,
    size: i64,
    kind: i64,
    flags: u32,
) -> Outcome<u64> {
    t.with_call(|call| call.restart = Restart::Never);
    let size = usize::try_from(size).ok().filter(|_| id >= 0).ok_or(Errno::EINVAL)?;
    let wanted = wanted(kind, flags)?;
    let (layout, by) = (t.layout(), current(k, t));
    let queue = queue(k, t, id)?;
    check_access(&queue.perm, &t.credentials(), READ)?;
    let Some(place) = queue.find(wanted) else {
        return Err(if flags & IPC_NOWAIT != 0 { Errno::ENOMSG.into() } else { queue.changes.stop() });
    };
    let message = &queue.messages[place];
    if message.text.len() > size && flags & MSG_NOERROR == 0 {
        return Err(Errno::E2BIG.into());
    }
    let len = message.text.len().min(size);
    let bytes = layout.writer().word(message.kind as u64).raw(&message.text[..len]).finish();
    // It is taken only once it has arrived.
    t.mm()?.write_user(addr, &bytes)?;
    if flags & MSG_COPY == 0 {
        queue.take(place, by)?;
        wake(k, id);
    }
    Ok(len as u64)
}

fn wanted(kind: i64, flags: u32) -> Outcome<Wanted> {
    if flags & MSG_COPY != 0 {
        if flags & MSG_EXCEPT != 0 || flags & IPC_NOWAIT == 0 {
            return Err(Errno::EINVAL.into());
        }
        return Ok(Wanted::Place(usize::try_from(kind).unwrap_or(usize::MAX)));
    }
    Ok(match kind {
        0 => Wanted::Any,
        kind if kind < 0 => Wanted::UpTo(kind.saturating_neg()),
        kind if flags & MSG_EXCEPT != 0 => Wanted::Other(kind),
        kind => Wanted::Kind(kind),
    })
}

pub(super) fn msgctl(k: &mut Kernel, t: &Rc<Task>, id: i32, command: u32, buf: u64) -> Outcome<u64> {
    if id < 0 {
        return Err(Errno::EINVAL.into());
    }
    let (who, layout) = (t.credentials(), t.layout());
    match command {
        IPC_INFO | MSG_INFO => info(k, t, command, buf),
        IPC_STAT | MSG_STAT | MSG_STAT_ANY => {
            let (number, queue) = match command {
                IPC_STAT => (0, k.ipc.queues.get(id)?),
                _ => k.ipc.queues.at(id)?,
            };
            if command != MSG_STAT_ANY {
                check_access(&queue.perm, &who, READ)?;
            }
            t.mm()?.write_user(buf, &encode(queue, layout))?;
            Ok(number as u64)
        }
        IPC_SET => {
            // Up to the size: key and ids, the rest of the permissions, three times, bytes in use, messages.
            let qbytes_at = if layout.is_32() { 36 + 24 + 8 } else { 48 + 24 + 16 };
            let bytes = t.struct_arg(buf, qbytes_at + layout.word_bytes)?;
            let bytes_max = layout.reader(&bytes[qbytes_at as usize..]).word();
            let now = k.realtime_seconds();
            let queue = k.ipc.queues.get(id)?;
            check_owner(&queue.perm, &who)?;
            if bytes_max > QUEUE_BYTES_MAX && !who.has(CAP_SYS_RESOURCE) {
                return Err(Errno::EPERM.into());
            }
            let (uid, gid, mode) = owner_of(&bytes);
            set_owner(&mut queue.perm, uid, gid, mode);
            (queue.bytes_max, queue.changed_at) = (bytes_max, now);
            wake(k, id);
            Ok(0)
        }
        IPC_RMID => {
            check_owner(&k.ipc.queues.get(id)?.perm, &who)?;
            let removed = k.ipc.queues.remove(id);
            removed.iter().for_each(|queue| k.wake(&queue.changes));
            Ok(0)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `struct msqid64_ds`.
fn encode(q: &MessageQueue, layout: Layout) -> Vec<u8> {
    let head = q.perm.write(layout.writer()).u64(q.sent.time).u64(q.received.time).u64(q.changed_at);
    let head = head.word(q.bytes).word(q.messages.len() as u64).word(q.bytes_max);
    head.i32(q.sent.pid).i32(q.received.pid).word(0).word(0).finish()
}

/// `struct msginfo`.
fn info(k: &mut Kernel, t: &Rc<Task>, command: u32, buf: u64) -> Outcome<u64> {
    const SEGMENT_BYTES: u32 = 16;
    const SEGMENTS: u16 = 0xffff;
    let (queues, bytes) = (QUEUES_MAX as u32, QUEUE_BYTES_MAX as u32);
    let (pool, map, total) = match command {
        MSG_INFO => {
            let messages: usize = k.ipc.queues.iter().map(|(_, queue)| queue.messages.len()).sum();
            let held: u64 = k.ipc.queues.iter().map(|(_, queue)| queue.bytes).sum();
            (k.ipc.queues.count() as u32, messages as u32, held as u32)
        }
        _ => (queues * (bytes / 1024), bytes, bytes),
    };
    let fields = [pool, map, MESSAGE_BYTES_MAX as u32, bytes, queues, SEGMENT_BYTES, total];
    let head = fields.into_iter().fold(abi::Writer::new(), abi::Writer::u32);
    t.mm()?.write_user(buf, &head.u16(SEGMENTS).u16(0).finish())?;
    Ok(k.ipc.queues.index_max())
}
