//! The browser as the JIT's [`CodeHost`]: modules are compiled in the worker and bound to a guest memory; their
//! functions go into the engine's own function table, so engine and generated code call each other without JavaScript
//! in between.
#![allow(unsafe_code)] // Function-table entries become function pointers; the area is shared with generated code.

use jit::CodeHost;
use jit::area::Area;
use jit::emit::{self, export_name};
use jit::running;
use js_sys::WebAssembly::{Instance, Module, Table};
use js_sys::{Function, Object, Reflect};
use memory::HostMemory;
use wasm_bindgen::prelude::*;

use super::memories::{guest_memory, object};

/// Entries by which the function table grows.
const TABLE_STEP: u32 = 256;

/// See the module.
pub struct BrowserCode {
    area: *mut Area,
    table: Table,
    /// What all modules import of the engine.
    engine: Object,
    free: Vec<u32>,
}

impl BrowserCode {
    /// Makes the area.
    ///
    /// # Errors
    /// The browser's.
    pub fn new() -> Result<Self, JsValue> {
        let table: Table = wasm_bindgen::function_table().unchecked_into();
        // A function pointer is its index in the table.
        let function = |index: usize| table.get(index as u32);
        let mut engine = vec![
            ("memory", wasm_bindgen::memory()),
            ("table", table.clone().into()),
            ("perform", function(running::perform as extern "C" fn(u32) -> u32 as usize)?.into()),
            ("status", function(running::status as extern "C" fn(u32, u64, u64) -> u32 as usize)?.into()),
            ("find", function(running::find as extern "C" fn(u64) -> u32 as usize)?.into()),
        ];
        let x87: Vec<_> = running::X87.iter().map(|(call, _)| emit::x87_name(*call)).collect();
        for (name, (_, entry)) in x87.iter().zip(running::X87) {
            engine.push((name, function(entry as usize)?.into()));
        }
        let engine = object(&engine)?;
        // Generated code names its address, so it stays for good.
        let area = Box::into_raw(Box::<Area>::default());
        Ok(Self { area, table, engine, free: Vec::new() })
    }

    fn bind(&mut self, module: &Module, count: usize, memory: &HostMemory) -> Result<Vec<u32>, JsValue> {
        let memory = guest_memory(memory.slot()).ok_or("a memory that is not one of the pool's")?;
        let guest = object(&[("memory", memory.into())])?;
        let imports = object(&[("engine", self.engine.clone().into()), ("guest", guest.into())])?;
        let exports = Instance::new(module, &imports)?.exports();
        (0..count).map(|number| self.enter_in_table(&exports, number)).collect()
    }

    fn enter_in_table(&mut self, exports: &Object, number: usize) -> Result<u32, JsValue> {
        let function: Function = Reflect::get(exports, &export_name(number).into())?.dyn_into()?;
        if self.free.is_empty() {
            let first = self.table.grow(TABLE_STEP)?;
            self.free.extend((first..first + TABLE_STEP).rev());
        }
        let index = self.free.pop().ok_or("no table entry")?;
        self.table.set(index, &function)?;
        Ok(index)
    }
}

/// What the browser says is wrong, in words.
fn words(error: &JsValue) -> String {
    format!("{error:?}")
}

impl CodeHost for BrowserCode {
    type Module = Module;

    fn area(&mut self) -> &mut Area {
        // SAFETY: made by `new` and never freed; generated code does not run while it is borrowed, and every bit pattern
        // it can leave there is a value but for the flags' kind, which it copies from `FlagKind`s only.
        unsafe { &mut *self.area }
    }

    fn area_offset(&mut self) -> u32 {
        self.area as usize as u32
    }

    fn shares_memory(&self) -> bool {
        true
    }

    fn compile(&mut self, wasm: &[u8]) -> Result<Module, String> {
        Module::new(&js_sys::Uint8Array::from(wasm)).map_err(|error| words(&error))
    }

    fn link(&mut self, module: &Module, count: usize, memory: &HostMemory) -> Result<Vec<u32>, String> {
        self.bind(module, count, memory).map_err(|error| words(&error))
    }

    fn unlink(&mut self, function: u32) {
        self.free.push(function);
    }

    fn call(&mut self, function: u32, label: u32, fuel: i32) -> u32 {
        // SAFETY: on wasm32 a function pointer is a table index; `bind` put a function of this type there.
        let function = unsafe { std::mem::transmute::<usize, extern "C" fn(u32, i32) -> u32>(function as usize) };
        function(label, fuel)
    }
}
