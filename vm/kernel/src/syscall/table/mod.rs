//! The tables of system calls: a row each.
//!
//! | module | calls |
//! |---|---|
//! | [`x86_64`] | of `syscall` |
//! | [`i386`] | of `int 0x80` and `sysenter` |
//! | [`absent`] | those of Linux that neither has, and why |

use std::rc::Rc;

use abi::Layout;

use super::args::Arg;
use super::*;

/// A system call.
pub struct Row {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// What its structs look like.
    pub layout: Layout,
    /// What answers it.
    pub handler: Handler,
    /// What is partial about it; empty if nothing is.
    pub note: &'static str,
}

/// Answers a call: the kernel, the task that makes it, the argument registers.
pub type Handler = fn(&mut Kernel, &Rc<Task>, [u64; 6]) -> Outcome<u64>;

/// The row of a number, in a table that ascends.
pub fn find(table: &'static [Row], number: u64) -> Option<&'static Row> {
    let index = table.binary_search_by_key(&number, |row| u64::from(row.number)).ok()?;
    Some(&table[index])
}

/// One typed argument: from a register, or a pair of them that holds 64 bits.
macro_rules! argument {
    ($layout:ident, $registers:ident, ($low:literal $high:literal)) => {
        Arg::of($registers[$low] | $registers[$high] << 32, Layout::X86_64)
    };
    ($layout:ident, $registers:ident, $index:literal) => {
        Arg::of($registers[$index], Layout::$layout)
    };
}

/// Turns a handler with typed arguments into one that takes registers: so many of them, or those listed.
macro_rules! handler {
    ($layout:ident, $call:path, 0) => {
        |k, t, _| $call(k, t)
    };
    ($layout:ident, $call:path, 1) => { handler!($layout, $call, [0]) };
    ($layout:ident, $call:path, 2) => { handler!($layout, $call, [0 1]) };
    ($layout:ident, $call:path, 3) => { handler!($layout, $call, [0 1 2]) };
    ($layout:ident, $call:path, 4) => { handler!($layout, $call, [0 1 2 3]) };
    ($layout:ident, $call:path, 5) => { handler!($layout, $call, [0 1 2 3 4]) };
    ($layout:ident, $call:path, 6) => { handler!($layout, $call, [0 1 2 3 4 5]) };
    ($layout:ident, $call:path, [$($register:tt)*]) => {
        |k, t, registers| $call(k, t, $(argument!($layout, registers, $register)),*)
    };
}
pub(super) use {argument, handler};

/// Rows by layout: number, name, handler, the arguments it takes, and what is partial about it.
macro_rules! table {
    ($($layout:ident: { $($number:literal $name:ident $call:path, $arguments:tt $($note:literal)?;)* })*) => {
        &[$($( Row {
            number: $number,
            name: stringify!($name),
            layout: Layout::$layout,
            handler: handler!($layout, $call, $arguments),
            note: concat!($($note)?),
        } ),*),*]
    };
}

pub mod absent;
pub mod i386;
pub mod x86_64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_linux_has_a_row_or_a_reason() {
        let excused = |name: &str| absent::ABSENT.iter().any(|(_, names)| names.contains(&name));
        let has_row = |abi: Abi, name: &str| abi.table().iter().any(|row| row.name == name);
        for (abi, names) in [(Abi::X86_64, abi::x86_64::NAMES), (Abi::I386, abi::i386::NAMES)] {
            for (_, name) in names {
                assert!(has_row(abi, name) || excused(name), "{abi:?}: {name}");
            }
        }
        for name in absent::ABSENT.iter().flat_map(|(_, names)| *names) {
            let answered = [Abi::X86_64, Abi::I386].map(|abi| has_row(abi, name));
            assert!(answered != [true; 2], "{name} is there");
        }
    }

    #[test]
    fn rows_ascend_and_have_their_proper_names() {
        for abi in [Abi::X86_64, Abi::I386] {
            assert!(abi.table().windows(2).all(|pair| pair[0].number < pair[1].number));
            for row in abi.table() {
                assert_eq!(abi.name(u64::from(row.number)), Some(row.name));
            }
        }
    }
}
