//! The accessor module: a few generated functions through which the engine, compiled for a memory of its own, reaches
//! a guest's. Their order and meaning are those of [`memory::host::Accessors`].
//!
//! Memory 0 is the engine's, memory 1 the guest's. A checked access looks at the page's state byte and refuses to
//! cross a page; the caller then goes the slow way.

use memory::{HOST_BASE, PageState};
use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    InstructionSink, MemArg, MemArgTarget, MemoryType, Module, TypeSection, ValType,
};

const ENGINE: u32 = 0;
const GUEST: u32 = 1;

/// 64 KiB pages of a guest memory: all that 32 bits address.
pub const GUEST_PAGES: u32 = 65536;

/// One exported function.
struct Accessor {
    name: &'static str,
    params: Vec<ValType>,
    result: bool,
    body: fn(&mut InstructionSink<'_>),
}

fn at(memory: u32, offset: u64) -> MemArg {
    // Alignment is a hint; guests align as they like.
    MemArg { offset, align: 0, target: MemArgTarget::Memory(memory), ordering: None }
}

fn guest() -> MemArg {
    at(GUEST, HOST_BASE)
}

/// Leaves with 0 unless an access of `bytes` at parameter 0 stays within a page whose state has `needed`.
fn check(code: &mut InstructionSink<'_>, bytes: i32, needed: PageState) {
    code.local_get(0).i32_const(12).i32_shr_u().i32_load8_u(at(GUEST, 0));
    code.i32_const(needed.0.into()).i32_and().i32_eqz();
    if bytes > 1 {
        code.local_get(0).i32_const(0xfff).i32_and().i32_const(0x1000 - bytes).i32_gt_u().i32_or();
    }
    code.if_(BlockType::Empty).i32_const(0).return_().end();
}

fn load(code: &mut InstructionSink<'_>, bytes: i32, copy: fn(&mut InstructionSink<'_>)) {
    check(code, bytes, PageState::READ);
    code.local_get(1).local_get(0);
    copy(code);
    code.i32_const(1);
}

fn store(code: &mut InstructionSink<'_>, bytes: i32, copy: fn(&mut InstructionSink<'_>)) {
    check(code, bytes, PageState::WRITE);
    code.local_get(0).local_get(1);
    copy(code);
    code.i32_const(1);
}

/// `memory.copy` and `memory.fill` want host offsets.
fn host_offset(code: &mut InstructionSink<'_>, local: u32) {
    code.local_get(local).i32_const(HOST_BASE as i32).i32_add();
}

fn accessors() -> Vec<Accessor> {
    use ValType::{I32, I64};
    let accessor = |name, params: &[ValType], result, body| Accessor { name, params: params.to_vec(), result, body };
    vec![
        accessor("state", &[I32], true, |code| {
            code.local_get(0).i32_load8_u(at(GUEST, 0));
        }),
        accessor("set_state", &[I32, I32], false, |code| {
            code.local_get(0).local_get(1).i32_store8(at(GUEST, 0));
        }),
        accessor("copy_out", &[I32, I32, I32], false, |code| {
            code.local_get(1);
            host_offset(code, 0);
            code.local_get(2).memory_copy(ENGINE, GUEST);
        }),
        accessor("copy_in", &[I32, I32, I32], false, |code| {
            host_offset(code, 0);
            code.local_get(1).local_get(2).memory_copy(GUEST, ENGINE);
        }),
        accessor("clear", &[I32, I32], false, |code| {
            host_offset(code, 0);
            code.i32_const(0).local_get(1).memory_fill(GUEST);
        }),
        accessor("load8", &[I32, I32], true, |code| {
            load(code, 1, |code| {
                code.i32_load8_u(guest()).i32_store8(at(ENGINE, 0));
            });
        }),
        accessor("load16", &[I32, I32], true, |code| {
            load(code, 2, |code| {
                code.i32_load16_u(guest()).i32_store16(at(ENGINE, 0));
            });
        }),
        accessor("load32", &[I32, I32], true, |code| {
            load(code, 4, |code| {
                code.i32_load(guest()).i32_store(at(ENGINE, 0));
            });
        }),
        accessor("load64", &[I32, I32], true, |code| {
            load(code, 8, |code| {
                code.i64_load(guest()).i64_store(at(ENGINE, 0));
            });
        }),
        accessor("load128", &[I32, I32], true, |code| {
            load(code, 16, |code| {
                code.v128_load(guest()).v128_store(at(ENGINE, 0));
            });
        }),
        accessor("store8", &[I32, I32], true, |code| {
            store(code, 1, |code| {
                code.i32_store8(guest());
            });
        }),
        accessor("store16", &[I32, I32], true, |code| {
            store(code, 2, |code| {
                code.i32_store16(guest());
            });
        }),
        accessor("store32", &[I32, I32], true, |code| {
            store(code, 4, |code| {
                code.i32_store(guest());
            });
        }),
        accessor("store64", &[I32, I64], true, |code| {
            store(code, 8, |code| {
                code.i64_store(guest());
            });
        }),
        accessor("store128", &[I32, I64, I64], true, |code| {
            store(code, 16, |code| {
                code.i64_store(guest());
                code.local_get(0).local_get(2).i64_store(at(GUEST, HOST_BASE + 8));
            });
        }),
    ]
}

/// The module's bytes. It imports `engine.memory` and `guest.memory`.
pub fn module() -> Vec<u8> {
    let mut types = TypeSection::new();
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    for (index, accessor) in accessors().into_iter().enumerate() {
        let index = index as u32;
        let results: &[ValType] = if accessor.result { &[ValType::I32] } else { &[] };
        types.ty().function(accessor.params, results.iter().copied());
        functions.function(index);
        exports.export(accessor.name, ExportKind::Func, index);
        let mut body = Function::new([]);
        (accessor.body)(&mut body.instructions());
        body.instructions().end();
        code.function(&body);
    }
    let memory = |minimum: u64, maximum: Option<u64>, shared| {
        EntityType::Memory(MemoryType { minimum, maximum, memory64: false, shared, page_size_log2: None })
    };
    let mut imports = ImportSection::new();
    imports.import("engine", "memory", memory(1, None, false));
    let pages = u64::from(GUEST_PAGES);
    imports.import("guest", "memory", memory(pages, Some(pages), true));
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&exports).section(&code);
    module.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_valid_and_complete() {
        let bytes = module();
        wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(&bytes).unwrap();
        let names: Vec<_> = accessors().iter().map(|accessor| accessor.name).collect();
        assert_eq!(names, memory::ACCESSOR_NAMES);
    }
}
