//! Whom signals about a file go to: `F_SETOWN` and its relatives (`fcntl(2)`).
//!
//! Only `SIGURG` is sent; a program that asks for `SIGIO` (`O_ASYNC`) gets none.

use std::rc::Rc;

use abi::file::{F_OWNER_PGRP, F_OWNER_PID, F_OWNER_TID};
use abi::signal::SIGURG;
use abi::{Errno, Reader, Writer};

use super::OpenFile;
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
    /// Whom signals about it go to from now on.
    pub fn set_owner(&self, owner: Owner) {
        self.owner.set(owner);
        if let Some(socket) = self.object_as::<SocketFile>() {
            socket.0.core().owner.set(owner);
        }
    }
}

impl Kernel {
    /// Tells a socket's owner that urgent data has come (`socket(7)`, `SIGURG`).
    pub(crate) fn signal_urgent(&mut self, owner: Owner) {
        let info = SigInfo::kernel(SIGURG);
        match owner {
            Owner::Nobody => {}
            Owner::Thread(tid) => {
                if let Some(task) = self.task(tid) {
                    self.signal_task(&task, info);
                }
            }
            Owner::Process(pid) => {
                if let Some(process) = self.tasks.process(pid) {
                    self.signal_process(&process, info);
                }
            }
            Owner::Group(group) => self.signal_group(group, &info),
        }
    }
}
