//! Operations that generated code hands to Rust, by number.

use std::collections::HashMap;

use cpu::ir::Op;

/// Gives each distinct operation a number.
#[derive(Default)]
pub struct OpTable {
    ops: Vec<Op>,
    numbers: HashMap<String, u32>,
}

impl OpTable {
    /// The operation's number.
    pub fn number(&mut self, op: &Op) -> u32 {
        // An `Op` has no hash of its own; this is rare enough for its text to do.
        *self.numbers.entry(format!("{op:?}")).or_insert_with(|| {
            self.ops.push(*op);
            self.ops.len() as u32 - 1
        })
    }

    /// The operation with a number that [`Self::number`] gave.
    pub fn get(&self, number: u32) -> Option<Op> {
        self.ops.get(number as usize).copied()
    }
}
