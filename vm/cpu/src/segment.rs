//! Segment registers. Segments are flat but for FS and GS, whose bases are what thread-local storage hangs on.
//!
//! The descriptor table is the one Linux gives a program on a 64-bit kernel: flat code and data, and three entries
//! that `set_thread_area(2)` fills. Limits and access rights are not enforced; selectors that the processor would
//! refuse are.
//!
//! Sources: Intel SDM vol. 3, 3.4 and 5.8; `arch/x86/include/asm/segment.h`.

use crate::exit::Exception;
use crate::ir::slot;
use crate::state::{CpuState, Mode};

/// Selector of 64-bit user code.
pub const USER_CODE_64: u16 = 0x33;
/// Selector of 32-bit user code.
pub const USER_CODE_32: u16 = 0x23;
/// Selector of user data.
pub const USER_DATA: u16 = 0x2b;
/// Selector of the entry whose limit is the processor's number, for `getcpu(2)` in the vDSO.
pub const PROCESSOR_NUMBER: u16 = 0x7b;
/// Descriptor-table entries for thread-local storage.
pub const TLS_ENTRIES: std::ops::Range<u16> = 12..15;

/// Requested privilege level and table indicator: the low bits of a selector.
const RPL: u16 = 3;
const LOCAL_TABLE: u16 = 4;

/// A segment register, in the processor's encoding order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Segment {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
}

impl Segment {
    /// By its number in an instruction.
    pub fn numbered(number: u32) -> Segment {
        use Segment::*;
        [Es, Cs, Ss, Ds, Fs, Gs][number as usize % 6]
    }
}

/// Bits of [`Descriptor::flags`] (`asm/ldt.h`).
pub mod flag {
    #![allow(missing_docs)]
    pub const SEG_32BIT: u32 = 1 << 0;
    /// Contents, two bits: the lower for a segment that grows downwards, the upper for code.
    pub const CONTENTS_SHIFT: u32 = 1;
    pub const CODE: u32 = 1 << 2;
    pub const READ_EXEC_ONLY: u32 = 1 << 3;
    pub const LIMIT_IN_PAGES: u32 = 1 << 4;
    pub const SEG_NOT_PRESENT: u32 = 1 << 5;
    pub const USEABLE: u32 = 1 << 6;
    /// All but `lm`, which 32-bit programs don't have.
    pub const KEPT: u32 = 0x7f;
}

/// A thread-local storage entry of the descriptor table: always a data segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptor {
    /// Where the segment begins.
    pub base: u32,
    /// Its limit, in bytes or pages: 20 bits.
    pub limit: u32,
    /// The flags of `struct user_desc` (`modify_ldt(2)`).
    pub flags: u32,
}

impl Descriptor {
    /// The upper half of the table's entry, without the base: user data, present, accessed, and what its flags say.
    pub(crate) fn rights(self) -> u32 {
        let has = |flag: u32| u32::from(self.flags & flag != 0);
        let contents = self.flags >> flag::CONTENTS_SHIFT & 3;
        let kind = contents << 2 | (1 - has(flag::READ_EXEC_ONLY)) << 1 | 1;
        let access = 0xf0 | kind;
        // AVL, D and G.
        let attributes = has(flag::USEABLE) << 20 | has(flag::SEG_32BIT) << 22 | has(flag::LIMIT_IN_PAGES) << 23;
        access << 8 | self.limit & 0xf_0000 | attributes
    }

    /// The last byte's offset.
    pub(crate) fn limit_bytes(self) -> u32 {
        if self.flags & flag::LIMIT_IN_PAGES != 0 { self.limit << 12 | 0xfff } else { self.limit }
    }
}

/// Selectors besides CS and SS, which follow from the mode, and what selectors stand for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Segments {
    data: [u16; 4],
    tls: [Option<Descriptor>; 3],
}

/// Where [`Segments`] keeps a selector.
fn place(segment: Segment) -> Option<usize> {
    match segment {
        Segment::Es => Some(0),
        Segment::Ds => Some(1),
        Segment::Fs => Some(2),
        Segment::Gs => Some(3),
        Segment::Cs | Segment::Ss => None,
    }
}

impl CpuState {
    /// Makes it what a 32-bit program starts with.
    pub fn enter_compat(&mut self) {
        self.mode = Mode::Compat;
        self.rip &= 0xffff_ffff;
        (self.segments.data[0], self.segments.data[1]) = (USER_DATA, USER_DATA);
    }

