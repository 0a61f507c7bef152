//! What `wait` tells a tracer.

use std::rc::Rc;

use abi::process::WNOWAIT;
use abi::signal::*;

use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::signal::info::Detail;
use crate::task::reap::{Report, Which};
use crate::task::{ExitStatus, Pid, Process, Task, Tid};

/// A tracee that has ended, and whose tracer has not heard of it.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// The task.
    pub tid: Tid,
    /// Its process's group, by which it may be waited for.
    pub group: Pid,
    /// Its user.
    pub uid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// It was a whole process, whose parent hears of it when the tracer has.
    pub is_process: bool,
}

fn is_wanted(which: Which, tid: Tid, group: Pid) -> bool {
    match which {
        Which::Any => true,
        Which::Process(pid) => pid == tid,
        Which::Group(wanted) => wanted == group,
    }
}

impl Kernel {
    /// Takes what a tracee of `tracer`'s has to report; also whether there is any that could.
    pub(crate) fn wait_for_tracee(
        &mut self,
        tracer: &Rc<Process>,
        which: Which,
        options: u32,
    ) -> (bool, Option<Report>) {
        let ended = tracer.ended_tracees.borrow().iter().position(|ended| is_wanted(which, ended.tid, ended.group));
        if let Some(at) = ended {
            return (true, Some(self.report_ended(tracer, at, options)));
        }
        if self.tracees == 0 {
            return (false, None);
        }
        let mut found = false;
        for task in self.tasks.tasks() {
            let group = task.process.group.get();
            if task.tracer_process() != Some(tracer.pid) || !is_wanted(which, task.tid(), group) {
                continue;
            }
            found = true;
            if let Some(report) = stop_report(&task, options) {
                return (true, Some(report));
            }
        }
        (found, None)
    }

    fn report_ended(&mut self, tracer: &Rc<Process>, at: usize, options: u32) -> Report {
        let ended = tracer.ended_tracees.borrow()[at];
        if options & WNOWAIT == 0 {
            tracer.ended_tracees.borrow_mut().remove(at);
            self.release_ended(&ended);
        }
        let (code, value) = ended.status.child_code();
        let status = ended.status.wait_status();
        Report { pid: ended.tid, uid: ended.uid, code, value, status, cpu_time_ns: 0 }
    }

    /// The tracer has heard of the end of a process, or never will: its parent hears of it now.
    fn release_ended(&mut self, ended: &Ended) {
        let process = self.tasks.process(ended.tid).filter(|process| ended.is_process && process.held_by_tracer.get());
        if let Some(process) = process {
            process.held_by_tracer.set(false);
            self.report_exit(&process, ended.status, ended.uid);
        }
    }

    /// A tracer has ended without hearing of these.
    pub(crate) fn release_all_ended(&mut self, tracer: &Rc<Process>) {
        for ended in tracer.ended_tracees.take() {
            self.release_ended(&ended);
        }
    }

    /// A tracee has ended: its tracer hears of it.
    pub(crate) fn tell_tracer_of_end(&mut self, tracer: Pid, ended: Ended) {
        let Some(tracer) = self.tasks.process(tracer).filter(|tracer| !tracer.is_zombie()) else {
            return self.release_ended(&ended);
        };
        tracer.ended_tracees.borrow_mut().push(ended);
        self.wake(&tracer.child_events);
        if ended.is_process {
            let (code, value) = ended.status.child_code();
            let detail = Detail::Child { pid: ended.tid, uid: ended.uid, status: value };
            self.signal_process(&tracer, SigInfo { signal: SIGCHLD, code, detail });
        }
    }
}

fn stop_report(task: &Rc<Task>, options: u32) -> Option<Report> {
    let code = task.with_trace(|trace| {
        let stop = trace.stop.as_mut().filter(|stop| !stop.reported)?;
        stop.reported = options & WNOWAIT == 0;
        Some(stop.code)
    });
    let code = code.flatten()?;
    Some(Report {
        pid: task.tid(),
        uid: task.credentials().uid,
        code: CLD_TRAPPED,
        value: code,
        status: code << 8 | 0x7f,
        cpu_time_ns: 0,
    })
}
