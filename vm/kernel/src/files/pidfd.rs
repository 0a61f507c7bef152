//! A process as a file (`pidfd_open(2)`): readable once it has ended.

use std::rc::Rc;

use abi::poll::{POLLHUP, POLLIN, POLLRDNORM};

use super::{FileObject, OpenFile, Readiness};
use crate::kernel::Kernel;
use crate::task::Process;

/// The process, which may have ended and been waited for: its number is then somebody else's.
pub struct PidFd(pub Rc<Process>);

impl PidFd {
    /// Whether its process has not been waited for yet.
    pub fn is_known(&self, kernel: &Kernel) -> bool {
        kernel.tasks.process(self.0.pid).is_some_and(|process| Rc::ptr_eq(&process, &self.0))
    }
}

impl FileObject for PidFd {
    fn poll(&self, kernel: &Kernel, _file: &OpenFile) -> Readiness {
        let ended = if self.0.is_zombie() { POLLIN | POLLRDNORM } else { 0 };
        let forgotten = if self.is_known(kernel) { 0 } else { POLLIN | POLLRDNORM | POLLHUP };
        Readiness::on(&self.0.ended, ended | forgotten)
    }

    fn describe(&self, kernel: &Kernel) -> String {
        let pid = if self.is_known(kernel) { self.0.pid } else { -1 };
        format!("Pid:\t{pid}\nNSpid:\t{pid}\n")
    }
}
