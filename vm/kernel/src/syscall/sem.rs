//! System V semaphores: `semget(2)`, `semop(2)`, `semctl(2)`.

use std::rc::Rc;

use abi::ipc::*;
use abi::{Errno, Layout, Reader, Writer};

use super::ipc::read_owner;
use crate::ipc::sem::*;
use crate::ipc::{Asked, Use, check_access, check_owner, new_perm, set_owner};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::{Restart, Task};

const READ: u32 = 0o444;
const WRITE: u32 = 0o222;
/// Bytes of a `struct sembuf`.
const OPERATION_BYTES: usize = 6;

pub(super) fn semget(k: &mut Kernel, t: &Rc<Task>, key: i32, count: i32, flags: u32) -> Outcome<u64> {
    let (asked, who) = (Asked { key, flags }, t.credentials());
    let count = usize::try_from(count).ok().filter(|count| *count <= SET_LEN_MAX).ok_or(Errno::EINVAL)?;
    let fits = |set: &SemaphoreSet| if count <= set.semaphores.len() { Ok(()) } else { Err(Errno::EINVAL) };
    if let Some(id) = k.ipc.semaphores.find(asked, &who, fits)? {
        return Ok(id as u64);
    }
    if count == 0 {
        return Err(Errno::EINVAL.into());
    }
    if total(k) + count > SEMAPHORES_KEPT_MAX {
        return Err(Errno::ENOSPC.into());
    }
    let now = k.realtime_seconds();
    Ok(k.ipc.semaphores.add(SemaphoreSet::new(new_perm(asked, &who), count, now))? as u64)
}

fn total(k: &Kernel) -> usize {
    k.ipc.semaphores.iter().map(|(_, set)| set.semaphores.len()).sum()
}

pub(super) fn semop(k: &mut Kernel, t: &Rc<Task>, id: i32, operations: u64, count: u32) -> Outcome<u64> {
    semtimedop(k, t, id, operations, count, 0)
}

pub(super) fn semtimedop(
    k: &mut Kernel,
    t: &Rc<Task>,
    id: i32,
    operations: u64,
    count: u32,
    timeout: u64,
) -> Outcome<u64> {
    t.with_call(|call| call.restart = Restart::Never);
    let timeout_ns = t.optional_timespec_arg(timeout)?;
    let count = count as usize;
    if count == 0 {
        return Err(Errno::EINVAL.into());
    }
    if count > OPERATIONS_MAX {
        return Err(Errno::E2BIG.into());
    }
    let bytes = t.struct_arg(operations, (count * OPERATION_BYTES) as u64)?;
    if id < 0 {
        return Err(Errno::EINVAL.into());
    }
    let operations: Vec<Operation> = bytes.chunks_exact(OPERATION_BYTES).map(operation).collect();
    k.set_timeout(t, timeout_ns);
    if !t.with_call(|call| call.is_retry) {
        let set = k.ipc.semaphores.get(id)?;
        if operations.iter().any(|operation| operation.index >= set.semaphores.len()) {
            return Err(Errno::EFBIG.into());
        }
        let alters = operations.iter().any(|operation| operation.change != 0);
        check_access(&set.perm, &t.credentials(), if alters { WRITE } else { READ })?;
    }
    k.semaphore_operate(t, id, &operations).map(|()| 0)
}

fn operation(bytes: &[u8]) -> Operation {
    let mut reader = Reader::new(bytes);
    let (index, change, flags) = (reader.u16(), reader.u16() as i16, reader.u16());
    Operation { index: index.into(), change: change.into(), flags: flags.into() }
}

