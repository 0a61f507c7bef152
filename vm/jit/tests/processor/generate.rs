//! Random instructions of a given form, and states to run them from.

use cpu::Mode;
use cpu::features::FEATURES;
use cpu::fpu::F80;
use cpu::state::MXCSR_DEFAULT;
use iced_x86::{
    Code, CodeSize, CpuidFeature, Encoder, EncodingKind, Instruction, Mnemonic, OpCodeOperandKind as K, Register,
};

use super::host::{CODE, CODE_BYTES, DATA, DATA_BYTES};
use super::state::State;

/// A small generator (xorshift64*); tests need speed and repeatability, not quality.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Numbers that tend to find mistakes.
    pub fn value(&mut self) -> u64 {
        match self.below(8) {
            0 => self.below(4),
            1 => u64::MAX - self.below(4),
            2 => 1 << self.below(64),
            3 => (1u64 << self.below(64)).wrapping_sub(1),
            4 => self.next() & 0xffff_ffff,
            5 => (self.next() as i32) as u64,
            _ => self.next(),
        }
    }

    /// Likewise for floating point: special values among ordinary ones.
    fn float(&mut self) -> u64 {
        const SPECIAL: [f64; 12] = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            0.5,
            2.5,
            f64::MIN_POSITIVE,
            f64::MAX,
            3.5,
        ];
        match self.below(5) {
            0 => SPECIAL[self.below(12) as usize].to_bits(),
            // Products and quotients are near the least normal number; significands of few bits make them exact or nearly.
            4 => self.next() >> 63 << 63 | (508 + self.below(8)) << 52 | (self.value() & 0xfff) << (40 * self.below(2)),
            1 => ((self.next() as i32) as f64 / 256.0).to_bits(),
            2 => self.next(),
            _ => f64::from_bits(self.next() & 0x800f_ffff_ffff_ffff | (1000 + self.below(50)) << 52).to_bits(),
        }
    }

    fn single(&mut self) -> u32 {
        match self.below(4) {
            0 => (f64::from_bits(self.float()) as f32).to_bits(),
            3 => {
                let significand = (self.value() as u32 & 0x3f) << (17 * self.below(2));
                self.next() as u32 >> 31 << 31 | (60 + self.below(8) as u32) << 23 | significand
            }
            1 => ((self.next() as i16) as f32 / 16.0).to_bits(),
            _ => self.next() as u32,
        }
    }

    /// Precision, rounding and masks; most programs never change them.
    fn control(&mut self) -> u16 {
        match self.below(4) {
            0 => 0x0040 | (self.next() as u16) & 0x0f3f,
            1 => 0x007f | (self.next() as u16) & 0x0f00,
            _ => 0x037f,
        }
    }

    /// The default, or any rounding, treatment of denormals, and what has happened; now and then not all is masked.
    fn mxcsr(&mut self) -> u32 {
        match self.below(4) {
            0 => MXCSR_DEFAULT,
            1 => MXCSR_DEFAULT | self.next() as u32 & 0x3f,
            2 => MXCSR_DEFAULT | self.next() as u32 & 0xe07f,
            _ => self.next() as u32 & 0xffff,
        }
    }

    fn vector(&mut self) -> u128 {
        match self.below(3) {
            0 => u128::from(self.value()) << 64 | u128::from(self.value()),
            1 => u128::from(self.float()) << 64 | u128::from(self.float()),
            _ => (0..4).fold(0, |sum, _| sum << 32 | u128::from(self.single())),
        }
    }

    fn extended(&mut self) -> F80 {
        let sign = (self.next() as u16) & 0x8000;
        match self.below(24) {
            0 => F80 { mantissa: 0, sign_exponent: sign },
            // No number: the integer bit is missing.
            7 => F80 { mantissa: self.next() >> 1, sign_exponent: sign | 0x7fff },
            8 => F80 { mantissa: self.next() >> 1, sign_exponent: sign | (1 + self.below(0x7ffe) as u16) },
            // A denormal and one with an integer bit.
            9 => F80 { mantissa: self.next() >> 8, sign_exponent: sign },
            10 => F80 { mantissa: 1 << 63 | self.next(), sign_exponent: sign },
            1 => F80 { mantissa: 1 << 63, sign_exponent: sign | 0x7fff },
            2 => F80 { mantissa: 3 << 62 | self.next() >> 2, sign_exponent: sign | 0x7fff },
            3 => F80 { mantissa: 1 << 63, sign_exponent: sign | 0x3fff },
            4..=6 => {
                F80 { mantissa: 1 << 63 | self.next() << 40, sign_exponent: sign | (0x3ff0 + self.below(32) as u16) }
            }
            _ => F80 { mantissa: 1 << 63 | self.next(), sign_exponent: sign | (0x3fc0 + self.below(128) as u16) },
        }
    }
}

