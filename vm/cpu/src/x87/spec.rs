//! An x87 instruction in a helper's immediate.

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What to do.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[allow(missing_docs)]
        pub enum Operation { $($(#[$doc])* $name,)* }

        impl Operation {
            const ALL: &'static [Operation] = &[$(Operation::$name,)*];
        }
    };
}

operations! {
    Load, Store, StoreTruncated,
    Add, Sub, SubReversed, Mul, Div, DivReversed,
    Compare, CompareUnordered,
    /// FCOMI and FUCOMI: to RFLAGS.
    CompareToFlags, CompareUnorderedToFlags,
    Exchange,
    /// `st` is the [`Constant`].
    Constant,
    ChangeSign, Absolute, Test, Examine, SquareRoot, RoundToInt,
    Free, IncrementTop, DecrementTop, Init, ClearExceptions,
    /// WAIT and FNOP: nothing but the look at pending exceptions.
    Wait,
    /// EMMS.
    Empty,
    LoadControl, StoreControl, StoreStatus, StoreStatusAx,
    StoreEnvironment, LoadEnvironment, Save, Restore,
    /// FCMOVcc: the operand slot holds the condition.
    MoveIf,
    Scale, Remainder, RemainderNearest, Extract,
    Sine, Cosine, SineCosine, Tangent, ArcTangent, PowerMinusOne, YLog2X, YLog2XPlusOne,
}

impl Operation {
    /// Whether it checks for pending exceptions first (the FN… forms don't).
    pub fn waits(self) -> bool {
        use Operation::*;
        !matches!(self, Init | ClearExceptions | StoreControl | StoreStatus | StoreStatusAx | StoreEnvironment | Save)
    }

    /// Whether it is about the unit's control, so that it does not count as the last instruction.
    pub fn is_control(self) -> bool {
        use Operation::*;
        !self.waits() || matches!(self, Wait | Empty | LoadControl | LoadEnvironment | Restore)
    }
}

/// Where the other operand is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Operand {
    Register,
    F32,
    F64,
    F80,
    I16,
    I32,
    I64,
    /// 18 packed decimal digits.
    Bcd,
}

impl Operand {
    const ALL: [Operand; 8] = {
        use Operand::*;
        [Register, F32, F64, F80, I16, I32, I64, Bcd]
    };

    /// From its number, `self as u32`, in the low bits.
    pub fn of_number(number: u32) -> Operand {
        Self::ALL[(number & 7) as usize]
    }

    /// Bytes in memory.
    pub fn bytes(self) -> u8 {
        match self {
            Operand::Register => 0,
            Operand::I16 => 2,
            Operand::F32 | Operand::I32 => 4,
            Operand::F64 | Operand::I64 => 8,
            Operand::F80 | Operand::Bcd => 10,
        }
    }
}

/// FLD1 and its siblings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Constant {
    One,
    Log2Of10,
    Log2OfE,
    Pi,
    Log10Of2,
    LnOf2,
    Zero,
}

impl Constant {
    const ALL: [Constant; 7] = {
        use Constant::*;
        [One, Log2Of10, Log2OfE, Pi, Log10Of2, LnOf2, Zero]
    };

    /// From its number.
    pub fn from_index(index: u8) -> Constant {
        Self::ALL[usize::from(index) % 7]
    }
}

/// Bits of FOP.
pub const OPCODE_BITS: u16 = 0x7ff;

/// An instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spec {
    /// What to do.
    pub operation: Operation,
    /// With what.
    pub operand: Operand,
    /// i of ST(i).
    pub st: u8,
    /// Whether ST(i) is the destination.
    pub to_register: bool,
    /// Registers to pop afterwards.
    pub pops: u8,
    /// What FOP has of it: the low three bits of the first opcode byte, and ModRM.
    pub opcode: u16,
    /// An environment in the 16-bit layout.
    pub narrow: bool,
}

impl Spec {
    /// An operation on ST(0) alone.
    pub fn new(operation: Operation) -> Self {
        Self { operation, operand: Operand::Register, st: 0, to_register: false, pops: 0, opcode: 0, narrow: false }
    }

    /// To an immediate.
    pub fn encode(self) -> u32 {
        self.operation as u32
            | (self.operand as u32) << 8
            | u32::from(self.st) << 12
            | u32::from(self.to_register) << 15
            | u32::from(self.pops) << 16
            | u32::from(self.narrow) << 18
            | u32::from(self.opcode & OPCODE_BITS) << 19
    }

    /// Bytes of the memory operand, for all but environments.
    pub fn memory_bytes(self) -> u8 {
        match self.operation {
            Operation::StoreControl | Operation::LoadControl | Operation::StoreStatus => 2,
            _ => self.operand.bytes(),
        }
    }

    /// Whether the memory operand is written.
    pub fn writes_memory(self) -> bool {
        use Operation::*;
        match self.operation {
            StoreControl | StoreStatus => true,
            Store | StoreTruncated => self.operand != Operand::Register,
            _ => false,
        }
    }

    /// Whether memory is left to the helper, since there is too much of it.
    pub fn is_environment(self) -> bool {
        use Operation::*;
        matches!(self.operation, StoreEnvironment | LoadEnvironment | Save | Restore)
    }

    /// Whether it sets the status flags.
    pub fn sets_flags(self) -> bool {
        matches!(self.operation, Operation::CompareToFlags | Operation::CompareUnorderedToFlags)
    }

    /// Back from one.
    pub fn decode(imm: u32) -> Spec {
        Spec {
            operation: Operation::ALL[(imm & 0xff) as usize % Operation::ALL.len()],
            operand: Operand::of_number(imm >> 8),
            st: (imm >> 12 & 7) as u8,
            to_register: imm >> 15 & 1 != 0,
            pops: (imm >> 16 & 3) as u8,
            narrow: imm >> 18 & 1 != 0,
            opcode: (imm >> 19) as u16 & OPCODE_BITS,
        }
    }
}
