//! Ending tasks and processes (`exit(2)`, `exit_group(2)`).

use std::rc::Rc;

use abi::Layout;
use abi::process::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};
use abi::signal::*;

use super::{ExitStatus, Pid, Process, ProcessState, RunState, Task};
use crate::ipc::shm::Attachment;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::signal::SigInfo;
use crate::stop::Outcome;
use crate::trace::report::Ended;

/// Entries of a robust list that are looked at: it may be a loop.
const ROBUST_LIST_MAX: usize = 2048;

impl Kernel {
    /// Ends one thread; with the last one the process ends.
    pub fn exit_task(&mut self, task: &Rc<Task>, status: ExitStatus) {
        let last = task.process.threads.borrow().len() <= 1;
        if last {
            self.exit_process(&task.process, status);
        } else {
            self.end_thread(task, status);
        }
    }

    /// Ends all threads of a process.
    pub fn exit_process(&mut self, process: &Rc<Process>, status: ExitStatus) {
        if process.is_zombie() || process.exiting.get().is_some() {
            return;
        }
        process.exiting.set(Some(status));
        let uid = self.tasks.main_thread(process).map_or(0, |task| task.credentials().uid);
        let tracer = self.task(process.pid).and_then(|leader| leader.tracer_process());
        for thread in self.tasks.threads(process) {
            self.end_thread(&thread, status);
        }
        self.release_all_ended(process);
        self.semaphore_undo(process.pid);
        self.leave_children(process);
        self.leave_session(process);
        process.state.set(ProcessState::Zombie(status));
        process.posix_timers.take();
        self.wake(&process.ended);
        match tracer.filter(|tracer| *tracer != process.parent.get()) {
            Some(tracer) => {
                process.held_by_tracer.set(true);
                let (tid, group) = (process.pid, process.group.get());
                self.tell_tracer_of_end(tracer, Ended { tid, group, uid, status, is_process: true });
            }
            None => self.report_exit(process, status, uid),
        }
    }

    /// Ends one thread, and tells its tracer if it is not its process's first.
    fn end_thread(&mut self, task: &Rc<Task>, status: ExitStatus) {
        let tracer = task.tracer_process().filter(|_| !task.is_leader());
        let uid = task.credentials().uid;
        self.end_task(task);
        if let Some(tracer) = tracer {
            let (tid, group) = (task.tid(), task.process.group.get());
            self.tell_tracer_of_end(tracer, Ended { tid, group, uid, status, is_process: false });
        }
    }

    /// Ends one thread, whatever it is doing.
    pub(crate) fn end_task(&mut self, task: &Rc<Task>) {
        self.leave_queues(task);
        if task.trace.take().is_some() {
            self.tracees -= 1;
        }
        self.end_traces_by(task);
        self.futex_cancel(task);
        self.semaphore_cancel(task);
        self.release_futexes(task);
        task.run_state.set(RunState::Dead);
        task.call.take();
        self.drop_mm(task);
        if let Some(files) = task.files.take() {
            self.close_table(files, task.process.pid);
        }
        let process = &task.process;
        process.ended_cpu_time_ns.set(process.ended_cpu_time_ns.get() + task.cpu_time_ns.get());
        self.tasks.remove_task(task.tid());
    }

    /// Lets go of a task's memory, and of a `vfork` parent that waits for that.
    pub fn drop_mm(&mut self, task: &Rc<Task>) {
        if let Some(mm) = task.mm.take() {
            let pages = mm.space.borrow().present_pages();
            task.process.peak_pages.set(task.process.peak_pages.get().max(pages));
            self.release_mm(mm);
        }
        task.vfork_pending.set(false);
        self.wake(&task.vfork_done);
    }

    /// Gives an address space back if nobody else uses it.
    pub fn release_mm(&mut self, mm: Rc<Mm>) {
        if Rc::strong_count(&mm) > 1 {
            return;
        }
        let user = self.tasks.current().map_or(0, |task| task.process.pid);
        self.note_attachments(&mm, user, Attachment::Ends);
        let id = mm.space.borrow().id();
        self.dead_spaces.push(id);
        self.aio.retain(|(space, _), _| *space != id);
        if let Some(host) = mm.into_host() {
            self.pool.give_back(host);
        }
        self.sweep_segments();
        // What can't be written now is tried again when the disk has news.
        let _ = self.shared.write_back();
    }

    /// Tells others that this thread is gone, in the ways it asked for (`set_tid_address`, `set_robust_list`).
    pub(crate) fn release_futexes(&mut self, task: &Rc<Task>) {
        let Ok(mm) = task.mm() else { return };
        for layout in [Layout::X86_64, Layout::I386] {
            let head = task.robust_list(layout).replace(0);
            if head != 0 {
                // A bad list is the program's own problem.
                let _ = self.walk_robust_list(task, &mm, head, layout);
            }
        }
        let word = task.clear_child_tid.replace(0);
        self.hand_over_locks_of(task.tid());
        if word != 0 && mm.write_u32(word, 0).is_ok() {
            self.futex_wake_one(&mm, word);
        }
    }

    fn walk_robust_list(&mut self, task: &Rc<Task>, mm: &Rc<Mm>, head: u64, layout: Layout) -> Outcome<()> {
        let word = |addr: u64| if layout.is_32() { mm.read_u32(addr).map(u64::from) } else { mm.read_u64(addr) };
        // Where a futex is from its list entry on: a signed distance.
        let offset = match layout.is_32() {
            true => word(head.wrapping_add(4))? as i32 as u64,
            false => word(head.wrapping_add(8))?,
        };
        let pending = word(head.wrapping_add(2 * layout.word_bytes))?;
        let mut entry = word(head)?;
        for _ in 0..ROBUST_LIST_MAX {
            if entry & !1 == head {
                break;
            }
            let next = word(entry & !1)?;
            if entry & !1 != pending & !1 {
                self.release_robust(task, mm, entry, offset, false)?;
            }
            entry = next;
        }
        if pending != 0 {
            self.release_robust(task, mm, pending, offset, true)?;
        }
        Ok(())
    }