/// An instruction and everything it starts from.
pub struct Case {
    pub instruction: Instruction,
    pub bytes: Vec<u8>,
    pub rip: u64,
    pub state: State,
    pub data: Vec<u8>,
    /// A repeated string instruction: steps and pauses stay at its address.
    pub may_pause: bool,
    pub mode: Mode,
}

impl Case {
    pub fn undefined_flags(&self) -> u64 {
        let mut inst = self.instruction;
        inst.set_code_size(CodeSize::Code64);
        let mut undefined = 0;
        let bits = inst.rflags_undefined();
        for (bit, flag) in [
            (iced_x86::RflagsBits::CF, 0),
            (iced_x86::RflagsBits::PF, 2),
            (iced_x86::RflagsBits::AF, 4),
            (iced_x86::RflagsBits::ZF, 6),
            (iced_x86::RflagsBits::SF, 7),
            (iced_x86::RflagsBits::OF, 11),
        ] {
            undefined |= u64::from(bits & bit != 0) << flag;
        }
        use Mnemonic::*;
        match inst.mnemonic() {
            // Undefined when the count (which may come from CL) makes it so.
            Shl | Sal | Shr | Sar | Shld | Shrd => undefined | 1 << 11 | 1 << 4 | self.wide_shift_flags(),
            Rol | Ror | Rcl | Rcr => undefined | 1 << 11,
            _ => undefined,
        }
    }

    /// CF is undefined for shifts by more than the operand's width; so is everything for SHLD.
    fn wide_shift_flags(&self) -> u64 {
        let double = matches!(self.instruction.mnemonic(), Mnemonic::Shld | Mnemonic::Shrd);
        let last = self.instruction.op_count() - 1;
        let count = match self.instruction.op_kind(last) {
            iced_x86::OpKind::Register => self.state.gpr[1],
            _ => u64::from(self.instruction.immediate8()),
        };
        let width = match self.instruction.op0_kind() {
            iced_x86::OpKind::Memory => self.instruction.memory_size().size(),
            _ => self.instruction.op0_register().size(),
        } as u64
            * 8;
        let count = count & if width == 64 { 63 } else { 31 };
        match (double, count > width, count == width) {
            (true, true, _) => 0xffff,
            (false, true, _) | (false, _, true) if width < 32 => 1,
            _ => 0,
        }
    }

    pub fn uses_fpu(&self) -> bool {
        let registers = (0..self.instruction.op_count()).map(|i| self.instruction.op_register(i));
        let mmx = self.instruction.mnemonic() == Mnemonic::Emms || registers.into_iter().any(Register::is_mm);
        mmx || is_x87(self.instruction.code())
    }

    /// What it started from, for a message.
    pub fn inputs(&self) -> String {
        format!(
            "from {:x?} flags {:#x} xmm {:x?} st {:x?}",
            self.state.gpr,
            self.state.flags,
            &self.state.xmm[..8],
            &self.state.st[..2]
        )
    }
}

fn is_x87(code: Code) -> bool {
    code.cpuid_features().iter().any(|feature| {
        matches!(feature, CpuidFeature::FPU | CpuidFeature::FPU287 | CpuidFeature::FPU387 | CpuidFeature::FPU287XL_ONLY)
    })
}

