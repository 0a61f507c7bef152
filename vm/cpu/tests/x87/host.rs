//! The processor's own unit: its state from and to FNSAVE images, and one function for each instruction form.

use std::arch::asm;

use cpu::fpu::{F80, Fpu};
use cpu::x87::spec::{Constant, Operand, Operation, Spec};

/// FNSAVE's image in its 32-bit layout.
#[derive(Clone, Copy, PartialEq)]
#[repr(C, align(16))]
pub struct Image {
    words: [u32; 7],
    registers: [[u8; 10]; 8],
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [control, status, tags, ..] = self.words;
        write!(f, "control {control:x} status {status:x} tags {tags:x}")?;
        (0..8).try_for_each(|i| {
            let F80 { mantissa, sign_exponent } = self.st(i);
            write!(f, " {sign_exponent:04x}:{mantissa:016x}")
        })
    }
}

impl Image {
    pub fn new(control: u16, status: u16, valid: u8, registers: [F80; 8]) -> Self {
        let mut fpu = Fpu { control, valid, registers, ..Fpu::default() };
        fpu.set_status_word(status);
        Self::of_fpu(&fpu)
    }

    pub fn of_fpu(fpu: &Fpu) -> Self {
        let words = [fpu.control, fpu.status_word(), fpu.tag_word(), 0, 0, 0, 0].map(u32::from);
        let register = |i: usize| {
            let F80 { mantissa, sign_exponent } = fpu.registers[fpu.physical(i as u8)];
            let mut bytes = [0; 10];
            bytes[..8].copy_from_slice(&mantissa.to_le_bytes());
            bytes[8..].copy_from_slice(&sign_exponent.to_le_bytes());
            bytes
        };
        Self { words, registers: std::array::from_fn(register) }
    }

    pub fn to_fpu(self) -> Fpu {
        let mut fpu = Fpu { control: self.words[0] as u16, ..Fpu::default() };
        fpu.set_status_word(self.words[1] as u16);
        fpu.set_tag_word(self.words[2] as u16);
        for i in 0..8 {
            let register = fpu.physical(i);
            fpu.registers[register] = self.st(i.into());
        }
        fpu
    }

    pub fn st(&self, i: usize) -> F80 {
        let bytes = &self.registers[i];
        F80 {
            mantissa: u64::from_le_bytes(std::array::from_fn(|k| bytes[k])),
            sign_exponent: u16::from_le_bytes([bytes[8], bytes[9]]),
        }
    }

    pub fn set_st(&mut self, i: usize, value: F80) {
        self.registers[i][..8].copy_from_slice(&value.mantissa.to_le_bytes());
        self.registers[i][8..].copy_from_slice(&value.sign_exponent.to_le_bytes());
    }

    /// Control, status and tag word, of the status word what is in a mask.
    pub fn words(&self, mask: u16) -> [u32; 3] {
        [self.words[0], self.words[1] & u32::from(mask), self.words[2]]
    }

    /// Only the three words that we keep, their reserved halves aside.
    pub fn forget_pointers(&mut self) {
        self.words = [self.words[0] & 0xffff, self.words[1] & 0xffff, self.words[2] & 0xffff, 0, 0, 0, 0];
    }
}

/// An instruction on fixed registers or the memory given.
pub struct Form {
    pub text: &'static str,
    pub spec: Spec,
    pub run: fn(&mut Image, &mut [u8; 16]) -> u64,
    /// The value the function returns is compared: flags or AX.
    pub has_value: bool,
}

/// Status flags that comparisons to flags start from.
pub const FLAGS_BEFORE: u64 = 0x45;

macro_rules! native {
    ($text:literal) => {
        |image: &mut Image, memory: &mut [u8; 16]| {
            let mut value = FLAGS_BEFORE;
            // SAFETY: the state is loaded and saved whole; FNSAVE leaves the unit as functions expect it. RCX points at
            // the memory operand. Exceptions left pending go with the state.
            unsafe {
                asm!(
                    "frstor [{image}]",
                    "push {value}",
                    "popfq",
                    $text,
                    "fnsave [{image}]",
                    "pushfq",
                    "pop {value}",
                    image = in(reg) image,
                    value = inout(reg) value,
                    in("rcx") memory.as_mut_ptr(),
                    out("rax") _,
                    out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
                );
            }
            value & 0x8d5
        }
    };
}

fn spec(operation: Operation) -> Spec {
    Spec::new(operation)
}

macro_rules! forms {
    ($($text:literal: $operation:ident $({ $($field:ident: $value:expr),* })?;)*) => {
        vec![$({
            let spec = Spec { $($($field: $value,)*)? ..spec(Operation::$operation) };
            Form { text: $text, spec, run: native!($text), has_value: spec.sets_flags() }
        }),*]
    };
}

/// Functions whose last place processors do not agree on.
pub fn transcendental_forms() -> Vec<Form> {
    forms! {
        "fsin": Sine;
        "fcos": Cosine;
        "fsincos": SineCosine;
        "fptan": Tangent;
        "fpatan": ArcTangent;
        "f2xm1": PowerMinusOne;
        "fyl2x": YLog2X;
        "fyl2xp1": YLog2XPlusOne;
    }
}

