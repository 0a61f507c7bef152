//! A guest address space: the bytes a guest program sees, and one state byte for each page of them.
//!
//! A guest address is 64 bits wide, but the kernel layer puts next to nothing at or above [`GUEST_TOP`]
//! (just under 4 GiB), so one wasm `memory32` holds a whole address space:
//!
//! ```text
//! host offset 0          1 MiB                                       4 GiB − 1 MiB     4 GiB
//!             | state map | guest address 0 …                     GUEST_TOP | lookaside |
//! ```
//!
//! host offset = guest address + [`HOST_BASE`]. The state map at the bottom holds one
//! [`PageState`] byte per guest page; generated code and the interpreter look there before every
//! access, so a page that is absent, protected, shared copy-on-write or holds translated code takes
//! the slow way with the guest's registers intact.
//!
//! Programs that reserve more than 4 GiB use little of it: the bytes of such *high* addresses lie in blocks below, which
//! [`high`] finds, and generated code in the *lookaside*. That is all zero, and its host memory untouched, where there are none.
//!
//! **Invariant:** a page without [`PageState::PRESENT`] is all zero bytes in the host's memory, so a
//! fresh anonymous page costs no clearing.
//!
//! **Invariant:** nothing here knows of memory maps (VMAs), files or tasks: what a fault means is the
//! kernel layer's business.
//!
//! | module | subject |
//! |---|---|
//! | [`address`] | `GuestAddr`, `PageIndex`, sizes |
//! | [`state`] | the state byte |
//! | `store` | bytes and states in a memory of the host, or swapped out |
//! | [`high`] | where the bytes of high addresses are |
//! | [`space`] | `AddressSpace`: checked access, page management, code tracking |
//! | `host` | where the bytes live: a native mapping, or another wasm memory reached by function pointers |

pub mod address;
pub mod high;
pub mod space;
pub mod state;
mod store;

#[cfg_attr(target_arch = "wasm32", path = "host_wasm.rs")]
#[cfg_attr(not(target_arch = "wasm32"), path = "host_native.rs")]
pub mod host;

/// Names of the accessor module's exports (see `host_wasm`), in the order of their places in the function table.
pub const ACCESSOR_NAMES: &[&str] = &[
    "state",
    "set_state",
    "copy_out",
    "copy_in",
    "clear",
    "load8",
    "load16",
    "load32",
    "load64",
    "load128",
    "store8",
    "store16",
    "store32",
    "store64",
    "store128",
];

pub use address::{GUEST_TOP, GuestAddr, HOST_BASE, PAGE_SIZE, PageBytes, PageIndex};
pub use high::{BLOCK_BYTES, Blocks, HIGH_END};
pub use host::HostMemory;
pub use space::{Access, AddressSpace, Fault, SpaceId};
pub use state::PageState;
