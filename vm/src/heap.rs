//! Counts the bytes that are allocated: in WebAssembly there are 4 GiB, and whoever asks for more is stopped. The kernel
//! layer ends programs before it comes to that.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Bytes allocated.
pub fn bytes() -> u64 {
    HEAP.allocated() as u64
}
