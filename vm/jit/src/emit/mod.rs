//! Emission: a region becomes a WebAssembly module with one function.
//!
//! The function takes the entry's label and the fuel, keeps guest registers in locals, and either returns the number of
//! an [`ExitPoint`] or goes on in another region by a tail call. Everything that can't be done directly — a page that
//! needs the kernel layer, code that was not compiled, a store to code — leaves through a branch to one place at the
//! function's end that writes the registers back, so guest state is exact at every instruction.
//!
//! ```text
//! block $leave (result i32)          an exit point's number
//!   loop $dispatch                   only entered again for computed jumps and irreducible loops
//!     block $go                      `next` holds the address to go to
//!       … the region's blocks …
//!     end
//!     look `next` up in the jump cache: br $dispatch, tail call, or leave
//!   end
//! end
//! write the registers back, return
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`control`] | structured control flow, exits |
//! | [`memory`] | loads and stores, checked against page states |
//! | [`integer`] | integer operations |
//! | [`carry`] | sums with a carry |
//! | [`flags`] | lazy flags |
//! | [`vector`] | SSE |
//! | [`x87`] | the floating-point stack |
//! | [`extended`] | sums and products of 80-bit numbers |
//! | [`call`] | operations that Rust carries out |
//! | [`locals`] | locals |

mod call;
mod carry;
mod control;
mod extended;
mod flags;
mod integer;
mod locals;
mod memory;
mod vector;
mod x87;

use cpu::ir::{Op, Slot, VSlot, slot};
use cpu::state::Floats;
use cpu::x87::compiled::Call;
use wasm_encoder::{
    BranchHint, BranchHints, CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, InstructionSink, MemArg, MemArgTarget, MemoryType, Module, RefType, TableType, TypeSection, ValType,
};

use crate::area::offset;
use crate::ops::OpTable;
use crate::region::flags::{self as region_flags, Kind};
use crate::region::shape::Shape;
use crate::region::values;
use crate::region::{NodeId, Region};
use crate::touched::touched;
use control::Frame;
use locals::Locals;

/// Pages of 64 KiB in a guest memory.
const GUEST_PAGES: u64 = 65536;

/// Index of the guest's memory; the engine's cached one in most browsers.
const GUEST: u32 = 0;
/// Index of the memory the area lies in.
const ENGINE: u32 = 1;

/// Types in the module's type section.
const TYPE_REGION: u32 = 0;
const TYPE_PERFORM: u32 = 1;
const TYPE_STATUS: u32 = 2;
const TYPE_FIND: u32 = 3;
const TYPE_X87: u32 = 4;
const TYPE_EXTENDED: u32 = 5;

/// Imported functions.
const PERFORM: u32 = 0;
const STATUS: u32 = 1;
const FIND: u32 = 2;
/// The first of [`Call::ALL`].
const FIRST_X87: u32 = 3;
/// The first of [`extended::LOCAL`].
const FIRST_EXTENDED: u32 = FIRST_X87 + Call::ALL.len() as u32;
/// The first region's function.
const FIRST: u32 = FIRST_EXTENDED + extended::LOCAL.len() as u32;

/// Name under which a module exports the function of its region number `number`.
pub fn export_name(number: usize) -> String {
    number.to_string()
}

/// Name under which a module imports a function of the x87 unit.
pub fn x87_name(call: Call) -> String {
    format!("x87{call:?}")
}

/// What an operation carried out by Rust came to.
pub mod performed {
    /// Done.
    pub const DONE: u32 = 0;
    /// It trapped: the instruction has had no effect.
    pub const TRAP: u32 = 1;
    /// Done, and translated code has changed: leave after the instruction.
    pub const STALE: u32 = 2;
}

/// Where emitted code comes back to the engine, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitPoint {
    /// To the address that the area's rip says.
    Go,
    /// The instruction at this address must be interpreted.
    Side {
        /// Its address.
        rip: u64,
    },
    /// An operation of the instruction at this address has trapped.
    Trap {
        /// Its address.
        rip: u64,
    },
    /// The fuel is used up, or code has changed; goes on at this address.
    Pause {
        /// The address.
        rip: u64,
    },
    /// `syscall` at this address.
    Syscall {
        /// Its address.
        rip: u64,
    },
    /// `int` at this address.
    Interrupt {
        /// Its address.
        rip: u64,
        /// Its operand.
        vector: u8,
    },
}

