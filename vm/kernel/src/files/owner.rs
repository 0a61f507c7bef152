//! Whom signals about a file go to, and which: `F_SETOWN`, `F_SETSIG` and their relatives (`fcntl(2)`).
//! When they are sent is in [`super::listeners`], and for `SIGURG` in [`crate::net::inet::stream`].

use std::rc::Rc;

use abi::file::{F_OWNER_PGRP, F_OWNER_PID, F_OWNER_TID};
use abi::{Errno, Reader, Writer};

use super::OpenFile;
use crate::credentials::Credentials;
use crate::kernel::Kernel;
use crate::net::file::SocketFile;
use crate::signal::SigInfo;
use crate::stop::Outcome;
use crate::task::{Pid, Task, Tid};

/// Whom, at most.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Nobody.
    #[default]
    Nobody,
    /// One thread.
    Thread(Tid),
    /// One process.
    Process(Pid),
    /// A process group.
    Group(Pid),
}

/// Whom, on whose behalf, and by which signal.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Ownership {
    /// Whom.
    pub owner: Owner,
    /// User of whoever said so: signals go only where that one may send them.
    uid: u32,
    euid: u32,
    /// `F_SETSIG`; 0 is `SIGIO` without details.
    pub signal: u32,
}

impl Ownership {
    /// Whether signals may go to a task with these credentials (`sigio_perm`).
    fn reaches(self, whom: &Credentials) -> bool {
        self.euid == 0 || [self.uid, self.euid].iter().any(|id| *id == whom.uid || *id == whom.suid)
    }
}

/// Bytes of `struct f_owner_ex`.
const OWNER_BYTES: u64 = 8;

impl Owner {
    /// `F_SETOWN`: a process, or a group if it is negative.
    ///
    /// # Errors
    /// `ESRCH` if there is none, `EINVAL` for the one number that can't be negated.
    pub fn of_number(kernel: &Kernel, number: i32) -> Outcome<Self> {
        let group = number.checked_neg().ok_or(Errno::EINVAL)?;
        if number < 0 { Self::Group(group).living(kernel) } else { Self::Process(number).living(kernel) }
    }

    /// `F_GETOWN`.
    pub fn number(self) -> i32 {
        match self {
            Owner::Nobody => 0,
            Owner::Thread(id) | Owner::Process(id) => id,
            Owner::Group(id) => -id,
        }
    }

    /// `F_SETOWN_EX`.
    pub fn read(kernel: &Kernel, t: &Rc<Task>, addr: u64) -> Outcome<Self> {
        let bytes = t.struct_arg(addr, OWNER_BYTES)?;
        let mut reader = Reader::new(&bytes);
        let (kind, id) = (reader.u32(), reader.i32());
        match kind {
            F_OWNER_TID => Owner::Thread(id).living(kernel),
            F_OWNER_PID => Owner::Process(id).living(kernel),
            F_OWNER_PGRP => Owner::Group(id).living(kernel),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    /// `F_GETOWN_EX`.
    pub fn write(self, t: &Rc<Task>, addr: u64) -> Outcome<()> {
        let (kind, id) = match self {
            Owner::Nobody => (F_OWNER_TID, 0),
            Owner::Thread(id) => (F_OWNER_TID, id),
            Owner::Process(id) => (F_OWNER_PID, id),
            Owner::Group(id) => (F_OWNER_PGRP, id),
        };
        t.mm()?.write_user(addr, &Writer::new().u32(kind).i32(id).finish())
    }

    fn living(self, kernel: &Kernel) -> Outcome<Self> {
        let exists = match self {
            Owner::Nobody | Owner::Thread(0) | Owner::Process(0) | Owner::Group(0) => return Ok(Owner::Nobody),
            Owner::Thread(tid) => kernel.task(tid).is_some(),
            Owner::Process(pid) => kernel.tasks.process(pid).is_some(),
            Owner::Group(group) => !kernel.tasks.group(group).is_empty(),
        };
        if exists { Ok(self) } else { Err(Errno::ESRCH.into()) }
    }
}

impl OpenFile {
    /// Whom signals about it go to from now on, on behalf of `who`.
    pub fn set_owner(&self, who: &Credentials, owner: Owner) {
        self.set_ownership(Ownership { owner, uid: who.uid, euid: who.euid, ..self.ownership.get() });
    }

    /// Which signal its owner gets (`F_SETSIG`).
    pub fn set_signal(&self, signal: u32) {
        self.set_ownership(Ownership { signal, ..self.ownership.get() });
    }

    fn set_ownership(&self, ownership: Ownership) {
        self.ownership.set(ownership);
        if let Some(socket) = self.object_as::<SocketFile>() {
            socket.0.core().ownership.set(ownership);
        }
    }
}

impl Kernel {
    /// Sends a file's owner a signal, to each task or process that it may be sent to. If one can't take any more of that
    /// kind, it gets `instead`.
    pub(crate) fn signal_owner(&mut self, ownership: Ownership, info: &SigInfo, instead: &SigInfo) {
        let processes = match ownership.owner {
            Owner::Nobody => return,
            Owner::Thread(tid) => {
                let Some(task) = self.task(tid) else { return };
                if ownership.reaches(&task.credentials()) {
                    let info = if self.takes(&task.process, info) { info } else { instead };
                    self.signal_task(&task, info.clone());
                }
                return;
            }
            Owner::Process(pid) => self.tasks.process(pid).into_iter().collect(),
            Owner::Group(group) => self.tasks.group(group),
        };
        for process in processes {
            let main = self.tasks.main_thread(&process);
            if main.is_some_and(|main| ownership.reaches(&main.credentials())) {
                let info = if self.takes(&process, info) { info } else { instead };
                self.signal_process(&process, info.clone());
            }
        }
    }
}
