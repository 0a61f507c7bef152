//! Images as archives: what `docker save`, `podman save` and `buildah push … docker-archive:` write (a tar of layer tars with a
//! `manifest.json` that names them), and OCI layouts (`index.json` and blobs) in a tar file or a directory, as `skopeo copy`,
//! `buildah push … oci:` and `docker buildx build --output type=oci` write them.
//!
//! | module | subject |
//! |---|---|
//! | [`members`] | the files an archive consists of |
//! | [`oci`] | from an index to layers, verified |
//! | [`unpack`] | gzip and zstd |
//! | [`config`] | how to run the image |

mod config;
mod members;
mod oci;
mod unpack;

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use disk::ImageConfig;
use serde::Deserialize;

use self::config::ConfigFile;
use self::members::{Members, parse_json};
use self::unpack::{UNPACKED_BYTES_MAX, Unpacker};
use super::layers;
use super::platform::Platform;
use super::section::Section;
use super::tree::Tree;

/// Layers of an image; Docker's own limit is 127.
const LAYERS_MAX: usize = 1000;

/// An image's files and how to run it.
pub struct Image {
    pub tree: Tree,
    pub config: ImageConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    layers: Vec<String>,
}

/// Whether `directory` has an OCI layout, and not a root file system.
pub fn is_layout(directory: &Path) -> bool {
    directory.join("oci-layout").is_file() && directory.join("index.json").is_file()
}

/// Reads the image for `wanted` in the archive at `path`, or for any platform that we are. What is compressed is unpacked to
/// unnamed files in `scratch`.
pub fn read(path: &Path, scratch: &Path, wanted: Option<Platform>) -> Result<Image> {
    read_bounded(path, scratch, wanted, UNPACKED_BYTES_MAX)
}

/// [`read`], but no more than `limit_bytes` are unpacked.
pub fn read_bounded(path: &Path, scratch: &Path, wanted: Option<Platform>, limit_bytes: u64) -> Result<Image> {
    let acceptable = Platform::acceptable(wanted);
    let mut unpacker = Unpacker::new(scratch, limit_bytes);
    let members = open(path, &mut unpacker);
    let members = members.with_context(|| format!("reading the image archive {}", path.display()))?;
    // Docker writes both; its own has the layers as they were unpacked.
    let (config, layers) = if members.has("manifest.json") || !members.has("index.json") {
        read_docker(&members).with_context(|| path.display().to_string())?
    } else {
        oci::read(&members, &acceptable).with_context(|| path.display().to_string())?
    };
    if layers.len() > LAYERS_MAX {
        bail!("the image has {} layers, more than {LAYERS_MAX}", layers.len());
    }
    let config: ConfigFile = parse_json(&config).context("the image's configuration")?;
    let config = config.into_config(&acceptable)?;
    let mut tree = Tree::new();
    for (name, layer) in layers {
        let applied = unpacker.unpacked(layer).and_then(|layer| layers::apply(&mut tree, &layer));
        applied.with_context(|| format!("layer {name}"))?;
        tree.end_layer();
    }
    Ok(Image { tree, config })
}

fn open(path: &Path, unpacker: &mut Unpacker<'_>) -> Result<Members> {
    if path.is_dir() {
        return Ok(Members::of_directory(path));
    }
    // Archives are compressed as a whole where they are passed on.
    let archive = unpacker.unpacked(Section::of_file(File::open(path)?)?)?;
    Members::of_tar(&archive)
}

fn read_docker(members: &Members) -> Result<(Section, Vec<(String, Section)>)> {
    let manifests: Vec<DockerManifest> = members.json("manifest.json")?;
    let Ok([manifest]) = <[DockerManifest; 1]>::try_from(manifests) else {
        bail!("it has several images or none; save one at a time");
    };
    let mut layers = Vec::new();
    for name in manifest.layers {
        let layer = members.get(&name)?;
        layers.push((name, layer));
    }
    Ok((members.get(&manifest.config)?, layers))
}
