//! Random bytes through region discovery and emission: nothing panics, and every module that comes out is valid.
//!
//! `ROBUSTNESS_COUNT` sets the pieces of code for each mode, `ROBUSTNESS_SEED` another seed:
//!
//! ```sh
//! ROBUSTNESS_COUNT=1000000 ROBUSTNESS_SEED=$RANDOM$RANDOM cargo test -p jit --test robustness -- --nocapture
//! ```

use cpu::Mode;
use cpu::state::Floats;
use jit::emit::{self, Settings};
use jit::ops::OpTable;
use jit::region::discover::{Source, discover};
use jit::region::flags;
use wasmparser::{Validator, WasmFeatures};

/// Where the code lies; in some cases so that it ends with the address space of 32-bit code.
const STARTS: [u64; 4] = [0x40_1000, 0x40_0fc0, 0xffff_ff80, 0x7fff_0000_0000];

/// xorshift64*.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 8) % limit
    }
}

/// Code that ends somewhere; everything in it is warm, and computed jumps have led to a few places in it.
struct Bytes {
    start: u64,
    bytes: Vec<u8>,
    targets: Vec<u64>,
}

impl Source for Bytes {
    fn fetch(&self, rip: u64, to: &mut [u8]) -> usize {
        let Ok(at) = usize::try_from(rip.wrapping_sub(self.start)) else { return 0 };
        let there = self.bytes.get(at..).unwrap_or_default();
        let count = there.len().min(to.len());
        to[..count].copy_from_slice(&there[..count]);
        count
    }

    fn is_warm(&self, rip: u64) -> bool {
        !rip.is_multiple_of(7)
    }

    fn is_frequent(&self, rip: u64) -> bool {
        rip.is_multiple_of(2)
    }

    fn is_rare(&self, rip: u64) -> bool {
        rip.is_multiple_of(3)
    }

    fn is_compiled(&self, rip: u64) -> bool {
        rip % 5 == 1
    }

    fn targets(&self, rip: u64) -> &[u64] {
        &self.targets[..self.targets.len() * (rip % 3) as usize / 2]
    }
}

fn random(rng: &mut Rng) -> Bytes {
    const LIKELY: [u8; 24] = [
        0x66, 0xf2, 0xf3, 0x0f, 0x48, 0x4c, 0x41, 0x67, 0xf0, 0x64, 0xe8, 0xeb, 0xe9, 0x74, 0x75, 0xc3, 0xff, 0xd9,
        0xdd, 0x8b, 0x89, 0x83, 0xa4, 0x90,
    ];
    let count = match rng.below(3) {
        0 => rng.below(18),
        1 => rng.below(80),
        _ => rng.below(600),
    };
    let likely = rng.below(3);
    let byte = |rng: &mut Rng| if rng.below(4) < likely { LIKELY[rng.below(24) as usize] } else { rng.next() as u8 };
    let bytes = (0..count).map(|_| byte(rng)).collect();
    let start = STARTS[rng.below(4) as usize];
    let targets = (0..rng.below(6)).map(|_| start + rng.below(count + 1)).collect();
    Bytes { start, bytes, targets }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn emit_random_bytes(mode: Mode) {
    let count = setting("ROBUSTNESS_COUNT", 20_000);
    let mut rng = Rng(setting("ROBUSTNESS_SEED", 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut table = OpTable::default();
    let (mut regions, mut instructions) = (0, 0);
    for number in 0..count {
        let source = random(&mut rng);
        let Some(mut region) = discover(&source, source.start, mode) else { continue };
        flags::remove_dead(&mut region);
        let settings = Settings {
            area: 64,
            shared: number % 2 == 0,
            region: 3,
            first_exit: 1,
            floats: if number % 3 == 0 { Floats::Exact } else { Floats::Plain },
            reaches_high: number % 5 == 0,
        };
        let emitted = emit::emit(&region, settings, &mut table);
        regions += 1;
        instructions += region.nodes.iter().map(|node| node.block.marks.len()).sum::<usize>();
        if let Err(error) = Validator::new_with_features(WasmFeatures::all()).validate_all(&emitted.wasm) {
            panic!("{error} for {:02x?} at {:#x}, targets {:x?}", source.bytes, source.start, source.targets);
        }
        assert_eq!(emitted.entries.first(), Some(&source.start));
    }
    println!("{mode:?}: {regions} regions of {instructions} instructions");
    assert!(regions > count / 2);
}

#[test]
fn random_bytes_as_64_bit_code_give_valid_modules() {
    emit_random_bytes(Mode::Long);
}

#[test]
fn random_bytes_as_32_bit_code_give_valid_modules() {
    emit_random_bytes(Mode::Compat);
}
