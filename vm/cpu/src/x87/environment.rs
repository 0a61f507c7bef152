//! FNSTENV, FLDENV, FNSAVE, FRSTOR in their protected-mode layouts of 32 and 16 bits (SDM vol. 1, 8.1.10).

use memory::GuestAddr;

use super::spec::OPCODE_BITS;
use crate::fpu::F80;
use crate::helper::{Context, Trap};
use crate::state::CpuState;

/// Bytes of seven words of 32 bits.
const ENVIRONMENT_BYTES: usize = 28;
const REGISTER_BYTES: usize = 10;
const IMAGE_BYTES: usize = ENVIRONMENT_BYTES + 8 * REGISTER_BYTES;

/// Bytes of a field.
fn field(narrow: bool) -> usize {
    if narrow { 2 } else { 4 }
}

/// Bytes of the environment.
fn size(narrow: bool) -> usize {
    7 * field(narrow)
}

fn environment(cpu: &CpuState, narrow: bool, image: &mut [u8]) {
    let fpu = &cpu.fpu;
    let [instruction, operand] = [cpu.x87_instruction(), fpu.last_operand].map(|pointer| pointer as u32);
    // Where segments were there are zeros, and the opcode in what 16 bits have no room for.
    let opcode = u32::from(fpu.last_opcode) << 16;
    // The upper halves are reserved: stored as ones in words, and after the operand's selector.
    let word = |value: u16| 0xffff_0000 | u32::from(value);
    let words =
        [word(fpu.control), word(fpu.status_word()), word(fpu.tag_word()), instruction, opcode, operand, word(0)];
    for (place, value) in image.chunks_exact_mut(field(narrow)).zip(words) {
        place.copy_from_slice(&value.to_le_bytes()[..field(narrow)]);
    }
}

fn set_environment(cpu: &mut CpuState, narrow: bool, image: &[u8]) {
    let word = |i: usize| {
        let mut bytes = [0; 4];
        bytes[..field(narrow)].copy_from_slice(&image[i * field(narrow)..][..field(narrow)]);
        u32::from_le_bytes(bytes)
    };
    cpu.fpu.set_control(word(0) as u16);
    cpu.fpu.set_status_word(word(1) as u16);
    cpu.fpu.set_tag_word(word(2) as u16);
    cpu.fpu.last_opcode = (word(4) >> 16) as u16 & OPCODE_BITS;
    cpu.fpu.last_operand = word(5).into();
    cpu.set_x87_instruction(word(3).into());
}

fn write(cx: &mut Context<'_>, addr: u64, image: &[u8]) -> Result<(), Trap> {
    let addr = GuestAddr(addr);
    cx.space.check_writable(addr, image.len() as u64)?;
    Ok(cx.space.write(addr, image)?)
}

/// All exceptions become masked afterwards.
pub(super) fn store(cx: &mut Context<'_>, addr: u64, narrow: bool) -> Result<(), Trap> {
    let mut image = [0; ENVIRONMENT_BYTES];
    environment(cx.cpu, narrow, &mut image[..size(narrow)]);
    write(cx, addr, &image[..size(narrow)])?;
    cx.cpu.fpu.control |= 0x3f;
    Ok(())
}

pub(super) fn load(cx: &mut Context<'_>, addr: u64, narrow: bool) -> Result<(), Trap> {
    let mut image = [0; ENVIRONMENT_BYTES];
    cx.space.read(GuestAddr(addr), &mut image[..size(narrow)])?;
    set_environment(cx.cpu, narrow, &image);
    Ok(())
}

/// The unit is initialised afterwards.
pub(super) fn save(cx: &mut Context<'_>, addr: u64, narrow: bool) -> Result<(), Trap> {
    let fpu = &cx.cpu.fpu;
    let mut image = [0; IMAGE_BYTES];
    environment(cx.cpu, narrow, &mut image[..size(narrow)]);
    for (i, bytes) in image[size(narrow)..].chunks_exact_mut(REGISTER_BYTES).take(8).enumerate() {
        let F80 { mantissa, sign_exponent } = fpu.registers[fpu.physical(i as u8)];
        bytes[..8].copy_from_slice(&mantissa.to_le_bytes());
        bytes[8..].copy_from_slice(&sign_exponent.to_le_bytes());
    }
    write(cx, addr, &image[..size(narrow) + 8 * REGISTER_BYTES])?;
    cx.cpu.fpu.init();
    Ok(())
}

pub(super) fn restore(cx: &mut Context<'_>, addr: u64, narrow: bool) -> Result<(), Trap> {
    let mut image = [0; IMAGE_BYTES];
    cx.space.read(GuestAddr(addr), &mut image[..size(narrow) + 8 * REGISTER_BYTES])?;
    set_environment(cx.cpu, narrow, &image);
    let fpu = &mut cx.cpu.fpu;
    for (i, bytes) in image[size(narrow)..].chunks_exact(REGISTER_BYTES).take(8).enumerate() {
        let register = fpu.physical(i as u8);
        fpu.registers[register] = F80 {
            mantissa: u64::from_le_bytes(std::array::from_fn(|k| bytes[k])),
            sign_exponent: u16::from_le_bytes([bytes[8], bytes[9]]),
        };
    }
    Ok(())
}