    /// What a segment register holds.
    pub fn selector(&self, segment: Segment) -> u16 {
        match (segment, self.mode) {
            (Segment::Ss, _) => USER_DATA,
            (Segment::Cs, Mode::Long) => USER_CODE_64,
            (Segment::Cs, Mode::Compat) => USER_CODE_32,
            _ => place(segment).map_or(0, |place| self.segments.data[place]),
        }
    }

    /// Goes on as code of a segment: a selector that far control flow has checked.
    pub(crate) fn enter_code_segment(&mut self, selector: u16) {
        self.mode = if selector | RPL == USER_CODE_32 { Mode::Compat } else { Mode::Long };
    }

    /// Loads a segment register as `mov` does.
    ///
    /// # Errors
    /// #GP for a selector of nothing, or of a segment that this register can't have.
    pub fn load_selector(&mut self, segment: Segment, selector: u16) -> Result<(), Exception> {
        let base = match (segment, selector & !RPL) {
            // Stack segments other than the flat one would need bases added everywhere.
            (Segment::Ss, _) if selector == USER_DATA => return Ok(()),
            (Segment::Ss | Segment::Cs, _) => return Err(Exception::of_selector(selector)),
            (_, 0) => 0,
            (_, flat) if [USER_CODE_64, USER_CODE_32, USER_DATA, PROCESSOR_NUMBER].contains(&(flat | RPL)) => 0,
            _ => self.tls_of(selector).ok_or(Exception::of_selector(selector))?.base,
        };
        // The same goes for DS and ES.
        if matches!(segment, Segment::Ds | Segment::Es) && base != 0 {
            return Err(Exception::of_selector(selector));
        }
        if let Some(place) = place(segment) {
            self.segments.data[place] = selector;
        }
        self.set_segment_base(segment, base.into());
        Ok(())
    }

    /// As an interrupt return or a signal return does: what can't be loaded becomes the null selector.
    pub fn load_selector_or_null(&mut self, segment: Segment, selector: u16) {
        if self.load_selector(segment, selector).is_err() {
            let _ = self.load_selector(segment, 0);
        }
    }

    fn set_segment_base(&mut self, segment: Segment, base: u64) {
        match segment {
            Segment::Fs => self.slots[slot::FS_BASE.0 as usize] = base,
            Segment::Gs => self.slots[slot::GS_BASE.0 as usize] = base,
            _ => {}
        }
    }

    /// The thread-local storage entry that a selector stands for.
    pub(crate) fn tls_of(&self, selector: u16) -> Option<Descriptor> {
        let index = selector >> 3;
        let in_table = selector & LOCAL_TABLE == 0 && TLS_ENTRIES.contains(&index);
        if in_table { self.segments.tls[usize::from(index - TLS_ENTRIES.start)] } else { None }
    }

    /// A thread-local storage entry, counted from 0; `None` is empty.
    pub fn tls_entry(&self, index: usize) -> Option<Descriptor> {
        self.segments.tls[index % 3]
    }

    /// Sets a thread-local storage entry. Registers that hold its selector are loaded anew, as Linux does.
    pub fn set_tls_entry(&mut self, index: usize, entry: Option<Descriptor>) {
        let index = index % 3;
        self.segments.tls[index] = entry;
        let selector = (TLS_ENTRIES.start + index as u16) << 3 | RPL;
        for segment in [Segment::Ds, Segment::Es, Segment::Fs, Segment::Gs] {
            if self.selector(segment) == selector {
                self.load_selector_or_null(segment, selector);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gs_follows_its_descriptor() {
        let mut cpu = CpuState { mode: Mode::Compat, ..CpuState::default() };
        assert_eq!(cpu.load_selector(Segment::Gs, 0x63), Err(Exception::GeneralProtection(0x60)));
        let entry = Descriptor { base: 0x1000, limit: 0xf_ffff, flags: 0x51 };
        cpu.set_tls_entry(0, Some(entry));
        assert_eq!(cpu.load_selector(Segment::Gs, 0x63), Ok(()));
        assert_eq!((cpu.gs_base(), cpu.selector(Segment::Gs)), (0x1000, 0x63));
        cpu.set_tls_entry(0, Some(Descriptor { base: 0x2000, ..entry }));
        assert_eq!(cpu.gs_base(), 0x2000);
        cpu.set_tls_entry(0, None);
        assert_eq!((cpu.gs_base(), cpu.selector(Segment::Gs)), (0, 0));
    }
}
