//! Regular files and directories: what a file system stores.

use std::rc::Rc;

use abi::Errno;
use abi::tty::FIONREAD;

use super::{FileObject, OpenFile};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::DirEntry;

/// A regular file.
pub struct Regular;

impl FileObject for Regular {
    fn read(&self, kernel: &mut Kernel, file: &OpenFile, position: u64, to: &mut [u8]) -> Outcome<usize> {
        if let Some(object) = kernel.shared.get(&file.location) {
            object.flush()?;
        }
        file.location.read(position, to)
    }

    fn write(&self, kernel: &mut Kernel, file: &OpenFile, position: u64, from: &[u8]) -> Outcome<usize> {
        let object = kernel.shared.get(&file.location);
        if let Some(object) = &object {
            object.flush()?;
        }
        let written = file.location.write(position, from)?;
        if let Some(object) = object {
            object.forget(position..position.saturating_add(written as u64));
        }
        Ok(written)
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn ioctl(&self, _kernel: &mut Kernel, task: &Rc<Task>, file: &OpenFile, request: u32, arg: u64) -> Outcome<u64> {
        match request {
            FIONREAD => {
                let left = file.location.attributes()?.size_bytes.saturating_sub(file.position.get());
                task.mm()?.write_u32(arg, left.min(i32::MAX as u64) as u32).map(|()| 0)
            }
            _ => Err(Errno::ENOTTY.into()),
        }
    }
}

/// A directory.
pub struct Directory;

impl FileObject for Directory {
    fn read(&self, _kernel: &mut Kernel, _file: &OpenFile, _position: u64, _to: &mut [u8]) -> Outcome<usize> {
        Err(Errno::EISDIR.into())
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn read_dir(&self, file: &OpenFile, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        file.location.read_dir(cookie, each)
    }
}

/// What is only pointed to (`O_PATH`).
pub struct PathOnly;

impl FileObject for PathOnly {}
