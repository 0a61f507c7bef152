//! Regular files and directories: what a file system stores.

use std::rc::Rc;

use abi::Errno;
use abi::file::{F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_WRITE};
use abi::tty::FIONREAD;
use memory::PAGE_SIZE;

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
        let from = unsealed(file, position, from)?;
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

    fn can_refuse_to_wait(&self) -> bool {
        true
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

/// The part of a write that the file's seals allow.
///
/// # Errors
/// `EPERM` if that is none of it.
fn unsealed<'a>(file: &OpenFile, position: u64, from: &'a [u8]) -> Outcome<&'a [u8]> {
    let seals = file.location.seals().unwrap_or(0);
    if seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_GROW) == 0 || from.is_empty() {
        return Ok(from);
    }
    let size = file.location.attributes()?.size_bytes;
    // Linux writes page by page, and the first that would make the file grow fails.
    let fits = match seals & F_SEAL_GROW {
        0 => from.len(),
        _ if position.saturating_add(from.len() as u64) <= size => from.len(),
        _ => (size & !(PAGE_SIZE - 1)).saturating_sub(position) as usize,
    };
    let sealed = seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0 || fits == 0;
    if sealed { Err(Errno::EPERM.into()) } else { Ok(&from[..fits]) }
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
