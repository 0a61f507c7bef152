//! ELF executables (System V ABI, chapter 4 and 5): the parts a kernel looks at. Parsing does no I/O.

use abi::memory::{PROT_EXEC, PROT_READ, PROT_WRITE};
use abi::{Errno, Layout as Words};

/// Most bytes of a file header.
pub const HEADER_BYTES_MAX: usize = 64;
/// Most program headers: one page of them is far more than any linker makes.
const PROGRAM_HEADERS_MAX: usize = 73;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_PHDR: u32 = 6;
const PT_GNU_STACK: u32 = 0x6474_e551;
const ELFCLASS32: u8 = 1;
const ELFCLASS64: u8 = 2;
const ELFDATA2LSB: u8 = 1;
const ET_EXEC: u16 = 2;
/// A file that can be loaded anywhere.
pub const ET_DYN: u16 = 3;
/// i386's machine number.
pub const EM_386: u16 = 3;
const EM_486: u16 = 6;
const EM_X86_64: u16 = 62;

/// Bytes of a program header.
pub fn program_header_bytes(words: Words) -> usize {
    // Two numbers and six words.
    8 + 6 * words.word_bytes as usize
}

/// What the file header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Address of the first instruction.
    pub entry: u64,
    /// Whether it can be loaded anywhere (`ET_DYN`).
    pub is_relocatable: bool,
    /// How long its addresses are: whether it is a 64-bit or a 32-bit program.
    pub words: Words,
    /// Where the program headers are in the file.
    pub program_headers_offset: u64,
    /// How many there are.
    pub program_headers: usize,
}

impl Header {
    /// Reads the header of an executable for this machine.
    ///
    /// # Errors
    /// `ENOEXEC` for anything else.
    pub fn parse(bytes: &[u8]) -> Result<Self, Errno> {
        let ident = bytes.get(..16).ok_or(Errno::ENOEXEC)?;
        let words = match ident[4] {
            ELFCLASS64 => Words::X86_64,
            ELFCLASS32 => Words::I386,
            _ => return Err(Errno::ENOEXEC),
        };
        if !ident.starts_with(b"\x7fELF") || ident[5] != ELFDATA2LSB {
            return Err(Errno::ENOEXEC);
        }
        let mut reader = words.reader(&bytes[16..]);
        let (kind, machine, _version) = (reader.u16(), reader.u16(), reader.u32());
        let (entry, program_headers_offset) = (reader.word(), reader.word());
        let (_sections, _flags, _size) = (reader.word(), reader.u32(), reader.u16());
        let (entry_size, count) = (reader.u16(), usize::from(reader.u16()));
        let fits = usize::from(entry_size) == program_header_bytes(words) && (1..=PROGRAM_HEADERS_MAX).contains(&count);
        let ours = if words.is_32() { matches!(machine, EM_386 | EM_486) } else { machine == EM_X86_64 };
        if !matches!(kind, ET_EXEC | ET_DYN) || !ours || !fits {
            return Err(Errno::ENOEXEC);
        }
        Ok(Self { entry, is_relocatable: kind == ET_DYN, words, program_headers_offset, program_headers: count })
    }

    /// Bytes of all program headers.
    pub fn program_headers_len(&self) -> usize {
        self.program_headers * program_header_bytes(self.words)
    }
}

/// A part of the file that is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Where it is in the file.
    pub offset: u64,
    /// Where it goes.
    pub addr: u64,
    /// Bytes of it in the file.
    pub file_len: u64,
    /// Bytes of it in memory; the rest is zero.
    pub memory_len: u64,
    /// `PROT_*`.
    pub prot: u32,
}

/// What the program headers say.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Segments, as listed.
    pub segments: Vec<Segment>,
    /// Where the interpreter's path is in the file: offset and length with its terminator.
    pub interpreter: Option<(u64, usize)>,
    /// Address of the program headers in memory.
    pub program_headers_addr: Option<u64>,
    /// Whether the stack is to be executable, if the file says.
    pub executable_stack: Option<bool>,
}