/// All other forms, registers standing for any other.
pub fn forms() -> Vec<Form> {
    use Operand::{Bcd, F32, F64, F80, I16, I32, I64};
    forms! {
        "fadd st(0), st(3)": Add { st: 3 };
        "fadd st(0), st(0)": Add { st: 0 };
        "fadd st(3), st(0)": Add { st: 3, to_register: true };
        "faddp st(1), st(0)": Add { st: 1, to_register: true, pops: 1 };
        "fadd dword ptr [rcx]": Add { operand: F32 };
        "fadd qword ptr [rcx]": Add { operand: F64 };
        "fiadd word ptr [rcx]": Add { operand: I16 };
        "fiadd dword ptr [rcx]": Add { operand: I32 };
        "fsub st(0), st(1)": Sub { st: 1 };
        "fsub qword ptr [rcx]": Sub { operand: F64 };
        "fsub dword ptr [rcx]": Sub { operand: F32 };
        "fisub dword ptr [rcx]": Sub { operand: I32 };
        "fsubr st(0), st(1)": SubReversed { st: 1 };
        "fsubr qword ptr [rcx]": SubReversed { operand: F64 };
        "fmul st(0), st(1)": Mul { st: 1 };
        "fmul st(0), st(3)": Mul { st: 3 };
        "fmulp st(1), st(0)": Mul { st: 1, to_register: true, pops: 1 };
        "fmul dword ptr [rcx]": Mul { operand: F32 };
        "fmul qword ptr [rcx]": Mul { operand: F64 };
        "fimul word ptr [rcx]": Mul { operand: I16 };
        "fdiv st(0), st(1)": Div { st: 1 };
        "fdiv st(0), st(3)": Div { st: 3 };
        "fdiv dword ptr [rcx]": Div { operand: F32 };
        "fdiv qword ptr [rcx]": Div { operand: F64 };
        "fidiv dword ptr [rcx]": Div { operand: I32 };
        "fdivr st(0), st(1)": DivReversed { st: 1 };
        "fdivr qword ptr [rcx]": DivReversed { operand: F64 };
        "fcom st(1)": Compare { st: 1 };
        "fcomp st(3)": Compare { st: 3, pops: 1 };
        "fcompp": Compare { st: 1, pops: 2 };
        "fcom dword ptr [rcx]": Compare { operand: F32 };
        "fcomp qword ptr [rcx]": Compare { operand: F64, pops: 1 };
        "ficom word ptr [rcx]": Compare { operand: I16 };
        "ficomp dword ptr [rcx]": Compare { operand: I32, pops: 1 };
        "fucom st(1)": CompareUnordered { st: 1 };
        "fucompp": CompareUnordered { st: 1, pops: 2 };
        "fcomi st(0), st(1)": CompareToFlags { st: 1 };
        "fcompi st(0), st(3)": CompareToFlags { st: 3, pops: 1 };
        "fucomi st(0), st(1)": CompareUnorderedToFlags { st: 1 };
        "fucompi st(0), st(1)": CompareUnorderedToFlags { st: 1, pops: 1 };
        "fld st(0)": Load { st: 0 };
        "fld st(3)": Load { st: 3 };
        "fld dword ptr [rcx]": Load { operand: F32 };
        "fld qword ptr [rcx]": Load { operand: F64 };
        "fld tbyte ptr [rcx]": Load { operand: F80 };
        "fild word ptr [rcx]": Load { operand: I16 };
        "fild dword ptr [rcx]": Load { operand: I32 };
        "fild qword ptr [rcx]": Load { operand: I64 };
        "fbld tbyte ptr [rcx]": Load { operand: Bcd };
        "fst st(3)": Store { st: 3 };
        "fstp st(1)": Store { st: 1, pops: 1 };
        "fst dword ptr [rcx]": Store { operand: F32 };
        "fst qword ptr [rcx]": Store { operand: F64 };
        "fstp qword ptr [rcx]": Store { operand: F64, pops: 1 };
        "fstp tbyte ptr [rcx]": Store { operand: F80, pops: 1 };
        "fist word ptr [rcx]": Store { operand: I16 };
        "fist dword ptr [rcx]": Store { operand: I32 };
        "fistp qword ptr [rcx]": Store { operand: I64, pops: 1 };
        "fbstp tbyte ptr [rcx]": Store { operand: Bcd, pops: 1 };
        "fisttp word ptr [rcx]": StoreTruncated { operand: I16, pops: 1 };
        "fisttp dword ptr [rcx]": StoreTruncated { operand: I32, pops: 1 };
        "fisttp qword ptr [rcx]": StoreTruncated { operand: I64, pops: 1 };
        "fxch st(1)": Exchange { st: 1 };
        "fchs": ChangeSign;
        "fabs": Absolute;
        "ftst": Test;
        "fxam": Examine;
        "fsqrt": SquareRoot;
        "frndint": RoundToInt;
        "fscale": Scale;
        "fprem": Remainder;
        "fprem1": RemainderNearest;
        "fxtract": Extract;
        "ffree st(1)": Free { st: 1 };
        "fincstp": IncrementTop;
        "fdecstp": DecrementTop;
        "fninit": Init;
        "fnclex": ClearExceptions;
        "emms": Empty;
        "fwait": Wait;
        "fldcw word ptr [rcx]": LoadControl;
        "fnstcw word ptr [rcx]": StoreControl;
        "fnstsw word ptr [rcx]": StoreStatus;
        "fld1": Constant { st: Constant::One as u8 };
        "fldl2t": Constant { st: Constant::Log2Of10 as u8 };
        "fldl2e": Constant { st: Constant::Log2OfE as u8 };
        "fldpi": Constant { st: Constant::Pi as u8 };
        "fldlg2": Constant { st: Constant::Log10Of2 as u8 };
        "fldln2": Constant { st: Constant::LnOf2 as u8 };
        "fldz": Constant { st: Constant::Zero as u8 };
    }
}
