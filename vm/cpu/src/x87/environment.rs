//! FNSTENV, FLDENV, FNSAVE, FRSTOR in their protected-mode layouts of 32 and 16 bits (SDM vol. 1, 8.1.10).
//! Instruction and operand pointers are stored as 0: nothing keeps them.

use memory::GuestAddr;

use crate::fpu::{CONTROL_DEFAULT, F80, Fpu};
use crate::helper::{Context, Trap};

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

fn environment(fpu: &Fpu, narrow: bool, image: &mut [u8]) {
    for (i, word) in [fpu.control, fpu.status_word(), fpu.tag_word(), 0, 0, 0, 0].into_iter().enumerate() {
        // The upper halves are reserved: stored as ones in words, and after the operand's selector.
        let upper = if matches!(i, 0..=2 | 6) { 0xffff_0000 } else { 0 };
        let bytes = (u32::from(word) | upper).to_le_bytes();
        let at = i * field(narrow);
        image[at..at + field(narrow)].copy_from_slice(&bytes[..field(narrow)]);
    }
}

fn set_environment(fpu: &mut Fpu, narrow: bool, image: &[u8]) {
    let word = |i: usize| u16::from_le_bytes([image[i * field(narrow)], image[i * field(narrow) + 1]]);
    fpu.set_control(word(0));
    fpu.set_status_word(word(1));
    fpu.set_tag_word(word(2));
}

fn write(cx: &mut Context<'_>, addr: u64, image: &[u8]) -> Result<(), Trap> {
    let addr = GuestAddr(addr);
    cx.space.check_writable(addr, image.len() as u64)?;
    Ok(cx.space.write(addr, image)?)
}

/// All exceptions become masked afterwards.
pub(super) fn store(cx: &mut Context<'_>, addr: u64, narrow: bool) -> Result<(), Trap> {
    let mut image = [0; ENVIRONMENT_BYTES];
    environment(&cx.cpu.fpu, narrow, &mut image);
    write(cx, addr, &image[..size(narrow)])?;
    cx.cpu.fpu.control |= 0x3f;
    Ok(())
}

pub(super) fn load(cx: &mut Context<'_>, addr: u64, narrow: bool) -> Result<(), Trap> {
    let mut image = [0; ENVIRONMENT_BYTES];
    cx.space.read(GuestAddr(addr), &mut image[..size(narrow)])?;
    set_environment(&mut cx.cpu.fpu, narrow, &image);
    Ok(())
}

/// The unit is initialised afterwards.
pub(super) fn save(cx: &mut Context<'_>, addr: u64, narrow: bool) -> Result<(), Trap> {
    let fpu = &cx.cpu.fpu;
    let mut image = [0; IMAGE_BYTES];
    environment(fpu, narrow, &mut image);
    for (i, bytes) in image[size(narrow)..].chunks_exact_mut(REGISTER_BYTES).take(8).enumerate() {
        let F80 { mantissa, sign_exponent } = fpu.registers[fpu.physical(i as u8)];
        bytes[..8].copy_from_slice(&mantissa.to_le_bytes());
        bytes[8..].copy_from_slice(&sign_exponent.to_le_bytes());
    }
    write(cx, addr, &image[..size(narrow) + 8 * REGISTER_BYTES])?;
    let fpu = &mut cx.cpu.fpu;
    (fpu.control, fpu.status, fpu.top, fpu.valid) = (CONTROL_DEFAULT, 0, 0, 0);
    Ok(())
}

pub(super) fn restore(cx: &mut Context<'_>, addr: u64, narrow: bool) -> Result<(), Trap> {
    let mut image = [0; IMAGE_BYTES];
    cx.space.read(GuestAddr(addr), &mut image[..size(narrow) + 8 * REGISTER_BYTES])?;
    let fpu = &mut cx.cpu.fpu;
    set_environment(fpu, narrow, &image);
    for (i, bytes) in image[size(narrow)..].chunks_exact(REGISTER_BYTES).take(8).enumerate() {
        let register = fpu.physical(i as u8);
        fpu.registers[register] = F80 {
            mantissa: u64::from_le_bytes(std::array::from_fn(|k| bytes[k])),
            sign_exponent: u16::from_le_bytes([bytes[8], bytes[9]]),
        };
    }
    Ok(())
}