/// Whether we know a feature: it is older than CPUID, or Linux's name for it is among what we claim.
fn is_known(feature: CpuidFeature) -> bool {
    use CpuidFeature::*;
    let name = match feature {
        INTEL8086 | INTEL8086_ONLY | INTEL186 | INTEL286 | INTEL386 | INTEL486 | X64 | FPU287 | FPU387
        | MULTIBYTENOP | PAUSE => return true,
        FPU => "fpu",
        CMOV => "cmov",
        MMX => "mmx",
        FXSR => "fxsr",
        CLFSH => "clflush",
        CLFLUSHOPT => "clflushopt",
        CLWB => "clwb",
        FSGSBASE => "fsgsbase",
        CX8 => "cx8",
        CMPXCHG16B => "cx16",
        SSE => "sse",
        SSE2 => "sse2",
        SSE3 => "pni",
        SSSE3 => "ssse3",
        SSE4_1 => "sse4_1",
        SSE4_2 => "sse4_2",
        POPCNT => "popcnt",
        MOVBE => "movbe",
        LZCNT => "abm",
        PREFETCHW => "3dnowprefetch",
        BMI1 => "bmi1",
        BMI2 => "bmi2",
        ADX => "adx",
        AES => "aes",
        PCLMULQDQ => "pclmulqdq",
        SHA => "sha_ni",
        XSAVE => "xsave",
        XSAVEOPT => "xsaveopt",
        XSAVEC => "xsavec",
        _ => return false,
    };
    FEATURES.iter().any(|(_, _, claimed)| *claimed == name)
}

/// Whether a form belongs to the instruction set we claim.
pub fn applies(code: Code, mode: Mode) -> bool {
    let info = code.op_code();
    code != Code::INVALID
        && info.is_instruction()
        && if mode == Mode::Long { info.mode64() } else { info.mode32() }
        && code.cpuid_features().iter().all(|feature| is_known(*feature))
        && matches!(info.encoding(), EncodingKind::Legacy | EncodingKind::VEX)
}

/// Near control flow with a 16-bit operand size, which Intel's and AMD's processors treat differently in 64-bit code.
fn near_16(code: Code) -> bool {
    let relative = code.op_code().op_kinds().iter().any(|kind| matches!(kind, K::br16_1 | K::br16_2));
    relative || matches!(code, Code::Jmp_rm16 | Code::Call_rm16 | Code::Retnw | Code::Retnw_imm16)
}

/// Forms that are not compared, with the reason.
pub fn left_out(code: Code, mode: Mode) -> Option<&'static str> {
    use Mnemonic::*;
    let info = code.op_code();
    let segment = |kind: &K| matches!(kind, K::seg_reg | K::es | K::cs | K::ss | K::ds | K::fs | K::gs);
    match code.mnemonic() {
        Syscall | Sysenter | Sysexit | Sysret | Sysexitq | Sysretq | Int | Int1 | Int3 | Iret | Iretd | Iretq | Ud0
        | Ud1 | Ud2 => Some("enters the kernel"),
        Cpuid | Rdtsc | Rdtscp | Rdpmc => Some("differs from processor to processor"),
        Rcpps | Rcpss | Rsqrtps | Rsqrtss => Some("approximations differ from processor to processor"),
        Sgdt | Sidt | Sldt | Smsw | Str | Lfs | Lgs | Lss => Some("descriptor tables"),
        Mov | Push | Pop if info.op_kinds().iter().any(segment) => Some("segment registers"),
        Feni | Fdisi | Fclex | Finit | Fstcw | Fstsw | Fstenv | Fsave | Fsetpm => Some("WAIT and another instruction"),
        Fneni | Fndisi | Fnsetpm | Fstpnce | Frstpm => Some("8087 and 80287 leftovers"),
        Fxsave | Fxsave64 | Fxrstor | Fxrstor64 => Some("reserved fields differ"),
        Xsave | Xsave64 | Xsaveopt | Xsaveopt64 | Xsavec | Xsavec64 | Xrstor | Xrstor64 | Xgetbv => {
            Some("processors have other components too: compared in vm/tests/syscalls/xsave.c")
        }
        Fsin | Fcos | Fsincos | Fptan | Fpatan | F2xm1 | Fyl2x | Fyl2xp1 => {
            Some("x87's transcendental functions may differ in the last place: compared in vm/cpu/tests/x87")
        }
        Fstdw | Fstsg => Some("8087 and 80287 leftovers"),
        Lds | Les => Some("descriptor tables"),
        Pushf | Pushfd | Pushfq | Popf | Popfd | Popfq => Some("single-stepping shows in the trap flag"),
        _ if mode == Mode::Long && near_16(code) => Some("16-bit near branches"),
        _ => off_intel(code).filter(|_| !is_intel()),
    }
}

