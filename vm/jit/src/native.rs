//! Runs generated code with wasmtime: for tests and the headless runner.
#![allow(unsafe_code)] // Guest memories are this process's own mappings, lent to the runtime.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use cpu::fpu::Fpu;
use memory::HostMemory;
use wasm_encoder::{ExportKind, ExportSection, MemorySection};
use wasmtime::{
    Config, Engine, Extern, Func, Instance, LinearMemory, Memory, MemoryCreator, MemoryType, Module, Ref, RefType,
    Store, Table, TableType, TypedFunc,
};

use crate::area::Area;
use crate::emit::export_name;
use crate::host::CodeHost;
use crate::running;

/// 64 KiB pages of a guest memory.
const GUEST_PAGES: u64 = 65536;

const PAGE_BYTES: usize = 65536;

/// Bytes past a memory's end that generated code may name (it never gets there: the state map forbids it).
const GUARD_BYTES: u64 = 2 << 20;

/// A mapping made elsewhere, lent for as long as the store lives.
struct Lent {
    base: *mut u8,
    bytes: usize,
}

// SAFETY: the pointer is used by generated code only, which runs on the thread that owns the store.
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

// SAFETY: base and size never change while the store lives.
unsafe impl LinearMemory for Lent {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        self.bytes
    }

    fn grow_to(&mut self, _new_size: usize) -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg("guest memories do not grow"))
    }

    fn as_ptr(&self) -> *mut u8 {
        self.base
    }
}

/// Where the area's memory begins.
#[derive(Clone, Copy)]
struct AreaBase(*mut u8);

// SAFETY: used by generated code only, which runs on the thread that owns the store.
unsafe impl Send for AreaBase {}
// SAFETY: as above.
unsafe impl Sync for AreaBase {}

/// Hands out the mapping that was put there last.
#[derive(Default)]
struct Lender {
    next: Mutex<Option<Lent>>,
}

// SAFETY: what is handed out is as large as asked for and stays.
unsafe impl MemoryCreator for Lender {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        _reserved: Option<usize>,
        _guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let lent = self.next.lock().map_err(|error| error.to_string())?.take().ok_or("no memory was offered")?;
        if lent.bytes < minimum {
            return Err(format!("a memory of {} bytes where {minimum} are needed", lent.bytes));
        }
        Ok(Box::new(lent))
    }
}

/// See the module.
pub struct Wasmtime {
    store: Store<()>,
    lender: Arc<Lender>,
    area: Box<[u8]>,
    area_memory: Memory,
    table: Table,
    perform: Func,
    status: Func,
    find: Func,
    x87: Vec<Func>,
    memories: Vec<(u32, Memory)>,
    functions: Vec<Option<TypedFunc<(i32, i32), i32>>>,
    free: Vec<u32>,
}

thread_local! {
    /// One compiler for all machines of a thread.
    static ENGINE: RefCell<Option<(Engine, Arc<Lender>)>> = const { RefCell::new(None) };
}

fn engine() -> Result<(Engine, Arc<Lender>), wasmtime::Error> {
    ENGINE.with_borrow_mut(|engine| {
        if engine.is_none() {
            let lender = Arc::new(Lender::default());
            let mut config = Config::new();
            config.with_host_memory(lender.clone());
            config.memory_reservation(1 << 32).memory_guard_size(GUARD_BYTES).signals_based_traps(true);
            config.wasm_tail_call(true).wasm_multi_memory(true).wasm_simd(true);
            *engine = Some((Engine::new(&config)?, lender));
        }
        engine.clone().ok_or_else(|| wasmtime::Error::msg("no engine"))
    })
}

/// Offset of the area in its memory: aligned as the structure wants it.
const AREA_OFFSET: usize = 64;

impl Wasmtime {
    /// Starts the runtime.
    ///
    /// # Errors
    /// The runtime's, when this computer lacks something it needs.
    pub fn new() -> Result<Self, String> {
        Self::start().map_err(|error| format!("the WebAssembly runtime does not start: {error:#}"))
    }

