//! Typed arguments of system calls.

use std::rc::Rc;

use abi::Errno;
use abi::file::{AT_FDCWD, IOV_MAX, PATH_MAX, RW_COUNT_MAX};

use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::{At, Location};

/// Something a register can carry.
pub trait Arg {
    /// Takes the bits that count.
    fn of(register: u64) -> Self;
}

macro_rules! args {
    ($($ty:ty),*) => { $( impl Arg for $ty {
        fn of(register: u64) -> Self { register as Self }
    } )* };
}
args!(u64, i64, u32, i32, usize, u16);

/// A path argument: where it starts, and the path itself.
pub struct PathArg {
    start: Option<Location>,
    /// The path.
    pub path: Vec<u8>,
}

impl PathArg {
    /// As the file system takes it.
    pub fn at(&self) -> At<'_> {
        At::new(self.start.as_ref(), &self.path)
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.path.is_empty()
    }

    /// The directory it starts from, if not the working directory.
    pub fn start(&self) -> Option<&Location> {
        self.start.as_ref()
    }
}

impl Task {
    /// A path from the working directory.
    pub fn path_arg(&self, addr: u64) -> Outcome<PathArg> {
        self.path_arg_at(AT_FDCWD, addr)
    }

    /// A path from an open directory (`*at` calls).
    pub fn path_arg_at(&self, dirfd: i32, addr: u64) -> Outcome<PathArg> {
        let path = self.mm()?.read_string(addr, PATH_MAX, Errno::ENAMETOOLONG)?;
        let needs_start = dirfd != AT_FDCWD && path.first() != Some(&b'/');
        let start = if needs_start { Some(self.file(dirfd)?.location.clone()) } else { None };
        Ok(PathArg { start, path })
    }

    /// A list of strings that ends with NULL (`argv`).
    pub fn strings_arg(&self, addr: u64) -> Outcome<Vec<Vec<u8>>> {
        use crate::exec::stack::{STRING_BYTES_MAX, STRINGS_BYTES_MAX};
        let mm = self.mm()?;
        let mut strings = Vec::new();
        let mut bytes = 0;
        let mut at = addr;
        if addr == 0 {
            return Ok(strings);
        }
        loop {
            let string = mm.read_u64(at)?;
            if string == 0 {
                break;
            }
            let string = mm.read_string(string, STRING_BYTES_MAX, Errno::E2BIG)?;
            bytes += string.len() as u64 + 9;
            if bytes > STRINGS_BYTES_MAX {
                return Err(Errno::E2BIG.into());
            }
            strings.push(string);
            at = at.wrapping_add(8);
        }
        Ok(strings)
    }

    /// Buffers of `readv` and `writev`: address and length each.
    pub fn vector_arg(self: &Rc<Self>, addr: u64, count: usize) -> Outcome<Vec<(u64, usize)>> {
        if count > IOV_MAX {
            return Err(Errno::EINVAL.into());
        }
        let mut bytes = vec![0; count * 16];
        self.mm()?.read_user(addr, &mut bytes)?;
        let mut total = 0;
        let mut vector = Vec::with_capacity(count);
        let mut reader = abi::Reader::new(&bytes);
        for _ in 0..count {
            let (addr, len) = (reader.u64(), reader.i64());
            let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?.min(RW_COUNT_MAX - total);
            total += len;
            vector.push((addr, len));
        }
        Ok(vector)
    }

    /// A `struct timespec`, in nanoseconds.
    pub fn timespec_arg(&self, addr: u64) -> Outcome<u64> {
        let mm = self.mm()?;
        let (seconds, nanos) = (mm.read_u64(addr)? as i64, mm.read_u64(addr.wrapping_add(8))?);
        let seconds = u64::try_from(seconds).map_err(|_| Errno::EINVAL)?;
        if nanos >= crate::kernel::SECOND_NS {
            return Err(Errno::EINVAL.into());
        }
        Ok(seconds.saturating_mul(crate::kernel::SECOND_NS).saturating_add(nanos))
    }

    /// A `struct timespec` that may be absent.
    pub fn optional_timespec_arg(&self, addr: u64) -> Outcome<Option<u64>> {
        if addr == 0 { Ok(None) } else { self.timespec_arg(addr).map(Some) }
    }
}
