//! Replaces what does not matter for a difference by NOPs, and shows the rest.

use std::fmt::Write;

use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};

use super::program::{Item, Program};

/// Attempts until what remains is shown as it is.
const ATTEMPTS_MAX: usize = 400;

/// Shrinks a program that `differs`, which gives the difference; returns a listing of it.
pub fn shrink(mut program: Program, found: &str, mut differs: impl FnMut(&Program) -> Option<String>) -> String {
    let Some(mut difference) = differs(&program) else {
        return format!("Not from scratch: it takes what ran before.\n{}", listing(&program));
    };
    let mut attempts = 0;
    let mut items = program.items.clone();
    let mut chunk = items.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < items.len() && attempts < ATTEMPTS_MAX {
            attempts += 1;
            let end = (at + chunk).min(items.len());
            let before = program.bytes.clone();
            items[at..end].iter().for_each(|item| blank(&mut program.bytes, *item));
            match differs(&program) {
                // Whatever remains is to end as it did.
                Some(still) if kind(&still) == kind(found) => {
                    difference = still;
                    items.drain(at..end);
                }
                _ => {
                    program.bytes = before;
                    at = end;
                }
            }
        }
        if chunk == 1 {
            break;
        }
        chunk = chunk.div_ceil(2);
    }
    format!("shrunk: {difference}\nfrom {:x?}\n{}", program.state, listing(&program))
}

/// Which way of running differed.
fn kind(difference: &str) -> &str {
    difference.split(':').next().unwrap_or_default()
}

fn blank(bytes: &mut [u8], Item { start, bytes: count }: Item) {
    bytes[start..start + count].fill(0x90);
}

fn listing(program: &Program) -> String {
    let mut text = String::new();
    let decoder = Decoder::with_ip(64, &program.bytes, program.start, DecoderOptions::NONE);
    let mut nops = 0;
    for inst in decoder {
        if inst.code() == iced_x86::Code::Nopd && inst.len() == 1 {
            nops += 1;
            continue;
        }
        if nops > 0 {
            let _ = writeln!(text, "      ({nops} nops)");
            nops = 0;
        }
        let mut line = String::new();
        NasmFormatter::new().format(&inst, &mut line);
        let at = (inst.ip() - program.start) as usize;
        let marker = if inst.ip() == program.rip { ">" } else { " " };
        let _ = writeln!(text, "{marker} {:x} {line}   {:02x?}", inst.ip(), &program.bytes[at..at + inst.len()]);
    }
    text
}
