//! Locals of the emitted function: one for each slot in use, and temporaries.

use cpu::ir::{Slot, VSlot, slot};
use cpu::state::{SLOT_COUNT, VECTOR_COUNT};
use wasm_encoder::ValType;

/// The function's parameters.
pub const LABEL: u32 = 0;
/// See [`LABEL`].
pub const FUEL: u32 = 1;
const PARAMETERS: u32 = 2;

/// Allocates locals by type.
pub struct Locals {
    types: Vec<ValType>,
    slots: [Option<u32>; SLOT_COUNT],
    vectors: [Option<u32>; VECTOR_COUNT],
    flag_kind: Option<u32>,
    free: Vec<(ValType, u32)>,
}

impl Locals {
    /// The parameters only.
    pub fn new() -> Self {
        Self {
            types: Vec::new(),
            slots: [None; SLOT_COUNT],
            vectors: [None; VECTOR_COUNT],
            flag_kind: None,
            free: Vec::new(),
        }
    }

    /// The local that holds a slot.
    pub fn slot(&mut self, slot: Slot) -> u32 {
        let known = &mut self.slots[usize::from(slot.0) % SLOT_COUNT];
        *known.get_or_insert_with(|| add(&mut self.types, ValType::I64))
    }

    /// The local that holds a vector slot.
    pub fn vector(&mut self, slot: VSlot) -> u32 {
        let known = &mut self.vectors[usize::from(slot.0) % VECTOR_COUNT];
        *known.get_or_insert_with(|| add(&mut self.types, ValType::V128))
    }

    /// The local that holds the flags' kind.
    pub fn flag_kind(&mut self) -> u32 {
        *self.flag_kind.get_or_insert_with(|| add(&mut self.types, ValType::I32))
    }

    /// One for good, that nothing has used before: 0 until it is set.
    pub fn fresh(&mut self, ty: ValType) -> u32 {
        add(&mut self.types, ty)
    }

    /// A temporary, to be given back.
    pub fn take(&mut self, ty: ValType) -> u32 {
        match self.free.iter().position(|(free, _)| *free == ty) {
            Some(at) => self.free.swap_remove(at).1,
            None => add(&mut self.types, ty),
        }
    }

    /// Gives a temporary back.
    pub fn give(&mut self, ty: ValType, local: u32) {
        self.free.push((ty, local));
    }

    /// Slots that outlive a region and are in use, with their locals.
    pub fn guest_slots(&self) -> impl Iterator<Item = (Slot, u32)> {
        (0..slot::NEW_FLAGS.0).filter_map(|index| Some((Slot(index), self.slots[usize::from(index)]?)))
    }

    /// Vector registers in use, with their locals.
    pub fn guest_vectors(&self) -> impl Iterator<Item = (VSlot, u32)> {
        (0..slot::VECTOR_SCRATCH).filter_map(|index| Some((VSlot(index), self.vectors[usize::from(index)]?)))
    }

    /// The local of the flags' kind, if it is in use.
    pub fn used_flag_kind(&self) -> Option<u32> {
        self.flag_kind
    }

    /// Types of all locals after the parameters.
    pub fn types(&self) -> &[ValType] {
        &self.types
    }
}

fn add(types: &mut Vec<ValType>, ty: ValType) -> u32 {
    types.push(ty);
    types.len() as u32 - 1 + PARAMETERS
}
