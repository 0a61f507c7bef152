//! File locks: `flock(2)`, and record locks of processes (`fcntl(2)`) and of open file descriptions.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;

use abi::file::*;
use abi::{Errno, Layout};

use super::OpenFile;
use crate::kernel::Kernel;
use crate::stop::{Outcome, Stop, Wait};
use crate::task::{Pid, Task, Tid};
use crate::vfs::Location;
use crate::wait::WaitQueue;

/// Who holds a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owner {
    Process(Pid),
    /// The open file description's address in our own memory.
    Description(usize),
}

#[derive(Clone, Debug)]
struct Record {
    owner: Owner,
    range: Range<u64>,
    exclusive: bool,
}

/// A lock of `flock`.
struct Whole {
    /// As in [`Owner::Description`].
    description: usize,
    exclusive: bool,
    /// Who took it.
    pid: Pid,
}

#[derive(Default)]
struct FileLocks {
    /// Those of an owner stand together, in the order of the file, and none goes on where one of the same kind ends.
    records: Vec<Record>,
    whole: Vec<Whole>,
    queue: Rc<WaitQueue>,
}

/// A thread that waits for a record lock of its process, or has waited and does not any more.
struct Waiting {
    key: (u64, u64),
    wanted: Record,
}

/// All locks, by device and inode.
#[derive(Default)]
pub struct Locks {
    files: BTreeMap<(u64, u64), FileLocks>,
    waiting: HashMap<Tid, Waiting>,
}

/// Record locks a file may have.
const RECORDS_MAX: usize = 10_000;
/// How many processes that wait for each other are found (`MAX_DEADLK_ITERATIONS`).
const DEADLOCK_MAX: usize = 10;

/// What locks know an open file description by.
pub(super) fn description(file: &Rc<OpenFile>) -> usize {
    Rc::as_ptr(file) as usize
}

fn key(location: &Location) -> (u64, u64) {
    (location.device(), location.ino().0)
}

