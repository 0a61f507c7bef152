//! Making tasks (`clone(2)`, `fork(2)`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use abi::Errno;
use abi::process::*;
use cpu::{CpuState, reg};

use super::{Process, RunState, Task, Tid};
use crate::ipc::shm::Attachment;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::signal::{Actions, AltStack};
use crate::stop::Outcome;
use crate::syscall::thread_area::UserDesc;
use crate::wait::WaitQueue;

/// What `clone` is asked for.
#[derive(Clone, Copy, Default, Debug)]
pub struct CloneArgs {
    /// `CLONE_*`, without the exit signal.
    pub flags: u64,
    /// Signal to the parent when the child ends.
    pub exit_signal: u32,
    /// Top of the child's stack; 0 is the parent's.
    pub stack: u64,
    /// Where the parent finds the child's number.
    pub parent_tid: u64,
    /// Where the child finds it, and what is cleared when it ends.
    pub child_tid: u64,
    /// Thread-local storage.
    pub tls: u64,
    /// Where the parent finds a descriptor of the child (`CLONE_PIDFD`).
    pub pidfd: u64,
}

/// Namespaces are refused as an unprivileged process is refused them.
pub const NAMESPACES: u64 =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

impl CloneArgs {
    /// Refuses what contradicts itself, or can't be done.
    fn check(&self) -> Result<(), Errno> {
        let has = |flag: u64| self.flags & flag != 0;
        let broken = (has(CLONE_SIGHAND) && !has(CLONE_VM))
            || (has(CLONE_THREAD) && !has(CLONE_SIGHAND))
            || (has(CLONE_FS) && has(CLONE_NEWNS))
            || (has(CLONE_SIGHAND) && has(CLONE_CLEAR_SIGHAND));
        if broken
            || (has(CLONE_PIDFD) && (has(CLONE_DETACHED) || self.pidfd == self.parent_tid && has(CLONE_PARENT_SETTID)))
        {
            return Err(Errno::EINVAL);
        }
        if has(NAMESPACES) { Err(Errno::EPERM) } else { Ok(()) }
    }
}

impl Kernel {
    /// Makes a copy of `parent` that shares with it what `args` says. It is ready to run on return.
    pub fn clone_task(&mut self, parent: &Rc<Task>, args: &CloneArgs) -> Outcome<Rc<Task>> {
        args.check()?;
        let has = |flag: u64| args.flags & flag != 0;
        let limit = parent.process.limits.borrow().soft(RLIMIT_NPROC);
        let uid = parent.credentials().uid;
        // Root is not bound by it (`setrlimit(2)`).
        if uid != 0 && self.tasks.count_of(uid) >= limit {
            return Err(Errno::EAGAIN.into());
        }
        let tid = self.tasks.free_number().ok_or(Errno::EAGAIN)?;
        let parent_mm = parent.mm()?;
        let by_descriptor = has(CLONE_SETTLS) && parent.layout().is_32();
        let thread_area = if by_descriptor { Some(UserDesc::read(parent, args.tls)?) } else { None };
        if has(CLONE_PARENT_SETTID) {
            parent_mm.write_u32(args.parent_tid, tid as u32)?;
        }
        let mm = if has(CLONE_VM) { parent_mm } else { self.fork_mm(&parent_mm)? };
        if has(CLONE_CHILD_SETTID)
            && let Err(stop) = mm.write_u32(args.child_tid, tid as u32)
        {
            self.release_mm(mm);
            return Err(stop);
        }
        let process = if has(CLONE_THREAD) { parent.process.clone() } else { self.child_process(parent, tid, args) };
        let mut cpu = parent.cpu.borrow().clone();
        cpu.set_gpr(reg::RAX, 0);
        if args.stack != 0 {
            cpu.set_gpr(reg::RSP, args.stack);
        }
        match thread_area {
            Some(area) => area.install(&mut cpu)?,
            None if has(CLONE_SETTLS) => cpu.set_fs_base(args.tls),
            None => {}
        }
        let task = Rc::new(copy_task(parent, tid, process, cpu, mm, args));
        self.tasks.add(&task);
        self.make_ready(&task);
        Ok(task)
    }

