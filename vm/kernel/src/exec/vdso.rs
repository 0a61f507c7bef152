//! The shared object that the kernel lays into every 32-bit program: how to call the kernel, and how handlers return.
//!
//! The C library finds `__kernel_vsyscall` through `AT_SYSINFO`; a handler without a restorer of its own returns to
//! `__kernel_sigreturn` or `__kernel_rt_sigreturn`. Unwinders know the latter two by their instructions; the way out of
//! the first one they are told.
//!
//! Sources: `arch/x86/entry/vdso/vdso32/`, System V ABI chapters 4 and 5; Linux Standard Base, exception frames.

use std::rc::Rc;
use std::sync::LazyLock;

use abi::Writer;
use abi::memory::{PROT_EXEC, PROT_READ, PROT_WRITE};
use abi::process::RLIM_INFINITY;
use memory::PAGE_SIZE;

use super::elf::{EM_386, ET_DYN};
use crate::mm::{Backing, Mm, Placement, VmaFlags};
use crate::stop::Outcome;

/// `sigreturn`'s number.
pub const SIGRETURN_NUMBER: u8 = 119;
/// `rt_sigreturn`'s number.
pub const RT_SIGRETURN_NUMBER: u8 = 173;

/// The shared object, and where things are in it.
pub struct Image {
    bytes: Vec<u8>,
    /// `__kernel_vsyscall`.
    pub vsyscall: u64,
    /// Where `sysenter` returns to: behind the `int 0x80`, by which a call is made again.
    pub landing_pad: u64,
    /// `__kernel_sigreturn`.
    pub sigreturn: u64,
    /// `__kernel_rt_sigreturn`.
    pub rt_sigreturn: u64,
}

/// The only one.
pub fn image() -> &'static Image {
    static IMAGE: LazyLock<Image> = LazyLock::new(build);
    &IMAGE
}

/// Maps it; afterwards `mm.vdso` says where.
pub fn map(mm: &Rc<Mm>) -> Outcome<()> {
    let (prot, flags) = (PROT_READ | PROT_WRITE, VmaFlags::default());
    let at = mm.map(Placement::Hint(0), PAGE_SIZE, prot, flags, Backing::Anonymous, RLIM_INFINITY)?;
    mm.write_user(at, &image().bytes)?;
    mm.protect(at, PAGE_SIZE, PROT_READ | PROT_EXEC)?;
    mm.vdso.set(at);
    Ok(())
}

/// int $0x80; ret
const VSYSCALL: [u8; 3] = [0xcd, 0x80, 0xc3];
/// int $0x80; pop %ebp; pop %edx; pop %ecx; ret
const AFTER_SYSENTER: [u8; 6] = [0xcd, 0x80, 0x5d, 0x5a, 0x59, 0xc3];
const LANDING_PAD: u64 = 2;
/// popl %eax; movl $sigreturn, %eax; int $0x80
const SIGRETURN: [u8; 8] = [0x58, 0xb8, SIGRETURN_NUMBER, 0, 0, 0, 0xcd, 0x80];
/// movl $rt_sigreturn, %eax; int $0x80
const RT_SIGRETURN: [u8; 7] = [0xb8, RT_SIGRETURN_NUMBER, 0, 0, 0, 0xcd, 0x80];
const FUNCTIONS: [(&str, &[u8]); 3] =
    [("__kernel_vsyscall", &VSYSCALL), ("__kernel_sigreturn", &SIGRETURN), ("__kernel_rt_sigreturn", &RT_SIGRETURN)];
const NAME: &str = "linux-gate.so.1";

// Where the parts are; each function gets 32 bytes, and the distance keeps unwinders that look one byte before a return
// address within it.
const HEADER_BYTES: usize = 52;
const PROGRAM_HEADER_BYTES: usize = 32;
const SYMBOLS: usize = HEADER_BYTES + 3 * PROGRAM_HEADER_BYTES;
const SYMBOL_BYTES: usize = 16;
const SYMBOL_COUNT: usize = FUNCTIONS.len() + 1;
const HASH: usize = SYMBOLS + SYMBOL_COUNT * SYMBOL_BYTES;
const DYNAMIC: usize = HASH + 4 * (3 + SYMBOL_COUNT);
const DYNAMIC_COUNT: usize = 7;
const STRINGS: usize = DYNAMIC + 8 * DYNAMIC_COUNT;
const FRAME_INDEX: usize = 0x200;
const FRAME_INDEX_BYTES: usize = 20;
const FRAMES: usize = FRAME_INDEX + FRAME_INDEX_BYTES;
const CODE: usize = 0x400;
const CODE_BYTES_EACH: usize = 32;

fn code_at(index: usize) -> usize {
    CODE + index * CODE_BYTES_EACH + 1
}

