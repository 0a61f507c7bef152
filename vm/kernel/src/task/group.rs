//! Process groups and sessions (`setpgid(2)`, `setsid(2)`).

use std::rc::Rc;

use abi::Errno;

use super::{Pid, Process, Task};
use crate::kernel::Kernel;
use crate::stop::Outcome;

impl Kernel {
    /// `setpgid(2)`; zeroes stand for the caller and the target.
    pub fn set_process_group(&mut self, task: &Rc<Task>, pid: Pid, group: Pid) -> Outcome<()> {
        let own = &task.process;
        let target = match pid {
            0 => own.clone(),
            pid => self.tasks.process(pid).ok_or(Errno::ESRCH)?,
        };
        let group = if group == 0 { target.pid } else { group };
        if group < 0 {
            return Err(Errno::EINVAL.into());
        }
        let is_child = target.parent.get() == own.pid;
        if !Rc::ptr_eq(&target, own) && !is_child {
            return Err(Errno::ESRCH.into());
        }
        if is_child && target.session.get() != own.session.get() {
            return Err(Errno::EPERM.into());
        }
        if is_child && target.has_executed.get() {
            return Err(Errno::EACCES.into());
        }
        let is_leader = target.session.get() == target.pid;
        if is_leader || (group != target.pid && !self.tasks.session_has_group(own.session.get(), group)) {
            return Err(Errno::EPERM.into());
        }
        target.group.set(group);
        Ok(())
    }

    /// `setsid(2)`.
    pub fn start_session(&mut self, process: &Rc<Process>) -> Outcome<Pid> {
        let taken = self.tasks.processes().iter().any(|other| other.group.get() == process.pid);
        if taken {
            return Err(Errno::EPERM.into());
        }
        process.session.set(process.pid);
        process.group.set(process.pid);
        process.tty.take();
        Ok(process.pid)
    }
}
