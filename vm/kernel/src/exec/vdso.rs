//! The shared object that the kernel lays into every 32-bit program: how to call the kernel, and how handlers return.
//!
//! The C library finds `__kernel_vsyscall` through `AT_SYSINFO`; a handler without a restorer of its own returns to
//! `__kernel_sigreturn` or `__kernel_rt_sigreturn`. Unwinders know the latter two by their instructions.
//!
//! Sources: `arch/x86/entry/vdso/vdso32/`, System V ABI chapters 4 and 5.

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

/// push %ecx; push %edx; push %ebp; int $0x80; pop %ebp; pop %edx; pop %ecx; ret
const VSYSCALL: [u8; 9] = [0x51, 0x52, 0x55, 0xcd, 0x80, 0x5d, 0x5a, 0x59, 0xc3];
const LANDING_PAD: usize = 5;
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
const SYMBOLS: usize = HEADER_BYTES + 2 * PROGRAM_HEADER_BYTES;
const SYMBOL_BYTES: usize = 16;
const SYMBOL_COUNT: usize = FUNCTIONS.len() + 1;
const HASH: usize = SYMBOLS + SYMBOL_COUNT * SYMBOL_BYTES;
const DYNAMIC: usize = HASH + 4 * (3 + SYMBOL_COUNT);
const DYNAMIC_COUNT: usize = 7;
const STRINGS: usize = DYNAMIC + 8 * DYNAMIC_COUNT;
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
    assert!(STRINGS + strings.len() <= CODE, "the strings end before the code begins");
    let writer = headers().pad_to(SYMBOLS + SYMBOL_BYTES);
    let writer = FUNCTIONS.iter().zip(&names).enumerate().fold(writer, |writer, (index, ((_, code), name))| {
        /// `STB_GLOBAL << 4 | STT_FUNC`, and any section but "undefined".
        const FUNCTION: u8 = 0x12;
        const SECTION: u16 = 1;
        writer.u32(*name).u32(code_at(index) as u32).u32(code.len() as u32).u8(FUNCTION).u8(0).u16(SECTION)
    });
    let writer = dynamic(hash(writer), own_name, strings.len()).raw(&strings);
    let nop = |writer: Writer, until: usize| (0..until).fold(writer, |writer, _| writer.u8(0x90));
    let writer = FUNCTIONS
        .iter()
        .fold(writer.pad_to(CODE), |writer, (_, code)| nop(nop(writer, 1).raw(code), CODE_BYTES_EACH - 1 - code.len()));
    let at = |index: usize| code_at(index) as u64;
    let landing_pad = at(0) + LANDING_PAD as u64;
    Image { bytes: writer.finish(), vsyscall: at(0), landing_pad, sigreturn: at(1), rt_sigreturn: at(2) }
}

/// The file header, and two program headers: all of it, and the dynamic section.
fn headers() -> Writer {
    const PT_LOAD: u32 = 1;
    const PT_DYNAMIC: u32 = 2;
    const READ: u32 = 4;
    const EXECUTE: u32 = 1;
    let ident = Writer::new().raw(b"\x7fELF").u8(1).u8(1).u8(1).pad_to(16);
    let kind = ident.u16(ET_DYN).u16(EM_386).u32(1);
    let offsets = kind.u32(code_at(0) as u32).u32(HEADER_BYTES as u32).u32(0).u32(0);
    let sizes = offsets.u16(HEADER_BYTES as u16).u16(PROGRAM_HEADER_BYTES as u16).u16(2);
    let header = |writer: Writer, kind: u32, at: usize, len: usize, flags: u32, align: u32| {
        let (at, len) = (at as u32, len as u32);
        writer.u32(kind).u32(at).u32(at).u32(at).u32(len).u32(len).u32(flags).u32(align)
    };
    let len = CODE + FUNCTIONS.len() * CODE_BYTES_EACH;
    let all = header(sizes.pad_to(HEADER_BYTES), PT_LOAD, 0, len, READ | EXECUTE, PAGE_SIZE as u32);
    header(all, PT_DYNAMIC, DYNAMIC, 8 * DYNAMIC_COUNT, READ, 4)
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
