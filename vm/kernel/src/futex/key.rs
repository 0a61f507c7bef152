//! What identifies a futex: its address in one space, or its place in shared memory.

use std::rc::Rc;

use abi::Errno;
use memory::{PAGE_SIZE, SpaceId};

use crate::mm::{Backing, Mm};
use crate::stop::{Outcome, Stop};

/// Identifies a word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FutexKey {
    /// In one address space.
    Private(SpaceId, u64),
    /// In shared memory: the object's address in our own memory, and the offset.
    Shared(usize, u64),
}

impl FutexKey {
    /// The word at an address, whatever is there.
    pub fn at(mm: &Rc<Mm>, addr: u64) -> Self {
        let maps = mm.maps_at(addr).borrow();
        match maps.find(addr).map(|vma| (vma.start, &vma.backing)) {
            Some((start, Backing::Shared { object, offset })) => {
                FutexKey::Shared(Rc::as_ptr(object) as usize, offset + addr - start)
            }
            _ => FutexKey::Private(mm.space.borrow().id(), addr),
        }
    }

    /// The word that a program names. If others may share it (`shared`), it must be memory: such as can be written, or,
    /// for calls that only look at it (`reads`), of a file.
    ///
    /// # Errors
    /// `EINVAL` for an address that is not aligned, `EFAULT` for one that is not memory.
    pub fn named(mm: &Rc<Mm>, addr: u64, shared: bool, reads: bool) -> Outcome<Self> {
        if !addr.is_multiple_of(4) {
            return Err(Errno::EINVAL.into());
        }
        if addr >= (1 << 47) - PAGE_SIZE {
            return Err(Errno::EFAULT.into());
        }
        if shared {
            match mm.prepare_write(addr, 4) {
                Err(Stop::Errno(_)) if reads && is_of_file(mm, addr) => drop(mm.read_u32(addr)?),
                outcome => outcome?,
            }
        }
        Ok(Self::at(mm, addr))
    }
}

fn is_of_file(mm: &Mm, addr: u64) -> bool {
    let maps = mm.maps_at(addr).borrow();
    maps.find(addr).is_some_and(|vma| match &vma.backing {
        Backing::File { .. } => true,
        Backing::Shared { object, .. } => object.file().is_some(),
        Backing::Anonymous => false,
    })
}
