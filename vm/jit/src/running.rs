//! What generated code calls while it runs. It knows operations by number only; which registers, memory and table those
//! mean is set for the time of the run.
#![allow(unsafe_code)] // Generated code can't hold references: they are kept here while it runs.

use std::cell::Cell;
use std::ptr;

use cpu::CpuState;
use cpu::flags::{self, FlagKind};
use cpu::helper::{Context, Trap};
use memory::AddressSpace;

use crate::emit::performed;
use crate::ops::OpTable;

/// What operations work on.
struct Running {
    cpu: *mut CpuState,
    space: *mut AddressSpace,
    time_stamp: *const dyn Fn() -> u64,
    table: *const OpTable,
    trap: Option<Trap>,
}

thread_local! {
    static RUNNING: Cell<*mut Running> = const { Cell::new(ptr::null_mut()) };
}

/// Calls `run`, within which generated code may call the functions below for these registers (in the area) and this
/// memory. Returns what `run` returns, and why the last operation trapped, if one did.
pub fn with<R>(
    cpu: *mut CpuState,
    space: &mut AddressSpace,
    time_stamp: &dyn Fn() -> u64,
    table: &OpTable,
    run: impl FnOnce() -> R,
) -> (R, Option<Trap>) {
    // SAFETY: only the lifetime changes; the pointer is gone from `RUNNING` before this returns.
    let time_stamp = unsafe { std::mem::transmute::<&dyn Fn() -> u64, *const (dyn Fn() -> u64 + 'static)>(time_stamp) };
    let mut running = Running { cpu, space, time_stamp, table, trap: None };
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
    let (cpu, space, time_stamp, table) =
        unsafe { (&mut *(*running).cpu, &mut *(*running).space, &*(*running).time_stamp, &*(*running).table) };
    let Some(op) = table.get(number) else { return performed::TRAP };
    match (Context { cpu, space, time_stamp }).perform(&op) {
        Ok(()) if space.has_stale_code() => performed::STALE,
        Ok(()) => performed::DONE,
        Err(trap) => {
            // SAFETY: as above.
            unsafe { (*running).trap = Some(trap) };
            performed::TRAP
        }
    }
}

/// The status flags that follow from operands, as RFLAGS has them.
pub extern "C" fn status(kind: u32, a: u64, b: u64) -> u32 {
    flags::status(FlagKind::from_code(kind as u16), a, b) as u32
}
