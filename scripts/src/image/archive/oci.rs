//! OCI image layouts: `index.json` names manifests, these a configuration and layers, all of them blobs that are named by
//! their digests (image-spec, "Image Layout", "Image Index", "Image Manifest").

use std::io::{self, Write};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::members::{Members, parse_json};
use crate::image::platform::Platform;
use crate::image::section::Section;

/// Indexes within indexes that are followed; builders write two at most.
const INDEX_DEPTH_MAX: usize = 4;
const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    platform: Option<DescribedPlatform>,
}

#[derive(Deserialize)]
struct DescribedPlatform {
    architecture: String,
    #[serde(default)]
    os: String,
}

#[derive(Deserialize)]
struct ImageManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// The configuration and the layers of the one image in `members` that is for one of the platforms that are `acceptable`:
/// verified.
pub fn read(members: &Members, acceptable: &[Platform]) -> Result<(Section, Vec<(String, Section)>)> {
    let manifest = manifest(members, acceptable)?;
    let manifest: ImageManifest = parse_json(&manifest).context("the image's manifest")?;
    let config = blob(members, &manifest.config.digest)?;
    let mut layers = Vec::new();
    for layer in manifest.layers {
        let content = blob(members, &layer.digest)?;
        layers.push((layer.digest, content));
    }
    Ok((config, layers))
}

fn manifest(members: &Members, acceptable: &[Platform]) -> Result<Section> {
    let mut index: Index = members.json("index.json")?;
    for _ in 0..INDEX_DEPTH_MAX {
        let chosen = choose(&index.manifests, acceptable)?;
        let content = blob(members, &chosen.digest)?;
        if !INDEX_TYPES.contains(&chosen.media_type.as_str()) {
            return Ok(content);
        }
        index = parse_json(&content).context("the index")?;
    }
    bail!("the archive's indexes go deeper than {INDEX_DEPTH_MAX} levels")
}

/// The image for the first of the platforms that there is one for; or the only one there is, whose configuration tells what it
/// is for.
fn choose<'a>(manifests: &'a [Descriptor], acceptable: &[Platform]) -> Result<&'a Descriptor> {
    // Builders describe attestations as images for `unknown`.
    let is_image = |descriptor: &&Descriptor| {
        descriptor.platform.as_ref().is_none_or(|platform| platform.architecture != "unknown")
    };
    let images: Vec<_> = manifests.iter().filter(is_image).collect();
    if let [only] = images.as_slice() {
        return Ok(only);
    }
    for ours in acceptable {
        let is_ours = |descriptor: &&&Descriptor| {
            let platform = descriptor.platform.as_ref();
            platform.is_some_and(|platform| platform.architecture == ours.architecture() && platform.os == "linux")
        };
        match images.iter().filter(is_ours).collect::<Vec<_>>().as_slice() {
            [] => {}
            [only] => return Ok(only),
            several => bail!("the archive has {} images for {}; save one at a time", several.len(), ours.name()),
        }
    }
    let described: Option<Vec<_>> = images.iter().map(|descriptor| descriptor.platform.as_ref()).collect();
    let Some(described) = described else {
        bail!("the archive has {} images and does not say what they are for; save one at a time", images.len());
    };
    let names: Vec<_> = described.iter().map(|platform| format!("{}/{}", platform.os, platform.architecture)).collect();
    let what = if names.is_empty() { "no images".into() } else { format!("images for {} only", names.join(", ")) };
    bail!("the archive has {what}: {}", Platform::way_out(acceptable))
}

/// A blob that is what its name says.
fn blob(members: &Members, digest: &str) -> Result<Section> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(is_digit));
    let Some(hex) = hex else { bail!("{digest:?} is no SHA-256 digest") };
    let content = members.get(&format!("blobs/sha256/{hex}"))?;
    let mut hash = Sha256::new();
    io::copy(&mut io::BufReader::with_capacity(1 << 20, content.reader()), &mut Hashing(&mut hash))?;
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found != hex {
        bail!("the blob {digest} is damaged: its digest is sha256:{found}");
    }
    Ok(content)
}

struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