/// What emission depends on besides the region.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Where the area lies in its memory.
    pub area: u32,
    /// Whether the guest memory is shared.
    pub shared: bool,
    /// The region's number, as the jump cache has it.
    pub region: u32,
    /// Number of the first exit point made here.
    pub first_exit: u32,
    /// How vectors' floating-point arithmetic is done.
    pub floats: Floats,
    /// Whether the upper halves of addresses are looked up.
    pub reaches_high: bool,
}

/// A region's function, not in a module yet.
pub struct Body {
    function: Function,
    hints: Vec<BranchHint>,
    uses_extended: bool,
    /// Exit points, numbered from [`Settings::first_exit`].
    pub exits: Vec<ExitPoint>,
    /// Addresses of the function's entries, by label.
    pub entries: Vec<u64>,
}

/// A region as a module of its own.
pub struct Emitted {
    /// The module.
    pub wasm: Vec<u8>,
    /// Exit points, numbered from [`Settings::first_exit`].
    pub exits: Vec<ExitPoint>,
    /// Addresses of the function's entries, by label.
    pub entries: Vec<u64>,
}

/// Instructions that compute one thing from what is on the stack.
type Sink = fn(&mut InstructionSink<'_>);

/// A [`Sink`] of one instruction.
macro_rules! one {
    ($name:ident) => {
        |s: &mut wasm_encoder::InstructionSink<'_>| {
            s.$name();
        }
    };
}
use one;

/// What is known at a place in the code. A block that only one other leads to starts with what that one knows.
#[derive(Clone, Copy)]
struct Facts {
    /// Kind of the flags.
    kind: Kind,
    /// Slots known to hold 0 or 1, and to have zeroes in their upper half.
    is_bool: u64,
    is_narrow: u64,
}

impl Facts {
    /// Nothing but the flags' kind.
    fn new(kind: Kind) -> Self {
        Self { kind, is_bool: 0, is_narrow: 0 }
    }
}

struct Emitter<'a> {
    region: &'a Region,
    shape: &'a Shape,
    settings: Settings,
    table: &'a mut OpTable,
    kinds: Vec<Kind>,
    code: Vec<u8>,
    hints: Vec<BranchHint>,
    frames: Vec<Frame>,
    locals: Locals,
    exits: Vec<ExitPoint>,
    /// Slots and vectors that any block writes.
    written: u64,
    vectors_written: u32,
    /// The address to go to, an i64.
    next: u32,
    facts: Facts,
    checks: memory::Checks,
    /// The block at hand.
    node: NodeId,
    /// Address of the instruction at hand.
    rip: u64,
    /// Guest instructions since the fuel was last reduced.
    unpaid: i32,
    /// Set by an operation that may have changed code: leave after the instruction if this local is not 0.
    stale: Option<u32>,
    /// The floating-point stack.
    stack: x87::Stack,
    stack_locals: Option<x87::Start>,
    /// It calls functions of [`extended`].
    uses_extended: bool,
}

/// A place in the area.
fn area_at(settings: &Settings, offset: u64) -> MemArg {
    MemArg { offset: u64::from(settings.area) + offset, align: 0, target: MemArgTarget::Memory(ENGINE), ordering: None }
}

/// Emits a region as a module of its own.
pub fn emit(region: &Region, settings: Settings, table: &mut OpTable) -> Emitted {
    let body = emit_body(region, settings, table);
    Emitted { wasm: assemble(&[&body], settings.shared), exits: body.exits, entries: body.entries }
}

/// Emits a region's function.
pub fn emit_body(region: &Region, settings: Settings, table: &mut OpTable) -> Body {
    let shape = Shape::of(region);
    let mut locals = Locals::new();
    let next = locals.take(ValType::I64);
    let mut emitter = Emitter {
        region,
        shape: &shape,
        settings,
        table,
        kinds: region_flags::kinds(region, &shape.targets),
        code: Vec::new(),
        hints: Vec::new(),
        frames: Vec::new(),
        locals,
        exits: Vec::new(),
        written: 0,
        vectors_written: 0,
        next,
        facts: Facts::new(Kind::Varied),
        checks: memory::Checks::new(values::accesses(region, &shape)),
        node: 0,
        rip: 0,
        unpaid: 0,
        stale: None,
        stack: x87::Stack::default(),
        stack_locals: None,
        uses_extended: false,
    };
    emitter.find_writes();
    emitter.function();
    let entries = shape.targets.iter().map(|node| region.nodes[*node].block.rip).collect();
    let exits = std::mem::take(&mut emitter.exits);
    let uses_extended = emitter.uses_extended;
    let (function, hints) = emitter.finish();
    Body { function, hints, uses_extended, exits, entries }
}

