//! Where memory is to be (`mbind(2)`, `set_mempolicy(2)`): on the only node there is.

use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_SYS_NICE;
use memory::{GuestAddr, PAGE_SIZE, PageState};

use super::peek::process_arg;
use crate::kernel::Kernel;
use crate::mm::vma::page_align_up;
use crate::stop::Outcome;
use crate::task::Task;

/// Policies (`linux/mempolicy.h`).
mod policy {
    pub const DEFAULT: u32 = 0;
    pub const PREFERRED: u32 = 1;
    pub const INTERLEAVE: u32 = 3;
    pub const LOCAL: u32 = 4;
    /// One past the last.
    pub const END: u32 = 7;
    /// Bits beside a policy.
    pub const FLAGS: u32 = 0xe000;
}

/// Flags of `get_mempolicy`.
mod ask {
    pub const NODE: u64 = 1;
    pub const ADDR: u64 = 2;
    pub const ALLOWED: u64 = 4;
}

/// Flags of `mbind` and `move_pages`.
const MOVE: u32 = 2;
const MOVE_ALL: u32 = 4;
const STRICT: u32 = 1;
/// Bits a set of nodes may have at most.
const SET_BITS_MAX: u64 = PAGE_SIZE * 8;
/// Pages one call asks about: bounds our own memory. A program asks again for the rest.
const PAGES_MAX: u64 = 1 << 20;

/// Which nodes a set names: whether the only one is in it, and whether others are.
fn nodes_arg(t: &Rc<Task>, addr: u64, bits: u64) -> Outcome<(bool, bool)> {
    // The last bit is not looked at: so it has always been.
    let bits = bits.wrapping_sub(1);
    if bits == 0 || bits == u64::MAX || addr == 0 {
        return Ok((false, false));
    }
    if bits > SET_BITS_MAX {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = t.struct_arg(addr, bits.div_ceil(8))?;
    if let Some(last) = bytes.last_mut().filter(|_| !bits.is_multiple_of(8)) {
        *last &= (1 << (bits % 8)) - 1;
    }
    let first = bytes[0] & 1 != 0;
    Ok((first, bytes[0] & !1 != 0 || bytes[1..].iter().any(|byte| *byte != 0)))
}

/// A policy for a set of nodes, if it is one.
fn policy_arg(t: &Rc<Task>, mode: u32, addr: u64, bits: u64) -> Outcome<(u32, bool)> {
    let mode = mode & !policy::FLAGS;
    if mode >= policy::END {
        return Err(Errno::EINVAL.into());
    }
    let (ours, others) = nodes_arg(t, addr, bits)?;
    let is_valid = match mode {
        policy::DEFAULT | policy::LOCAL => !ours && !others,
        policy::PREFERRED => ours || !others,
        _ => ours,
    };
    if is_valid { Ok((mode, ours)) } else { Err(Errno::EINVAL.into()) }
}

pub(super) fn set_mempolicy(_k: &mut Kernel, t: &Rc<Task>, mode: u32, nodes: u64, bits: u64) -> Outcome<u64> {
    t.memory_policy.set(policy_arg(t, mode, nodes, bits)?);
    Ok(0)
}

pub(super) fn get_mempolicy(
    _k: &mut Kernel,
    t: &Rc<Task>,
    mode: u64,
    nodes: u64,
    bits: u64,
    addr: u64,
    flags: u64,
) -> Outcome<u64> {
    if flags & !(ask::NODE | ask::ADDR | ask::ALLOWED) != 0 || (nodes != 0 && bits < 1) {
        return Err(Errno::EINVAL.into());
    }
    let mm = t.mm()?;
    let (answer, ours) = match flags {
        ask::ALLOWED => (policy::DEFAULT, true),
        flags if flags & ask::ALLOWED != 0 => return Err(Errno::EINVAL.into()),
        flags if flags & ask::ADDR != 0 => {
            if !mm.is_mapped(addr) {
                return Err(Errno::EFAULT.into());
            }
            (policy::DEFAULT, false)
        }
        _ if addr != 0 => return Err(Errno::EINVAL.into()),
        ask::NODE if t.memory_policy.get().0 != policy::INTERLEAVE => return Err(Errno::EINVAL.into()),
        ask::NODE => (0, true),
        _ => t.memory_policy.get(),
    };
    if mode != 0 {
        mm.write_u32(mode, answer)?;
    }
    if nodes != 0 {
        let word_bits = t.layout().word_bytes * 8;
        let len = (bits - 1).min(SET_BITS_MAX).next_multiple_of(word_bits) / 8;
        let mut set = vec![0; len as usize];
        if let Some(first) = set.first_mut() {
            *first = u8::from(ours);
        }
        mm.write_user(nodes, &set)?;
    }
    Ok(0)
}

pub(super) fn mbind(
    _k: &mut Kernel,
    t: &Rc<Task>,
    start: u64,
    len: u64,
    mode: u32,
    nodes: u64,
    bits: u64,
    flags: u32,
) -> Outcome<u64> {
    if flags & !(STRICT | MOVE | MOVE_ALL) != 0 || !start.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL.into());
    }
    if flags & MOVE_ALL != 0 && !t.credentials().has(CAP_SYS_NICE) {
        return Err(Errno::EPERM.into());
    }
    policy_arg(t, mode, nodes, bits)?;
    let end = page_align_up(len).and_then(|len| start.checked_add(len)).ok_or(Errno::EINVAL)?;
    if t.mm()?.covers(start..end) { Ok(0) } else { Err(Errno::EFAULT.into()) }
}

