//! Linux as programs see it: error numbers, system-call numbers, flags and structs.
//!
//! The crates that carry the kernel's headers pick their module by the build machine's architecture
//! and so have nothing for wasm32; the numbers are therefore kept here, and tests compare them with
//! those crates on the native side.
//!
//! | module | subject |
//! |---|---|
//! | [`errno`] | error numbers, names, descriptions |

pub mod errno;

pub use errno::Errno;