/// Makes a module of functions; each is exported by its number.
pub fn assemble(bodies: &[&Body], shared: bool) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32, ValType::I64, ValType::I64], [ValType::I32]);
    types.ty().function([ValType::I64], [ValType::I32]);
    types.ty().function([ValType::I32, ValType::I64, ValType::I32, ValType::I64, ValType::I32], [ValType::I64]);
    types.ty().function(extended::PARAMETERS, extended::RESULTS);
    let (mut functions, mut exports) = (FunctionSection::new(), ExportSection::new());
    let (mut hints, mut code) = (BranchHints::new(), CodeSection::new());
    let uses_extended = bodies.iter().any(|body| body.uses_extended);
    for (index, call) in (FIRST_EXTENDED..).zip(extended::LOCAL) {
        functions.function(TYPE_EXTENDED);
        if uses_extended {
            let (function, branches) = extended::function(call);
            hints.function_hints(index, branches);
            code.function(&function);
        } else {
            code.function(&extended::unused());
        }
    }
    for (number, body) in bodies.iter().enumerate() {
        let index = FIRST + number as u32;
        functions.function(TYPE_REGION);
        exports.export(&export_name(number), ExportKind::Func, index);
        hints.function_hints(index, body.hints.iter().copied());
        code.function(&body.function);
    }
    let mut module = Module::new();
    module.section(&types).section(&imports(shared)).section(&functions).section(&exports);
    module.section(&hints).section(&code);
    module.finish()
}

fn imports(shared: bool) -> ImportSection {
    let memory = |minimum: u64, maximum: Option<u64>, shared| {
        EntityType::Memory(MemoryType { minimum, maximum, memory64: false, shared, page_size_log2: None })
    };
    let mut imports = ImportSection::new();
    imports.import("guest", "memory", memory(GUEST_PAGES, Some(GUEST_PAGES), shared));
    imports.import("engine", "memory", memory(1, None, false));
    let table = TableType { element_type: RefType::FUNCREF, table64: false, minimum: 0, maximum: None, shared: false };
    imports.import("engine", "table", EntityType::Table(table));
    imports.import("engine", "perform", EntityType::Function(TYPE_PERFORM));
    imports.import("engine", "status", EntityType::Function(TYPE_STATUS));
    imports.import("engine", "find", EntityType::Function(TYPE_FIND));
    for call in Call::ALL {
        imports.import("engine", &x87_name(*call), EntityType::Function(TYPE_X87));
    }
    imports
}

