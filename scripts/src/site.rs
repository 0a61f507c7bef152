//! The static part of the site: its own files, the terminal's out of npm packages, and the engine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::node::Node;
use crate::paths::Paths;
use crate::wasm;

/// Files of npm packages the page loads, and their names below `vendor/`. They are modules a browser understands as
/// they are, so there is no bundler.
const VENDOR: [(&str, &str); 4] = [
    ("@xterm/xterm/lib/xterm.mjs", "xterm.mjs"),
    ("@xterm/xterm/css/xterm.css", "xterm.css"),
    ("@xterm/addon-fit/lib/addon-fit.mjs", "addon-fit.mjs"),
    ("@xterm/addon-unicode11/lib/addon-unicode11.mjs", "addon-unicode11.mjs"),
];

/// Directories of `site/` that are not for visitors.
const NOT_SERVED: [&str; 2] = ["tests", "node_modules"];

/// Builds everything that is served without running the Worker. `_node` stands for the packages being there.
pub fn build(paths: &Paths, _node: &Node) -> Result<()> {
    let site = paths.site();
    fs::create_dir_all(site.join("vendor"))?;
    copy_directory(&paths.root().join("site"), &site)?;
    for (from, to) in VENDOR {
        copy_if_changed(&paths.root().join("node_modules").join(from), &site.join("vendor").join(to))?;
    }
    wasm::ENGINE.build(paths, &site.join("engine"))
}

pub fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name();
        if NOT_SERVED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &to.join(name))?;
        } else {
            copy_if_changed(&entry.path(), &to.join(name))?;
        }
    }
    Ok(())
}

/// Leaves an unchanged file alone, so that a running server does not reload for nothing.
pub fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| from.display().to_string())?;
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(to, bytes).with_context(|| to.display().to_string())
}
