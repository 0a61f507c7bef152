//! Thread-local storage of 32-bit programs: entries of the descriptor table (`set_thread_area(2)`).

use std::rc::Rc;

use abi::{Errno, Reader, Writer};
use cpu::segment::{Descriptor, TLS_ENTRIES, flag};

use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

/// Bytes of a `struct user_desc`.
const USER_DESC_BYTES: u64 = 16;
/// Any entry that is free.
const ANY: u32 = u32::MAX;

/// A `struct user_desc`: an entry's number, and what is to be in it.
pub struct UserDesc {
    number: u32,
    entry: Option<Descriptor>,
}

impl UserDesc {
    /// Reads one.
    ///
    /// # Errors
    /// `EINVAL` for what may not be in the table.
    pub fn read(t: &Rc<Task>, addr: u64) -> Outcome<Self> {
        const EMPTY: u32 = flag::READ_EXEC_ONLY | flag::SEG_NOT_PRESENT;
        let bytes = t.struct_arg(addr, USER_DESC_BYTES)?;
        let mut reader = Reader::new(&bytes);
        let (number, base, limit, flags) = (reader.u32(), reader.u32(), reader.u32(), reader.u32() & flag::KEPT);
        if (base, limit) == (0, 0) && (flags == EMPTY || flags == 0) {
            return Ok(Self { number, entry: None });
        }
        let fits = flags & flag::SEG_32BIT != 0 && flags & (flag::CODE | flag::SEG_NOT_PRESENT) == 0;
        let limit = limit & 0xf_ffff;
        if fits {
            Ok(Self { number, entry: Some(Descriptor { base, limit, flags }) })
        } else {
            Err(Errno::EINVAL.into())
        }
    }

    /// Which of the entries it names, counted from 0.
    fn index(&self) -> Outcome<usize> {
        index_of(self.number)
    }

    /// Puts it into a task's table (`clone(2)` with `CLONE_SETTLS`).
    ///
    /// # Errors
    /// `EINVAL` if there is no such entry.
    pub fn install(&self, cpu: &mut cpu::CpuState) -> Outcome<()> {
        cpu.set_tls_entry(self.index()?, self.entry);
        Ok(())
    }
}

fn index_of(number: u32) -> Outcome<usize> {
    let entry = u16::try_from(number).ok().filter(|number| TLS_ENTRIES.contains(number));
    Ok(usize::from(entry.ok_or(Errno::EINVAL)? - TLS_ENTRIES.start))
}

pub(super) fn set_thread_area(_k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    let mut wanted = UserDesc::read(t, addr)?;
    if wanted.number == ANY {
        let free = TLS_ENTRIES.zip(0..).find(|(_, index)| t.cpu.borrow().tls_entry(*index).is_none());
        wanted.number = free.ok_or(Errno::ESRCH)?.0.into();
        t.mm()?.write_u32(addr, wanted.number)?;
    }
    wanted.install(&mut t.cpu.borrow_mut())?;
    Ok(0)
}

/// Gets or sets entry `number` of a task that `t` traces.
pub(super) fn of_tracee(t: &Rc<Task>, other: &Rc<Task>, number: u64, addr: u64, sets: bool) -> Outcome<u64> {
    let number = u32::try_from(number).map_err(|_| Errno::EINVAL)?;
    if !sets {
        return give_entry(t, other, number, addr);
    }
    let wanted = UserDesc { number, ..UserDesc::read(t, addr)? };
    wanted.install(&mut other.cpu.borrow_mut())?;
    Ok(0)
}

pub(super) fn get_thread_area(_k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    let number = t.mm()?.read_u32(addr)?;
    give_entry(t, t, number, addr)
}

fn give_entry(t: &Rc<Task>, other: &Rc<Task>, number: u32, addr: u64) -> Outcome<u64> {
    let entry = other.cpu.borrow().tls_entry(index_of(number)?);
    let empty = Descriptor { base: 0, limit: 0, flags: flag::READ_EXEC_ONLY | flag::SEG_NOT_PRESENT };
    let Descriptor { base, limit, flags } = entry.unwrap_or(empty);
    t.mm()?.write_user(addr, &Writer::new().u32(number).u32(base).u32(limit).u32(flags).finish()).map(|()| 0)
}
