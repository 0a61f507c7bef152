//! The machine: disk, kernel and engine wired together.
//!
//! | module | subject |
//! |---|---|
//! | [`native`] | hosts it in a shell |

#[cfg(not(target_arch = "wasm32"))]
pub mod native;