pub(super) fn semctl(k: &mut Kernel, t: &Rc<Task>, id: i32, index: i32, command: u32, arg: u64) -> Outcome<u64> {
    if id < 0 {
        return Err(Errno::EINVAL.into());
    }
    match command {
        IPC_INFO | SEM_INFO => info(k, t, command, arg),
        IPC_STAT | SEM_STAT | SEM_STAT_ANY => status(k, t, id, command, arg),
        GETALL | SETALL => all_values(k, t, id, command, arg),
        GETVAL | GETPID | GETNCNT | GETZCNT | SETVAL => one_value(k, t, id, index, command, arg),
        IPC_SET => {
            let (uid, gid, mode) = read_owner(t, arg)?;
            let now = k.realtime_seconds();
            let set = k.ipc.semaphores.get(id)?;
            check_owner(&set.perm, &t.credentials())?;
            set_owner(&mut set.perm, uid, gid, mode);
            set.changed_at = now;
            Ok(0)
        }
        IPC_RMID => {
            check_owner(&k.ipc.semaphores.get(id)?.perm, &t.credentials())?;
            k.semaphore_remove(id);
            Ok(0)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `struct seminfo`.
fn info(k: &mut Kernel, t: &Rc<Task>, command: u32, arg: u64) -> Outcome<u64> {
    let (operations, value) = (OPERATIONS_MAX as u32, VALUE_MAX as u32);
    let (in_use, semaphores) = match command {
        SEM_INFO => (k.ipc.semaphores.count() as u32, total(k) as u32),
        _ => (20, value),
    };
    let all = SEMAPHORES_MAX;
    let fields =
        [all, SETS_MAX as u32, all, all, SET_LEN_MAX as u32, operations, operations, in_use, value, semaphores];
    t.mm()?.write_user(arg, &fields.into_iter().fold(Writer::new(), Writer::u32).finish())?;
    Ok(k.ipc.semaphores.index_max())
}

fn status(k: &mut Kernel, t: &Rc<Task>, id: i32, command: u32, arg: u64) -> Outcome<u64> {
    let (number, set) = match command {
        IPC_STAT => (0, k.ipc.semaphores.get(id)?),
        _ => k.ipc.semaphores.at(id)?,
    };
    if command != SEM_STAT_ANY {
        check_access(&set.perm, &t.credentials(), READ)?;
    }
    t.mm()?.write_user(arg, &encode(set, t.layout()))?;
    Ok(number as u64)
}

/// `struct semid64_ds`: what is the upper half of a time on i386 is padding on x86-64.
fn encode(set: &SemaphoreSet, layout: Layout) -> Vec<u8> {
    let time = |to: Writer, time: u64| if layout.is_32() { to.u64(time) } else { to.u64(time).u64(0) };
    let head = time(time(set.perm.write(layout.writer()), set.operated_at), set.changed_at);
    head.word(set.semaphores.len() as u64).word(0).word(0).finish()
}

fn all_values(k: &mut Kernel, t: &Rc<Task>, id: i32, command: u32, arg: u64) -> Outcome<u64> {
    let by = Use { pid: t.process.pid, time: k.realtime_seconds() };
    let set = k.ipc.semaphores.get(id)?;
    let count = set.semaphores.len();
    if command == GETALL {
        check_access(&set.perm, &t.credentials(), READ)?;
        let values = set.semaphores.iter().fold(Writer::new(), |to, semaphore| to.u16(semaphore.value as u16));
        t.mm()?.write_user(arg, &values.finish())?;
        return Ok(0);
    }
    check_access(&set.perm, &t.credentials(), WRITE)?;
    let bytes = t.struct_arg(arg, 2 * count as u64)?;
    let mut reader = Reader::new(&bytes);
    let values: Vec<i32> = (0..count).map(|_| reader.u16().into()).collect();
    if values.iter().any(|value| *value > VALUE_MAX) {
        return Err(Errno::ERANGE.into());
    }
    values.iter().enumerate().for_each(|(index, value)| set.set(index, *value, by));
    k.semaphore_changed(id);
    Ok(0)
}

fn one_value(k: &mut Kernel, t: &Rc<Task>, id: i32, index: i32, command: u32, arg: u64) -> Outcome<u64> {
    let by = Use { pid: t.process.pid, time: k.realtime_seconds() };
    let value = arg as i32;
    if command == SETVAL && !(0..=VALUE_MAX).contains(&value) {
        return Err(Errno::ERANGE.into());
    }
    let set = k.ipc.semaphores.get(id)?;
    let place = usize::try_from(index).ok().filter(|index| *index < set.semaphores.len());
    if command == SETVAL {
        let place = place.ok_or(Errno::EINVAL)?;
        check_access(&set.perm, &t.credentials(), WRITE)?;
        set.set(place, value, by);
        k.semaphore_changed(id);
        return Ok(0);
    }
    check_access(&set.perm, &t.credentials(), READ)?;
    let place = place.ok_or(Errno::EINVAL)?;
    Ok(match command {
        GETVAL => set.semaphores[place].value as u64,
        GETPID => set.semaphores[place].pid as u64,
        _ => set.waiting_for(place, command == GETZCNT) as u64,
    })
}