impl Layout {
    /// Reads the program headers.
    ///
    /// # Errors
    /// `ENOEXEC` if they make no sense.
    pub fn parse(header: &Header, bytes: &[u8]) -> Result<Self, Errno> {
        let mut layout = Layout::default();
        for bytes in bytes.chunks_exact(program_header_bytes(header.words)) {
            let mut reader = header.words.reader(bytes);
            let kind = reader.u32();
            // The flags are where they need no padding.
            let early_flags = if header.words.is_32() { 0 } else { reader.u32() };
            let (offset, addr, _physical) = (reader.word(), reader.word(), reader.word());
            let (file_len, memory_len) = (reader.word(), reader.word());
            let flags = if header.words.is_32() { reader.u32() } else { early_flags };
            match kind {
                PT_LOAD if memory_len > 0 => {
                    let segment = Segment { offset, addr, file_len, memory_len, prot: prot_of(flags) };
                    layout.add(segment)?;
                }
                PT_INTERP => {
                    let len = usize::try_from(file_len).ok().filter(|len| (2..=4096).contains(len));
                    layout.interpreter = Some((offset, len.ok_or(Errno::ENOEXEC)?));
                }
                PT_PHDR => layout.program_headers_addr = Some(addr),
                PT_GNU_STACK => layout.executable_stack = Some(flags & 1 != 0),
                _ => {}
            }
        }
        if layout.segments.is_empty() {
            return Err(Errno::ENOEXEC);
        }
        if layout.program_headers_addr.is_none() {
            layout.program_headers_addr = layout.addr_of_offset(header.program_headers_offset);
        }
        Ok(layout)
    }

    fn add(&mut self, segment: Segment) -> Result<(), Errno> {
        let ends = [segment.addr.checked_add(segment.memory_len), segment.offset.checked_add(segment.file_len)];
        let aligned = segment.addr % memory::PAGE_SIZE == segment.offset % memory::PAGE_SIZE;
        let after_last = self.segments.last().is_none_or(|last| last.addr <= segment.addr);
        if ends.contains(&None) || !aligned || segment.file_len > segment.memory_len || !after_last {
            return Err(Errno::ENOEXEC);
        }
        self.segments.push(segment);
        Ok(())
    }

    fn addr_of_offset(&self, offset: u64) -> Option<u64> {
        let inside =
            |segment: &&Segment| offset.checked_sub(segment.offset).is_some_and(|inside| inside < segment.file_len);
        self.segments.iter().find(inside).map(|segment| segment.addr + (offset - segment.offset))
    }

    /// Page-aligned first address, and address after the last byte.
    pub fn range(&self) -> (u64, u64) {
        let start = self.segments.iter().map(|segment| segment.addr & !(memory::PAGE_SIZE - 1)).min();
        let end = self.segments.iter().map(|segment| segment.addr + segment.memory_len).max();
        (start.unwrap_or(0), end.unwrap_or(0))
    }
}

fn prot_of(flags: u32) -> u32 {
    let bits = [(4, PROT_READ), (2, PROT_WRITE), (1, PROT_EXEC)];
    bits.iter().filter(|(flag, _)| flags & flag != 0).fold(0, |prot, (_, bit)| prot | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_test_is_an_executable() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let header = Header::parse(&bytes).unwrap();
        let start = header.program_headers_offset as usize;
        let layout = Layout::parse(&header, &bytes[start..start + header.program_headers_len()]).unwrap();
        assert!(header.is_relocatable);
        assert!(layout.segments.iter().any(|segment| segment.prot & PROT_EXEC != 0));
        let (offset, len) = layout.interpreter.unwrap();
        assert!(bytes[offset as usize..][..len].starts_with(b"/lib64/ld-linux-x86-64.so.2"));
    }

    #[test]
    fn other_machines_and_nonsense_are_refused() {
        assert_eq!(Header::parse(b"#!/bin/sh"), Err(Errno::ENOEXEC));
        let mut bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        bytes[18] = 183; // AArch64
        assert_eq!(Header::parse(&bytes), Err(Errno::ENOEXEC));
    }
}
