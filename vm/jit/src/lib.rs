//! The JIT: hot guest code as WebAssembly.
//!
//! Code is interpreted until a block has run often enough; then a [`region`] around it is lifted to IR once more, with
//! everything known about which blocks belong together, and [`emit`]ted as a WebAssembly module. A [`host::CodeHost`]
//! compiles it and binds it to the guest's memory. [`Jit`] is the [`cpu::Engine`] that does all this and decides what
//! runs where; whatever compiled code can't do, the interpreter does, so the two always agree on where an instruction
//! begins and what it means.
//!
//! | module | subject |
//! |---|---|
//! | [`region`] | what is compiled together, and its shape |
//! | [`emit`] | regions to WebAssembly |
//! | `touched` | what operations read and write |
//! | [`ops`] | operations that generated code has Rust carry out |
//! | [`running`] | what generated code calls |
//! | [`area`] | what generated code and the engine share in memory |
//! | [`host`] | who compiles and runs modules |
//! | [`cache`] | compiled regions, and where they are valid |
//! | [`engine`] | `Jit` |
//! | `native` | a `CodeHost` for tests and the headless runner |
//!
//! **Invariant:** nothing here knows the kernel layer, nor JavaScript.

pub mod area;
pub mod cache;
pub mod emit;
pub mod engine;
pub mod host;
#[cfg(all(feature = "native", not(target_arch = "wasm32")))]
pub mod native;
pub mod ops;
pub mod region;
pub mod running;
mod touched;

pub use engine::Jit;
pub use host::CodeHost;
