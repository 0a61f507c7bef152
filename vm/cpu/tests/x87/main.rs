//! Every x87 instruction form from random states, on this machine's own unit and on ours: registers, tags, status and
//! control word, memory and flags compared afterwards. Precision, rounding and exception masks are random too.
//!
//! The seed is fixed; `X87_CASES` sets the cases per form, `X87_SEED` another seed, `X87_FORM` a part of a form's text.

#![cfg(target_arch = "x86_64")]
#![allow(unsafe_code)] // The processor's own unit is reached by assembly only.

mod host;
mod random;

use cpu::fpu::{F80, Fpu};
use cpu::x87::spec::Spec;
use cpu::x87::{Outcome, execute, status};
use host::{Form, Image};
use random::Rng;

fn setting<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What an instruction left behind.
#[derive(PartialEq, Debug)]
struct After {
    image: Image,
    memory: [u8; 16],
    value: u64,
}

fn on_processor(form: &Form, image: &Image, memory: [u8; 16]) -> After {
    let (mut image, mut memory) = (*image, memory);
    let value = (form.run)(&mut image, &mut memory);
    image.forget_pointers();
    After { image, memory, value }
}

fn here(spec: Spec, image: &Image, memory: [u8; 16]) -> After {
    let mut fpu = image.to_fpu();
    let (low, high) = operand(&memory);
    let outcome = execute(&mut fpu, spec, low, high);
    after(&fpu, spec, memory, outcome)
}

fn operand(memory: &[u8; 16]) -> (u64, u16) {
    let value = u128::from_le_bytes(*memory);
    (value as u64, (value >> 64) as u16)
}

fn after(fpu: &Fpu, spec: Spec, mut memory: [u8; 16], outcome: Outcome) -> After {
    let mut value = 0;
    match outcome {
        Outcome::Store(low, high) => {
            let bytes = usize::from(spec.memory_bytes());
            let stored = u128::from(low) | u128::from(high) << 64;
            memory[..bytes].copy_from_slice(&stored.to_le_bytes()[..bytes]);
        }
        Outcome::Value(new) => value = new.into(),
        _ => {}
    }
    After { image: Image::of_fpu(fpu), memory, value }
}

#[test]
fn instructions_do_what_the_unit_does() {
    let cases: usize = setting("X87_CASES", 20_000);
    let wanted: String = setting("X87_FORM", String::new());
    let mut failures = Vec::new();
    for form in host::forms().iter().filter(|form| form.text.contains(&wanted)) {
        let mut rng = Rng::new(setting("X87_SEED", 1));
        let mut failed = 0;
        for _ in 0..cases {
            let (image, memory) = (rng.image(), rng.memory());
            let real = on_processor(form, &image, memory);
            let ours = here(form.spec, &image, memory);
            if real.image != ours.image || real.memory != ours.memory || form.has_value && real.value != ours.value {
                failed += 1;
                if failed == 1 {
                    failures.push(format!(
                        "{}: from {image:?} {memory:02x?}\nreal {:?}\nours {:?}\nmemory {:02x?}, ours {:02x?}, value {:x}, ours {:x}",
                        form.text, real.image, ours.image, real.memory, ours.memory, real.value, ours.value
                    ));
                }
            }
        }
        if failed != 0 {
            failures.push(format!("{}: {failed} of {cases}", form.text));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Units in the last place between two numbers.
fn distance(a: F80, b: F80) -> u64 {
    let ordered = |value: F80| {
        let magnitude = i128::from(value.sign_exponent & 0x7fff) << 63 | i128::from(value.mantissa << 1 >> 1);
        if value.sign_exponent >> 15 == 0 { magnitude } else { -magnitude }
    };
    u64::try_from((ordered(a) - ordered(b)).unsigned_abs()).unwrap_or(u64::MAX)
}

/// Whether the manual says what a function does with its argument.
fn is_defined(form: &Form, image: &Image) -> bool {
    let x = image.st(0);
    let exponent = x.sign_exponent & 0x7fff;
    match form.text {
        "f2xm1" => exponent < 0x3fff || exponent == 0x7fff || x.mantissa == 1 << 63 && exponent == 0x3fff,
        // From sqrt(1/2) - 1 to 1 - sqrt(1/2), which is 0.29.
        "fyl2xp1" => exponent < 0x3ffd || exponent == 0x7fff && x.sign_exponent != 0xffff,
        _ => true,
    }
}

/// C1 tells which way the last place was rounded, which is not compared.
const NOT_C1: u16 = !status::C1;

#[test]
fn functions_are_those_of_the_unit_but_for_the_last_place() {
    let cases: usize = setting("X87_CASES", 10_000);
    let wanted: String = setting("X87_FORM", String::new());
    let mut failures = Vec::new();
    for form in host::transcendental_forms().iter().filter(|form| form.text.contains(&wanted)) {
        let mut rng = Rng::new(setting("X87_SEED", 1));
        let (mut failed, mut differing, mut compared) = (0, 0, 0);
        for _ in 0..cases {
            let (mut image, memory) = (rng.image(), rng.memory());
            if rng.below(2) == 0 {
                image.set_st(0, rng.argument());
            }
            if !is_defined(form, &image) {
                continue;
            }
            let real = on_processor(form, &image, memory).image;
            let ours = here(form.spec, &image, memory).image;
            let far = (0..8).map(|i| distance(real.st(i), ours.st(i))).max().unwrap_or(0);
            compared += 1;
            differing += usize::from(far != 0);
            if far > 1 || real.words(NOT_C1) != ours.words(NOT_C1) {
                failed += 1;
                if failed <= setting("X87_SHOWN", 1) {
                    failures.push(format!("{}: from {image:?}\nreal {real:?}\nours {ours:?}", form.text));
                }
            }
        }
        println!("{}: {differing} of {compared} differ in the last place", form.text);
        if failed != 0 {
            failures.push(format!("{}: {failed} of {compared}", form.text));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
