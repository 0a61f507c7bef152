//! What happens when memory runs out: the process that has most of it is killed, and the log says so.
//!
//! Programs may map far more than there is (most never touch it all), so `mmap` can't refuse in time.

use std::rc::Rc;

use abi::signal::SIGKILL;
use memory::{PAGE_SIZE, SpaceId};

use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::task::Process;

/// Guest memory of all processes together, unless the host says otherwise: what a browser tab can be expected to have
/// beside the engine and its caches. `/proc/meminfo` tells programs the same.
pub const MEMORY_LIMIT_BYTES: u64 = 4 << 30;
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
        let mut spaces: Vec<(SpaceId, u64)> = Vec::new();
        for mm in self.tasks.tasks().iter().filter_map(|task| task.mm().ok()) {
            let space = mm.space.borrow();
            spaces.push((space.id(), u64::from(space.present_pages()) * PAGE_SIZE));
        }
        spaces.sort_unstable();
        spaces.dedup();
        spaces.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Kills a process if more memory is in use than there is.
    pub(crate) fn check_memory(&mut self) {
        // System calls bring pages in too, without a fault that would be seen here.
        let due = std::mem::take(&mut self.faulted) || self.context_switches.is_multiple_of(LOOK_EVERY_TURNS);
        if !due || self.used_memory_bytes() <= self.memory_limit_bytes {
            return;
        }
        let processes = self.tasks.processes();
        let worst = processes.iter().filter(|process| !process.is_zombie()).max_by_key(|process| self.badness(process));
        if let Some(process) = worst {
            let name = self.tasks.main_thread(process).map(|task| task.name.borrow().clone()).unwrap_or_default();
            let line = self.obituary(process, &String::from_utf8_lossy(&name));
            self.say(line);
            self.signal_process(process, SigInfo::kernel(SIGKILL));
        }
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

    /// How good a victim a process is: its memory, shifted by `oom_score_adj`; one that is already dying is not.
    fn badness(&self, process: &Rc<Process>) -> i64 {
        let adjustment = i64::from(process.oom_score_adjustment.get());
        let main = self.tasks.main_thread(process);
        let dying = process.pending.borrow().set().has(SIGKILL);
        let Some(mm) = main.and_then(|task| task.mm().ok()).filter(|_| !dying && adjustment > -ADJUSTMENT_UNITS) else {
            return i64::MIN;
        };
        let pages = i64::from(mm.space.borrow().present_pages());
        let all_pages = (self.memory_limit_bytes / PAGE_SIZE) as i64;
        pages.saturating_add(all_pages / ADJUSTMENT_UNITS * adjustment)
    }
}
