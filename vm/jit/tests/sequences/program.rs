//! Random programs: functions of straight runs, branches, bounded loops, calls and computed jumps, which end in `int3`
//! whatever the processor does with the values in between.
//!
//! What makes them end: loop counters, the stack pointer and two data pointers are reserved, so random instructions
//! never write them; functions call only later ones, or themselves with a counter. Flags the manual leaves undefined
//! are followed, and defined anew before anybody looks at them and at the end of each block.
//!
//! **Not tested:** flags across a store to the code that follows. Where the old code overwrites flags before anybody
//! looks at them, engines don't keep them; if the store makes it code that does look, they differ from the processor.

use cpu::Mode;
use cpu::state::MXCSR_DEFAULT;
use iced_x86::{
    Code, CpuidFeature, Encoder, FlowControl, Instruction, InstructionInfoFactory, MemoryOperand, Mnemonic, OpAccess,
    OpKind, Register, RflagsBits,
};

use super::generate::{self, Case, MIDDLE, Rng};
use super::host::{CODE, CODE_BYTES, DATA, DATA_BYTES, READ_ONLY, READ_ONLY_BYTES};
use super::state::State;

/// Where the stack begins: away from what pointers reach.
const STACK: u64 = DATA + 0x1c00;

/// Middle of what a base pointer reaches across a page's end.
const EDGE: u64 = DATA + 0x1000;

/// Where programs copy functions to.
const COPIES: u64 = CODE + CODE_BYTES as u64 - 0x400;

/// Most bytes of a program, so that it does not reach the copies.
const BYTES_MAX: usize = 0x1c00;

/// Never written by random instructions: stack, frame, data pointers, loop counters, recursion's counter.
const RESERVED: [Register; 7] =
    [Register::RSP, Register::RBP, Register::R11, Register::R12, Register::R13, Register::R14, Register::R15];

/// As RFLAGS has them.
const STATUS: u64 = 0x8d5;
const AF: u64 = 0x10;
const OF: u64 = 0x800;
const CF: u64 = 1;

/// What a program is to contain besides ordinary instructions.
#[derive(Clone, Copy, Default, Debug)]
pub struct Wishes {
    /// Accesses to memory that is not there or can't be written, and divisions that overflow.
    pub faults: bool,
    /// Stores to its own code.
    pub modifies_code: bool,
    /// Much of the x87 unit and MMX.
    pub stack: bool,
}

/// Bytes that can be replaced by NOPs without changing where everything else is.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    pub start: usize,
    pub bytes: usize,
}

/// A program with everything it starts from.
pub struct Program {
    pub rip: u64,
    /// Where `bytes` lie.
    pub start: u64,
    pub bytes: Vec<u8>,
    pub state: State,
    pub data: Vec<u8>,
    pub items: Vec<Item>,
}

/// The forms that programs are made of.
pub struct Forms {
    integer: Vec<Code>,
    conditional: Vec<Code>,
    vector: Vec<Code>,
    other: Vec<Code>,
}

impl Forms {
    pub fn new() -> Self {
        let mut forms = Self { integer: Vec::new(), conditional: Vec::new(), vector: Vec::new(), other: Vec::new() };
        for code in Code::values()
            .filter(|code| generate::applies(*code, Mode::Long) && generate::left_out(*code, Mode::Long).is_none())
        {
            if leaks(code) {
                continue;
            }
            let features = code.cpuid_features();
            let is = |some: &[CpuidFeature]| features.iter().any(|feature| some.contains(feature));
            use CpuidFeature::*;
            let reads_flags = RflagsBits::NONE != rflags_read(code);
            if is(&[SSE, SSE2, SSE3, SSSE3, SSE4_1, SSE4_2, AES, PCLMULQDQ, SHA]) {
                forms.vector.push(code);
            } else if is(&[FPU, FPU287, FPU387, MMX, FXSR]) {
                forms.other.push(code);
            } else if reads_flags && !code.is_string_instruction() {
                forms.conditional.push(code);
            } else {
                forms.integer.push(code);
            }
        }
        forms
    }

    fn pick(&self, wishes: Wishes, rng: &mut Rng) -> Code {
        let from = match rng.below(20) {
            0..=15 if wishes.stack => &self.other,
            0..=9 => &self.integer,
            10..=12 => &self.conditional,
            13..=18 => &self.vector,
            _ => &self.other,
        };
        from[rng.below(from.len() as u64) as usize]
    }
}

/// Flags a form looks at.
fn rflags_read(code: Code) -> u32 {
    let mut inst = Instruction::default();
    inst.set_code(code);
    inst.rflags_read()
}

/// Forms whose results depend on what is not compared, or that are made in their own way here.
fn leaks(code: Code) -> bool {
    use Mnemonic::*;
    let mut inst = Instruction::default();
    inst.set_code(code);
    inst.flow_control() != FlowControl::Next
        || inst.is_privileged()
        || matches!(
            code.mnemonic(),
            // Sticky exceptions of SSE, instruction and operand pointers of the x87 unit.
            Ldmxcsr | Stmxcsr | Fstenv | Fnstenv | Fnsave
            // The stack.
            | Push | Pop | Leave | Enter
            // Results undefined for counts beyond the width.
            | Shld | Shrd
            // Unordered, and nothing to see.
            | Clflush | Clflushopt | Clwb
            // Most values of registers are no addresses.
            | Wrfsbase | Wrgsbase
            // Which processor it is, for one selector.
            | Lar | Lsl | Verr | Verw
        )
}

/// As RFLAGS has them.
fn status(bits: u32) -> u64 {
    let pairs = [
        (RflagsBits::CF, 0),
        (RflagsBits::PF, 2),
        (RflagsBits::AF, 4),
        (RflagsBits::ZF, 6),
        (RflagsBits::SF, 7),
        (RflagsBits::OF, 11),
    ];
    pairs.iter().fold(0, |all, (bit, at)| all | u64::from(bits & bit != 0) << at)
}