    fn start() -> Result<Self, wasmtime::Error> {
        let (engine, lender) = engine()?;
        let mut store = Store::new(&engine, ());
        let pages = (size_of::<Area>() + AREA_OFFSET).div_ceil(PAGE_BYTES);
        // A boxed slice may lie anywhere; a page more, and the start moved up to a boundary, aligns it.
        let mut area = vec![0; (pages + 1) * PAGE_BYTES].into_boxed_slice();
        let base = area.as_mut_ptr();
        let base = base.wrapping_add(base.align_offset(PAGE_BYTES));
        let area_memory = lend(&mut store, &lender, base, pages as u64)?;
        let none = Ref::Func(None);
        let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 0, None), none)?;
        let perform = Func::wrap(&mut store, |number: i32| running::perform(number as u32) as i32);
        let status =
            Func::wrap(&mut store, |kind: i32, a: i64, b: i64| running::status(kind as u32, a as u64, b as u64) as i32);
        let find = Func::wrap(&mut store, |rip: i64| running::find(rip as u64) as i32);
        let x87 = running::X87.into_iter().map(|(_, function)| {
            let base = AreaBase(base);
            Func::wrap(&mut store, move |unit: i32, a: i64, a_exponent: i32, b: i64, b_exponent: i32| {
                let AreaBase(base) = { &base };
                let unit = base.wrapping_add(unit as usize).cast::<Fpu>();
                function(unit, a as u64, a_exponent as u32, b as u64, b_exponent as u32) as i64
            })
        });
        let x87 = x87.collect();
        let mut host = Self {
            store,
            lender,
            area,
            area_memory,
            table,
            perform,
            status,
            find,
            x87,
            memories: Vec::new(),
            functions: Vec::new(),
            free: Vec::new(),
        };
        *host.area() = Area::default();
        Ok(host)
    }

    fn memory(&mut self, memory: &HostMemory) -> Result<Memory, wasmtime::Error> {
        if let Some((_, known)) = self.memories.iter().find(|(slot, _)| *slot == memory.slot()) {
            return Ok(*known);
        }
        let lent = lend(&mut self.store, &self.lender, memory.base(), GUEST_PAGES)?;
        self.memories.push((memory.slot(), lent));
        Ok(lent)
    }

    fn bind(&mut self, module: &Module, count: usize, memory: &HostMemory) -> Result<Vec<u32>, wasmtime::Error> {
        let memory = self.memory(memory)?;
        let [perform, status, find] = [self.perform, self.status, self.find].map(Extern::from);
        let mut imports = vec![memory.into(), self.area_memory.into(), self.table.into(), perform, status, find];
        imports.extend(self.x87.iter().map(|function| Extern::from(*function)));
        let instance = Instance::new(&mut self.store, module, &imports)?;
        (0..count).map(|number| self.enter_in_table(&instance, number)).collect()
    }

    fn enter_in_table(&mut self, instance: &Instance, number: usize) -> Result<u32, wasmtime::Error> {
        let function = instance.get_typed_func::<(i32, i32), i32>(&mut self.store, &export_name(number))?;
        let entry = Ref::Func(Some(*function.func()));
        let index = match self.free.pop() {
            Some(index) => {
                self.table.set(&mut self.store, index.into(), entry)?;
                index
            }
            None => self.table.grow(&mut self.store, 1, entry)? as u32,
        };
        if self.functions.len() <= index as usize {
            self.functions.resize(index as usize + 1, None);
        }
        self.functions[index as usize] = Some(function);
        Ok(index)
    }
}

/// Makes a memory of a mapping: that of an instance of a module that has nothing else, since the runtime asks its
/// creator for no other memories.
fn lend(store: &mut Store<()>, lender: &Lender, base: *mut u8, pages: u64) -> Result<Memory, wasmtime::Error> {
    let lent = Lent { base, bytes: pages as usize * PAGE_BYTES };
    *lender.next.lock().map_err(|error| wasmtime::Error::msg(error.to_string()))? = Some(lent);
    let mut memories = MemorySection::new();
    memories.memory(wasm_encoder::MemoryType {
        minimum: pages,
        maximum: Some(pages),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    let mut module = wasm_encoder::Module::new();
    module.section(&memories).section(&exports);
    let module = Module::new(store.engine(), module.finish())?;
    let instance = Instance::new(&mut *store, &module, &[])?;
    instance.get_memory(store, "memory").ok_or_else(|| wasmtime::Error::msg("the memory is gone"))
}

impl CodeHost for Wasmtime {
    type Module = Module;

    fn area(&mut self) -> &mut Area {
        let start = self.area.as_mut_ptr();
        let base = start.wrapping_add(start.align_offset(PAGE_BYTES));
        // SAFETY: the area lies within the boxed slice, aligned; generated code does not run while it is borrowed, and
        // every bit pattern that generated code can leave in it is one of its values but for the flags' kind, which
        // generated code copies from `FlagKind`s only.
        unsafe { &mut *base.add(AREA_OFFSET).cast::<Area>() }
    }

    fn area_offset(&mut self) -> u32 {
        AREA_OFFSET as u32
    }

    fn shares_memory(&self) -> bool {
        false
    }

    fn compile(&mut self, wasm: &[u8]) -> Result<Module, String> {
        Module::from_binary(self.store.engine(), wasm).map_err(|error| format!("{error:#}"))
    }

    fn link(&mut self, module: &Module, count: usize, memory: &HostMemory) -> Result<Vec<u32>, String> {
        self.bind(module, count, memory).map_err(|error| format!("{error:#}"))
    }

    fn unlink(&mut self, function: u32) {
        if let Some(entry) = self.functions.get_mut(function as usize)
            && entry.take().is_some()
        {
            // The entry exists, so this can't fail; a stale function there would never be called either.
            let _ = self.table.set(&mut self.store, function.into(), Ref::Func(None));
            self.free.push(function);
        }
    }

    fn call(&mut self, function: u32, label: u32, fuel: i32) -> u32 {
        let function = self.functions[function as usize].clone().expect("only linked functions are called");
        // Generated code checks every access before it makes it: a trap is a bug of ours.
        function.call(&mut self.store, (label as i32, fuel)).expect("generated code does not trap") as u32
    }
}
