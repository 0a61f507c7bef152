//! Files whose text the kernel makes up when they are read (`proc(5)`).

use std::cell::RefCell;
use std::rc::Rc;

use abi::Errno;

use super::{FileObject, OpenFile};
use crate::fs::procfs::Node;
use crate::kernel::Kernel;
use crate::stop::Outcome;

/// An open file of procfs. Its text is made anew whenever it is read from the start.
pub struct ProcFile {
    node: Node,
    text: RefCell<Option<Rc<[u8]>>>,
}

impl ProcFile {
    /// Opens a file of procfs.
    pub fn open(kernel: &mut Kernel, node: Node) -> Outcome<Self> {
        kernel.check_proc_memory(node)?;
        Ok(Self { node, text: RefCell::default() })
    }
}

impl FileObject for ProcFile {
    fn read(&self, kernel: &mut Kernel, _file: &OpenFile, position: u64, to: &mut [u8]) -> Outcome<usize> {
        if let Some(memory) = kernel.proc_memory(self.node)? {
            let bytes = memory.peek(position, to.len()).map_err(|stop| match stop {
                stop if stop.is(Errno::EFAULT) => Errno::EIO.into(),
                stop => stop,
            })?;
            to[..bytes.len()].copy_from_slice(&bytes);
            return Ok(bytes.len());
        }
        if position == 0 || self.text.borrow().is_none() {
            let text = crate::fs::procfs::render(kernel, self.node)?;
            *self.text.borrow_mut() = Some(text.into());
        }
        let text = self.text.borrow().clone().unwrap_or_default();
        let rest = usize::try_from(position).ok().and_then(|start| text.get(start..)).unwrap_or_default();
        let len = rest.len().min(to.len());
        to[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write(&self, kernel: &mut Kernel, _file: &OpenFile, position: u64, from: &[u8]) -> Outcome<usize> {
        if let Some(memory) = kernel.proc_memory(self.node)? {
            memory
                .write_forced(position, from)
                .map_err(|stop| if stop.is(Errno::EFAULT) { Errno::EIO.into() } else { stop })?;
            return Ok(from.len());
        }
        crate::fs::procfs::store(kernel, self.node, from)?;
        Ok(from.len())
    }

    fn is_seekable(&self) -> bool {
        true
    }
}
