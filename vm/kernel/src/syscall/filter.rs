//! Filters that programs write for the classic BPF machine, as arguments of calls, and those of sockets (`socket(7)`,
//! `SO_ATTACH_FILTER`).

use std::rc::Rc;

use abi::{Errno, Reader, Writer};

use crate::bpf::{INSTRUCTIONS_MAX, Instruction};
use crate::net::Core;
use crate::net::filter::Filter;
use crate::stop::Outcome;
use crate::task::Task;

/// Bytes of an instruction.
const INSTRUCTION_BYTES: u64 = 8;

/// Bytes of a `struct sock_fprog`.
pub(super) fn program_bytes(t: &Task) -> u64 {
    2 * t.layout().word_bytes
}

/// The program that a `struct sock_fprog` tells of: how many instructions, and where.
pub(super) fn program_arg(t: &Rc<Task>, told: &[u8]) -> Outcome<Vec<Instruction>> {
    let mut reader = t.layout().reader(told);
    let count = usize::from(reader.u16());
    reader.align();
    let start = reader.word();
    if count == 0 || count > INSTRUCTIONS_MAX || start == 0 {
        return Err(Errno::EINVAL.into());
    }
    let bytes = t.struct_arg(start, count as u64 * INSTRUCTION_BYTES)?;
    let mut reader = Reader::new(&bytes);
    let instruction =
        |_| Instruction { code: reader.u16(), jump_true: reader.u8(), jump_false: reader.u8(), k: reader.u32() };
    Ok((0..count).map(instruction).collect())
}

/// `setsockopt(SO_ATTACH_FILTER)`.
pub(super) fn attach(t: &Rc<Task>, core: &Core, told: &[u8]) -> Outcome<()> {
    if told.len() as u64 != program_bytes(t) {
        return Err(Errno::EINVAL.into());
    }
    core.options.check_filter_unlocked()?;
    let filter = Filter::new(program_arg(t, told)?)?;
    *core.options.filter.borrow_mut() = Some(Rc::new(filter));
    Ok(())
}

/// `getsockopt(SO_GET_FILTER)`: the program, as far as there is room for all its instructions. Lengths count these.
pub(super) fn get(t: &Rc<Task>, core: &Core, value: u64, len_addr: u64, room: usize) -> Outcome<()> {
    let mm = t.mm()?;
    let filter = core.options.filter.borrow().clone();
    let count = filter.as_ref().map_or(0, |filter| filter.program().len());
    if let Some(filter) = filter.filter(|_| room > 0) {
        if room < count {
            return Err(Errno::EINVAL.into());
        }
        let write = |writer: Writer, i: &Instruction| writer.u16(i.code).u8(i.jump_true).u8(i.jump_false).u32(i.k);
        mm.write_user(value, &filter.program().iter().fold(Writer::new(), write).finish())?;
    }
    mm.write_u32(len_addr, count as u32)
}
