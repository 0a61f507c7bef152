//! `CodeHost`: what runs the WebAssembly that the JIT emits. The browser is one, a native runtime another.

use memory::HostMemory;

use crate::area::Area;

/// Compiles and runs modules.
pub trait CodeHost {
    /// A compiled module, not bound to a guest memory yet.
    type Module;

    /// The area, while no generated code runs.
    fn area(&mut self) -> &mut Area;

    /// Where generated code finds the area in the memory it imports.
    fn area_offset(&mut self) -> u32;

    /// Whether the guest memories that modules import are shared ones.
    fn shares_memory(&self) -> bool;

    /// Compiles a module.
    ///
    /// # Errors
    /// The host's words, when it refuses.
    fn compile(&mut self, wasm: &[u8]) -> Result<Self::Module, String>;

    /// Binds a module of `count` regions to a guest memory; returns the indices of their functions in the function table.
    ///
    /// # Errors
    /// The host's words, when it refuses.
    fn link(&mut self, module: &Self::Module, count: usize, memory: &HostMemory) -> Result<Vec<u32>, String>;

    /// Frees an entry of the function table.
    fn unlink(&mut self, function: u32);

    /// Runs a function of the table from entry `label`, with `fuel`; returns what it returns.
    fn call(&mut self, function: u32, label: u32, fuel: i32) -> u32;
}