/// Whether this is one of Intel's processors, as CPUID says of ours.
fn is_intel() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).as_flattened() == cpu::features::VENDOR.as_bytes()
}

/// What AMD's processors do otherwise (Architecture Programmer's Manual, volumes 3 and 4).
fn off_intel(code: Code) -> Option<&'static str> {
    use Code::*;
    match code {
        Call_m1664 | Jmp_m1664 => Some("AMD: no far pointers with 64-bit offsets"),
        Reservednop_rm16_r16_0F0D | Reservednop_rm32_r32_0F0D | Reservednop_rm64_r64_0F0D => {
            Some("AMD: a prefetch, of memory only")
        }
        Shld_rm16_r16_imm8 | Shld_rm16_r16_CL | Shrd_rm16_r16_imm8 | Shrd_rm16_r16_CL => {
            Some("AMD: other results where Intel's manual says undefined")
        }
        Sha1nexte_xmm_xmmm128
        | Sha1msg1_xmm_xmmm128
        | Sha1msg2_xmm_xmmm128
        | Sha1rnds4_xmm_xmmm128_imm8
        | Sha256msg1_xmm_xmmm128
        | Sha256msg2_xmm_xmmm128
        | Sha256rnds2_xmm_xmmm128 => Some("AMD: operands need no alignment"),
        Dpps_xmm_xmmm128_imm8 | Dppd_xmm_xmmm128_imm8 => Some("AMD: NaN of another operand"),
        _ => None,
    }
}

/// A register of a class, by the number of its first one.
fn register(first: Register, count: u64, rng: &mut Rng) -> Register {
    Register::try_from(first as usize + rng.below(count) as usize).expect("a register")
}

/// Branches lead past themselves: an engine may run one that leads to itself more than once before it looks at the
/// budget.
const AHEAD: u64 = 16;

/// Middle of the data: room on both sides for displacements.
pub const MIDDLE: u64 = DATA + 0x800;
/// Where the stack pointer is.
const STACK: u64 = DATA + 0x1400;

/// A random case of a form; `None` if this choice of operands can't be encoded.
pub fn case(code: Code, mode: Mode, rng: &mut Rng) -> Option<Case> {
    let rip = CODE + rng.below(CODE_BYTES as u64 / 2) + 0x800;
    let mut state = random_state(rng);
    let mut data: Vec<u8> = Vec::with_capacity(DATA_BYTES);
    while data.len() < DATA_BYTES {
        let value = if rng.below(2) == 0 { rng.value() } else { rng.float() };
        data.extend(value.to_le_bytes());
    }
    let mut inst = Instruction::default();
    inst.set_code(code);
    for (i, kind) in code.op_code().op_kinds().iter().enumerate() {
        operand(&mut inst, i as u32, *kind, mode, rip, &mut state, rng)?;
    }
    prefixes(&mut inst, rng);
    adjust(&mut inst, mode, &mut state, &mut data, rng);
    if mode == Mode::Compat {
        for (number, value) in state.gpr.iter_mut().enumerate() {
            *value = if number < 8 { *value & 0xffff_ffff } else { 0 };
        }
    }
    let bits = if mode == Mode::Long { 64 } else { 32 };
    let mut encoder = Encoder::new(bits);
    encoder.encode(&inst, rip).ok()?;
    let bytes = encoder.take_buffer();
    // What the bytes really say: a prefix may mean another instruction.
    let decoded = iced_x86::Decoder::with_ip(bits, &bytes, rip, iced_x86::DecoderOptions::NONE).decode();
    let may_pause = inst.has_rep_prefix() || inst.has_repne_prefix();
    (decoded.code() == code).then_some(Case { instruction: decoded, bytes, rip, state, data, may_pause, mode })
}