    /// Marks a futex of a task that has ended. The lowest bit of its list entry says that it is a lock which the kernel
    /// hands over.
    fn release_robust(&mut self, task: &Rc<Task>, mm: &Rc<Mm>, entry: u64, offset: u64, pending: bool) -> Outcome<()> {
        let word = (entry & !1).wrapping_add(offset);
        let is_handed_over = entry & 1 != 0;
        let value = mm.read_u32(word)?;
        // It was just given back, and nobody woken yet.
        if pending && !is_handed_over && value & FUTEX_TID_MASK == 0 {
            self.futex_wake_one(mm, word);
        }
        if value & FUTEX_TID_MASK != task.tid() as u32 {
            return Ok(());
        }
        mm.write_u32(word, value & FUTEX_WAITERS | FUTEX_OWNER_DIED)?;
        if value & FUTEX_WAITERS != 0 && !is_handed_over {
            self.futex_wake_one(mm, word);
        }
        Ok(())
    }

    /// Hands children to the nearest subreaper, or to the kernel.
    fn leave_children(&mut self, process: &Rc<Process>) {
        let heir = self.heir_of(process);
        for pid in process.children.take() {
            let Some(child) = self.tasks.process(pid) else { continue };
            let old_group = child.group.get();
            let was_orphaned = self.is_orphaned_group(old_group);
            child.parent.set(heir.as_ref().map_or(0, |heir| heir.pid));
            child.exit_signal.set(SIGCHLD);
            match &heir {
                Some(heir) => {
                    heir.children.borrow_mut().push(pid);
                    if child.is_zombie() {
                        self.wake(&heir.child_events);
                    }
                }
                None if child.is_zombie() => {
                    self.forget_process(pid);
                    self.wake(&child.ended);
                }
                None => {}
            }
            self.signal_parent_death(&child);
            self.hang_up_if_orphaned(old_group, was_orphaned);
        }
    }

    /// Who adopts the children of `process`; with `None` the kernel itself does, and reaps them at once.
    fn heir_of(&self, process: &Rc<Process>) -> Option<Rc<Process>> {
        let mut at = self.tasks.process(process.parent.get());
        while let Some(ancestor) = at {
            if ancestor.is_subreaper.get() && !ancestor.is_zombie() {
                return Some(ancestor);
            }
            at = self.tasks.process(ancestor.parent.get());
        }
        None
    }

    fn signal_parent_death(&mut self, child: &Rc<Process>) {
        for thread in self.tasks.threads(child) {
            let signal = thread.parent_death_signal.get();
            if signal != 0 {
                self.signal_task(&thread, SigInfo::kernel(signal));
            }
        }
    }

    /// A stopped group that nobody can continue any more gets `SIGHUP` and `SIGCONT`.
    fn hang_up_if_orphaned(&mut self, group: Pid, was_orphaned: bool) {
        let stopped = self.tasks.group(group).iter().any(|process| process.is_stopped());
        if !was_orphaned && stopped && self.is_orphaned_group(group) {
            self.signal_group(group, &SigInfo::kernel(SIGHUP));
            self.signal_group(group, &SigInfo::kernel(SIGCONT));
        }
    }

    /// A session leader takes its controlling terminal away from the session.
    fn leave_session(&mut self, process: &Rc<Process>) {
        if process.session.get() == process.pid {
            self.give_up_tty(process, true);
        }
        process.tty.take();
    }

    /// Tells a process's parent that it has ended.
    pub(crate) fn report_exit(&mut self, process: &Rc<Process>, status: ExitStatus, uid: u32) {
        let parent = self.tasks.process(process.parent.get());
        let Some(parent) = parent else {
            self.hosted_exit(process.pid, status);
            self.forget_process(process.pid);
            self.wake(&process.ended);
            return;
        };
        let (code, value) = status.child_code();
        let action = parent.actions().borrow().get(SIGCHLD);
        let unwanted = action.handler == SIG_IGN || action.flags & SA_NOCLDWAIT != 0;
        let auto_reap = process.exit_signal.get() == SIGCHLD && unwanted;
        let detail = crate::signal::info::Detail::Child { pid: process.pid, uid, status: value };
        let signal = process.exit_signal.get();
        if crate::signal::valid_signal(signal) {
            self.signal_process(&parent, SigInfo { signal, code, detail });
        }
        if auto_reap {
            self.forget_child(&parent, process);
        }
        self.wake(&parent.child_events);
    }

    /// Forgets a process that has been waited for, and what was mounted on what `/proc` said of it.
    pub(crate) fn forget_process(&self, pid: Pid) {
        self.tasks.remove_process(pid);
        self.vfs.unmount_gone();
    }

    /// Removes a zombie, adding its times to its parent's.
    pub(super) fn forget_child(&mut self, parent: &Rc<Process>, child: &Rc<Process>) {
        let times = child.ended_cpu_time_ns.get() + child.children_cpu_time_ns.get();
        parent.children_cpu_time_ns.set(parent.children_cpu_time_ns.get() + times);
        parent.children.borrow_mut().retain(|pid| *pid != child.pid);
        self.forget_process(child.pid);
        self.wake(&child.ended);
    }
}
