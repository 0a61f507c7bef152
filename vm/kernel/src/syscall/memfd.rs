//! Files in memory, and what may no longer be done to them: `memfd_create(2)`, `F_ADD_SEALS` of `fcntl(2)`.

use std::rc::Rc;

use abi::Errno;
use abi::file::*;

use crate::files::OpenFile;
use crate::files::regular::Regular;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

const SEALS: u32 = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
/// Those that forbid writing.
pub(super) const UNWRITABLE: u32 = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

/// A file of a tmpfs that is mounted nowhere.
pub(super) fn memfd_create(k: &mut Kernel, t: &Rc<Task>, name: u64, flags: u32) -> Outcome<u64> {
    const NAME_BYTES_MAX: usize = 250;
    if flags & !(MFD_CLOEXEC | MFD_ALLOW_SEALING) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let name = t.mm()?.read_string(name, NAME_BYTES_MAX, Errno::EINVAL)?;
    let shown = [b"/memfd:", &*name, b" (deleted)"].concat();
    let location = k.vfs.anonymous_file(&k.memory_files, &t.credentials(), 0o777, &shown)?;
    if flags & MFD_ALLOW_SEALING != 0 {
        location.allow_seals()?;
    }
    let file = OpenFile::new(Rc::new(Regular), location, O_RDWR | O_LARGEFILE);
    k.add_file(t, file, flags & MFD_CLOEXEC != 0).map(|fd| fd as u64)
}

/// `F_ADD_SEALS`.
pub(super) fn add_seals(k: &Kernel, file: &Rc<OpenFile>, seals: u32) -> Outcome<()> {
    let before = file.location.seals()?;
    if !file.is_writable() {
        return Err(Errno::EPERM.into());
    }
    if seals & !SEALS != 0 {
        return Err(Errno::EINVAL.into());
    }
    if before & F_SEAL_SEAL != 0 {
        return Err(Errno::EPERM.into());
    }
    if seals & F_SEAL_WRITE != 0
        && before & F_SEAL_WRITE == 0
        && let Some(object) = k.shared.get(&file.location)
    {
        // What has been written through mappings belongs to the file, too.
        object.flush()?;
        if object.may_be_written() {
            return Err(Errno::EBUSY.into());
        }
    }
    file.location.add_seals(seals)
}

/// Whether a file may get another size.
///
/// # Errors
/// `EPERM` if it is sealed.
pub(super) fn check_resize(file: &OpenFile, size_bytes: u64) -> Outcome<()> {
    let now = file.location.attributes()?.size_bytes;
    let seal = match size_bytes {
        size if size < now => F_SEAL_SHRINK,
        size if size > now => F_SEAL_GROW,
        _ => return Ok(()),
    };
    if file.location.is_sealed(seal) { Err(Errno::EPERM.into()) } else { Ok(()) }
}