/// Registers to start from.
pub fn random_state(rng: &mut Rng) -> State {
    let mut gpr: [u64; 16] = std::array::from_fn(|_| rng.value());
    gpr[4] = STACK + 16 * rng.below(4);
    let control = rng.control();
    // Sticky flags and conditions; now and then an exception is pending.
    let flags = if rng.below(2) == 0 { rng.next() as u16 & 0x477f } else { 0 };
    let pending = flags & !control & 0x3f;
    let flags = if pending != 0 && rng.below(4) != 0 { flags & !pending } else { flags };
    let summary = if flags & !control & 0x3f != 0 { 0x8080 } else { 0 };
    State {
        gpr,
        flags: rng.next() & cpu::rflags::STATUS,
        bases: std::array::from_fn(|_| rng.value() >> 18),
        xmm: std::array::from_fn(|_| rng.vector()),
        st: std::array::from_fn(|_| rng.extended()),
        control,
        status: (rng.below(8) as u16) << 11 | flags | summary,
        valid: if rng.below(4) == 0 { rng.next() as u8 } else { 0xff },
        mxcsr: rng.mxcsr(),
    }
}

fn operand(
    inst: &mut Instruction,
    i: u32,
    kind: K,
    mode: Mode,
    rip: u64,
    state: &mut State,
    rng: &mut Rng,
) -> Option<()> {
    let long = mode == Mode::Long;
    let count = if long { 16 } else { 8 };
    use iced_x86::OpKind as O;
    let set = |inst: &mut Instruction, register: Register| {
        inst.set_op_kind(i, O::Register);
        inst.set_op_register(i, register);
    };
    let either = rng.below(2) == 0;
    match kind {
        K::mem | K::r8_or_mem | K::r16_or_mem | K::r32_or_mem | K::r64_or_mem | K::mm_or_mem | K::xmm_or_mem
            if kind == K::mem || either =>
        {
            memory(inst, i, mode, state, rng);
        }
        K::mem_offs => {
            inst.set_op_kind(i, O::Memory);
            inst.set_memory_displ_size(if long { 8 } else { 4 });
            inst.set_memory_displacement64(MIDDLE + 16 * rng.below(8));
        }
        K::r8_or_mem | K::r8_reg | K::r8_opcode => {
            // AL to BH, then SPL to R15L.
            set(inst, register(Register::AL, if long { 20 } else { 8 }, rng));
        }
        K::r16_or_mem | K::r16_reg | K::r16_reg_mem | K::r16_rm | K::r16_opcode => {
            set(inst, register(Register::AX, count, rng))
        }
        K::r32_or_mem | K::r32_reg | K::r32_reg_mem | K::r32_rm | K::r32_opcode | K::r32_vvvv => {
            set(inst, register(Register::EAX, count, rng))
        }
        K::r64_or_mem | K::r64_reg | K::r64_reg_mem | K::r64_rm | K::r64_opcode | K::r64_vvvv => {
            set(inst, register(Register::RAX, count, rng))
        }
        K::mm_or_mem | K::mm_reg | K::mm_rm => set(inst, register(Register::MM0, 8, rng)),
        K::xmm_or_mem | K::xmm_reg | K::xmm_rm => set(inst, register(Register::XMM0, count, rng)),
        K::st0 => set(inst, Register::ST0),
        K::sti_opcode => set(inst, register(Register::ST0, 8, rng)),
        K::al => set(inst, Register::AL),
        K::cl => set(inst, Register::CL),
        K::ax => set(inst, Register::AX),
        K::dx => set(inst, Register::DX),
        K::eax => set(inst, Register::EAX),
        K::rax => set(inst, Register::RAX),
        K::imm8_const_1 => {
            inst.set_op_kind(i, O::Immediate8);
            inst.set_immediate8(1);
        }
        K::imm8 => {
            inst.set_op_kind(
                i,
                if i > 0 && matches!(inst.op_kind(i - 1), O::Immediate8 | O::Immediate16) {
                    O::Immediate8_2nd
                } else {
                    O::Immediate8
                },
            );
            inst.set_immediate8(rng.value() as u8);
        }
        K::imm8sex16 => {
            inst.set_op_kind(i, O::Immediate8to16);
            inst.set_immediate8to16((rng.value() as i8).into());
        }
        K::imm8sex32 => {
            inst.set_op_kind(i, O::Immediate8to32);
            inst.set_immediate8to32((rng.value() as i8).into());
        }
        K::imm8sex64 => {
            inst.set_op_kind(i, O::Immediate8to64);
            inst.set_immediate8to64((rng.value() as i8).into());
        }
        K::imm16 => {
            inst.set_op_kind(i, O::Immediate16);
            inst.set_immediate16(rng.value() as u16);
        }
        K::imm32 => {
            inst.set_op_kind(i, O::Immediate32);
            inst.set_immediate32(rng.value() as u32);
        }
        K::imm32sex64 => {
            inst.set_op_kind(i, O::Immediate32to64);
            inst.set_immediate32to64((rng.value() as i32).into());
        }
        K::imm64 => {
            inst.set_op_kind(i, O::Immediate64);
            inst.set_immediate64(rng.value());
        }
        K::br16_1 | K::br16_2 => {
            inst.set_op_kind(i, O::NearBranch16);
            inst.set_near_branch16((rip + AHEAD + rng.below(80)) as u16);
        }
        K::farbr2_2 => {
            inst.set_op_kind(i, O::FarBranch16);
            inst.set_far_branch16(rng.next() as u16);
            inst.set_far_branch_selector(same_mode_selector(mode, rng));
        }
        K::farbr4_2 => {
            inst.set_op_kind(i, O::FarBranch32);
            inst.set_far_branch32((CODE + rng.below(CODE_BYTES as u64)) as u32);
            inst.set_far_branch_selector(same_mode_selector(mode, rng));
        }
        K::cr_reg => set(inst, Register::CR0),
        K::dr_reg => set(inst, Register::DR0),
        K::br32_1 | K::br32_4 if !long => {
            inst.set_op_kind(i, O::NearBranch32);
            inst.set_near_branch32((rip + AHEAD + rng.below(80)) as u32);
        }
        K::br64_1 | K::br64_4 | K::br32_1 | K::br32_4 => {
            inst.set_op_kind(i, O::NearBranch64);
            inst.set_near_branch64(rip + AHEAD + rng.below(80));
        }
        K::seg_rSI => inst.set_op_kind(i, if !long || rng.below(4) == 0 { O::MemorySegESI } else { O::MemorySegRSI }),
        K::es_rDI if !long => inst.set_op_kind(i, O::MemoryESEDI),
        K::es_rDI => inst
            .set_op_kind(i, if i > 0 && inst.op0_kind() == O::MemorySegESI { O::MemoryESEDI } else { O::MemoryESRDI }),
        K::seg_rDI => inst.set_op_kind(i, if long { O::MemorySegRDI } else { O::MemorySegEDI }),
        K::seg_rBX_al => {
            inst.set_op_kind(i, O::Memory);
            inst.set_memory_base(if long { Register::RBX } else { Register::EBX });
            inst.set_memory_index(Register::AL);
            state.gpr[3] = MIDDLE;
        }
        _ => return None,
    }
    Some(())
}

