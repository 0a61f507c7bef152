//! Who may look into whom (`ptrace(2)`, "Ptrace access mode checking").

use std::rc::Rc;

use abi::capability::CAP_SYS_PTRACE;

use super::Task;

/// What of itself a task asks with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsksWith {
    /// Its real ids and all it is permitted to: system calls.
    Real,
    /// What it opens files with: `/proc`.
    Files,
}

impl Task {
    /// Whether this task may look into `other` and change it.
    pub fn may_look_into(&self, other: &Task, asks_with: AsksWith) -> bool {
        if Rc::ptr_eq(&self.process, &other.process) {
            return true;
        }
        let (own, theirs) = (self.credentials(), other.credentials());
        let (uid, gid, capabilities) = match asks_with {
            AsksWith::Real => (own.uid, own.gid, own.capabilities.permitted),
            AsksWith::Files => (own.fsuid, own.fsgid, own.capabilities.effective),
        };
        let same_user = [theirs.euid, theirs.suid, theirs.uid].iter().all(|id| *id == uid);
        let same_group = [theirs.egid, theirs.sgid, theirs.gid].iter().all(|id| *id == gid);
        let may_do_more = capabilities.contains(theirs.capabilities.permitted);
        own.has(CAP_SYS_PTRACE) || (same_user && same_group && other.process.dumpable.get() && may_do_more)
    }
}
