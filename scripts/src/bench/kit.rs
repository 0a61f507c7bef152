//! What is needed: compilers and emulators, installed; programs, compiled and staged for the browser.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

use super::column::Arch;
use crate::command::Cmd;
use crate::image::fingerprint::Fingerprint;
use crate::paths::Paths;
use crate::{site, tools};

/// Flags of both compilers.
const CFLAGS: [&str; 3] = ["-O2", "-Wall", "-Wextra"];

/// `bench.c` as WebAssembly, staged.
pub const WASM: &str = "bench.wasm";

/// Text to be compressed, and compressed.
pub const PLAIN_TEXT: &str = "plain.txt";
pub const PACKED_TEXT: &str = "packed.txt.gz";
const TEXT_BYTES: usize = 4 << 20;

/// Sources, and what is made of them.
pub struct Kit {
    sources: PathBuf,
    build: PathBuf,
}

impl Kit {
    pub fn new(paths: &Paths) -> Result<Self> {
        let kit = Kit { sources: paths.root().join("scripts/bench-programs"), build: paths.build().join("bench") };
        fs::create_dir_all(kit.files())?;
        kit.stage("wasi.mjs")?;
        Ok(kit)
    }

    /// What is staged: programs get it into the machine's /tmp, the browser finds it at /files.
    pub fn files(&self) -> PathBuf {
        self.build.join("files")
    }

    /// Stages a source as it is.
    pub fn stage(&self, name: &str) -> Result<()> {
        site::copy_if_changed(&self.sources.join(name), &self.files().join(name))
    }

    /// Stages a text of some MB, plain and compressed: words, so that it compresses as text does.
    pub fn stage_texts(&self) -> Result<()> {
        let (plain, packed) = (self.files().join(PLAIN_TEXT), self.files().join(PACKED_TEXT));
        if packed.exists() {
            return Ok(());
        }
        let text = text(TEXT_BYTES);
        fs::write(&plain, &text)?;
        let mut encoder = GzBuilder::new().write(Vec::new(), Compression::default());
        std::io::Write::write_all(&mut encoder, text.as_bytes())?;
        fs::write(packed, encoder.finish()?)?;
        Ok(())
    }

    /// The name of the staged `bench.c` for `arch`.
    pub fn bench_name(arch: Arch) -> String {
        format!("bench-{}", arch.name())
    }

    /// `bench.c` compiled for `arch`.
    pub fn bench(&self, arch: Arch) -> Result<PathBuf> {
        match arch {
            Arch::Amd64 => tools::ensure_debian_package("gcc", "gcc")?,
            _ => tools::ensure_i386_compiler()?,
        }
        let output = self.files().join(Kit::bench_name(arch));
        let gcc = Cmd::new("gcc").args(CFLAGS).args(["-static", "-fno-pie", "-no-pie"]);
        self.compile(gcc.args(arch.compiler_flags().iter().copied()), "bench.c", &output)?;
        Ok(output)
    }

    /// `timed.c`, compiled.
    pub fn timed(&self) -> Result<PathBuf> {
        tools::ensure_debian_package("gcc", "gcc")?;
        let output = self.build.join("timed");
        self.compile(Cmd::new("gcc").args(CFLAGS), "timed.c", &output)?;
        Ok(output)
    }

    /// Stages `bench.c` as WebAssembly.
    pub fn bench_wasm(&self) -> Result<()> {
        tools::ensure_debian_package("clang", "clang")?;
        tools::ensure_debian_package("wasm-ld", "lld")?;
        tools::ensure_debian_file(Path::new("/usr/include/wasm32-wasi/stdio.h"), "wasi-libc")?;
        let resources = Cmd::new("clang").arg("-print-resource-dir").output()?;
        let builtins = Path::new(resources.trim()).join("lib/wasi/libclang_rt.builtins-wasm32.a");
        tools::ensure_debian_file(&builtins, "libclang-rt-dev-wasm32")?;
        let clang = Cmd::new("clang").arg("--target=wasm32-wasi").args(CFLAGS);
        self.compile(clang, "bench.c", &self.files().join(WASM))
    }

    /// Qemu's user mode, as one file that works in any root.
    pub fn qemu(&self, arch: Arch) -> Result<PathBuf> {
        tools::ensure_debian_package(arch.qemu(), "qemu-user-static")?;
        tools::find(arch.qemu()).context("qemu was installed but can't be found")
    }

    fn compile(&self, compiler: Cmd, source: &str, output: &Path) -> Result<()> {
        let source = self.sources.join(source);
        let compiler = compiler.arg("-o").path(output).path(&source).arg("-lm");
        let mut fingerprint = Fingerprint::new();
        fingerprint.add(format!("{compiler:?}").as_bytes());
        fingerprint.add(&fs::read(&source).with_context(|| source.display().to_string())?);
        let stamp = self.build.join(output.file_name().unwrap_or_default()).with_extension("stamp");
        if output.exists() && fingerprint.is_at(&stamp) {
            return Ok(());
        }
        compiler.output()?;
        fingerprint.write(&stamp)
    }

    /// What the tools call themselves, for the record.
    pub fn versions() -> Vec<String> {
        let of = |program: &str| {
            let text = Cmd::new(program).arg("--version").output().ok()?;
            Some(text.lines().next()?.to_owned())
        };
        ["gcc", Arch::Amd64.qemu(), "clang"].into_iter().filter_map(of).collect()
    }
}

/// Words in no sensible order, always the same.
fn text(bytes: usize) -> String {
    const SYLLABLES: [&str; 16] =
        ["ba", "con", "der", "e", "fi", "gra", "ho", "in", "ka", "lo", "mun", "ne", "or", "pre", "st", "u"];
    let mut state = 1_u32;
    let mut next = move |limit: u32| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % limit
    };
    let mut words = Vec::new();
    for _ in 0..3000 {
        words.push((0..=next(3)).map(|_| SYLLABLES[next(16) as usize]).collect::<String>());
    }
    let mut text = String::with_capacity(bytes + 80);
    while text.len() < bytes {
        // The smaller of two: some words are frequent, as in a language.
        let word = next(3000).min(next(3000)).min(next(3000));
        text.push_str(&words[word as usize]);
        text.push(if next(12) == 0 { '\n' } else { ' ' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_always_the_same() {
        let text_of = text(2000);
        assert!(text_of.len() >= 2000);
        assert_eq!(text_of, text(2000));
        assert!(text_of.contains('\n') && text_of.is_ascii());
    }
}