/// A memory operand whose registers are set so that it lies in the middle of the data.
fn memory(inst: &mut Instruction, i: u32, mode: Mode, state: &mut State, rng: &mut Rng) {
    if mode == Mode::Compat && rng.below(if inst.mnemonic() == Mnemonic::Lea { 2 } else { 32 }) == 0 {
        return memory_16(inst, i, rng);
    }
    // Addresses of 32 bits in 64-bit code, now and then.
    let narrow = mode == Mode::Long && rng.below(6) == 0;
    let long = mode == Mode::Long && !narrow;
    let first = if long { Register::RAX } else { Register::EAX };
    let count = if mode == Mode::Long { 16 } else { 8 };
    let gpr = |number: usize| Register::try_from(first as usize + number).expect("a register");
    inst.set_op_kind(i, iced_x86::OpKind::Memory);
    let jumps = matches!(inst.mnemonic(), Mnemonic::Jmp | Mnemonic::Call);
    let unaligned = if rng.below(8) == 0 && !jumps { rng.below(16) } else { 0 };
    let at = MIDDLE + 16 * rng.below(16) + unaligned;
    let base = rng.below(count) as usize;
    let index = rng.below(count) as usize;
    let scale = 1u32 << rng.below(4);
    let disp = (rng.next() as i8) as i64;
    let with_index = rng.below(2) == 0 && index != 4 && index != base && base != 4;
    inst.set_memory_base(gpr(base));
    inst.set_memory_displ_size(if long { 8 } else { 4 });
    let mut offset = disp;
    if base == 4 {
        offset = at.wrapping_sub(state.gpr[4]) as i64;
    } else if with_index {
        inst.set_memory_index(gpr(index));
        inst.set_memory_index_scale(scale);
        state.gpr[index] = rng.below(16).wrapping_sub(8);
        let scaled = state.gpr[index].wrapping_mul(scale.into());
        state.gpr[base] = at.wrapping_sub(disp as u64).wrapping_sub(scaled);
    } else {
        state.gpr[base] = at.wrapping_sub(disp as u64);
    }
    inst.set_memory_displacement64(offset as u64);
    if narrow && base != 4 {
        state.gpr[base] = state.gpr[base] & 0xffff_ffff | rng.next() << 32;
    }
}

