//! Mapping an executable and its interpreter.

use std::rc::Rc;

use abi::Errno;
use abi::memory::PROT_WRITE;
use abi::process::RLIM_INFINITY;
use memory::PAGE_SIZE;

use super::elf::{HEADER_BYTES_MAX, Header, Layout, Segment};
use crate::mm::vma::page_align_up;
use crate::mm::{Backing, Mm, PIE_BASE, Placement, VmaFlags};
use crate::stop::Outcome;
use crate::vfs::Location;

/// An executable file, read and checked.
pub struct Image {
    /// The file.
    pub file: Location,
    /// Its header.
    pub header: Header,
    /// Its parts.
    pub layout: Layout,
    /// Path of the interpreter it asks for.
    pub interpreter: Option<Vec<u8>>,
}

impl Image {
    /// Reads what there is to know about an executable.
    pub fn read(file: &Location) -> Outcome<Self> {
        let mut head = [0; HEADER_BYTES_MAX];
        file.read(0, &mut head)?;
        let header = Header::parse(&head)?;
        let mut bytes = vec![0; header.program_headers_len()];
        if file.read(header.program_headers_offset, &mut bytes)? < bytes.len() {
            return Err(Errno::ENOEXEC.into());
        }
        let layout = Layout::parse(&header, &bytes)?;
        let interpreter = match layout.interpreter {
            Some((offset, len)) => Some(read_path(file, offset, len)?),
            None => None,
        };
        Ok(Self { file: file.clone(), header, layout, interpreter })
    }
}

fn read_path(file: &Location, offset: u64, len: usize) -> Outcome<Vec<u8>> {
    let mut path = vec![0; len];
    if file.read(offset, &mut path)? < len || path.pop() != Some(0) {
        return Err(Errno::ENOEXEC.into());
    }
    Ok(path)
}

/// Where things are in the new address space.
pub struct Loaded {
    /// The first instruction: the interpreter's, if there is one.
    pub start: u64,
    /// The program's own entry.
    pub entry: u64,
    /// Its program headers.
    pub program_headers: u64,
    /// Where the interpreter is; 0 is none.
    pub interpreter_base: u64,
}

/// Maps a program and its interpreter into an empty address space.
pub fn map(mm: &Rc<Mm>, image: &Image, interpreter: Option<&Image>) -> Outcome<Loaded> {
    let (low, high) = image.layout.range();
    let bias = if image.header.is_relocatable { PIE_BASE.wrapping_sub(low) } else { 0 };
    map_image(mm, image, bias)?;
    let heap = page_align_up(high.wrapping_add(bias)).ok_or(Errno::ENOMEM)?;
    mm.heap_start.set(heap);
    mm.heap_end.set(heap);
    let entry = image.header.entry.wrapping_add(bias);
    let program_headers = image.layout.program_headers_addr.map_or(0, |addr| addr.wrapping_add(bias));
    let Some(interpreter) = interpreter else {
        return Ok(Loaded { start: entry, entry, program_headers, interpreter_base: 0 });
    };
    let (low, high) = interpreter.layout.range();
    let base = match interpreter.header.is_relocatable {
        // Let the usual rules find a place for all of it, then map the parts there.
        true => {
            let flags = VmaFlags::default();
            let at = mm.map(Placement::Hint(0), high - low, 0, flags, Backing::Anonymous, RLIM_INFINITY)?;
            mm.unmap(at, high - low)?;
            at.wrapping_sub(low)
        }
        false => 0,
    };
    map_image(mm, interpreter, base)?;
    let start = interpreter.header.entry.wrapping_add(base);
    Ok(Loaded { start, entry, program_headers, interpreter_base: base })
}

fn map_image(mm: &Rc<Mm>, image: &Image, bias: u64) -> Outcome<()> {
    for segment in &image.layout.segments {
        let addr = segment.addr.wrapping_add(bias);
        map_segment(mm, &image.file, &Segment { addr, ..*segment })?;
    }
    Ok(())
}

/// Maps the file's part of a segment, and zeroes for the rest.
fn map_segment(mm: &Rc<Mm>, file: &Location, segment: &Segment) -> Outcome<()> {
    let inside = segment.addr % PAGE_SIZE;
    let start = segment.addr - inside;
    let file_end = segment.addr.checked_add(segment.file_len).ok_or(Errno::ENOMEM)?;
    let memory_end = segment.addr.checked_add(segment.memory_len).ok_or(Errno::ENOMEM)?;
    let mut mapped_end = start;
    if segment.file_len > 0 {
        let len = segment.file_len + inside;
        let backing = Backing::File { file: file.clone(), offset: segment.offset - inside };
        mm.map(Placement::Fixed(start), len, segment.prot, VmaFlags::default(), backing, RLIM_INFINITY)?;
        mapped_end = page_align_up(file_end).ok_or(Errno::ENOMEM)?;
    }
    if memory_end > file_end && mapped_end > file_end && segment.prot & PROT_WRITE != 0 {
        // The file goes on in the last page; the program must see zeroes.
        let zeroes = (mapped_end - file_end) as usize;
        mm.write_user(file_end, &vec![0; zeroes])?;
    }
    let end = page_align_up(memory_end).ok_or(Errno::ENOMEM)?;
    if end > mapped_end {
        let (len, flags) = (end - mapped_end, VmaFlags::default());
        mm.map(Placement::Fixed(mapped_end), len, segment.prot, flags, Backing::Anonymous, RLIM_INFINITY)?;
    }
    Ok(())
}
