//! The files of an image as a directory: what other columns run are the very programs our engine runs.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use disk::{DirectorySource, Manifest};

use crate::command::Cmd;
use crate::commands::image::{self, ImageArgs};
use crate::image::fingerprint::Fingerprint;
use crate::paths::Paths;
use crate::{progress, tools};

/// Images whose Dockerfiles are in `scripts/images`, and which are built when they are needed.
pub const OWN_IMAGES: [&str; 2] = ["default", "bench"];

/// Sees to it that image `name` is there.
pub fn ensure_image(paths: &Paths, name: &str) -> Result<Manifest> {
    let source = DirectorySource::new(paths.disk());
    if OWN_IMAGES.contains(&name) {
        image::run(paths, &ImageArgs::of_project(paths, name))?;
    }
    source.manifest(name).with_context(|| format!("there is no image {name:?}: build it with ./scripts/image"))
}

/// A directory with all files of image `name`.
pub fn extract(paths: &Paths, name: &str, manifest: &Manifest) -> Result<PathBuf> {
    tools::ensure_debian_package("debugfs", "e2fsprogs")?;
    let raw = paths.raw_image(name);
    if !raw.exists() {
        bail!("{} is not there: build the image again with ./scripts/image --force", raw.display());
    }
    let directory = paths.build().join("bench");
    let root = directory.join(format!("root-{name}"));
    let mut fingerprint = Fingerprint::new();
    fingerprint.add(format!("{:?}", manifest.index_root).as_bytes());
    let stamp = directory.join(format!("root-{name}.stamp"));
    if fingerprint.is_at(&stamp) && root.exists() {
        return Ok(root);
    }
    let _spinner = progress::spinner(&format!("extracting image {name}"));
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    fs::create_dir_all(&root)?;
    let request = format!("rdump / \"{}\"", root.display());
    Cmd::new("debugfs").args(["-R", &request]).path(&raw).output()?;
    // It reports success whatever happens.
    if !root.join("usr").exists() {
        bail!("debugfs could not extract {}", raw.display());
    }
    fingerprint.write(&stamp)?;
    Ok(root)
}