fn build() -> Image {
    // An empty string comes first; then each name, and where it begins.
    let mut strings = vec![0];
    let mut add = |name: &str| {
        let at = strings.len() as u32;
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
        at
    };
    let names: Vec<u32> = FUNCTIONS.iter().map(|(name, _)| add(name)).collect();
    let own_name = add(NAME);
    assert!(STRINGS + strings.len() <= FRAME_INDEX, "the strings end before the frames begin");
    let writer = headers().pad_to(SYMBOLS + SYMBOL_BYTES);
    let writer = FUNCTIONS.iter().zip(&names).enumerate().fold(writer, |writer, (index, ((_, code), name))| {
        /// `STB_GLOBAL << 4 | STT_FUNC`, and any section but "undefined".
        const FUNCTION: u8 = 0x12;
        const SECTION: u16 = 1;
        writer.u32(*name).u32(code_at(index) as u32).u32(code.len() as u32).u8(FUNCTION).u8(0).u16(SECTION)
    });
    let writer = dynamic(hash(writer), own_name, strings.len()).raw(&strings);
    let nop = |writer: Writer, until: usize| (0..until).fold(writer, |writer, _| writer.u8(0x90));
    let codes = FUNCTIONS.iter().map(|(_, code)| *code).chain([&AFTER_SYSENTER[..]]);
    let writer = codes.fold(frames(writer.pad_to(FRAME_INDEX)).pad_to(CODE), |writer, code| {
        nop(nop(writer, 1).raw(code), CODE_BYTES_EACH - 1 - code.len())
    });
    let at = |index: usize| code_at(index) as u64;
    let landing_pad = at(FUNCTIONS.len()) + LANDING_PAD;
    Image { bytes: writer.finish(), vsyscall: at(0), landing_pad, sigreturn: at(1), rt_sigreturn: at(2) }
}

/// The file header, and program headers: for all of it, the dynamic section, and the index of frames.
fn headers() -> Writer {
    const PT_LOAD: u32 = 1;
    const PT_DYNAMIC: u32 = 2;
    const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
    const READ: u32 = 4;
    const EXECUTE: u32 = 1;
    let ident = Writer::new().raw(b"\x7fELF").u8(1).u8(1).u8(1).pad_to(16);
    let kind = ident.u16(ET_DYN).u16(EM_386).u32(1);
    let offsets = kind.u32(code_at(0) as u32).u32(HEADER_BYTES as u32).u32(0).u32(0);
    let sizes = offsets.u16(HEADER_BYTES as u16).u16(PROGRAM_HEADER_BYTES as u16).u16(3);
    let header = |writer: Writer, kind: u32, at: usize, len: usize, flags: u32, align: u32| {
        let (at, len) = (at as u32, len as u32);
        writer.u32(kind).u32(at).u32(at).u32(at).u32(len).u32(len).u32(flags).u32(align)
    };
    let len = CODE + (FUNCTIONS.len() + 1) * CODE_BYTES_EACH;
    let all = header(sizes.pad_to(HEADER_BYTES), PT_LOAD, 0, len, READ | EXECUTE, PAGE_SIZE as u32);
    let all = header(all, PT_DYNAMIC, DYNAMIC, 8 * DYNAMIC_COUNT, READ, 4);
    header(all, PT_GNU_EH_FRAME, FRAME_INDEX, FRAME_INDEX_BYTES, READ, 4)
}

/// What unwinders look for: an index with one entry, and what it leads to. `__kernel_vsyscall` leaves the stack alone, so
/// the return address is always what the stack pointer points to.
fn frames(writer: Writer) -> Writer {
    /// Encodings of addresses: relative to their own place, a plain number, relative to the index; all 32 bits.
    const HERE: u8 = 0x1b;
    const PLAIN: u8 = 0x03;
    const FROM_INDEX: u8 = 0x3b;
    /// Bytes of the common part with its length.
    const COMMON_BYTES: usize = 24;
    const COMMON_END: usize = FRAMES + COMMON_BYTES;
    let from = |place: usize, to: usize| to.wrapping_sub(place) as u32;
    let index = writer.u8(1).u8(HERE).u8(PLAIN).u8(FROM_INDEX).u32(from(FRAME_INDEX + 4, FRAMES)).u32(1);
    let index = index.u32(from(FRAME_INDEX, code_at(0))).u32(from(FRAME_INDEX, COMMON_END));
    // Version 1, "zR"; code counts in bytes, data in -4; the return address is register 8.
    let common = index.u32(COMMON_BYTES as u32 - 4).u32(0).u8(1).raw(b"zR\0").raw(&[1, 0x7c, 8, 1, HERE]);
    // DW_CFA_def_cfa: %esp plus 4; DW_CFA_offset: the return address is 4 below that.
    let common = common.raw(&[0x0c, 4, 4, 0x88, 1]).pad_to(COMMON_END);
    // The function: its length, back to the common part, where and how long it is, nothing further.
    let function = common.u32(16).u32(from(FRAMES, COMMON_END + 4)).u32(from(COMMON_END + 8, code_at(0)));
    function.u32(VSYSCALL.len() as u32).pad_to(COMMON_END + 20).u32(0)
}

/// A hash table of one bucket: a list of all symbols.
fn hash(writer: Writer) -> Writer {
    let chain = (1..SYMBOL_COUNT as u32).map(|symbol| (symbol + 1) % SYMBOL_COUNT as u32);
    let head = writer.u32(1).u32(SYMBOL_COUNT as u32).u32(1).u32(0);
    chain.fold(head, Writer::u32)
}

fn dynamic(writer: Writer, own_name: u32, strings_len: usize) -> Writer {
    const DT_HASH: u32 = 4;
    const DT_STRTAB: u32 = 5;
    const DT_SYMTAB: u32 = 6;
    const DT_STRSZ: u32 = 10;
    const DT_SYMENT: u32 = 11;
    const DT_SONAME: u32 = 14;
    let entries: [(u32, u32); DYNAMIC_COUNT] = [
        (DT_SONAME, own_name),
        (DT_HASH, HASH as u32),
        (DT_STRTAB, STRINGS as u32),
        (DT_SYMTAB, SYMBOLS as u32),
        (DT_STRSZ, strings_len as u32),
        (DT_SYMENT, SYMBOL_BYTES as u32),
        (0, 0),
    ];
    entries.iter().fold(writer, |writer, (tag, value)| writer.u32(*tag).u32(*value))
}
