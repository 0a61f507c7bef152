//! Waiting for children (`wait4(2)`, `waitid(2)`).

use std::rc::Rc;

use abi::Errno;
use abi::process::{WCONTINUED, WEXITED, WNOHANG, WNOWAIT, WSTOPPED};
use abi::signal::*;

use super::{Pid, Process, ProcessState, Task};
use crate::kernel::Kernel;
use crate::stop::Outcome;

/// Which children a call waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// Any.
    Any,
    /// This one.
    Process(Pid),
    /// Those of this group.
    Group(Pid),
}

/// What a child had to report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// The child.
    pub pid: Pid,
    /// Its user.
    pub uid: u32,
    /// What happened: `CLD_*`.
    pub code: i32,
    /// Exit code or signal.
    pub value: u32,
    /// The status word of `wait(2)`.
    pub status: u32,
    /// Its time on the processor, and that of its own children.
    pub cpu_time_ns: u64,
}

impl Kernel {
    /// Takes what a child of `task` has to report. `options` are those of `waitid`. `None`: nothing yet (`WNOHANG`).
    pub fn wait_for_child(&mut self, task: &Rc<Task>, which: Which, options: u32) -> Outcome<Option<Report>> {
        let parent = &task.process;
        let children: Vec<Pid> = parent.children.borrow().clone();
        let wanted = |child: &Rc<Process>| match which {
            Which::Any => true,
            Which::Process(pid) => child.pid == pid,
            Which::Group(group) => child.group.get() == group,
        };
        let (mut found, report) = self.wait_for_tracee(parent, which, options);
        if report.is_some() {
            return Ok(report);
        }
        for child in children.iter().filter_map(|pid| self.tasks.process(*pid)).filter(wanted) {
            found = true;
            // What a tracer is told, or is yet to be told, is not also the parent's.
            let by_parent = self.task(child.pid).and_then(|task| task.tracer_process()) == Some(parent.pid);
            if child.held_by_tracer.get() || (by_parent && child.is_stopped()) {
                continue;
            }
            if let Some((code, value, status)) = state_change(&child, options) {
                let cpu_time_ns = child.ended_cpu_time_ns.get() + child.children_cpu_time_ns.get();
                let uid = self.tasks.main_thread(&child).map_or(0, |main| main.credentials().uid);
                if options & WNOWAIT == 0 {
                    self.take_report(parent, &child);
                }
                return Ok(Some(Report { pid: child.pid, uid, code, value, status, cpu_time_ns }));
            }
        }
        match (found, options & WNOHANG != 0) {
            (false, _) => Err(Errno::ECHILD.into()),
            (true, true) => Ok(None),
            (true, false) => Err(parent.child_events.stop()),
        }
    }

    fn take_report(&mut self, parent: &Rc<Process>, child: &Rc<Process>) {
        match child.state.get() {
            ProcessState::Zombie(_) => self.forget_child(parent, child),
            ProcessState::Stopped(_) => child.stop_unreported.set(false),
            ProcessState::Running => child.continue_unreported.set(false),
        }
    }
}

/// What a child has to report: `CLD_*` code, value, status word.
fn state_change(child: &Process, options: u32) -> Option<(i32, u32, u32)> {
    match child.state.get() {
        ProcessState::Zombie(status) if options & WEXITED != 0 => {
            let (code, value) = status.child_code();
            Some((code, value, status.wait_status()))
        }
        ProcessState::Stopped(signal) if options & WSTOPPED != 0 && child.stop_unreported.get() => {
            Some((CLD_STOPPED, signal, signal << 8 | 0x7f))
        }
        ProcessState::Running if options & WCONTINUED != 0 && child.continue_unreported.get() => {
            Some((CLD_CONTINUED, SIGCONT, 0xffff))
        }
        _ => None,
    }
}
