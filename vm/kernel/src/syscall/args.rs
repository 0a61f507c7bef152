//! Typed arguments of system calls.

use std::rc::Rc;

use abi::file::{AT_FDCWD, IOV_MAX, PATH_MAX, RW_COUNT_MAX};
use abi::{Errno, Layout};

use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::{At, Location};

/// Something a register can carry.
pub trait Arg {
    /// Takes the bits that count. A register of a 32-bit program comes zero-extended.
    fn of(register: u64, layout: Layout) -> Self;
}

macro_rules! args {
    ($($ty:ty),*) => { $( impl Arg for $ty {
        fn of(register: u64, _layout: Layout) -> Self { register as Self }
    } )* };
}
args!(u64, u32, i32, usize, u16);

impl Arg for i64 {
    fn of(register: u64, layout: Layout) -> Self {
        if layout.is_32() { i64::from(register as i32) } else { register as i64 }
    }
}

/// A path argument: where it starts, and the path itself.
pub struct PathArg {
    /// The open directory that a relative path starts from.
    pub start: Option<Location>,
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
        let (mm, word_bytes) = (self.mm()?, self.layout().word_bytes);
        let mut strings = Vec::new();
        let mut bytes = 0;
        let mut at = addr;
        if addr == 0 {
            return Ok(strings);
        }
        loop {
            let string = self.read_word(at)?;
            if string == 0 {
                break;
            }
            let string = mm.read_string(string, STRING_BYTES_MAX, Errno::E2BIG)?;
            bytes += string.len() as u64 + 1 + word_bytes;
            if bytes > STRINGS_BYTES_MAX {
                return Err(Errno::E2BIG.into());
            }
            strings.push(string);
            at = at.wrapping_add(word_bytes);
        }
        Ok(strings)
    }

    /// Buffers of `readv` and `writev`: address and length each.
    pub fn vector_arg(self: &Rc<Self>, addr: u64, count: usize) -> Outcome<Vec<(u64, usize)>> {
        if count > IOV_MAX {
            return Err(Errno::EINVAL.into());
        }
        let layout = self.layout();
        let bytes = self.struct_arg(addr, 2 * layout.word_bytes * count as u64)?;
        let mut total = 0;
        let mut vector = Vec::with_capacity(count);
        let mut reader = layout.reader(&bytes);
        for _ in 0..count {
            let (addr, len) = (reader.word(), reader.long());
            let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?.min(RW_COUNT_MAX - total);
            total += len;
            vector.push((addr, len));
        }
        Ok(vector)
    }

    /// A `struct timespec`, in nanoseconds.
    pub fn timespec_arg(&self, addr: u64) -> Outcome<u64> {
        let layout = self.layout();
        let bytes = self.struct_arg(addr, layout.timespec_bytes())?;
        let (seconds, nanos) = layout.reader(&bytes).timespec();
        nanoseconds(seconds, nanos, 1)
    }

    /// A `struct timeval`, in nanoseconds.
    pub fn timeval_arg(&self, addr: u64) -> Outcome<u64> {
        let (seconds, micros) = self.raw_timeval_arg(addr)?;
        nanoseconds(seconds, micros, 1000)
    }

    /// A `struct timeval` as it is: seconds and microseconds.
    pub fn raw_timeval_arg(&self, addr: u64) -> Outcome<(i64, i64)> {
        let layout = self.layout();
        let bytes = self.struct_arg(addr, layout.timeval_bytes())?;
        Ok(layout.reader(&bytes).timeval())
    }

    /// A `struct timespec` that may be absent.
    pub fn optional_timespec_arg(&self, addr: u64) -> Outcome<Option<u64>> {
        if addr == 0 { Ok(None) } else { self.timespec_arg(addr).map(Some) }
    }

    /// The bytes of a struct.
    pub fn struct_arg(&self, addr: u64, len: u64) -> Outcome<Vec<u8>> {
        let mut bytes = vec![0; len as usize];
        self.mm()?.read_user(addr, &mut bytes)?;
        Ok(bytes)
    }

    /// A pointer or an unsigned `long` in memory.
    pub fn read_word(&self, addr: u64) -> Outcome<u64> {
        if self.layout().is_32() { Ok(self.mm()?.read_u32(addr)?.into()) } else { self.mm()?.read_u64(addr) }
    }

    /// Sets a pointer or a `long` in memory.
    pub fn write_word(&self, addr: u64, value: u64) -> Outcome<()> {
        if self.layout().is_32() { self.mm()?.write_u32(addr, value as u32) } else { self.mm()?.write_u64(addr, value) }
    }
}

/// A time of a program: seconds, and a fraction in units of `unit_ns`.
fn nanoseconds(seconds: i64, fraction: i64, unit_ns: u64) -> Outcome<u64> {
    use crate::kernel::SECOND_NS;
    let seconds = u64::try_from(seconds).map_err(|_| Errno::EINVAL)?;
    let fraction = u64::try_from(fraction).ok().filter(|fraction| *fraction < SECOND_NS / unit_ns);
    let fraction_ns = fraction.ok_or(Errno::EINVAL)? * unit_ns;
    Ok(seconds.saturating_mul(SECOND_NS).saturating_add(fraction_ns))
}