type Label = usize;

enum Fixup {
    /// 32 bits at `at`, relative to `end`.
    Relative { at: usize, end: usize, label: Label },
    /// 64 bits.
    Absolute { at: usize, label: Label },
}

/// A place in the code that may be overwritten.
#[derive(Clone, Copy)]
struct Patch {
    label: Label,
    kind: PatchKind,
    bound: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum PatchKind {
    /// The four bytes of an immediate.
    Immediate,
    /// The opcode of an instruction between two registers.
    Opcode,
    /// The displacement of a short jump over two instructions of two bytes.
    Jump,
}

struct Builder<'a> {
    rng: &'a mut Rng,
    forms: &'a Forms,
    wishes: Wishes,
    start: u64,
    code: Vec<u8>,
    items: Vec<Item>,
    labels: Vec<Option<usize>>,
    fixups: Vec<Fixup>,
    undefined: u64,
    /// Counters in use besides the reserved registers.
    counters: Vec<Register>,
    functions: Vec<Label>,
    /// Functions that take this many bytes off the stack when they return.
    pops: Vec<u16>,
    patches: Vec<Patch>,
    info: InstructionInfoFactory,
    /// How many faults may still be built in.
    faults: u32,
}

/// Makes the program of a seed.
pub fn program(seed: u64, forms: &Forms, wishes: Wishes) -> Program {
    let mut rng = Rng::new(seed);
    for _ in 0..4 {
        rng.next();
    }
    let mut state = generate::random_state(&mut rng);
    let mut data = Vec::with_capacity(DATA_BYTES);
    while data.len() < DATA_BYTES {
        data.extend(if rng.below(2) == 0 { rng.value() } else { rng.next() }.to_le_bytes());
    }
    state.mxcsr = match rng.below(8) {
        0 => state.mxcsr,
        // Obeyed, and often fast: inexact results have been noted.
        1..=3 => MXCSR_DEFAULT | rng.next() as u32 & 0x3f,
        _ => MXCSR_DEFAULT,
    };
    if rng.below(8) != 0 {
        // What would end the program early: exceptions that are not masked.
        state.control |= 0x3f;
        state.status &= !0x8080;
    }
    state.gpr[4] = STACK + 16 * rng.below(4);
    state.gpr[5] = DATA + 0x400;
    state.gpr[12] = MIDDLE;
    state.gpr[13] = EDGE - 8;
    // Mostly near a page's end, so that the code is on two.
    let start = CODE + 0x1000 * (1 + rng.below(2)) - rng.below(0x600);
    let mut builder = Builder {
        rng: &mut rng,
        forms,
        wishes,
        start,
        code: Vec::new(),
        items: Vec::new(),
        labels: Vec::new(),
        fixups: Vec::new(),
        undefined: 0,
        counters: Vec::new(),
        functions: Vec::new(),
        pops: Vec::new(),
        patches: Vec::new(),
        info: InstructionInfoFactory::new(),
        faults: 3,
    };
    let main = builder.build();
    let rip = start + main as u64;
    let Builder { code, items, .. } = builder;
    Program { rip, start, bytes: code, state, data, items }
}

