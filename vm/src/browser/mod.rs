//! Hosts the machine in a Web Worker.
//!
//! | module | subject |
//! |---|---|
//! | [`accessors`] | the generated module that reaches guest memories |
//! | [`memories`] | making and pooling them |
//! | [`code`] | compiling what the JIT emits |
//! | [`world`] | what the kernel layer gets from the browser: clocks, entropy, console |
//! | [`chunks`] | chunks, fetched by JavaScript |
//! | [`exports`] | what JavaScript calls |

pub mod accessors;
#[cfg(target_arch = "wasm32")]
mod chunks;
#[cfg(target_arch = "wasm32")]
mod code;
#[cfg(target_arch = "wasm32")]
mod exports;
#[cfg(target_arch = "wasm32")]
mod memories;
#[cfg(target_arch = "wasm32")]
mod world;
