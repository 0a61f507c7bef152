//! What generated code calls while it runs. It knows operations by number only; which registers, memory and table those
//! mean is set for the time of the run.
#![allow(unsafe_code)] // Generated code can't hold references: they are kept here while it runs.

use std::cell::Cell;
use std::ptr;

use cpu::flags::{self, FlagKind};
use cpu::fpu::Fpu;
use cpu::helper::{Context, Trap};
use cpu::x87::compiled::Call;
use memory::AddressSpace;

use crate::area::{Area, JUMP_SHIFT, Jump};
use crate::emit::performed;
use crate::ops::OpTable;

/// What generated code may ask for while it runs.
pub struct Services<'a> {
    /// What RDTSC reads.
    pub time_stamp: &'a dyn Fn() -> u64,
    /// Operations by number.
    pub table: &'a OpTable,
    /// Compiled code for an address.
    pub find: &'a dyn Fn(u64) -> Option<Jump>,
}

/// What operations work on.
struct Running {
    area: *mut Area,
    space: *mut AddressSpace,
    services: *const Services<'static>,
    trap: Option<Trap>,
}

/// What [`find`] returns when there is no compiled code.
pub const NOT_FOUND: u32 = u32::MAX;

thread_local! {
    static RUNNING: Cell<*mut Running> = const { Cell::new(ptr::null_mut()) };
}

/// Calls `run`, within which generated code may call the functions below for this area and memory. Returns what `run` returns, and why the last operation trapped, if one did.
pub fn with<R>(
    area: *mut Area,
    space: &mut AddressSpace,
    services: &Services<'_>,
    run: impl FnOnce() -> R,
) -> (R, Option<Trap>) {
    let mut running = Running { area, space, services: ptr::from_ref(services).cast(), trap: None };
    let before = RUNNING.replace(&raw mut running);
    let result = run();
    RUNNING.set(before);
    (result, running.trap)
}

/// Carries out an operation of the table; returns one of [`performed`].
pub extern "C" fn perform(number: u32) -> u32 {
    let running = RUNNING.get();
    if running.is_null() {
        return performed::TRAP;
    }
    // SAFETY: generated code runs within `with` only, which keeps all these pointers good; `run` holds no reference to
    // what they point at while generated code runs.
    let (cpu, space, services) =
        unsafe { (&mut (*(*running).area).cpu, &mut *(*running).space, &*(*running).services) };
    let Some(op) = services.table.get(number) else { return performed::TRAP };
    match (Context { cpu, space, time_stamp: services.time_stamp }).perform(&op) {
        Ok(()) if space.has_stale_code() => performed::STALE,
        Ok(()) => performed::DONE,
        Err(trap) => {
            // SAFETY: as above.
            unsafe { (*running).trap = Some(trap) };
            performed::TRAP
        }
    }
}

/// Looks for compiled code at an address that is not where the jump cache has it first; returns the offset of its entry
/// in the jump cache, or [`NOT_FOUND`].
pub extern "C" fn find(rip: u64) -> u32 {
    let running = RUNNING.get();
    if running.is_null() {
        return NOT_FOUND;
    }
    // SAFETY: as above.
    let (area, services) = unsafe { (&mut *(*running).area, &*(*running).services) };
    let known = area.find_jump(rip, area.space);
    let index = known.or_else(|| (services.find)(rip).map(|jump| area.add_jump(jump)));
    index.map_or(NOT_FOUND, |index| (index as u32) << JUMP_SHIFT)
}

/// The status flags that follow from operands, as RFLAGS has them.
pub extern "C" fn status(kind: u32, a: u64, b: u64) -> u32 {
    flags::status(FlagKind::from_code(kind as u16), a, b) as u32
}

/// A function of [`cpu::x87::compiled`] as generated code calls it, with the unit's address.
pub type X87Function = extern "C" fn(unit: *mut Fpu, a: u64, a_exponent: u32, b: u64, b_exponent: u32) -> u64;

macro_rules! x87 {
    ($($call:ident),*) => {
        [$({
            extern "C" fn entry(unit: *mut Fpu, a: u64, a_exponent: u32, b: u64, b_exponent: u32) -> u64 {
                // SAFETY: generated code passes the address of the area's unit; no reference to the area is held while
                // generated code runs.
                Call::$call.function()(unsafe { &mut *unit }, a, a_exponent, b, b_exponent)
            }
            (Call::$call, entry as X87Function)
        }),*]
    };
}

/// All of them.
pub const X87: [(Call, X87Function); Call::ALL.len()] = x87!(Add, Sub, Mul, Div, Root, Compare, Widen, Narrow);