/// Nothing has to move; how many pages could not is the result.
pub(super) fn migrate_pages(k: &mut Kernel, t: &Rc<Task>, pid: i32, bits: u64, from: u64, to: u64) -> Outcome<u64> {
    nodes_arg(t, from, bits)?;
    let (ours, others) = nodes_arg(t, to, bits)?;
    process_arg(k, t, pid)?;
    if others && !t.credentials().has(CAP_SYS_NICE) {
        return Err(Errno::EPERM.into());
    }
    if ours { Ok(0) } else { Err(Errno::EINVAL.into()) }
}

pub(super) fn move_pages(
    k: &mut Kernel,
    t: &Rc<Task>,
    pid: i32,
    count: u64,
    pages: u64,
    nodes: u64,
    status: u64,
    flags: u32,
) -> Outcome<u64> {
    if flags & !(MOVE | MOVE_ALL) != 0 {
        return Err(Errno::EINVAL.into());
    }
    if flags & MOVE_ALL != 0 && !t.credentials().has(CAP_SYS_NICE) {
        return Err(Errno::EPERM.into());
    }
    let other = process_arg(k, t, pid)?;
    if count > PAGES_MAX {
        return Err(Errno::E2BIG.into());
    }
    let (own, theirs, layout) = (t.mm()?, other.mm()?, t.layout());
    for index in 0..count {
        if nodes != 0 && own.read_u32(nodes.wrapping_add(index * 4))? != 0 {
            return Err(Errno::ENODEV.into());
        }
        let page = t.read_word(pages.wrapping_add(index * layout.word_bytes))?;
        let place = theirs.space.borrow().page_of(GuestAddr(page));
        let state = place.map(|page| theirs.space.borrow().state(page));
        let is_here = state.is_some_and(|state| state.has(PageState::PRESENT) || state.has(PageState::INHERITED));
        let node: i32 = match is_here {
            true => 0,
            false if !theirs.is_mapped(page) => Errno::EFAULT.to_result() as i32,
            false => Errno::ENOENT.to_result() as i32,
        };
        own.write_u32(status.wrapping_add(index * 4), node as u32)?;
    }
    Ok(0)
}

/// The node from which a range's memory is taken first.
pub(super) fn set_mempolicy_home_node(
    _k: &mut Kernel,
    _t: &Rc<Task>,
    start: u64,
    _len: u64,
    node: u64,
    flags: u64,
) -> Outcome<u64> {
    if !start.is_multiple_of(PAGE_SIZE) || flags != 0 || node != 0 { Err(Errno::EINVAL.into()) } else { Ok(0) }
}