fn overlaps(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

impl FileLocks {
    fn conflict(&self, wanted: &Record) -> Option<&Record> {
        let differs = |held: &&Record| {
            held.owner != wanted.owner && overlaps(&held.range, &wanted.range) && (held.exclusive || wanted.exclusive)
        };
        self.records.iter().find(differs)
    }

    /// Gives a range to an owner: one record with those of the same kind that it touches.
    fn give(&mut self, wanted: Record) {
        let Record { owner, mut range, exclusive } = wanted;
        self.clear(owner, &range);
        self.records.retain(|held| {
            let apart = held.range.end < range.start || range.end < held.range.start;
            if held.owner != owner || held.exclusive != exclusive || apart {
                return true;
            }
            range = range.start.min(held.range.start)..range.end.max(held.range.end);
            false
        });
        let follows = |held: &Record| held.owner == owner && held.range.start < range.start;
        let after = self.records.iter().rposition(follows).map(|index| index + 1);
        let at = after.or_else(|| self.records.iter().position(|held| held.owner == owner));
        self.records.insert(at.unwrap_or(self.records.len()), Record { owner, range, exclusive });
    }

    /// Takes a range away from an owner.
    fn clear(&mut self, owner: Owner, range: &Range<u64>) {
        let held = std::mem::take(&mut self.records);
        for record in held {
            if record.owner != owner || !overlaps(&record.range, range) {
                self.records.push(record);
                continue;
            }
            for rest in [record.range.start..range.start, range.end..record.range.end] {
                if rest.start < rest.end {
                    self.records.push(Record { range: rest, ..record.clone() });
                }
            }
        }
    }
}

impl Locks {
    /// A process has closed a descriptor of a file: its record locks there end. Returns whom to wake.
    pub fn release_process(&mut self, location: &Location, pid: Pid) -> Option<Rc<WaitQueue>> {
        self.release(key(location), |locks| locks.clear(Owner::Process(pid), &(0..u64::MAX)))
    }

    /// An open file description is gone, and all its locks. Returns whom to wake.
    pub fn release_description(&mut self, location: &Location, description: usize) -> Option<Rc<WaitQueue>> {
        self.release(key(location), |locks| {
            locks.clear(Owner::Description(description), &(0..u64::MAX));
            locks.whole.retain(|held| held.description != description);
        })
    }

    fn release(&mut self, key: (u64, u64), change: impl FnOnce(&mut FileLocks)) -> Option<Rc<WaitQueue>> {
        if self.files.is_empty() {
            return None;
        }
        let locks = self.files.get_mut(&key)?;
        change(locks);
        let queue = locks.queue.clone();
        if locks.records.is_empty() && locks.whole.is_empty() {
            self.files.remove(&key);
        }
        Some(queue)
    }
}

impl Locks {
    /// `/proc/locks` (`proc(5)`).
    pub fn report(&self) -> String {
        let mut lines = Vec::new();
        for ((device, ino), locks) in &self.files {
            let mut line = |flavour: &str, exclusive: bool, pid: Pid, end: String| {
                let (major, minor) = (device_major(*device), device_minor(*device));
                let kind = if exclusive { "WRITE" } else { "READ" };
                let number = lines.len() + 1;
                lines.push(format!("{number}: {flavour} ADVISORY  {kind} {pid} {major:02x}:{minor:02x}:{ino} {end}\n"));
            };
            for held in &locks.whole {
                line("FLOCK ", held.exclusive, held.pid, "0 EOF".into());
            }
            for held in &locks.records {
                let end = if held.range.end == u64::MAX { "EOF".into() } else { (held.range.end - 1).to_string() };
                let (flavour, pid) = match held.owner {
                    Owner::Process(pid) => ("POSIX ", pid),
                    Owner::Description(_) => ("OFDLCK", -1),
                };
                line(flavour, held.exclusive, pid, format!("{} {end}", held.range.start));
            }
        }
        lines.concat()
    }
}

/// Where a program describes a record lock, and how.
pub struct LockArg {
    addr: u64,
    /// Of its offsets, which are `long`s.
    layout: Layout,
    /// Where those begin in it.
    offsets_at: u64,
    by_description: bool,
}

impl LockArg {
    /// That of an `fcntl` command.
    pub fn new(t: &Rc<Task>, command: u32, addr: u64) -> Self {
        let by_description = matches!(command, F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW);
        let is_64 = by_description || matches!(command, F_GETLK64 | F_SETLK64 | F_SETLKW64);
        let (layout, offsets_at) = match t.layout() {
            // `struct flock64` of i386 has its offsets at the same place as `struct flock`.
            layout if layout.is_32() => (if is_64 { Layout::X86_64 } else { Layout::I386 }, 4),
            layout => (layout, 8),
        };
        Self { addr, layout, offsets_at, by_description }
    }
}

impl Kernel {
    /// `flock(2)`; waits if it must.
    pub fn flock(&mut self, file: &Rc<OpenFile>, operation: u32) -> Outcome<()> {
        let id = description(file);
        let pid = self.current()?.process.pid;
        let locks = self.locks.files.entry(key(&file.location)).or_default();
        let queue = locks.queue.clone();
        let exclusive = match operation {
            LOCK_SH => Some(false),
            LOCK_EX => Some(true),
            LOCK_UN => None,
            _ => return Err(Errno::EINVAL.into()),
        };
        if let Some(exclusive) = exclusive {
            if locks.whole.iter().any(|held| held.description == id && held.exclusive == exclusive) {
                return Ok(());
            }
            let others = |held: &Whole| held.description != id && (held.exclusive || exclusive);
            let in_the_way = locks.whole.iter().any(others);
            // A change begins with giving up what there was, even if it comes to nothing.
            let before = locks.whole.len();
            locks.whole.retain(|held| held.description != id);
            if in_the_way {
                // Whoever waits is told of what is gone, and of nothing else: all would wake each other for ever.
                if locks.whole.len() < before {
                    self.wake(&queue);
                }
                return Err(queue.stop());
            }
            locks.whole.push(Whole { description: id, exclusive, pid });
        } else {
            locks.whole.retain(|held| held.description != id);
        }
        self.wake(&queue);
        Ok(())
    }

    /// `F_GETLK`: which lock would be in the way.
    pub fn get_record_lock(&mut self, t: &Rc<Task>, file: &Rc<OpenFile>, arg: &LockArg) -> Outcome<()> {
        let (kind, wanted) = record_arg(t, file, arg)?;
        if kind == F_UNLCK {
            return Err(Errno::EINVAL.into());
        }
        let conflict = self.locks.files.get(&key(&file.location)).and_then(|locks| locks.conflict(&wanted).cloned());
        let mm = t.mm()?;
        match conflict {
            None => mm.write_user(arg.addr, &(F_UNLCK as u16).to_le_bytes()),
            Some(held) => {
                let kind = if held.exclusive { F_WRLCK } else { F_RDLCK };
                let len = if held.range.end == u64::MAX { 0 } else { held.range.end - held.range.start };
                let pid = if let Owner::Process(pid) = held.owner { pid } else { -1 };
                if arg.layout.is_32() && held.range.start > i32::MAX as u64 {
                    return Err(Errno::EOVERFLOW.into());
                }
                let len = if arg.layout.is_32() { len.min(i32::MAX as u64) } else { len };
                let head = arg.layout.writer().u16(kind as u16).u16(0).pad_to(arg.offsets_at as usize);
                mm.write_user(arg.addr, &head.word(held.range.start).word(len).i32(pid).finish())
            }
        }
    }

    /// `F_SETLK`, `F_SETLKW`.
    pub fn set_record_lock(&mut self, t: &Rc<Task>, file: &Rc<OpenFile>, arg: &LockArg, wait: bool) -> Outcome<()> {
        let (kind, wanted) = record_arg(t, file, arg)?;
        let access_ok = match kind {
            F_RDLCK => file.is_readable(),
            F_WRLCK => file.is_writable(),
            _ => true,
        };
        if !access_ok {
            return Err(Errno::EBADF.into());
        }
        let locks = self.locks.files.entry(key(&file.location)).or_default();
        let queue = locks.queue.clone();
        if kind != F_UNLCK {
            if locks.conflict(&wanted).is_some() {
                return if wait {
                    self.wait_for_record(t, key(&file.location), wanted)
                } else {
                    Err(Errno::EAGAIN.into())
                };
            }
            if locks.records.len() >= RECORDS_MAX {
                return Err(Errno::ENOLCK.into());
            }
        }
        match kind {
            F_UNLCK => locks.clear(wanted.owner, &wanted.range),
            _ => locks.give(wanted),
        }
        self.wake(&queue);
        Ok(())
    }

    /// Waits for a record lock.
    ///
    /// # Errors
    /// `EDEADLK` if a process in the way waits for this one, or for one that does.
    fn wait_for_record(&mut self, t: &Rc<Task>, key: (u64, u64), wanted: Record) -> Outcome<()> {
        let Some(queue) = self.locks.files.get(&key).map(|locks| locks.queue.id()) else { return Ok(()) };
        if let Owner::Process(pid) = wanted.owner {
            let mut waiting = std::mem::take(&mut self.locks.waiting);
            waiting.retain(|tid, waiting| *tid != t.tid() && self.still_waits(*tid, waiting));
            waiting.insert(t.tid(), Waiting { key, wanted: wanted.clone() });
            self.locks.waiting = waiting;
            if self.locks.is_deadlock(pid, key, wanted) {
                self.locks.waiting.remove(&t.tid());
                return Err(Errno::EDEADLK.into());
            }
        }
        Err(Stop::Wait(Wait::On(queue)))
    }

    fn still_waits(&self, tid: Tid, waiting: &Waiting) -> bool {
        let queue = self.locks.files.get(&waiting.key).map(|locks| locks.queue.id());
        let task = self.task(tid);
        task.zip(queue).is_some_and(|(task, queue)| task.waiting_on.borrow().contains(&queue))
    }
}

impl Locks {
    /// Whether what is in the way of `pid` waits for it.
    fn is_deadlock(&self, pid: Pid, mut key: (u64, u64), mut wanted: Record) -> bool {
        for _ in 0..DEADLOCK_MAX {
            let conflict = self.files.get(&key).and_then(|locks| locks.conflict(&wanted));
            let Some(Owner::Process(holder)) = conflict.map(|held| held.owner) else { return false };
            if holder == pid {
                return true;
            }
            let is_holders = |waiting: &&Waiting| waiting.wanted.owner == Owner::Process(holder);
            let Some(next) = self.waiting.values().find(is_holders) else { return false };
            (key, wanted) = (next.key, next.wanted.clone());
        }
        false
    }
}

/// A `struct flock`: its type, and the lock it describes.
fn record_arg(t: &Rc<Task>, file: &Rc<OpenFile>, arg: &LockArg) -> Outcome<(u32, Record)> {
    let layout = arg.layout;
    // Both offsets, the process, and what comes before them.
    let bytes = t.struct_arg(arg.addr, arg.offsets_at + 2 * layout.word_bytes + 4)?;
    let mut reader = layout.reader(&bytes);
    let (kind, whence) = (u32::from(reader.u16()), u32::from(reader.u16()));
    let mut reader = layout.reader(&bytes[arg.offsets_at as usize..]);
    let (start, len) = (reader.long(), reader.long());
    let base = match whence {
        SEEK_SET => 0,
        SEEK_CUR => file.position.get() as i64,
        SEEK_END => file.location.attributes()?.size_bytes as i64,
        _ => return Err(Errno::EINVAL.into()),
    };
    if kind > F_UNLCK {
        return Err(Errno::EINVAL.into());
    }
    let start = base.checked_add(start).ok_or(Errno::EOVERFLOW)?;
    let (start, end) = match len {
        0 => (start, i64::MAX),
        len if len < 0 => (start.checked_add(len).ok_or(Errno::EINVAL)?, start),
        len => (start, start.checked_add(len).ok_or(Errno::EOVERFLOW)?),
    };
    let start = u64::try_from(start).map_err(|_| Errno::EINVAL)?;
    let end = if end == i64::MAX { u64::MAX } else { end as u64 };
    let owner = match arg.by_description {
        true => Owner::Description(description(file)),
        false => Owner::Process(t.process.pid),
    };
    Ok((kind, Record { owner, range: start..end, exclusive: kind == F_WRLCK }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlocking_the_middle_leaves_both_ends() {
        let mut locks = FileLocks::default();
        let owner = Owner::Process(1);
        locks.records.push(Record { owner, range: 0..100, exclusive: true });
        locks.clear(owner, &(40..60));
        let ranges: Vec<Range<u64>> = locks.records.iter().map(|record| record.range.clone()).collect();
        assert_eq!(ranges, [0..40, 60..100]);
        let other = |range| Record { owner: Owner::Process(2), range, exclusive: false };
        locks.give(Record { owner, range: 40..50, exclusive: true });
        locks.give(Record { owner, range: 50..60, exclusive: false });
        let ranges: Vec<Range<u64>> = locks.records.iter().map(|record| record.range.clone()).collect();
        assert_eq!(ranges, [0..50, 50..60, 60..100]);
        locks.clear(owner, &(40..60));
        assert!(locks.conflict(&other(50..55)).is_none());
        assert!(locks.conflict(&other(30..55)).is_some());
    }
}
