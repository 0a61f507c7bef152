//! The machine: disk, kernel and engine wired together.
//!
//! | module | subject |
//! |---|---|
//! | [`machine`] | `Machine`: kernel and engine, run in slices |
//! | [`root`] | the root file system on a disk that arrives piece by piece |
//! | [`heap`] | counts what all of this takes |
//! | [`native`] | hosts it in a shell |
//! | [`browser`] | hosts it in a Web Worker: the only code that knows JavaScript |

pub mod browser;
mod heap;
pub mod machine;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
pub mod root;

pub use machine::{Event, Machine, Next, Program};
