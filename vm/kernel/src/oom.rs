//! What happens when memory runs out: the process that has most of it is killed, and the log says so.
//!
//! Programs may map far more than there is (most never touch it all), so `mmap` can't refuse in time. There are three ends:
//! all guest memory is used, a process has filled its own 4 GiB, or the kernel layer holds too much for programs itself.

use std::collections::BTreeMap;
use std::rc::Rc;

use abi::signal::SIGKILL;
use memory::{AddressSpace, PAGE_SIZE, SpaceId};

use crate::kernel::Kernel;
use crate::log::level;
use crate::mm::Mm;
use crate::signal::SigInfo;
use crate::task::{Process, Task};

/// Guest memory of all processes together, unless the host says otherwise: what a browser tab can be expected to have
/// beside the engine and its caches. `/proc/meminfo` tells programs the same.
pub const MEMORY_LIMIT_BYTES: u64 = 4 << 30;
/// What the kernel layer may take for itself, of the 4 GiB that WebAssembly has at most: what waits in pipes and sockets, shared
/// memory that nobody has mapped now. One call may take much more at a time.
const HEAP_LIMIT_BYTES: u64 = 3 << 30;
/// How often memory in use is counted at least.
const LOOK_EVERY_TURNS: u64 = 64;
/// How much a process's own `oom_score_adj` of 1000 weighs, in thousandths of all memory.
const ADJUSTMENT_UNITS: i64 = 1000;

impl Kernel {
    /// Sets how much guest memory there is.
    pub fn set_memory_limit(&mut self, bytes: u64) {
        self.memory_limit_bytes = bytes;
    }

    /// Bytes of guest memory in use.
    pub fn used_memory_bytes(&self) -> u64 {
        self.sum_over_spaces(AddressSpace::used_bytes)
    }

    fn sum_over_spaces(&self, bytes: impl Fn(&AddressSpace) -> u64) -> u64 {
        let spaces: BTreeMap<SpaceId, Rc<Mm>> = self
            .tasks
            .tasks()
            .iter()
            .filter_map(|task| task.mm().ok())
            .map(|mm| (mm.space.borrow().id(), mm.clone()))
            .collect();
        spaces.values().map(|mm| bytes(&mm.space.borrow())).sum()
    }

    /// Whether programs have more memory than there is.
    fn is_over_limit(&self) -> bool {
        // What spaces have in common that are swapped out is counted only if it may matter: that takes longer.
        let at_most = self.sum_over_spaces(|space| u64::from(space.present_pages()) * PAGE_SIZE);
        at_most > self.memory_limit_bytes && self.used_memory_bytes() > self.memory_limit_bytes
    }

    /// Kills a process if more memory is in use than there is.
    pub(crate) fn check_memory(&mut self, task: &Rc<Task>) {
        if task.mm().is_ok_and(|mm| mm.is_full.take()) {
            return self.kill_for_memory(&task.process);
        }
        // System calls bring pages in too, without a fault that would be seen here.
        let due = std::mem::take(&mut self.faulted) || self.context_switches.is_multiple_of(LOOK_EVERY_TURNS);
        let guests_over = due && self.is_over_limit();
        if !guests_over && self.host.heap_bytes() <= HEAP_LIMIT_BYTES {
            return;
        }
        let processes = self.tasks.processes();
        let victims = processes.iter().filter_map(|process| Some((self.badness(process)?, process)));
        let worst = victims.max_by_key(|(badness, _)| *badness).map(|(_, process)| process);
        // One that is dying will have given back what it has before another must.
        if let Some(process) = worst.filter(|_| !processes.iter().any(|process| self.is_giving_back(process))) {
            self.kill_for_memory(process);
        }
    }

    /// Kills a process that has too much memory, and says so.
    pub(crate) fn kill_for_memory(&mut self, process: &Rc<Process>) {
        if process.is_zombie() || self.is_giving_back(process) {
            return;
        }
        let name = self.tasks.main_thread(process).map(|task| task.name.borrow().clone()).unwrap_or_default();
        let line = self.obituary(process, &String::from_utf8_lossy(&name));
        self.say(level::ERROR, line);
        self.signal_process(process, SigInfo::kernel(SIGKILL));
    }

    /// What is said of a process that is killed, in Linux's words.
    fn obituary(&self, process: &Rc<Process>, name: &str) -> String {
        let (mut mapped, mut anonymous, mut uid) = (0, 0, 0);
        if let Some(task) = self.tasks.main_thread(process) {
            uid = task.credentials().uid;
            if let Ok(mm) = task.mm() {
                mapped = mm.mapped_bytes();
                anonymous = u64::from(mm.space.borrow().present_pages()) * PAGE_SIZE;
            }
        }
        format!(
            "Out of memory: Killed process {} ({name}) total-vm:{}kB, anon-rss:{}kB, file-rss:0kB, shmem-rss:0kB, \
             UID:{uid} pgtables:0kB oom_score_adj:{}",
            process.pid,
            mapped / 1024,
            anonymous / 1024,
            process.oom_score_adjustment.get()
        )
    }

    /// `/proc/PID/oom_score`: Linux's, from 0 to 2000.
    pub fn oom_score(&self, process: &Rc<Process>) -> i64 {
        let share = |pages: i64| (1000 + pages * 1000 / self.all_pages()) * 2 / 3;
        self.badness(process).map_or(0, share)
    }

    fn all_pages(&self) -> i64 {
        (self.memory_limit_bytes / PAGE_SIZE).max(1) as i64
    }

    /// Whether a process is about to die, and has memory yet.
    fn is_giving_back(&self, process: &Rc<Process>) -> bool {
        let is_dying = process.pending.borrow().set().has(SIGKILL) || process.exiting.get().is_some();
        is_dying && !process.is_zombie()
    }

    /// How good a victim a process is: its pages, shifted by `oom_score_adj`; `None` if it is not one at all.
    fn badness(&self, process: &Rc<Process>) -> Option<i64> {
        let adjustment = i64::from(process.oom_score_adjustment.get());
        if process.is_zombie() || self.is_giving_back(process) || adjustment <= -ADJUSTMENT_UNITS {
            return None;
        }
        let task = self.tasks.main_thread(process)?;
        let mm = task.mm().ok()?;
        let shared: u64 = mm.shared_objects().iter().map(|object| object.kept_pages()).sum();
        let fd_table = task.fd_table().ok();
        let held_bytes: usize =
            fd_table.map_or(0, |table| table.borrow().iter().map(|(_, file)| file.object.held_bytes()).sum());
        let pages = u64::from(mm.space.borrow().present_pages()) + shared + held_bytes as u64 / PAGE_SIZE;
        Some(pages as i64 + self.all_pages() / ADJUSTMENT_UNITS * adjustment)
    }
}
