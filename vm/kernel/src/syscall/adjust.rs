//! Adjusting the clock (`adjtimex(2)`): the host's is looked at, not touched.

use std::rc::Rc;

use abi::{Errno, Layout};

use super::time::clock_now;
use crate::kernel::{Kernel, SECOND_NS};
use crate::stop::Outcome;
use crate::task::Task;

/// Nobody synchronizes this clock, as far as anybody here knows.
const STA_UNSYNC: u32 = 0x40;
const TIME_ERROR: u64 = 5;
/// Largest error of a clock that nobody synchronizes, in microseconds (`NTP_PHASE_LIMIT`).
const ERROR_MAX_US: u64 = 16_000_000;
/// Parts per million that it may be adjusted by, scaled by 65536.
const TOLERANCE: u64 = 32_768_000;
/// Microseconds between two ticks, of which there are 100 in a second.
const TICK_US: u64 = 10_000;

pub(super) fn adjtimex(k: &mut Kernel, t: &Rc<Task>, addr: u64) -> Outcome<u64> {
    // 64-bit times come with all other fields as long.
    let layout = if t.layout().time_bytes == 8 { Layout::X86_64 } else { t.layout() };
    let modes = t.mm()?.read_u32(addr)?;
    if modes != 0 {
        return Err(Errno::EPERM.into());
    }
    let now_ns = k.realtime_ns();
    let head = layout.writer().u32(0).align().word(0).word(0).word(ERROR_MAX_US).word(ERROR_MAX_US);
    let head = head.u32(STA_UNSYNC).align().word(2).word(1).word(TOLERANCE);
    let head = head.word(now_ns / SECOND_NS).word(now_ns % SECOND_NS / 1000).word(TICK_US);
    let bytes = head.pad_to(if layout.is_32() { 128 } else { 208 }).finish();
    t.mm()?.write_user(addr, &bytes)?;
    Ok(TIME_ERROR)
}

pub(super) fn clock_adjtime(k: &mut Kernel, t: &Rc<Task>, clock: u32, addr: u64) -> Outcome<u64> {
    clock_now(k, t, clock)?;
    if clock == abi::time::CLOCK_REALTIME { adjtimex(k, t, addr) } else { Err(Errno::EOPNOTSUPP.into()) }
}
