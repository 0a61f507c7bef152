//! FNSTENV, FLDENV, FNSAVE, FRSTOR in their 32-bit protected-mode layout (28 and 108 bytes; SDM vol. 1, 8.1.10).
//! Instruction and operand pointers are stored as 0: nothing keeps them.

use memory::GuestAddr;

use crate::fpu::{CONTROL_DEFAULT, F80, Fpu};
use crate::helper::{Context, Trap};

const ENVIRONMENT_BYTES: usize = 28;
const IMAGE_BYTES: usize = ENVIRONMENT_BYTES + 80;

fn environment(fpu: &Fpu) -> [u8; ENVIRONMENT_BYTES] {
    let mut image = [0; ENVIRONMENT_BYTES];
    for (at, word) in [(0, fpu.control), (4, fpu.status_word()), (8, fpu.tag_word())] {
        // The upper halves are reserved and stored as ones.
        image[at..at + 4].copy_from_slice(&(u32::from(word) | 0xffff_0000).to_le_bytes());
    }
    image[24..28].copy_from_slice(&0xffff_0000u32.to_le_bytes());
    image
}

fn set_environment(fpu: &mut Fpu, image: &[u8]) {
    let word = |at: usize| u16::from_le_bytes([image[at], image[at + 1]]);
    fpu.control = word(0) | 0x40;
    fpu.set_status_word(word(4));
    fpu.set_tag_word(word(8));
}

fn write(cx: &mut Context<'_>, addr: u64, image: &[u8]) -> Result<(), Trap> {
    let addr = GuestAddr(addr);
    cx.space.check_writable(addr, image.len() as u64)?;
    Ok(cx.space.write(addr, image)?)
}

/// All exceptions become masked afterwards.
pub(super) fn store(cx: &mut Context<'_>, addr: u64) -> Result<(), Trap> {
    let image = environment(&cx.cpu.fpu);
    write(cx, addr, &image)?;
    cx.cpu.fpu.control |= 0x3f;
    Ok(())
}

pub(super) fn load(cx: &mut Context<'_>, addr: u64) -> Result<(), Trap> {
    let mut image = [0; ENVIRONMENT_BYTES];
    cx.space.read(GuestAddr(addr), &mut image)?;
    set_environment(&mut cx.cpu.fpu, &image);
    Ok(())
}

/// The unit is initialised afterwards.
pub(super) fn save(cx: &mut Context<'_>, addr: u64) -> Result<(), Trap> {
    let fpu = &cx.cpu.fpu;
    let mut image = [0; IMAGE_BYTES];
    image[..ENVIRONMENT_BYTES].copy_from_slice(&environment(fpu));
    for (i, bytes) in image[ENVIRONMENT_BYTES..].chunks_exact_mut(10).enumerate() {
        let F80 { mantissa, sign_exponent } = fpu.registers[fpu.physical(i as u8)];
        bytes[..8].copy_from_slice(&mantissa.to_le_bytes());
        bytes[8..].copy_from_slice(&sign_exponent.to_le_bytes());
    }
    write(cx, addr, &image)?;
    let fpu = &mut cx.cpu.fpu;
    (fpu.control, fpu.status, fpu.top, fpu.valid) = (CONTROL_DEFAULT, 0, 0, 0);
    Ok(())
}

pub(super) fn restore(cx: &mut Context<'_>, addr: u64) -> Result<(), Trap> {
    let mut image = [0; IMAGE_BYTES];
    cx.space.read(GuestAddr(addr), &mut image)?;
    let fpu = &mut cx.cpu.fpu;
    set_environment(fpu, &image);
    for (i, bytes) in image[ENVIRONMENT_BYTES..].chunks_exact(10).enumerate() {
        let register = fpu.physical(i as u8);
        fpu.registers[register] = F80 {
            mantissa: u64::from_le_bytes(std::array::from_fn(|k| bytes[k])),
            sign_exponent: u16::from_le_bytes([bytes[8], bytes[9]]),
        };
    }
    Ok(())
}
