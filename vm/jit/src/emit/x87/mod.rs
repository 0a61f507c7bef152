//! The floating-point stack.
//!
//! Within a block, how far the stack has moved since the block's start is known, so a register is a place relative to
//! that, and its value is kept in two locals: the significand, and sign and exponent. Values go to memory at once, since
//! a store costs next to nothing; top, tags and status word only where the block ends ([`Emitter::leave_stack`]) or, in
//! one place for all, where the function is left ([`Emitter::write_stack_back`]).
//! Arithmetic is done by functions of Rust's that know nothing of the stack ([`cpu::x87::compiled`]). What is rare, and
//! whatever would end in an exception that is not masked, is left to the interpreter.
//!
//! | module | subject |
//! |---|---|
//! | [`stack`] | what is known of the stack |
//! | [`operands`] | calls of Rust's functions, and operands in memory |
//! | [`instructions`] | the instructions |

mod instructions;
mod operands;
mod stack;

use cpu::ir::{Op, Slot};
use cpu::x87::spec::{Constant, Operand, Operation, Spec};

use super::Emitter;
pub(super) use stack::{Stack, Start};

/// A value in locals: an i64 and an i32.
#[derive(Clone, Copy, Debug)]
struct Value {
    mantissa: u32,
    exponent: u32,
}

/// What an instruction works on besides ST(0).
enum Source {
    Register(u8),
    Memory(Value),
}

impl Emitter<'_> {
    /// Emits an instruction of the unit.
    pub(super) fn x87(&mut self, index: usize, op: &Op, operand: Slot, imm: u32) {
        let spec = Spec::decode(imm);
        use Operation as O;
        match spec.operation {
            O::Load if spec.operand != Operand::Bcd => self.x87_load(index, operand, spec),
            O::Store | O::StoreTruncated if spec.operand != Operand::Bcd => self.x87_store(index, operand, spec),
            O::Add | O::Sub | O::SubReversed | O::Mul | O::Div | O::DivReversed => {
                self.x87_arithmetic(index, operand, spec);
            }
            O::Compare | O::CompareUnordered | O::CompareToFlags | O::CompareUnorderedToFlags | O::Test => {
                self.x87_compare(index, operand, spec);
            }
            O::Exchange => self.x87_exchange(spec.st),
            O::ChangeSign | O::Absolute => self.x87_sign(spec.operation),
            O::SquareRoot => self.x87_root(),
            O::Constant if matches!(Constant::from_index(spec.st), Constant::One | Constant::Zero) => {
                self.x87_constant(Constant::from_index(spec.st));
            }
            // Within a block an exception is either masked or ends in the interpreter.
            O::Wait if self.stack.start.is_some() => {}
            O::Wait => self.leave_if_pending(None),
            O::StoreControl | O::LoadControl => self.x87_control(index, operand, spec),
            O::StoreStatus | O::StoreStatusAx => self.x87_status(index, operand, spec),
            _ => self.perform(op),
        }
    }
}
