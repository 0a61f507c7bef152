//! Where programs run, for which processor they are compiled, and how much of their work they do there.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// Where programs run.
#[derive(ValueEnum, Serialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Column {
    /// On this machine's processor and kernel.
    Native,
    /// In qemu's user mode.
    Qemu,
    /// In our engine, in a process of its own: only if asked for.
    Vm,
    /// In our engine, in Chromium.
    Box,
    /// As WebAssembly made by clang from the same source, in Chromium.
    Wasm,
}

/// Those there are if nobody says otherwise.
pub const COLUMNS: [Column; 4] = [Column::Native, Column::Qemu, Column::Box, Column::Wasm];

impl Column {
    pub fn name(self) -> &'static str {
        match self {
            Column::Native => "native",
            Column::Qemu => "qemu",
            Column::Vm => "vm",
            Column::Box => "box",
            Column::Wasm => "wasm",
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What `bench.c` is compiled for.
#[derive(ValueEnum, Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// x86-64, as Debian builds.
    Amd64,
    /// i686 with x87 arithmetic, as Debian builds.
    I386,
    /// i386 with SSE2 arithmetic.
    I386Sse,
}

impl Arch {
    pub fn name(self) -> &'static str {
        match self {
            Arch::Amd64 => "amd64",
            Arch::I386 => "i386",
            Arch::I386Sse => "i386-sse",
        }
    }

    pub fn compiler_flags(self) -> &'static [&'static str] {
        match self {
            Arch::Amd64 => &["-m64"],
            Arch::I386 => &["-m32", "-march=i686", "-mfpmath=387"],
            Arch::I386Sse => &["-m32", "-march=pentium4", "-msse2", "-mfpmath=sse"],
        }
    }

    /// The program of `qemu-user-static`.
    pub fn qemu(self) -> &'static str {
        match self {
            Arch::Amd64 => "qemu-x86_64-static",
            Arch::I386 | Arch::I386Sse => "qemu-i386-static",
        }
    }
}

/// Per cent of a benchmark's work, in one column or in all.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scale {
    pub column: Option<Column>,
    pub percent: f64,
}

impl std::str::FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (column, number) = match text.split_once('=') {
            None => (None, text),
            Some((name, number)) => (Some(Column::from_str(name, false)?), number),
        };
        match number.parse() {
            Ok(percent) if percent > 0.0 && percent <= 10_000.0 => Ok(Scale { column, percent }),
            _ => Err(format!("{number:?} is no percentage")),
        }
    }
}

/// The scale of a column: its own if it was given one, otherwise that of all, otherwise 100 %.
pub fn scale_percent(scales: &[Scale], column: Column) -> f64 {
    let last = |wanted| scales.iter().rev().find(|scale| scale.column == wanted);
    last(Some(column)).or_else(|| last(None)).map_or(100.0, |scale| scale.percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales() {
        let scales: Vec<Scale> = ["20", "box=0.5"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(scale_percent(&scales, Column::Native), 20.0);
        assert_eq!(scale_percent(&scales, Column::Box), 0.5);
        assert_eq!(scale_percent(&[], Column::Box), 100.0);
    }

    #[test]
    fn what_is_no_scale() {
        for text in ["", "x", "0", "-1", "nan", "box=", "boxes=1", "1e9"] {
            assert!(text.parse::<Scale>().is_err(), "{text}");
        }
    }
}
