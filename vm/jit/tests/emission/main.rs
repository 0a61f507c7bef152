//! How much WebAssembly instructions become. Each snippet is compiled as a region of its own, with code before it that
//! writes all registers, so that loading and storing these does not count. What the function has beyond that of a
//! region without the snippet is compared with `expected.txt`, a line each: guest instructions, WebAssembly instructions
//! and bytes for them, WebAssembly instructions for each, and what the snippet is. A worse translation shows in that file's diff; so does a
//! better one, which is committed with what made it so:
//!
//! ```sh
//! UPDATE_EXPECT=1 cargo test -p jit --test emission
//! ```
//!
//! The numbers include noting the flags that a snippet leaves, since nobody knows who will look at them.

#![cfg(target_os = "linux")]

mod snippets;

use std::fmt::Write;
use std::path::Path;

use cpu::Mode;
use cpu::state::Floats;
use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};
use jit::emit::{self, Settings};
use jit::ops::OpTable;
use jit::region::discover::{Source, discover};
use jit::region::flags;
use snippets::SNIPPETS;
use wasmparser::{Operator, Parser, Payload};

const START: u64 = 0x40_0000;

/// Changes RAX to RDI, XMM0 and XMM1, sets the flags and looks at them, and ends with a store, which may fault: so it
/// does all that whatever comes after.
const BEFORE: &str = "488d4001488d4901488d5201488d5b01488d642401488d6d01488d7601488d7f01660ffec0660ffec94801d89f886500";

/// `jmp` to where nothing is known: what comes after every snippet.
const LEAVE: [u8; 5] = [0xe9, 0, 0, 0, 0x10];

/// A snippet with what is before it and the jump after it.
struct Snippet(Vec<u8>);

impl Source for Snippet {
    fn fetch(&self, rip: u64, to: &mut [u8]) -> usize {
        let at = rip.wrapping_sub(START) as usize;
        let there = self.0.get(at..).unwrap_or_default();
        let count = there.len().min(to.len());
        to[..count].copy_from_slice(&there[..count]);
        count
    }

    fn is_warm(&self, rip: u64) -> bool {
        rip.wrapping_sub(START) < self.0.len() as u64
    }

    fn is_frequent(&self, rip: u64) -> bool {
        self.is_warm(rip)
    }

    fn is_rare(&self, _rip: u64) -> bool {
        false
    }

    fn is_compiled(&self, _rip: u64) -> bool {
        false
    }

    fn targets(&self, _rip: u64) -> &[u64] {
        &[]
    }
}

/// What some code becomes.
#[derive(Clone, Copy)]
struct Size {
    operators: i64,
    bytes: i64,
}

fn size(code: &[u8]) -> Size {
    let source = Snippet([&bytes(BEFORE), code, &LEAVE].concat());
    let mut region = discover(&source, START, Mode::Long).expect("code");
    flags::remove_dead(&mut region);
    // As in the browser, where the area lies high up in the engine's memory.
    let settings = Settings {
        area: 0x10_0000,
        shared: false,
        region: 100,
        first_exit: 1000,
        floats: Floats::Plain,
        reaches_high: false,
    };
    let emitted = emit::emit(&region, settings, &mut OpTable::default());
    let bodies = Parser::new(0).parse_all(&emitted.wasm).filter_map(|payload| match payload.expect("a valid module") {
        Payload::CodeSectionEntry(body) => Some(body),
        _ => None,
    });
    // The region's comes after the functions that every module has.
    let body = bodies.last().expect("a function");
    let operators = body.get_operators_reader().expect("a body").into_iter();
    let operators = operators.map(|operator| operator.expect("an operator"));
    let operators = operators.filter(|operator| !matches!(operator, Operator::End)).count();
    let range = body.range();
    Size { operators: operators as i64, bytes: (range.end - range.start) as i64 }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits")).collect()
}

/// One line.
fn report(name: &str, code: &[u8], empty: Size) -> String {
    let mut listing = Vec::new();
    for inst in Decoder::with_ip(64, code, START, DecoderOptions::NONE) {
        let mut text = String::new();
        NasmFormatter::new().format(&inst, &mut text);
        listing.push(text);
    }
    let size = size(code);
    let (operators, bytes, count) = (size.operators - empty.operators, size.bytes - empty.bytes, listing.len());
    let each = operators as f64 / count as f64;
    format!("{count:2} -> {operators:4} {bytes:5} B {each:7.1} each  {name}: {}", listing.join("; "))
}

#[test]
fn instructions_become_as_much_webassembly_as_expected() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emission/expected.txt");
    let empty = size(&[]);
    let mut found = String::new();
    for (name, hex) in SNIPPETS {
        let _ = writeln!(found, "{}", report(name, &bytes(hex), empty));
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &found).expect("expected.txt can be written");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = |(old, new): (&str, &str)| (old != new).then(|| format!("- {old}\n+ {new}"));
    let differences: Vec<String> = expected.lines().zip(found.lines()).filter_map(differing).collect();
    assert!(
        expected == found,
        "emission has changed; if that is meant, run UPDATE_EXPECT=1 cargo test -p jit --test emission\n{}",
        differences.join("\n")
    );
}
