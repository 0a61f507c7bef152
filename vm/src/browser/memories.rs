//! Guest memories in the browser: one shared `WebAssembly.Memory` per address space, pooled.
#![allow(unsafe_code)] // Function-table entries become function pointers.

use std::cell::RefCell;

use js_sys::WebAssembly::{Instance, Memory, Module, Table};
use js_sys::{Function, Object, Reflect};
use memory::HostMemory;
use memory::host::Accessors;
use wasm_bindgen::prelude::*;

use super::accessors::{self, GUEST_PAGES};

/// Guest memories at the same time. Chromium gives a tab about 124 reservations of this size; some are the engine's
/// own and the page's.
const MEMORIES_MAX: u32 = 110;

thread_local! {
    /// Every memory made so far, by slot: compiled code is bound to them.
    static MEMORIES: RefCell<Vec<Memory>> = const { RefCell::new(Vec::new()) };
}

/// Makes memories, and keeps those that processes have left behind: a memory can't be given back to the browser
/// while its accessors are in the function table.
pub struct BrowserMemories {
    module: Module,
    free: Vec<HostMemory>,
    made: u32,
}

impl BrowserMemories {
    /// Compiles the accessor module.
    ///
    /// # Errors
    /// The browser's, when it lacks something the module needs (several memories, shared memory).
    pub fn new() -> Result<Self, JsValue> {
        let bytes = js_sys::Uint8Array::from(accessors::module().as_slice());
        Ok(Self { module: Module::new(&bytes)?, free: Vec::new(), made: 0 })
    }

    fn make(&mut self) -> Result<HostMemory, JsValue> {
        let memory = Memory::new(&object(&[
            ("initial", GUEST_PAGES.into()),
            ("maximum", GUEST_PAGES.into()),
            ("shared", true.into()),
        ])?)?;
        let engine = object(&[("memory", wasm_bindgen::memory())])?;
        let guest = object(&[("memory", memory.clone().into())])?;
        let imports = object(&[("engine", engine.into()), ("guest", guest.into())])?;
        let exports = Instance::new(&self.module, &imports)?.exports();
        let table: Table = wasm_bindgen::function_table().unchecked_into();
        let first = table.grow(Accessors::NAMES.len() as u32)?;
        for (index, name) in (first..).zip(Accessors::NAMES) {
            let function: Function = Reflect::get(&exports, &(*name).into())?.dyn_into()?;
            table.set(index, &function)?;
        }
        let slot = self.made;
        self.made += 1;
        MEMORIES.with_borrow_mut(|memories| memories.push(memory));
        // SAFETY: the entries from `first` on have just been filled with the accessor module's exports in order.
        Ok(HostMemory::new(unsafe { Accessors::from_table(first) }, slot))
    }
}

/// The memory the pool made as number `slot`.
pub fn guest_memory(slot: u32) -> Option<Memory> {
    MEMORIES.with_borrow(|memories| memories.get(slot as usize).cloned())
}

/// A JavaScript object with these properties.
///
/// # Errors
/// The browser's.
pub fn object(entries: &[(&str, JsValue)]) -> Result<Object, JsValue> {
    let object = Object::new();
    for (name, value) in entries {
        Reflect::set(&object, &(*name).into(), value)?;
    }
    Ok(object)
}

impl kernel::host::MemoryPool for BrowserMemories {
    fn allocate(&mut self) -> Option<HostMemory> {
        if let Some(memory) = self.free.pop() {
            return Some(memory);
        }
        // A browser short of address space says so here; some process is swapped out then.
        (self.made < MEMORIES_MAX).then(|| self.make().ok()).flatten()
    }

    fn give_back(&mut self, memory: HostMemory) {
        self.free.push(memory);
    }
}
