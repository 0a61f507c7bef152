//! The kernel's access to guest memory: faults are resolved in line, bad addresses are `EFAULT`.

use std::rc::Rc;

use abi::Errno;
use memory::{GuestAddr, PAGE_SIZE};

use super::Mm;
use crate::stop::{Outcome, Stop};

/// Page faults one copy may resolve on the same page before something is badly wrong.
const FAULTS_PER_PAGE_MAX: u64 = 4;

impl Mm {
    /// Reads guest memory as the program could.
    pub fn read_user(self: &Rc<Self>, addr: u64, to: &mut [u8]) -> Outcome<()> {
        self.with_faults(to.len(), |mm| mm.space.borrow().read(GuestAddr(addr), to))
    }

    /// Writes guest memory as the program could.
    pub fn write_user(self: &Rc<Self>, addr: u64, from: &[u8]) -> Outcome<()> {
        self.with_faults(from.len(), |mm| mm.space.borrow_mut().write(GuestAddr(addr), from))
    }

    fn with_faults(
        self: &Rc<Self>,
        len: usize,
        mut attempt: impl FnMut(&Self) -> Result<(), memory::Fault>,
    ) -> Outcome<()> {
        let budget = FAULTS_PER_PAGE_MAX * (len as u64 / PAGE_SIZE + 2);
        for _ in 0..budget {
            match attempt(self) {
                Ok(()) => return Ok(()),
                Err(fault) => self.resolve(fault.addr, fault.access).map_err(super::FaultError::into_stop)?,
            }
        }
        Err(Stop::Errno(Errno::EFAULT))
    }

    /// Makes a range writable directly, so that a later [`Self::write_user`] can't fail: for calls that consume
    /// something before they store it.
    pub fn prepare_write(self: &Rc<Self>, addr: u64, len: usize) -> Outcome<()> {
        self.with_faults(len, |mm| mm.space.borrow_mut().check_writable(GuestAddr(addr), len as u64))
    }

    /// Reads bytes up to a zero byte, which is not included.
    ///
    /// # Errors
    /// `too_long` if there is none within `len_max` bytes.
    pub fn read_string(self: &Rc<Self>, addr: u64, len_max: usize, too_long: Errno) -> Outcome<Vec<u8>> {
        let mut string = Vec::new();
        let mut at = addr;
        while string.len() < len_max {
            let room = (PAGE_SIZE - at % PAGE_SIZE) as usize;
            let mut piece = vec![0; room.min(256).min(len_max - string.len())];
            self.read_user(at, &mut piece)?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                string.extend_from_slice(&piece[..end]);
                return Ok(string);
            }
            at = at.wrapping_add(piece.len() as u64);
            string.append(&mut piece);
        }
        Err(too_long.into())
    }

    /// Reads a 32-bit word.
    pub fn read_u32(self: &Rc<Self>, addr: u64) -> Outcome<u32> {
        let mut bytes = [0; 4];
        self.read_user(addr, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Reads a 64-bit word.
    pub fn read_u64(self: &Rc<Self>, addr: u64) -> Outcome<u64> {
        let mut bytes = [0; 8];
        self.read_user(addr, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes a 32-bit word.
    pub fn write_u32(self: &Rc<Self>, addr: u64, value: u32) -> Outcome<()> {
        self.write_user(addr, &value.to_le_bytes())
    }

    /// Writes a 64-bit word.
    pub fn write_u64(self: &Rc<Self>, addr: u64, value: u64) -> Outcome<()> {
        self.write_user(addr, &value.to_le_bytes())
    }

    /// Reads memory whatever its protection (debuggers).
    pub fn read_forced(self: &Rc<Self>, addr: u64, to: &mut [u8]) -> Outcome<()> {
        let mut page_bytes = [0; PAGE_SIZE as usize];
        let mut done = 0;
        while done < to.len() {
            let at = GuestAddr(addr.wrapping_add(done as u64));
            let (page, _) = self.fetch(at).map_err(super::FaultError::into_stop)?;
            let offset = at.page_offset() as usize;
            let len = (page_bytes.len() - offset).min(to.len() - done);
            self.space.borrow().read_page(page, &mut page_bytes);
            to[done..done + len].copy_from_slice(&page_bytes[offset..offset + len]);
            done += len;
        }
        Ok(())
    }

    /// Writes memory whatever its protection, but what is shared and read-only: breakpoints of debuggers.
    pub fn write_forced(self: &Rc<Self>, addr: u64, from: &[u8]) -> Outcome<()> {
        let mut done = 0;
        while done < from.len() {
            let at = GuestAddr(addr.wrapping_add(done as u64));
            let len = ((PAGE_SIZE - at.page_offset()) as usize).min(from.len() - done);
            let piece = &from[done..done + len];
            let (page, vma) = self.fetch(at).map_err(super::FaultError::into_stop)?;
            if vma.is_shared() {
                self.write_user(at.0, piece)?;
            } else {
                self.hand_down(page);
                self.space.borrow_mut().poke(at, piece).map_err(|_| Errno::EFAULT)?;
            }
            done += len;
        }
        Ok(())
    }

    /// Reads what can be read, at most `len` bytes: for `/proc/PID/mem` and its relatives.
    pub fn peek(self: &Rc<Self>, addr: u64, len: usize) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let at = addr.wrapping_add(bytes.len() as u64);
            let mut piece = vec![0; ((PAGE_SIZE - at % PAGE_SIZE) as usize).min(len - bytes.len())];
            match self.read_forced(at, &mut piece) {
                Ok(()) => bytes.append(&mut piece),
                Err(Stop::Errno(_)) if !bytes.is_empty() => break,
                Err(stop) => return Err(stop),
            }
        }
        Ok(bytes)
    }
}
