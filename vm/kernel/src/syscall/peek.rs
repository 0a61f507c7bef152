//! Looking into other processes: `process_vm_readv(2)`, `kcmp(2)`.

use std::cmp::Ordering;
use std::rc::Rc;

use abi::Errno;

use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::stop::{Outcome, Stop};
use crate::task::Task;
use crate::task::look::AsksWith;

/// Bytes moved in one go: within a page either side may end.
const PIECE_BYTES: usize = 4096;
/// Most bytes one call moves: bounds the time it takes. A program goes on where a call ended.
const BYTES_MAX: usize = 16 << 20;

/// The task of a process that `t` may look into; 0 is its own.
pub(super) fn process_arg(k: &Kernel, t: &Rc<Task>, pid: i32) -> Outcome<Rc<Task>> {
    if pid == 0 { Ok(t.clone()) } else { target(k, t, pid) }
}

fn target(k: &Kernel, t: &Rc<Task>, pid: i32) -> Outcome<Rc<Task>> {
    let found = k.task(pid).or_else(|| k.tasks.process(pid).and_then(|process| k.tasks.main_thread(&process)));
    let other = found.ok_or(Errno::ESRCH)?;
    if t.may_look_into(&other, AsksWith::Real) { Ok(other) } else { Err(Errno::EPERM.into()) }
}

pub(super) fn process_vm_readv(
    k: &mut Kernel,
    t: &Rc<Task>,
    pid: i32,
    local: u64,
    local_count: usize,
    remote: u64,
    remote_count: usize,
    flags: u64,
) -> Outcome<u64> {
    transfer(k, t, pid, (local, local_count), (remote, remote_count), flags, true)
}

pub(super) fn process_vm_writev(
    k: &mut Kernel,
    t: &Rc<Task>,
    pid: i32,
    local: u64,
    local_count: usize,
    remote: u64,
    remote_count: usize,
    flags: u64,
) -> Outcome<u64> {
    transfer(k, t, pid, (local, local_count), (remote, remote_count), flags, false)
}

fn transfer(
    k: &mut Kernel,
    t: &Rc<Task>,
    pid: i32,
    local: (u64, usize),
    remote: (u64, usize),
    flags: u64,
    reads: bool,
) -> Outcome<u64> {
    if flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    let total = |vector: &[(u64, usize)]| vector.iter().map(|(_, len)| len).sum::<usize>();
    let local = t.vector_arg(local.0, local.1)?;
    if total(&local) == 0 {
        return Ok(0);
    }
    let remote = t.vector_arg(remote.0, remote.1)?;
    let len = total(&local).min(total(&remote)).min(BYTES_MAX);
    if len == 0 {
        return Ok(0);
    }
    let (own, theirs) = (t.mm()?, target(k, t, pid)?.mm().map_err(|_| Errno::ESRCH)?);
    let ((from, source), (to, destination)) =
        if reads { ((&remote, &theirs), (&local, &own)) } else { ((&local, &own), (&remote, &theirs)) };
    let mut done = 0;
    while done < len {
        match move_piece((source, from), (destination, to), done, len) {
            Ok(moved) => done += moved,
            // Made again after a wait, the call does the same again.
            Err(wait @ Stop::Wait(_)) => return Err(wait),
            Err(_) if done > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    Ok(done as u64)
}

/// Address of the byte `skip` bytes into a vector, and how many follow it in its element and page.
fn place(vector: &[(u64, usize)], skip: usize) -> Option<(u64, usize)> {
    let mut skip = skip;
    for (addr, len) in vector {
        if skip < *len {
            let at = addr.wrapping_add(skip as u64);
            let in_page = PIECE_BYTES - (at % PIECE_BYTES as u64) as usize;
            return Some((at, in_page.min(len - skip)));
        }
        skip -= len;
    }
    None
}

type Side<'a> = (&'a Rc<Mm>, &'a [(u64, usize)]);

fn move_piece(from: Side<'_>, to: Side<'_>, done: usize, len: usize) -> Outcome<usize> {
    let (source, room) = place(from.1, done).ok_or(Errno::EFAULT)?;
    let (destination, more_room) = place(to.1, done).ok_or(Errno::EFAULT)?;
    let mut buffer = vec![0; room.min(more_room).min(len - done)];
    from.0.read_user(source, &mut buffer)?;
    to.0.write_user(destination, &buffer)?;
    Ok(buffer.len())
}

/// What `kcmp(2)` compares (`linux/kcmp.h`).
mod kind {
    pub const FILE: u32 = 0;
    pub const VM: u32 = 1;
    pub const FILES: u32 = 2;
    pub const FS: u32 = 3;
    pub const SIGHAND: u32 = 4;
    pub const IO: u32 = 5;
    pub const SYSVSEM: u32 = 6;
}

/// The order of two objects is that of their addresses in our memory.
pub(super) fn kcmp(k: &mut Kernel, t: &Rc<Task>, one: i32, two: i32, what: u32, a: u64, b: u64) -> Outcome<u64> {
    let tasks = [target(k, t, one)?, target(k, t, two)?];
    let mut address = |task: &Rc<Task>, index: u64| -> Outcome<usize> {
        Ok(match what {
            kind::FILE => Rc::as_ptr(&task.file(i32::try_from(index).map_err(|_| Errno::EBADF)?)?) as usize,
            kind::VM => task.mm().map_or(0, |mm| Rc::as_ptr(&mm) as usize),
            kind::FILES => task.fd_table().map_or(0, |files| Rc::as_ptr(&files) as usize),
            kind::FS => Rc::as_ptr(&task.fs.borrow()) as usize,
            kind::SIGHAND => Rc::as_ptr(&task.process.actions()) as usize,
            // Nobody has an I/O context of its own.
            kind::IO => 0,
            // All who have nothing to be undone are the same.
            kind::SYSVSEM if k.has_semaphore_undo(task.process.pid) => task.process.pid as usize,
            kind::SYSVSEM => 0,
            _ => return Err(Errno::EINVAL.into()),
        })
    };
    Ok(match address(&tasks[0], a)?.cmp(&address(&tasks[1], b)?) {
        Ordering::Equal => 0,
        Ordering::Less => 1,
        Ordering::Greater => 2,
    })
}
