//! The x86 processor: decoding, lifting to a small IR, interpreting it.

pub mod engine;
pub mod exit;
pub mod flags;
pub mod fpu;
pub mod ir;
pub mod state;

pub use engine::Engine;
pub use exit::{Exception, Exit};
pub use state::{CpuState, Mode, reg, rflags};