/// A memory operand with 16-bit addressing. Nothing lies there, so most instructions fault.
fn memory_16(inst: &mut Instruction, i: u32, rng: &mut Rng) {
    let base = [Register::BX, Register::BP, Register::SI, Register::DI][rng.below(4) as usize];
    let index = [Register::None, Register::SI, Register::DI][rng.below(3) as usize];
    inst.set_op_kind(i, iced_x86::OpKind::Memory);
    inst.set_memory_base(base);
    if matches!(base, Register::BX | Register::BP) {
        inst.set_memory_index(index);
    }
    inst.set_memory_displ_size(2);
    inst.set_memory_displacement64(rng.next() as i16 as u64 & 0xffff);
}

fn prefixes(inst: &mut Instruction, rng: &mut Rng) {
    let info = inst.code().op_code();
    if inst.op0_kind() == iced_x86::OpKind::Memory && info.can_use_lock_prefix() && rng.below(4) == 0 {
        inst.set_has_lock_prefix(true);
    }
    let pick = rng.below(3);
    if inst.code().is_string_instruction() {
        inst.set_has_rep_prefix(pick == 1);
        inst.set_has_repne_prefix(pick == 2 && info.can_use_repne_prefix());
    }
}

/// Sets what an instruction uses without naming it, and keeps addresses it makes within the data.
fn adjust(inst: &mut Instruction, mode: Mode, state: &mut State, data: &mut [u8], rng: &mut Rng) {
    use Mnemonic::*;
    let in_code = CODE + rng.below(CODE_BYTES as u64);
    if inst.code().is_string_instruction() {
        state.gpr[6] = MIDDLE + rng.below(64);
        state.gpr[7] = MIDDLE + rng.below(128);
        state.gpr[1] = rng.below(20);
        state.flags |= rng.next() & cpu::rflags::DF;
        if matches!(inst.mnemonic(), Cmpsb | Scasb | Cmpsw | Scasw) && rng.below(2) == 0 {
            data[0x780..0x900].fill(state.gpr[0] as u8);
        }
    }
    let far = inst.mnemonic() == Retf || inst.code().is_jmp_far_indirect() || inst.code().is_call_far_indirect();
    match inst.mnemonic() {
        _ if far => far_targets(inst, mode, in_code, state, data, rng),
        Lar | Lsl | Verr | Verw => {
            let selector = selector(mode, rng);
            let last = inst.op_count() - 1;
            match inst.op_kind(last) {
                iced_x86::OpKind::Register => state.gpr[inst.op_register(last).number()] = selector.into(),
                _ => data.chunks_exact_mut(2).for_each(|word| word.copy_from_slice(&selector.to_le_bytes())),
            }
        }
        Ldmxcsr => {
            // Bit 17 is reserved on some processors only.
            let reserved = if rng.below(4) == 0 { 1 << (18 + rng.below(14)) } else { 0 };
            let mxcsr = rng.mxcsr() | reserved;
            data.chunks_exact_mut(4).for_each(|word| word.copy_from_slice(&mxcsr.to_le_bytes()));
        }
        Enter => state.gpr[5] = MIDDLE,
        Jmp | Call => match inst.op0_kind() {
            iced_x86::OpKind::Register => state.gpr[inst.op0_register().number()] = in_code,
            iced_x86::OpKind::Memory => {
                for slot in data[0x700..0xb00].chunks_exact_mut(8) {
                    slot.copy_from_slice(&in_code.to_le_bytes());
                }
            }
            _ => {}
        },
        Ret => {
            let at = (state.gpr[4] - DATA) as usize;
            data[at..at + 8].copy_from_slice(&in_code.to_le_bytes());
        }
        Leave => state.gpr[5] = MIDDLE,
        Maskmovdqu | Maskmovq => state.gpr[7] = MIDDLE,
        Bt | Btc | Btr | Bts if inst.op1_kind() == iced_x86::OpKind::Register => {
            let number = inst.op1_register().number();
            if inst.op0_kind() == iced_x86::OpKind::Memory
                && inst.memory_base().number() != number
                && inst.memory_index() == Register::None
                && number != 4
            {
                state.gpr[number] = rng.below(4000).wrapping_sub(2000);
            }
        }
        Div | Idiv if rng.below(4) != 0 => {
            // A quotient that fits, most of the time.
            state.gpr[2] = if rng.below(2) == 0 { 0 } else { rng.below(3).wrapping_sub(1) };
        }
        _ => {}
    }
}

