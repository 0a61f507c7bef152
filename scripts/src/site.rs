//! The static part of the site: its own files, the terminal's out of npm packages, and the engine.
//!
//! What a page or a worker imports is bundled into one file each, since every file is a request, and one that waits for the
//! file that imports it. Embedders import `page/box.js`, which is a bundle too.
//!
//! ```text
//! build/modules   site/ as it is, vendor/ from npm packages, engine/ from wasm-bindgen
//! build/site      bundles of that, and what needs no bundling: what visitors get
//! ```

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::node::Node;
use crate::paths::Paths;
use crate::wasm;

/// Files of npm packages the page loads, and their names below `vendor/`.
const VENDOR: [(&str, &str); 4] = [
    ("@xterm/xterm/lib/xterm.mjs", "xterm.mjs"),
    ("@xterm/xterm/css/xterm.css", "xterm.css"),
    ("@xterm/addon-fit/lib/addon-fit.mjs", "addon-fit.mjs"),
    ("@xterm/addon-unicode11/lib/addon-unicode11.mjs", "addon-unicode11.mjs"),
];

/// Files that are served with everything they import in them.
const BUNDLES: [&str; 5] = ["page/main.js", "page/terminal.js", "page/box.js", "page/style.css", "worker/main.js"];

/// Files that are served as they are.
const SERVED: [&str; 5] = ["_headers", "engine/vm_bg.wasm", "index.html", "page/headless.html", "sw.js"];

/// Directories of `site/` that are not for visitors.
const NOT_SERVED: [&str; 2] = ["tests", "node_modules"];

/// Builds everything that is served without running the Worker.
pub fn build(paths: &Paths, node: &Node) -> Result<()> {
    let modules = paths.build().join("modules");
    fs::create_dir_all(modules.join("vendor"))?;
    copy_directory(&paths.root().join("site"), &modules)?;
    for (from, to) in VENDOR {
        copy_if_changed(&paths.root().join("node_modules").join(from), &modules.join("vendor").join(to))?;
    }
    wasm::ENGINE.build(paths, &modules.join("engine"))?;
    let bundles = tempfile::tempdir_in(paths.build())?;
    let script = node.script(&paths.root().join("scripts/bundle.mjs")).path(&modules).path(bundles.path());
    script.args(BUNDLES).output()?;
    let site = paths.site();
    remove_others(&site, Path::new(""))?;
    for (from, names) in [(bundles.path(), BUNDLES.as_slice()), (&modules, &SERVED)] {
        for name in names {
            let to = site.join(name);
            fs::create_dir_all(to.parent().context("a file has a directory")?)?;
            copy_if_changed(&from.join(name), &to)?;
        }
    }
    Ok(())
}

/// Removes what an earlier version of this tool has left in the directory `below` the site.
fn remove_others(site: &Path, below: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(site.join(below)) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            remove_others(site, &name)?;
            // Fails for one that is still in use.
            let _ = fs::remove_dir(entry.path());
        } else if !BUNDLES.iter().chain(&SERVED).any(|served| name == Path::new(served)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
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
