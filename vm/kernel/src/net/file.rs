//! Sockets as files.

use std::rc::Rc;

use abi::socket::*;
use abi::tty::FIONREAD;

use super::inbox::PeerCredentials;
use super::unix::Owner;
use super::{Outgoing, Socket, interface};
use crate::files::{FileObject, Listeners, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::stop::{Outcome, Stop, Wait};
use crate::task::{Restart, Task};

/// A descriptor of a socket.
pub struct SocketFile(pub Rc<dyn Socket>);

/// Who a task is to the peers of sockets that it makes.
pub fn owner(task: &Rc<Task>) -> Owner {
    let who = task.credentials();
    let credentials = PeerCredentials { pid: task.process.pid, uid: who.euid, gid: who.egid };
    Owner { credentials, groups: who.groups.as_slice().into() }
}

/// Who a task is to those that it sends to, unless it says so itself: its real ids count.
pub fn sender_credentials(task: &Rc<Task>) -> PeerCredentials {
    let who = task.credentials();
    PeerCredentials { pid: task.process.pid, uid: who.uid, gid: who.gid }
}

/// Ends a wait that has taken as long as an option allows (`SO_RCVTIMEO`, `SO_SNDTIMEO`), with `errno`. A call with a
/// timeout is not made again after a signal (`signal(7)`).
pub fn within_timeout<T>(
    kernel: &Kernel,
    task: &Rc<Task>,
    timeout_ns: Option<u64>,
    errno: abi::Errno,
    outcome: Outcome<T>,
) -> Outcome<T> {
    let (Err(Stop::Wait(Wait::On(_))), Some(timeout_ns)) = (&outcome, timeout_ns) else { return outcome };
    kernel.set_timeout(task, Some(timeout_ns));
    task.with_call(|call| call.restart = Restart::Never);
    if kernel.deadline_passed(task) { Err(errno.into()) } else { outcome }
}

impl FileObject for SocketFile {
    fn read(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        let task = kernel.current()?;
        if to.is_empty() {
            return Ok(0);
        }
        let received = self.0.receive(kernel, to.len(), 0);
        let timeout_ns = self.0.core().options.receive_timeout_ns.get();
        let received = within_timeout(kernel, &task, timeout_ns, abi::Errno::EAGAIN, received)?;
        to[..received.bytes.len()].copy_from_slice(&received.bytes);
        received.attached.files.into_iter().for_each(|file| kernel.close_file(file));
        Ok(received.bytes.len())
    }

    fn write(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, from: &[u8]) -> Outcome<usize> {
        let task = kernel.current()?;
        let mut out = Outgoing {
            to: None,
            bytes: from.to_vec(),
            files: Vec::new(),
            sender: sender_credentials(&task),
            control: Vec::new(),
            flags: 0,
        };
        let sent = self.0.clone().send(kernel, &task, &mut out);
        let timeout_ns = self.0.core().options.send_timeout_ns.get();
        within_timeout(kernel, &task, timeout_ns, abi::Errno::EAGAIN, sent)
    }

    fn can_refuse_to_wait(&self) -> bool {
        true
    }

    fn poll(&self, _kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let core = self.0.core();
        let readiness = Readiness::on(&core.arrivals, self.0.readiness());
        let readiness = match self.0.own_room() {
            Some(room) => readiness.and(room),
            None => readiness,
        };
        match self.0.receiver() {
            Some(receiver) => readiness.and(&receiver.core().room),
            None => readiness,
        }
    }

    fn listeners(&self, _file: &OpenFile) -> Option<Vec<&Listeners>> {
        Some(vec![&self.0.core().listeners])
    }

    fn ioctl(&self, kernel: &mut Kernel, task: &Rc<Task>, _file: &OpenFile, request: u32, arg: u64) -> Outcome<u64> {
        let core = self.0.core();
        if matches!(core.family, AF_INET | AF_INET6)
            && let Some(stamp) = core.options.stamps.answer(task.layout(), request)
        {
            return task.mm()?.write_user(arg, &stamp?).map(|()| 0);
        }
        let value = match request {
            FIONREAD => self.0.readable_bytes()?,
            SIOCOUTQ => self.0.unsent_bytes()?,
            SIOCOUTQNSD if core.protocol == IPPROTO_TCP => self.0.unsent_bytes()?,
            SIOCATMARK => self.0.is_at_mark()?.into(),
            _ => return interface::ioctl(kernel, task, core.family, request, arg),
        };
        task.mm()?.write_u32(arg, value as u32).map(|()| 0)
    }

    fn held_bytes(&self) -> usize {
        self.0.core().inbox.borrow().bytes()
    }

    fn release(&self, kernel: &mut Kernel, _file: &OpenFile) {
        kernel.net.forget(self.0.core().cookie);
        self.0.close(kernel);
    }
}