/// Mostly one that code may use.
fn selector(mode: Mode, rng: &mut Rng) -> u16 {
    match rng.below(8) {
        0..=2 => {
            if mode == Mode::Long {
                0x33
            } else {
                0x23
            }
        }
        3 => 0x2b - rng.below(4) as u16,
        4 => {
            if mode == Mode::Long {
                0x23
            } else {
                0x33
            }
        }
        5 => rng.below(4) as u16,
        6 => 0x63,
        // Not the one that tells the processor's number.
        _ => rng.next() as u16 & !0x40,
    }
}

/// Puts an address and a selector wherever a far jump, call or return looks for them.
fn far_targets(inst: &Instruction, mode: Mode, in_code: u64, state: &State, data: &mut [u8], rng: &mut Rng) {
    use Code::*;
    let bytes = match inst.code() {
        Retfw | Retfw_imm16 => 2,
        Retfd | Retfd_imm16 => 4,
        Retfq | Retfq_imm16 => 8,
        _ => inst.memory_size().size() - 2,
    };
    let selector = same_mode_selector(mode, rng);
    let (start, apart) = if inst.mnemonic() == Mnemonic::Retf { (state.gpr[4] - DATA, bytes) } else { (0x700, 16) };
    let targets = if inst.mnemonic() == Mnemonic::Retf { 1 } else { 64 };
    for target in data[start as usize..].chunks_exact_mut(apart.max(2 * bytes)).take(targets) {
        target[..bytes].copy_from_slice(&in_code.to_le_bytes()[..bytes]);
        target[bytes..bytes + 2].copy_from_slice(&selector.to_le_bytes());
    }
}

/// Likewise, but not one that changes the mode, which we can't.
fn same_mode_selector(mode: Mode, rng: &mut Rng) -> u16 {
    let other = if mode == Mode::Long { 0x23 } else { 0x33 };
    Some(selector(mode, rng)).filter(|selector| selector | 3 != other).unwrap_or(0)
}