impl Emitter<'_> {
    fn s(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.code)
    }

    /// Notes which guest registers any block writes, and gives each slot of guest state in use its local.
    fn find_writes(&mut self) {
        let region = self.region;
        for op in region.nodes.iter().flat_map(|node| &node.block.ops) {
            let touched = touched(op);
            self.written |= touched.writes;
            self.vectors_written |= touched.vector_writes;
            for index in (0..slot::NEW_FLAGS.0).filter(|index| (touched.writes | touched.reads) >> index & 1 != 0) {
                if Slot(index) != slot::ZERO {
                    self.locals.slot(Slot(index));
                }
            }
            let vectors = touched.vector_writes | touched.vector_reads;
            for index in (0..slot::VECTOR_SCRATCH).filter(|index| vectors >> index & 1 != 0) {
                self.locals.vector(VSlot(index));
            }
            if matches!(op, Op::SetFlags { .. } | Op::SetShiftFlags { .. }) {
                self.written |= 1 << slot::FLAG_A.0 | 1 << slot::FLAG_B.0;
            }
            if touched.flags || matches!(op, Op::SetFlags { .. } | Op::SetShiftFlags { .. }) {
                self.locals.slot(slot::FLAG_A);
                self.locals.slot(slot::FLAG_B);
                self.locals.flag_kind();
            }
        }
    }

    /// Loads guest state into its locals.
    fn prologue(&self) -> Vec<u8> {
        let mut code = Vec::new();
        let mut sink = InstructionSink::new(&mut code);
        for (slot, local) in self.locals.guest_slots() {
            sink.i32_const(0).i64_load(area_at(&self.settings, offset::slot(slot))).local_set(local);
        }
        for (slot, local) in self.locals.guest_vectors() {
            sink.i32_const(0).v128_load(area_at(&self.settings, offset::vector(slot))).local_set(local);
        }
        if let Some(local) = self.locals.used_flag_kind() {
            sink.i32_const(0).i32_load16_u(area_at(&self.settings, offset::FLAG_KIND)).local_set(local);
        }
        code
    }

    /// Writes guest state back that may have changed.
    fn spill(&mut self) {
        let slots: Vec<_> = self.locals.guest_slots().filter(|(slot, _)| self.written >> slot.0 & 1 != 0).collect();
        let vectors: Vec<_> =
            self.locals.guest_vectors().filter(|(slot, _)| self.vectors_written >> slot.0 & 1 != 0).collect();
        let settings = self.settings;
        let kind = self.locals.used_flag_kind().filter(|_| self.written >> slot::FLAG_A.0 & 1 != 0);
        let mut sink = self.s();
        for (slot, local) in slots {
            sink.i32_const(0).local_get(local).i64_store(area_at(&settings, offset::slot(slot)));
        }
        for (slot, local) in vectors {
            sink.i32_const(0).local_get(local).v128_store(area_at(&settings, offset::vector(slot)));
        }
        if let Some(local) = kind {
            sink.i32_const(0).local_get(local).i32_store16(area_at(&settings, offset::FLAG_KIND));
        }
    }

    /// The function, and its hints by offset in it.
    fn finish(mut self) -> (Function, Vec<BranchHint>) {
        let prologue = self.prologue();
        let mut function = Function::new_with_locals_types(self.locals.types().iter().copied());
        function.raw(prologue);
        let shift = function.byte_len() as u32;
        function.raw(std::mem::take(&mut self.code));
        for hint in &mut self.hints {
            hint.branch_func_offset += shift;
        }
        (function, self.hints)
    }

    // ---- values ----

    /// Pushes a slot's value.
    fn get(&mut self, slot: Slot) {
        if slot == slot::ZERO {
            self.s().i64_const(0);
            return;
        }
        let local = self.locals.slot(slot);
        self.s().local_get(local);
    }

    /// Pushes the low half of a slot's value.
    fn get32(&mut self, slot: Slot) {
        if slot == slot::ZERO {
            self.s().i32_const(0);
            return;
        }
        self.get(slot);
        self.s().i32_wrap_i64();
    }

    /// Pops an i64 into a slot.
    fn set(&mut self, slot: Slot) {
        self.facts.is_bool &= !(1 << slot.0);
        self.facts.is_narrow &= !(1 << slot.0);
        if slot == slot::ZERO {
            self.s().drop();
            return;
        }
        let local = self.locals.slot(slot);
        self.s().local_set(local);
    }

    /// Pops an i64 below 2^32 into a slot.
    fn set_narrow(&mut self, slot: Slot) {
        self.set(slot);
        self.facts.is_narrow |= 1 << slot.0;
    }

    /// Pops an i32 into a slot, zero-extended.
    fn set32(&mut self, slot: Slot) {
        self.s().i64_extend_i32_u();
        self.set_narrow(slot);
    }

    /// Pops an i32 that is 0 or 1 into a slot.
    fn set_bool(&mut self, slot: Slot) {
        self.set32(slot);
        self.facts.is_bool |= 1 << slot.0;
    }

    /// Pushes a vector.
    fn vget(&mut self, slot: VSlot) {
        let local = self.locals.vector(slot);
        self.s().local_get(local);
    }

    /// Pops a vector.
    fn vset(&mut self, slot: VSlot) {
        let local = self.locals.vector(slot);
        self.s().local_set(local);
    }

    /// Emits one of two instructions.
    fn pick(&mut self, first: bool, yes: Sink, no: Sink) {
        if first { yes(&mut self.s()) } else { no(&mut self.s()) }
    }

    fn area(&self, offset: u64) -> MemArg {
        area_at(&self.settings, offset)
    }
}
