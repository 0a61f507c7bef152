//! Rust crates compiled to WebAssembly, with the JavaScript that goes with them.
//!
//! wasm-bindgen's generator is part of this tool instead of a program to be installed: nothing to download, and its
//! version is the one in `Cargo.lock`, which it has to be.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::command::Cmd;
use crate::image::fingerprint::Fingerprint;
use crate::paths::Paths;
use crate::progress;

/// The target they are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Their profile in `Cargo.toml`.
const PROFILE: &str = "web";

/// Environment variable that, when set, leaves functions their names: for profilers.
const KEEP_NAMES: &str = "KEEP_NAMES";

/// A crate to compile and what for.
pub struct WasmCrate {
    /// Its package's and library's name.
    pub name: &'static str,
    /// Extra flags for the compiler.
    pub rustflags: &'static str,
    /// Whether a panic makes its JavaScript start over with a fresh instance at the next call, instead of failing
    /// forever.
    pub restarts: bool,
}

/// Chunks are verified with it, four times as fast. Every browser that has what else the engine needs has it.
const SIMD: &str = "-C target-feature=+simd128";

/// The Worker.
pub const EDGE: WasmCrate = WasmCrate { name: "edge", rustflags: SIMD, restarts: true };

/// The engine. The code it generates calls it, and each other, through its function table, so that one is exported
/// and may grow.
pub const ENGINE: WasmCrate = WasmCrate {
    name: "vm",
    rustflags: "-C target-feature=+simd128 -C link-arg=--export-table -C link-arg=--growable-table",
    restarts: false,
};

impl WasmCrate {
    /// Puts `NAME.js` and `NAME_bg.wasm` into `out_dir`, unless they are there and still right.
    pub fn build(&self, paths: &Paths, out_dir: &Path) -> Result<()> {
        ensure_target()?;
        let wasm = self.compile(paths)?;
        let mut fingerprint = Fingerprint::new();
        fingerprint.add_files(&wasm)?;
        let keep_names = std::env::var_os(KEEP_NAMES).is_some();
        fingerprint.add(&[keep_names.into()]);
        let stamp = paths.stamp(self.name)?;
        if fingerprint.is_at(&stamp) && out_dir.join(format!("{}.js", self.name)).exists() {
            return Ok(());
        }
        let _spinner = progress::spinner(&format!("generating bindings of {}", self.name));
        fs::create_dir_all(out_dir)?;
        let mut bindgen = Bindgen::new();
        bindgen.input_path(&wasm).web(true)?.typescript(false).omit_default_module_path(true);
        // Names of functions are a third of the module, and visitors have no use for them.
        bindgen.remove_name_section(!keep_names).remove_producers_section(true);
        bindgen.reset_state_function(self.restarts).force_enable_abort_handler(self.restarts);
        bindgen.generate(out_dir).with_context(|| format!("generating bindings of {}", self.name))?;
        fingerprint.write(&stamp)
    }

    fn compile(&self, paths: &Paths) -> Result<PathBuf> {
        let arguments = ["build", "--locked", "--package", self.name, "--lib", "--target", TARGET];
        let target_dir = paths.build().join("target");
        let _spinner = progress::spinner(&format!("compiling {} to WebAssembly", self.name));
        let cargo = Cmd::new("cargo").args(arguments).arg("--quiet").args(["--profile", PROFILE]).dir(paths.root());
        // A target directory of its own: the flags would make every other build start over.
        let cargo = cargo
            .env("CARGO_TARGET_DIR", &target_dir)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", self.rustflags);
        cargo.run().with_context(|| format!("compiling {} to WebAssembly", self.name))?;
        let wasm = target_dir.join(TARGET).join(PROFILE).join(format!("{}.wasm", self.name));
        if !wasm.exists() {
            bail!("crate {} makes no WebAssembly module: its library needs the crate type cdylib", self.name);
        }
        Ok(wasm)
    }
}

/// Sees to it that the compiler has the standard library for WebAssembly.
pub fn ensure_target() -> Result<()> {
    let has_target = || -> Result<bool> {
        let library = Cmd::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output()?;
        Ok(Path::new(library.trim()).exists())
    };
    if has_target()? {
        return Ok(());
    }
    let _spinner = progress::spinner(&format!("installing Rust's {TARGET} target"));
    let rustup = Cmd::new("rustup").args(["target", "add", TARGET]);
    rustup.output().with_context(|| format!("Rust's {TARGET} target is needed"))?;
    Ok(())
}
