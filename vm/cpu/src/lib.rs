//! The x86 processor: decoding, lifting to a small IR, interpreting it.
//!
//! Guest code is decoded and lifted once per basic block; the IR is the one place that says what an instruction does,
//! and every engine runs it. [`Engine::run`] executes a task until an [`Exit`], which is all the kernel layer sees.
//!
//! | module | subject |
//! |---|---|
//! | [`state`] | `CpuState`: a task's registers |
//! | [`exit`] | why an engine stopped |
//! | [`features`] | what the processor says it can do |
//! | [`engine`] | the trait engines implement |
//! | [`lift`] | x86 to IR |
//! | [`ir`] | the operations, and passes over them |
//! | [`flags`] | lazy flags |
//! | [`vector`] | what SSE operations compute |
//! | [`fpu`], [`x87`] | floating-point stack: state, instructions |
//! | [`segment`] | segment registers and thread-local storage |
//! | [`helper`] | functions for what is too long for the IR |
//! | [`interp`] | the interpreter and its block cache |

pub mod engine;
pub mod exit;
pub mod features;
pub mod flags;
pub mod fpu;
pub mod helper;
pub mod interp;
pub mod ir;
pub mod lift;
pub mod saved;
pub mod segment;
pub mod state;
pub mod vector;
pub mod x87;

pub use engine::Engine;
pub use exit::{Exception, Exit};
pub use interp::Interpreter;
pub use state::{CpuState, Mode, reg, rflags};