    fn fork_mm(&mut self, parent: &Rc<Mm>) -> Outcome<Rc<Mm>> {
        let host = self.allocate_memory()?;
        let child = parent.fork(host);
        self.note_run(&child);
        let parent_id = parent.space.borrow().id();
        self.forked_spaces.push((parent_id, Rc::downgrade(&child)));
        let user = self.tasks.current().map_or(0, |task| task.process.pid);
        self.note_attachments(&child, user, Attachment::Begins);
        Ok(child)
    }

    fn child_process(&mut self, parent: &Rc<Task>, pid: Tid, args: &CloneArgs) -> Rc<Process> {
        let of = &parent.process;
        let real_parent = if args.flags & CLONE_PARENT != 0 { of.parent.get() } else { of.pid };
        let process = Process::new(pid, real_parent, self.host.monotonic_ns());
        process.group.set(of.group.get());
        process.session.set(of.session.get());
        // A parent that did not ask for this child is not surprised by its signal.
        process.exit_signal.set(if args.flags & CLONE_PARENT != 0 { of.exit_signal.get() } else { args.exit_signal });
        process.limits.borrow_mut().clone_from(&of.limits.borrow());
        process.tty.borrow_mut().clone_from(&of.tty.borrow());
        process.dumpable.set(of.dumpable.get());
        process.nice.set(of.nice.get());
        process.personality.set(of.personality.get());
        process.no_huge_pages.set(of.no_huge_pages.get());
        process.oom_score_adjustment.set(of.oom_score_adjustment.get());
        process.oom_score_adjustment_min.set(of.oom_score_adjustment_min.get());
        process.login.set(of.login.get());
        *process.actions.borrow_mut() = match args.flags {
            flags if flags & CLONE_SIGHAND != 0 => of.actions(),
            flags => {
                let mut actions: Actions = of.actions().borrow().clone();
                if flags & CLONE_CLEAR_SIGHAND != 0 {
                    actions.reset_handlers();
                }
                Rc::new(RefCell::new(actions))
            }
        };
        if let Some(adopter) = self.tasks.process(real_parent) {
            adopter.children.borrow_mut().push(pid);
        }
        Rc::new(process)
    }
}

fn copy_task(parent: &Rc<Task>, tid: Tid, process: Rc<Process>, cpu: CpuState, mm: Rc<Mm>, args: &CloneArgs) -> Task {
    let has = |flag: u64| args.flags & flag != 0;
    let files = parent.files.borrow().as_ref().map(|files| match has(CLONE_FILES) {
        true => files.clone(),
        false => Rc::new(RefCell::new(files.borrow().clone())),
    });
    let fs = parent.fs.borrow().clone();
    let fs = if has(CLONE_FS) { fs } else { Rc::new(RefCell::new(fs.borrow().clone())) };
    // A task that shares its parent's memory but not its stack must not use its parent's signal stack.
    let keeps_alt_stack = !has(CLONE_VM) || has(CLONE_VFORK);
    Task {
        number: Cell::new(tid),
        process,
        cpu: RefCell::new(cpu),
        run_state: Cell::new(RunState::Sleeping),
        call: RefCell::default(),
        waiting_on: RefCell::default(),
        sleep_count: Cell::new(0),
        mm: RefCell::new(Some(mm)),
        files: RefCell::new(files),
        fs: RefCell::new(fs),
        credentials: RefCell::new(parent.credentials()),
        blocked: parent.blocked.clone(),
        saved_blocked: Cell::new(None),
        pending: RefCell::default(),
        alt_stack: Cell::new(if keeps_alt_stack { parent.alt_stack.get() } else { AltStack::default() }),
        name: parent.name.clone(),
        clear_child_tid: Cell::new(if has(CLONE_CHILD_CLEARTID) { args.child_tid } else { 0 }),
        robust_lists: Default::default(),
        vfork_done: WaitQueue::default(),
        vfork_pending: Cell::new(has(CLONE_VFORK)),
        cpu_time_ns: Cell::new(0),
        futex: RefCell::default(),
        parent_death_signal: Cell::new(0),
        no_new_privileges: parent.no_new_privileges.clone(),
        remarks: parent.remarks.inherited(),
        scheduling: parent.scheduling.clone(),
        seccomp: parent.seccomp.clone(),
        io_priority: parent.io_priority.clone(),
        memory_policy: parent.memory_policy.clone(),
        trace: RefCell::default(),
        call_number: Cell::default(),
        call_abi: Cell::default(),
        interrupted: Cell::default(),
    }
}