impl Builder<'_> {
    // ---- the whole ----

    /// Builds everything; returns the offset of the first instruction to run.
    fn build(&mut self) -> usize {
        let count = self.rng.below(4) as usize;
        for _ in 0..count {
            let label = self.label();
            self.functions.push(label);
            let pops = if self.rng.below(4) == 0 { 8 * (1 + self.rng.below(2)) as u16 } else { 0 };
            self.pops.push(pops);
        }
        let before = self.rng.below(count as u64 + 1) as usize;
        for index in 0..before {
            self.function(index);
        }
        let main = self.code.len();
        self.undefined = 0;
        let size = 3 + self.rng.below(6);
        self.body(0, 0, size as usize);
        self.bind_patches();
        self.seal();
        self.emit(Instruction::with(Code::Int3));
        for index in before..count {
            self.function(index);
        }
        // Those of functions nobody overtook: they are never run.
        self.bind_patches();
        self.resolve();
        main
    }

    fn bind_patches(&mut self) {
        for index in 0..self.patches.len() {
            if !self.patches[index].bound {
                self.patched(index);
            }
        }
    }

    fn resolve(&mut self) {
        for fixup in std::mem::take(&mut self.fixups) {
            match fixup {
                Fixup::Relative { at, end, label } => {
                    let to = self.labels[label].expect("a bound label");
                    let distance = to as i64 - end as i64;
                    self.code[at..at + 4].copy_from_slice(&(distance as i32).to_le_bytes());
                }
                Fixup::Absolute { at, label } => {
                    let to = self.start + self.labels[label].expect("a bound label") as u64;
                    self.code[at..at + 8].copy_from_slice(&to.to_le_bytes());
                }
            }
        }
    }

    /// A function may call those after it.
    fn function(&mut self, index: usize) {
        let label = self.functions[index];
        self.bind(label);
        self.undefined = 0;
        let pops = self.pops[index];
        let recursive = self.rng.below(4) == 0 && pops == 0;
        let frame = self.rng.below(2) == 0;
        if frame {
            self.emit(Instruction::with1(Code::Push_r64, Register::RBP).unwrap());
            self.emit(Instruction::with2(Code::Mov_r64_rm64, Register::RBP, Register::RSP).unwrap());
            self.emit(Instruction::with2(Code::Sub_rm64_imm8, Register::RSP, 0x30).unwrap());
        }
        let size = 1 + self.rng.below(5) as usize;
        self.body(index + 1, 1, size);
        if recursive {
            // Main sets r11 now and then; it only ever goes down here.
            let out = self.label();
            self.emit(Instruction::with2(Code::And_rm32_imm8, Register::R11D, 3).unwrap());
            self.emit(Instruction::with2(Code::Cmp_rm32_imm8, Register::R11D, 0).unwrap());
            self.branch(Code::Je_rel32_64, out);
            self.emit(Instruction::with2(Code::Sub_rm32_imm8, Register::R11D, 1).unwrap());
            self.branch(Code::Call_rel32_64, label);
            self.body(index + 1, 2, 1);
            self.seal();
            self.bind(out);
        }
        self.seal();
        if frame {
            self.emit(Instruction::with(Code::Leaveq));
        }
        if pops == 0 {
            self.emit(Instruction::with(Code::Retnq));
        } else {
            self.emit(Instruction::with1(Code::Retnq_imm16, u32::from(pops)).unwrap());
        }
    }

    /// A number of parts, calling functions from `first` on.
    fn body(&mut self, first: usize, depth: usize, parts: usize) {
        for _ in 0..parts {
            if self.code.len() > BYTES_MAX {
                return;
            }
            let nested = depth < 3;
            match self.rng.below(24) {
                0..=2 if nested => self.choice(first, depth),
                3..=5 if nested => self.repeat(first, depth),
                6..=7 => self.call(first),
                8 if nested => self.computed_jump(first, depth),
                9 if nested => self.pushed(first, depth),
                10 => self.walk(),
                11 => self.pointers(),
                12 => self.tight_loop(),
                13 => self.condition_idiom(),
                14 if nested => self.two_entries(first, depth),
                15 if self.rng.below(3) == 0 => self.rounding(),
                16 => {
                    let set = if self.rng.below(3) == 0 { Code::Std } else { Code::Cld };
                    self.emit(Instruction::with(set));
                }
                17..=20 if self.wishes.modifies_code => self.modify(),
                21 if self.wishes.modifies_code => self.copied_function(),
                _ => self.straight(),
            }
        }
    }

    fn straight(&mut self) {
        for _ in 0..1 + self.rng.below(6) {
            self.random();
        }
    }

    // ---- encoding ----

    fn label(&mut self) -> Label {
        self.labels.push(None);
        self.labels.len() - 1
    }

    fn bind(&mut self, label: Label) {
        self.labels[label] = Some(self.code.len());
    }

    fn rip(&self) -> u64 {
        self.start + self.code.len() as u64
    }

    /// Appends an instruction; returns where its immediate and displacement are.
    fn emit(&mut self, inst: Instruction) -> (usize, usize) {
        let rip = self.rip();
        let mut encoder = Encoder::new(64);
        encoder.encode(&inst, rip).unwrap_or_else(|error| panic!("{:?}: {error}", inst.code()));
        let offsets = encoder.get_constant_offsets();
        let at = self.code.len();
        self.code.extend(encoder.take_buffer());
        self.follow_flags(&inst);
        (at + offsets.immediate_offset(), at + offsets.displacement_offset())
    }

    fn try_emit(&mut self, inst: Instruction) -> bool {
        let encodes = Encoder::new(64).encode(&inst, self.rip()).is_ok();
        if encodes {
            self.emit(inst);
        }
        encodes
    }

    fn follow_flags(&mut self, inst: &Instruction) {
        use Mnemonic::*;
        let mut own = status(inst.rflags_undefined());
        let mut sets = status(inst.rflags_modified());
        match inst.mnemonic() {
            Shl | Sal | Shr | Sar => {
                own |= OF | AF;
                let size = match inst.op0_kind() {
                    OpKind::Register => inst.op0_register().size(),
                    _ => inst.memory_size().size(),
                };
                if size < 4 {
                    own |= CF;
                }
                sets = 0;
            }
            Rol | Ror | Rcl | Rcr => {
                own |= OF;
                sets = 0;
            }
            _ if inst.has_rep_prefix() || inst.has_repne_prefix() => sets = 0,
            _ => {}
        }
        self.undefined = self.undefined & !sets | own;
    }

    /// A branch or call to a label.
    fn branch(&mut self, code: Code, label: Label) {
        let inst = Instruction::with_branch(code, self.rip()).unwrap();
        self.emit(inst);
        let end = self.code.len();
        self.fixups.push(Fixup::Relative { at: end - 4, end, label });
    }

    /// Puts a label's address into a register.
    fn address_of(&mut self, register: Register, label: Label) {
        if self.rng.below(2) == 0 {
            self.emit(Instruction::with2(Code::Mov_r64_imm64, register, 0x1234_5678_9abc_def0u64).unwrap());
            self.fixups.push(Fixup::Absolute { at: self.code.len() - 8, label });
        } else {
            let operand = MemoryOperand::with_base_displ(Register::RIP, self.rip() as i64);
            let (_, at) = self.emit(Instruction::with2(Code::Lea_r64_m, register, operand).unwrap());
            self.fixups.push(Fixup::Relative { at, end: self.code.len(), label });
        }
    }

    fn set(&mut self, register: Register, value: u64) {
        let inst = if value >> 32 == 0 && self.rng.below(2) == 0 {
            Instruction::with2(Code::Mov_r32_imm32, as_32(register), value as u32)
        } else {
            Instruction::with2(Code::Mov_r64_imm64, register, value)
        };
        self.emit(inst.unwrap());
    }

    /// A register nobody relies on.
    fn scratch(&mut self) -> Register {
        loop {
            let register = Register::try_from(Register::RAX as usize + self.rng.below(16) as usize).unwrap();
            if !self.is_reserved(register) {
                return register;
            }
        }
    }

    fn any(&mut self) -> Register {
        Register::try_from(Register::RAX as usize + self.rng.below(16) as usize).unwrap()
    }

    fn is_reserved(&self, register: Register) -> bool {
        RESERVED.contains(&register) || self.counters.contains(&register)
    }

    /// Defines all flags if some are undefined.
    fn seal(&mut self) {
        if self.undefined != 0 {
            self.compare();
        }
    }

    /// Defines all flags, and changes nothing else.
    fn compare(&mut self) {
        let (a, b) = (self.any(), self.any());
        let imm = self.rng.value();
        let inst = match self.rng.below(6) {
            0 => Instruction::with2(Code::Cmp_r64_rm64, a, b),
            1 => Instruction::with2(Code::Cmp_r32_rm32, as_32(a), as_32(b)),
            2 => Instruction::with2(Code::Cmp_rm64_imm8, a, i32::from(imm as i8)),
            3 => Instruction::with2(Code::Cmp_rm32_imm32, as_32(a), imm as u32),
            4 => Instruction::with2(Code::Cmp_rm8_r8, as_8(a), as_8(b)),
            _ => Instruction::with2(Code::Cmp_rm16_r16, as_16(a), as_16(b)),
        };
        self.emit(inst.unwrap());
        self.undefined = 0;
    }

    /// A conditional branch whose flags are defined; often right after what sets them.
    fn branch_if_any(&mut self, label: Label) {
        match self.rng.below(6) {
            0 | 1 => self.compare(),
            2 => {
                let (a, b) = (self.any(), self.any());
                self.emit(Instruction::with2(Code::Test_rm64_r64, a, b).unwrap());
            }
            3 => {
                let a = self.scratch();
                let code = if self.rng.below(2) == 0 { Code::Dec_rm32 } else { Code::Inc_rm32 };
                self.emit(Instruction::with1(code, as_32(a)).unwrap());
            }
            _ => {}
        }
        // What lies at either end starts with defined flags.
        self.seal();
        let code = self.condition();
        self.branch(code, label);
    }

    fn condition(&mut self) -> Code {
        const BRANCHES: [Code; 16] = [
            Code::Jo_rel32_64,
            Code::Jno_rel32_64,
            Code::Jb_rel32_64,
            Code::Jae_rel32_64,
            Code::Je_rel32_64,
            Code::Jne_rel32_64,
            Code::Jbe_rel32_64,
            Code::Ja_rel32_64,
            Code::Js_rel32_64,
            Code::Jns_rel32_64,
            Code::Jp_rel32_64,
            Code::Jnp_rel32_64,
            Code::Jl_rel32_64,
            Code::Jge_rel32_64,
            Code::Jle_rel32_64,
            Code::Jg_rel32_64,
        ];
        BRANCHES[self.rng.below(16) as usize]
    }

    // ---- random instructions ----

    /// A random instruction with what it needs before it.
    fn random(&mut self) {
        for _ in 0..40 {
            let code = self.forms.pick(self.wishes, self.rng);
            let Some(case) = generate::case(code, Mode::Long, self.rng) else { continue };
            let (start, undefined, fixups) = (self.code.len(), self.undefined, self.fixups.len());
            let before = self.undefined;
            if self.place(&case) {
                // A writer of flags is only dispensable where all were defined before.
                if before == 0 {
                    self.items.push(Item { start, bytes: self.code.len() - start });
                }
                return;
            }
            self.code.truncate(start);
            self.fixups.truncate(fixups);
            self.undefined = undefined;
        }
    }

    fn writes_reserved(&mut self, inst: &Instruction) -> bool {
        let writes = |access| {
            matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
        };
        let used = self.info.info(inst).used_registers();
        let written: Vec<Register> =
            used.iter().filter(|used| writes(used.access())).map(|used| used.register().full_register()).collect();
        written.into_iter().any(|register| self.is_reserved(register))
    }

    /// Appends a case's instruction, its operands where they may be; `false` if that can't be done.
    fn place(&mut self, case: &Case) -> bool {
        let mut inst = case.instruction;
        if self.writes_reserved(&inst) {
            return false;
        }
        let gpr = |register: Register| case.state.gpr[register.number()];
        if inst.code().is_string_instruction() {
            let faulty = self.wants_fault();
            for register in [Register::RSI, Register::RDI, Register::RCX] {
                if self.is_reserved(register) {
                    return false;
                }
                let mut value = gpr(register);
                if faulty && register != Register::RCX && self.rng.below(2) == 0 {
                    value = READ_ONLY + self.rng.below(2) * READ_ONLY_BYTES as u64 - self.rng.below(40);
                }
                self.set(register, value);
            }
        } else if matches!(inst.mnemonic(), Mnemonic::Maskmovq | Mnemonic::Maskmovdqu) {
            if self.is_reserved(Register::RDI) {
                return false;
            }
            self.set(Register::RDI, gpr(Register::RDI));
        } else if inst.mnemonic() == Mnemonic::Xlatb {
            if self.is_reserved(Register::RBX) {
                return false;
            }
            self.set(Register::RBX, MIDDLE);
        }
        if matches!(inst.mnemonic(), Mnemonic::Div | Mnemonic::Idiv) && !self.divide(&inst) {
            return false;
        }
        let explicit = (0..inst.op_count()).any(|i| inst.op_kind(i) == OpKind::Memory);
        let plain = explicit && inst.memory_base() != Register::None && inst.mnemonic() != Mnemonic::Xlatb;
        let touches = !matches!(inst.mnemonic(), Mnemonic::Lea | Mnemonic::Nop);
        if plain && touches && !self.operand(&mut inst, case) {
            return false;
        }
        if status(inst.rflags_read()) & self.undefined != 0 {
            self.compare();
        }
        self.try_emit(inst)
    }

    /// Sees to it that a division mostly gets through.
    fn divide(&mut self, inst: &Instruction) -> bool {
        if self.wants_fault() {
            return true;
        }
        if inst.op0_kind() != OpKind::Register {
            return false;
        }
        let divisor = inst.op0_register().full_register();
        if matches!(divisor, Register::RAX | Register::RDX) || self.is_reserved(divisor) {
            return false;
        }
        if self.is_reserved(Register::RAX) || self.is_reserved(Register::RDX) {
            return false;
        }
        let (dividend, by) = (self.rng.below(0x70), 1 + self.rng.below(0x7f));
        let wide = if inst.op0_register().size() == 8 { self.rng.next() >> 2 } else { dividend };
        self.set(Register::RAX, wide);
        self.set(Register::RDX, 0);
        // AH as a divisor lies in RAX, which is ruled out above; BH to CH need their second byte.
        self.set(divisor, by | by << 8);
        true
    }

    fn wants_fault(&mut self) -> bool {
        let wants = self.wishes.faults && self.faults > 0 && self.rng.below(12) == 0;
        self.faults -= u32::from(wants);
        wants
    }

    /// Gives an instruction a memory operand that it can have.
    fn operand(&mut self, inst: &mut Instruction, case: &Case) -> bool {
        let bit_offset = matches!(inst.mnemonic(), Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc)
            && inst.op1_kind() == OpKind::Register;
        if bit_offset {
            let register = inst.op1_register().full_register();
            if self.is_reserved(register) {
                return false;
            }
            let bits = self.rng.below(1000).wrapping_sub(500);
            self.set(register, bits);
            if inst.op1_register().size() == 2 {
                // The upper bits are somebody else's.
                self.set(register, bits & 0x1ff);
            }
        }
        if self.wants_fault() {
            return self.bad_operand(inst);
        }
        let aligned = inst.memory_size().size() >= 16 && self.rng.below(64) != 0;
        let disp = self.rng.below(0x100) as i64 - 0x80;
        let disp = if aligned { disp & !15 } else { disp };
        let (base, index) = (inst.memory_base().full_register(), inst.memory_index().full_register());
        let used = [base, index, inst.op0_register().full_register(), inst.op1_register().full_register()];
        match self.rng.below(if bit_offset { 10 } else { 16 }) {
            0..=9 => {
                let near = if aligned || self.rng.below(2) == 0 { Register::R12 } else { Register::R13 };
                let (base, disp) = match self.rng.below(8) {
                    0 if !aligned && !bit_offset => (Register::RBP, -1 - (disp & 0x1f) - 15),
                    _ => (near, disp),
                };
                self.set_memory(inst, base, Register::None, 1, disp);
            }
            10..=11 => {
                // As the case has it.
                if base == Register::RSP || self.is_reserved(base) || self.is_reserved(index) {
                    return false;
                }
                self.set(base, case.state.gpr[base.number()]);
                if index != Register::None {
                    self.set(index, case.state.gpr[index.number()]);
                }
            }
            12..=13 => {
                let index = self.scratch();
                if used.contains(&index) {
                    return false;
                }
                let from = self.any();
                let mask = if aligned { 0x70 } else { 0x1f };
                self.emit(Instruction::with2(Code::Mov_r32_rm32, as_32(index), as_32(from)).unwrap());
                self.emit(Instruction::with2(Code::And_rm32_imm8, as_32(index), mask).unwrap());
                let scale = if aligned { 1 } else { 1 << self.rng.below(3) };
                self.set_memory(inst, Register::R12, index, scale, disp);
            }
            14 => self.set_memory(inst, Register::RIP, Register::None, 1, EDGE as i64 + disp),
            _ => {
                self.set_memory(inst, Register::None, Register::None, 1, MIDDLE as i64 + disp);
                inst.set_memory_displ_size(8);
            }
        }
        true
    }

    fn set_memory(&mut self, inst: &mut Instruction, base: Register, index: Register, scale: u32, disp: i64) {
        inst.set_memory_base(base);
        inst.set_memory_index(index);
        inst.set_memory_index_scale(scale);
        inst.set_memory_displ_size(8);
        inst.set_memory_displacement64(disp as u64);
    }

    /// An operand where nothing is, or that can't be written, sometimes only in part; sometimes not at all bad.
    fn bad_operand(&mut self, inst: &mut Instruction) -> bool {
        let base = self.scratch();
        let end = READ_ONLY + READ_ONLY_BYTES as u64;
        let near = self.rng.below(16);
        let at = match self.rng.below(8) {
            0 => self.rng.below(64),
            1 => end + 16 * near,
            2 => end - near,
            3 => READ_ONLY - near,
            4 => READ_ONLY + 16 * near,
            5 => 1 << 32 | MIDDLE,
            6 => 1 << 63 | MIDDLE,
            _ => self.rng.value(),
        };
        let disp = i64::from(self.rng.next() as i8);
        self.set(base, at.wrapping_sub(disp as u64));
        self.set_memory(inst, base, Register::None, 1, disp);
        true
    }

    // ---- parts ----

    fn choice(&mut self, first: usize, depth: usize) {
        let (other, end) = (self.label(), self.label());
        self.branch_if_any(other);
        let parts = 1 + self.rng.below(2) as usize;
        self.body(first, depth + 1, parts);
        self.seal();
        if self.rng.below(2) == 0 {
            self.branch(Code::Jmp_rel32_64, end);
            self.bind(other);
            self.body(first, depth + 1, parts);
            self.seal();
        } else {
            self.bind(other);
        }
        self.bind(end);
    }

    /// A loop with a counter, ways out of it and to its end.
    fn repeat(&mut self, first: usize, depth: usize) {
        let counter = if self.counters.contains(&Register::R15) { Register::R14 } else { Register::R15 };
        let times = 1 + self.rng.below(4);
        self.emit(Instruction::with1(Code::Push_r64, counter).unwrap());
        self.set(counter, times);
        self.counters.push(counter);
        let (top, next, out) = (self.label(), self.label(), self.label());
        self.seal();
        self.bind(top);
        let parts = 1 + self.rng.below(3) as usize;
        self.body(first, depth + 1, parts);
        match self.rng.below(4) {
            0 => self.branch_if_any(out),
            1 => self.branch_if_any(next),
            _ => {}
        }
        self.straight();
        self.seal();
        self.bind(next);
        self.count_down(counter);
        self.branch(Code::Jne_rel32_64, top);
        self.seal();
        self.bind(out);
        self.counters.pop();
        self.emit(Instruction::with1(Code::Pop_r64, counter).unwrap());
    }

    fn count_down(&mut self, counter: Register) {
        let inst = match self.rng.below(4) {
            0 => Instruction::with1(Code::Dec_rm32, as_32(counter)),
            1 => Instruction::with1(Code::Dec_rm64, counter),
            2 => Instruction::with2(Code::Sub_rm32_imm8, as_32(counter), 1),
            _ => Instruction::with2(Code::Add_rm64_imm8, counter, -1),
        };
        self.seal();
        self.emit(inst.unwrap());
    }

    /// A loop of straight code whose counter is any register.
    fn tight_loop(&mut self) {
        let counter = if self.rng.below(3) == 0 { Register::RCX } else { self.scratch() };
        if self.is_reserved(counter) {
            return;
        }
        let times = 1 + self.rng.below(12);
        self.set(counter, times);
        self.counters.push(counter);
        let top = self.label();
        self.seal();
        self.bind(top);
        for _ in 0..1 + self.rng.below(5) {
            self.random();
        }
        self.seal();
        let here = self.labels[top].unwrap();
        if counter == Register::RCX && self.code.len() - here < 100 {
            let to = self.start + here as u64;
            self.emit(Instruction::with_branch(Code::Loop_rel8_64_RCX, to).unwrap());
        } else {
            self.count_down(counter);
            self.branch(Code::Jne_rel32_64, top);
        }
        self.counters.pop();
    }

    /// A loop that is entered at two places.
    fn two_entries(&mut self, first: usize, depth: usize) {
        let counter = if self.counters.contains(&Register::R15) { Register::R14 } else { Register::R15 };
        let (top, middle) = (self.label(), self.label());
        let times = 1 + self.rng.below(4);
        self.emit(Instruction::with1(Code::Push_r64, counter).unwrap());
        self.set(counter, times);
        self.counters.push(counter);
        self.branch_if_any(middle);
        self.bind(top);
        self.body(first, depth + 1, 1);
        self.seal();
        self.bind(middle);
        self.body(first, depth + 1, 1);
        self.count_down(counter);
        self.branch(Code::Jne_rel32_64, top);
        self.seal();
        self.counters.pop();
        self.emit(Instruction::with1(Code::Pop_r64, counter).unwrap());
    }

    fn call(&mut self, first: usize) {
        if first >= self.functions.len() {
            return self.straight();
        }
        let index = first + self.rng.below((self.functions.len() - first) as u64) as usize;
        let (label, pops) = (self.functions[index], self.pops[index]);
        self.seal();
        if first == 0 && self.rng.below(2) == 0 {
            let calls = self.rng.below(4);
            self.set(Register::R11, calls);
        }
        for _ in 0..pops / 8 {
            let register = self.any();
            self.emit(Instruction::with1(Code::Push_r64, register).unwrap());
        }
        match self.rng.below(3) {
            0 => {
                let register = self.scratch();
                self.address_of(register, label);
                self.emit(Instruction::with1(Code::Call_rm64, register).unwrap());
            }
            _ => self.branch(Code::Call_rel32_64, label),
        }
        self.undefined = 0;
    }

    /// Jumps through a table behind the jump.
    fn computed_jump(&mut self, first: usize, depth: usize) {
        let count = 1 << (1 + self.rng.below(3));
        let register = self.scratch();
        let from = self.any();
        self.emit(Instruction::with2(Code::Mov_r32_rm32, as_32(register), as_32(from)).unwrap());
        self.emit(Instruction::with2(Code::And_rm32_imm8, as_32(register), count - 1).unwrap());
        self.seal();
        let by_register = self.rng.below(2) == 0;
        // The table lies right behind the jump, eight bytes of address each.
        let table = |end: u64| MemoryOperand::new(Register::None, register, 8, end as i64, 4, false, Register::None);
        let inst = |end: u64| {
            if by_register {
                Instruction::with2(Code::Mov_r64_rm64, register, table(end)).unwrap()
            } else {
                Instruction::with1(Code::Jmp_rm64, table(end)).unwrap()
            }
        };
        let mut encoder = Encoder::new(64);
        let mut length = encoder.encode(&inst(CODE), self.rip()).unwrap();
        let jump = Instruction::with1(Code::Jmp_rm64, register).unwrap();
        if by_register {
            length += encoder.encode(&jump, self.rip()).unwrap();
        }
        let end = self.rip() + length as u64;
        self.emit(inst(end));
        if by_register {
            self.emit(jump);
        }
        assert_eq!(self.rip(), end);
        let labels: Vec<Label> = (0..count).map(|_| self.label()).collect();
        for label in &labels {
            self.fixups.push(Fixup::Absolute { at: self.code.len(), label: *label });
            self.code.extend([0; 8]);
        }
        let out = self.label();
        for label in labels {
            self.bind(label);
            if self.rng.below(3) == 0 {
                self.body(first, depth + 1, 1);
            } else {
                self.random();
            }
            self.seal();
            if self.rng.below(3) != 0 {
                self.branch(Code::Jmp_rel32_64, out);
            }
        }
        self.bind(out);
    }

    /// Something between a push and a pop.
    fn pushed(&mut self, first: usize, depth: usize) {
        let (from, to) = (self.any(), self.scratch());
        let imm = self.rng.value();
        let memory = MemoryOperand::with_base_displ(Register::R12, 8 * self.rng.below(8) as i64);
        let half = self.rng.below(8) == 0;
        let push = match self.rng.below(4) {
            _ if half => Instruction::with1(Code::Push_r16, as_16(from)),
            0 => Instruction::with1(Code::Pushq_imm8, i32::from(imm as i8)),
            1 => Instruction::with1(Code::Push_rm64, memory),
            _ => Instruction::with1(Code::Push_r64, from),
        };
        self.emit(push.unwrap());
        self.body(first, depth + 1, 1);
        let pop = match self.rng.below(3) {
            _ if half => Instruction::with1(Code::Pop_r16, as_16(to)),
            0 => Instruction::with1(Code::Pop_rm64, memory),
            _ => Instruction::with1(Code::Pop_r64, to),
        };
        self.emit(pop.unwrap());
    }

    /// A pointer that goes along.
    fn walk(&mut self) {
        let step = [1, 4, 8, 16, 24][self.rng.below(5) as usize];
        let times = 1 + self.rng.below(4) as i32;
        let pointer = if self.rng.below(2) == 0 { Register::R12 } else { Register::R13 };
        for _ in 0..times {
            self.random();
            self.emit(Instruction::with2(Code::Add_rm64_imm8, pointer, step).unwrap());
            self.random();
        }
        self.emit(Instruction::with2(Code::Sub_rm64_imm32, pointer, step * times).unwrap());
    }

    /// Other data pointers.
    fn pointers(&mut self) {
        let near = 16 * self.rng.below(8);
        match self.rng.below(4) {
            0 => self.set(Register::R12, MIDDLE - 64 + near),
            1 => self.set(Register::R12, EDGE - 64 + near),
            2 => {
                let at = EDGE - 64 + self.rng.below(128);
                self.set(Register::R13, at);
            }
            _ => {
                let operand = MemoryOperand::with_base_displ(Register::R12, self.rng.below(64) as i64 - 32);
                self.emit(Instruction::with2(Code::Lea_r64_m, Register::R13, operand).unwrap());
            }
        }
    }

    /// What compilers make of conditions.
    fn condition_idiom(&mut self) {
        let (a, b, c) = (self.scratch(), self.any(), self.any());
        self.compare();
        match self.rng.below(4) {
            0 => {
                self.emit(Instruction::with1(Code::Setl_rm8, as_8(a)).unwrap());
                self.emit(Instruction::with2(Code::Movzx_r32_rm8, as_32(a), as_8(a)).unwrap());
            }
            1 => {
                self.emit(Instruction::with2(Code::Cmovbe_r64_rm64, a, b).unwrap());
                self.emit(Instruction::with2(Code::Cmovg_r32_rm32, as_32(a), as_32(c)).unwrap());
            }
            2 => {
                self.emit(Instruction::with2(Code::Sbb_r64_rm64, a, a).unwrap());
                self.seal();
                self.emit(Instruction::with2(Code::Adc_r32_rm32, as_32(a), as_32(c)).unwrap());
            }
            _ => {
                let (x, y) = (self.rng.below(8) as u32, self.rng.below(8) as u32);
                let register = |n| Register::try_from(Register::XMM0 as usize + n as usize).unwrap();
                self.emit(Instruction::with2(Code::Ucomisd_xmm_xmmm64, register(x), register(y)).unwrap());
                self.emit(Instruction::with1(Code::Seta_rm8, as_8(a)).unwrap());
                self.emit(Instruction::with2(Code::Cmovp_r64_rm64, a, c).unwrap());
            }
        }
    }

    /// Another rounding mode for a while.
    fn rounding(&mut self) {
        let slot = MemoryOperand::with_base_displ(Register::RBP, -8);
        let mode = 0x1f80 | (self.rng.below(4) as u32) << 13;
        for mxcsr in [mode, 0x1f80] {
            self.emit(Instruction::with2(Code::Mov_rm32_imm32, slot, mxcsr).unwrap());
            self.emit(Instruction::with1(Code::Ldmxcsr_m32, slot).unwrap());
            self.straight();
        }
    }

    // ---- code that changes ----

    /// Overwrites code: what comes next, what comes later, or what has been.
    fn modify(&mut self) {
        let known = self.patches.len() as u64;
        let index = if known > 0 && self.rng.below(2) == 0 {
            self.rng.below(known) as usize
        } else {
            let kind = [PatchKind::Immediate, PatchKind::Opcode, PatchKind::Jump][self.rng.below(3) as usize];
            let label = self.label();
            self.patches.push(Patch { label, kind, bound: false });
            known as usize
        };
        let patch = self.patches[index];
        self.overwrite(patch);
        // Flags from before that the old code would have overwritten unseen are gone: nobody may look at them.
        self.undefined = STATUS;
        if !patch.bound {
            match self.rng.below(4) {
                0 => {
                    self.random();
                    self.patched(index);
                }
                // Later.
                1 => {}
                _ => self.patched(index),
            }
        }
    }

    /// Stores to a place in the code.
    fn overwrite(&mut self, patch: Patch) {
        let value = match patch.kind {
            PatchKind::Immediate => self.rng.value() as u32,
            PatchKind::Opcode => [0x01, 0x09, 0x21, 0x29, 0x31, 0x39, 0x85, 0x89][self.rng.below(8) as usize],
            PatchKind::Jump => 2 * self.rng.below(3) as u32,
        };
        let wide = patch.kind == PatchKind::Immediate;
        let rip = MemoryOperand::with_base_displ(Register::RIP, self.rip() as i64);
        let direct = match self.rng.below(5) {
            0 if wide => Some(Instruction::with2(Code::Mov_rm32_imm32, rip, value)),
            0 => Some(Instruction::with2(Code::Mov_rm8_imm8, rip, value)),
            // Immediates change to and fro, opcodes between addition and subtraction.
            1 if wide => Some(Instruction::with2(Code::Add_rm32_imm32, rip, value)),
            1 if patch.kind == PatchKind::Opcode => Some(Instruction::with2(Code::Mov_rm8_imm8, rip, 0x29)),
            _ => None,
        };
        if let Some(inst) = direct {
            let (_, at) = self.emit(inst.unwrap());
            self.fixups.push(Fixup::Relative { at, end: self.code.len(), label: patch.label });
            return;
        }
        let (pointer, register) = (self.scratch(), self.scratch());
        if pointer == register || self.is_reserved(Register::RDI) || self.is_reserved(Register::RAX) {
            return;
        }
        let at = MemoryOperand::with_base(pointer);
        match self.rng.below(3) {
            0 => {
                self.address_of(Register::RDI, patch.label);
                self.set(Register::RAX, value.into());
                self.emit(Instruction::with(Code::Cld));
                let code = if wide { Code::Stosd_m32_EAX } else { Code::Stosb_m8_AL };
                let mut inst = Instruction::default();
                inst.set_code(code);
                inst.set_op0_kind(OpKind::MemoryESRDI);
                inst.set_op1_kind(OpKind::Register);
                inst.set_op1_register(if wide { Register::EAX } else { Register::AL });
                self.emit(inst);
            }
            1 => {
                self.address_of(pointer, patch.label);
                self.set(register, value.into());
                let inst = if wide {
                    Instruction::with2(Code::Xchg_rm32_r32, at, as_32(register))
                } else {
                    Instruction::with2(Code::Xchg_rm8_r8, at, as_8(register))
                };
                self.emit(inst.unwrap());
            }
            _ => {
                self.address_of(pointer, patch.label);
                self.set(register, value.into());
                let inst = if wide {
                    Instruction::with2(Code::Mov_rm32_r32, at, as_32(register))
                } else {
                    Instruction::with2(Code::Mov_rm8_r8, at, as_8(register))
                };
                self.emit(inst.unwrap());
            }
        }
    }

    /// The instruction that is overwritten.
    fn patched(&mut self, index: usize) {
        let Patch { label, kind, .. } = self.patches[index];
        self.patches[index].bound = true;
        match kind {
            PatchKind::Immediate => {
                let register = self.scratch();
                let value = self.rng.value() as u32;
                let (at, _) = self.emit(Instruction::with2(Code::Mov_r32_imm32, as_32(register), value).unwrap());
                self.labels[label] = Some(at);
            }
            PatchKind::Opcode => {
                const LOW: [Register; 4] = [Register::EAX, Register::ECX, Register::EDX, Register::EBX];
                let dst = LOW[self.rng.below(4) as usize];
                if self.is_reserved(dst.full_register()) {
                    // Not without a register: then nothing that matters.
                    let (at, _) = self.emit(Instruction::with2(Code::Mov_r32_imm32, Register::R9D, 1).unwrap());
                    self.labels[label] = Some(at);
                    return;
                }
                let src = LOW[self.rng.below(4) as usize];
                let before = self.undefined;
                self.labels[label] = Some(self.code.len());
                self.emit(Instruction::with2(Code::Add_rm32_r32, dst, src).unwrap());
                // Whichever it has become.
                self.undefined = before | AF;
            }
            PatchKind::Jump => {
                let before = self.undefined;
                let to = self.rip() + 2 + 2 * self.rng.below(3);
                self.labels[label] = Some(self.code.len() + 1);
                self.emit(Instruction::with_branch(Code::Jmp_rel8_64, to).unwrap());
                for _ in 0..2 {
                    let (a, b) = (Register::RDX, Register::RSI);
                    let register = if self.is_reserved(a) { b } else { a };
                    if self.is_reserved(register) {
                        self.code.extend([0x66, 0x90]);
                    } else {
                        let code = if self.rng.below(2) == 0 { Code::Inc_rm32 } else { Code::Neg_rm32 };
                        self.emit(Instruction::with1(code, as_32(register)).unwrap());
                    }
                }
                // On some way neither runs.
                self.undefined = before;
            }
        }
    }

    /// Copies a function elsewhere and calls it there, as a compiler within the guest does.
    fn copied_function(&mut self) {
        if [Register::RSI, Register::RDI, Register::RCX, Register::RAX].iter().any(|used| self.is_reserved(*used)) {
            return;
        }
        let (function, over) = (self.label(), self.label());
        self.seal();
        self.branch(Code::Jmp_rel32_64, over);
        self.bind(function);
        let begin = self.code.len();
        for _ in 0..1 + self.rng.below(4) {
            let (a, b) = (self.scratch(), self.any());
            let imm = self.rng.value();
            let inst = match self.rng.below(4) {
                0 => Instruction::with2(Code::Add_r64_rm64, a, b),
                1 => Instruction::with2(Code::Mov_r32_imm32, as_32(a), imm as u32),
                2 => Instruction::with2(Code::Imul_r32_rm32, as_32(a), as_32(b)),
                _ => Instruction::with2(Code::Xor_rm32_imm8, as_32(a), i32::from(imm as i8)),
            };
            self.emit(inst.unwrap());
        }
        self.seal();
        self.emit(Instruction::with(Code::Retnq));
        let bytes = self.code.len() - begin;
        self.bind(over);
        let to = COPIES + self.rng.below(3) * 0x40 + self.rng.below(2);
        let pointer = [Register::RDX, Register::RBX][self.rng.below(2) as usize];
        if self.is_reserved(pointer) {
            return;
        }
        self.address_of(Register::RSI, function);
        self.set(Register::RDI, to);
        self.set(Register::RCX, bytes as u64);
        self.emit(Instruction::with(Code::Cld));
        self.code.extend([0xf3, 0xa4]);
        self.set(pointer, to);
        self.emit(Instruction::with1(Code::Call_rm64, pointer).unwrap());
        self.undefined = 0;
    }
}

fn numbered(first: Register, register: Register) -> Register {
    Register::try_from(first as usize + register.number()).expect("a register")
}

fn as_32(register: Register) -> Register {
    numbered(Register::EAX, register)
}

fn as_16(register: Register) -> Register {
    numbered(Register::AX, register)
}

/// With a prefix for SPL to DIL, which are numbered after AH to BH.
fn as_8(register: Register) -> Register {
    let number = register.number();
    let index = if number < 4 { number } else { number + 4 };
    Register::try_from(Register::AL as usize + index).expect("a register")
}
