//! Descriptors of a process.

use std::cell::RefCell;
use std::rc::Rc;

use abi::Errno;
use abi::process::RLIMIT_NOFILE;

use super::OpenFile;
use super::mqueue::QueueFile;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::{Pid, Task};

#[derive(Clone)]
struct Slot {
    file: Rc<OpenFile>,
    close_on_exec: bool,
}

/// Numbers a table has room for at first, as in Linux (`NR_OPEN_DEFAULT`); programs see it through `select`.
const CAPACITY_FIRST: usize = 64;
/// Larger tables have a power of two times this many numbers.
const CAPACITY_STEP: usize = 128;

/// Room for number `index`, in the steps in which Linux grows its tables.
fn capacity_for(index: usize) -> usize {
    match index {
        0..CAPACITY_FIRST => CAPACITY_FIRST,
        _ => (index / CAPACITY_STEP + 1).next_power_of_two() * CAPACITY_STEP,
    }
}

/// Descriptors by number; tasks made with `CLONE_FILES` share one table.
pub struct FdTable {
    /// As many as there is room for.
    slots: Vec<Option<Slot>>,
}

impl Default for FdTable {
    fn default() -> Self {
        Self { slots: vec![None; CAPACITY_FIRST] }
    }
}

impl Clone for FdTable {
    /// The copy has room for what is open only: numbers used earlier are forgotten.
    fn clone(&self) -> Self {
        let last = self.slots.iter().rposition(Option::is_some).unwrap_or(0);
        let mut slots = self.slots[..=last].to_vec();
        slots.resize(capacity_for(last), None);
        Self { slots }
    }
}

impl FdTable {
    /// Numbers there is room for; `select` looks no further.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The file of a descriptor.
    pub fn get(&self, fd: i32) -> Outcome<Rc<OpenFile>> {
        Ok(self.slot(fd)?.file.clone())
    }

    fn slot(&self, fd: i32) -> Outcome<&Slot> {
        let slot = usize::try_from(fd).ok().and_then(|index| self.slots.get(index)?.as_ref());
        slot.ok_or(Errno::EBADF.into())
    }

    fn slot_mut(&mut self, fd: i32) -> Outcome<&mut Slot> {
        let slot = usize::try_from(fd).ok().and_then(|index| self.slots.get_mut(index)?.as_mut());
        slot.ok_or(Errno::EBADF.into())
    }

    /// Whether `execve` closes it.
    pub fn close_on_exec(&self, fd: i32) -> Outcome<bool> {
        Ok(self.slot(fd)?.close_on_exec)
    }

    /// Sets whether `execve` closes it.
    pub fn set_close_on_exec(&mut self, fd: i32, close: bool) -> Outcome<()> {
        self.slot_mut(fd)?.close_on_exec = close;
        Ok(())
    }

    /// Gives a file the lowest free number at or above `min` and below `limit`.
    pub fn add(&mut self, file: Rc<OpenFile>, close_on_exec: bool, min: usize, limit: u64) -> Result<i32, Errno> {
        let free = (min..).find(|index| self.slots.get(*index).is_none_or(Option::is_none));
        let index = free.filter(|index| (*index as u64) < limit).ok_or(Errno::EMFILE)?;
        self.put(index, Slot { file, close_on_exec });
        Ok(index as i32)
    }

    /// Gives a file this very number; returns what had it.
    pub fn replace(&mut self, fd: i32, file: Rc<OpenFile>, close_on_exec: bool) -> Option<Rc<OpenFile>> {
        self.put(usize::try_from(fd).ok()?, Slot { file, close_on_exec }).map(|slot| slot.file)
    }

    fn put(&mut self, index: usize, slot: Slot) -> Option<Slot> {
        if index >= self.slots.len() {
            self.slots.resize(capacity_for(index), None);
        }
        self.slots[index].replace(slot)
    }

    /// Whether a number below `limit` is free.
    pub fn has_room(&self, limit: u64) -> bool {
        (0..limit).any(|fd| self.slots.get(fd as usize).is_none_or(Option::is_none))
    }

    /// Frees a number.
    pub fn remove(&mut self, fd: i32) -> Outcome<Rc<OpenFile>> {
        let slot = usize::try_from(fd).ok().and_then(|index| self.slots.get_mut(index)?.take());
        slot.map(|slot| slot.file).ok_or(Errno::EBADF.into())
    }

    /// Frees all numbers for which `which` (number, close-on-exec) holds.
    pub fn remove_where(&mut self, which: impl Fn(i32, bool) -> bool) -> Vec<Rc<OpenFile>> {
        let mut removed = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.as_ref().is_some_and(|slot| which(index as i32, slot.close_on_exec)) {
                removed.extend(slot.take().map(|slot| slot.file));
            }
        }
        removed
    }

    /// All descriptors, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &Rc<OpenFile>)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| Some((index as i32, &slot.as_ref()?.file)))
    }
}

impl Kernel {
    /// Gives `file` a number in `task`'s table; closes it if there is none left.
    pub fn add_file(&mut self, task: &Rc<Task>, file: Rc<OpenFile>, close_on_exec: bool) -> Outcome<i32> {
        let limit = task.process.limits.borrow().soft(RLIMIT_NOFILE);
        let table = task.fd_table()?;
        let counted = self.count_file(&file);
        let added = counted.and_then(|()| table.borrow_mut().add(file.clone(), close_on_exec, 0, limit));
        match added {
            Ok(fd) => Ok(fd),
            Err(errno) => {
                self.close_file(file);
                Err(errno.into())
            }
        }
    }

    /// Counts a file, unless it is counted already.
    fn count_file(&self, file: &OpenFile) -> Result<(), Errno> {
        if file.counted.get().is_none() {
            let _ = file.counted.set(self.file_count.count()?);
        }
        Ok(())
    }

    /// Whether `task` can have one more file with a number of its own: asked before something is done for one that can't
    /// be undone.
    ///
    /// # Errors
    /// `EMFILE` if the process has too many, `ENFILE` if the machine has.
    pub fn check_room_for_file(&self, task: &Rc<Task>) -> Outcome<()> {
        let limit = task.process.limits.borrow().soft(RLIMIT_NOFILE);
        if !task.fd_table()?.borrow().has_room(limit) {
            return Err(Errno::EMFILE.into());
        }
        self.file_count.check().map_err(Into::into)
    }

    /// `close(2)`.
    pub fn close_fd(&mut self, task: &Rc<Task>, fd: i32) -> Outcome<()> {
        let file = task.fd_table()?.borrow_mut().remove(fd)?;
        self.drop_descriptor(file, task.process.pid);
        Ok(())
    }

    /// A descriptor of `pid` is gone: its record locks on that file end, whatever other descriptors it has.
    pub fn drop_descriptor(&mut self, file: Rc<OpenFile>, pid: Pid) {
        if let Some(queue) = self.locks.release_process(&file.location, pid) {
            self.wake(&queue);
        }
        if let Some(queue) = file.object_as::<QueueFile>() {
            let owner = queue.0.notified.borrow().as_ref().map(|notified| notified.pid);
            if owner == Some(pid) {
                queue.0.forget_notified(self);
            }
        }
        self.close_file(file);
    }

    /// Closes everything in a table nobody else uses.
    pub fn close_table(&mut self, table: Rc<RefCell<FdTable>>, pid: Pid) {
        if let Some(table) = Rc::into_inner(table) {
            for file in table.into_inner().remove_where(|_, _| true) {
                self.drop_descriptor(file, pid);
            }
        }
    }
}
