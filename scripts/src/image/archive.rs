//! Images as `docker save`, `podman save` and `buildah push … docker-archive:` write them: a tar of layer tars with
//! a `manifest.json` that names them and the image's configuration.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use disk::ImageConfig;
use flate2::read::GzDecoder;
use serde::Deserialize;

use super::layers::{self, Layer};
use super::platform::Platform;
use super::tree::Tree;

/// Longest JSON file read out of an archive.
const JSON_BYTES_MAX: u64 = 16 << 20;
/// Links between an archive's members followed for one name.
const MEMBER_LINKS_MAX: usize = 4;

/// An image's files and how to run it.
pub struct Image {
    pub tree: Tree,
    pub config: ImageConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ArchiveManifest {
    config: String,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct ConfigFile {
    architecture: String,
    config: Option<RuntimeConfig>,
}

/// Docker's names; every field may be missing or null.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RuntimeConfig {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    hostname: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

impl From<RuntimeConfig> for ImageConfig {
    fn from(raw: RuntimeConfig) -> Self {
        ImageConfig {
            entrypoint: raw.entrypoint.unwrap_or_default(),
            cmd: raw.cmd.unwrap_or_default(),
            env: raw.env.unwrap_or_default(),
            workdir: raw.working_dir.unwrap_or_default(),
            user: raw.user.unwrap_or_default(),
            hostname: raw.hostname.unwrap_or_default(),
            labels: raw.labels.unwrap_or_default(),
        }
    }
}

/// The members of the outer tar.
struct Archive {
    file: Arc<File>,
    /// Offset and length by name.
    files: HashMap<String, (u64, u64)>,
    /// Target by name of a symbolic or hard link.
    links: HashMap<String, String>,
}

/// Reads the image in the archive at `path`. Compressed layers are unpacked to unnamed files in `scratch`.
pub fn read(path: &Path, scratch: &Path) -> Result<Image> {
    let archive = Archive::open(path).with_context(|| format!("reading the image archive {}", path.display()))?;
    let manifests: Vec<ArchiveManifest> = archive.json("manifest.json")?;
    let [manifest] = manifests.as_slice() else {
        bail!("{} has {} images; save one at a time", path.display(), manifests.len());
    };
    let config: ConfigFile = archive.json(&manifest.config)?;
    if Platform::ALL.iter().all(|platform| platform.architecture() != config.architecture) {
        let ours = Platform::ALL.map(|platform| format!("--platform {}", platform.name())).join(" or ");
        bail!("the image is for {}, which edgebox does not run: build it with {ours}", config.architecture);
    }
    let mut tree = Tree::new();
    for name in &manifest.layers {
        let layer = archive.layer(name, scratch)?;
        layers::apply(&mut tree, &layer).with_context(|| format!("layer {name}"))?;
        tree.end_layer();
    }
    Ok(Image { tree, config: config.config.unwrap_or_default().into() })
}

impl Archive {
    fn open(path: &Path) -> Result<Self> {
        let file = Arc::new(File::open(path)?);
        let (mut files, mut links) = (HashMap::new(), HashMap::new());
        for entry in tar::Archive::new(BufReader::new(file.try_clone()?)).entries_with_seek()? {
            let entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if let Some(to) = entry.link_name_bytes() {
                links.insert(name, String::from_utf8_lossy(&to).into_owned());
            } else {
                files.insert(name, (entry.raw_file_position(), entry.size()));
            }
        }
        Ok(Archive { file, files, links })
    }

    fn member(&self, name: &str) -> Result<(u64, u64)> {
        let mut name = name.to_owned();
        for _ in 0..MEMBER_LINKS_MAX {
            if let Some(found) = self.files.get(&name) {
                return Ok(*found);
            }
            let Some(to) = self.links.get(&name) else { break };
            // Old archives link a layer that several images share: `ID/layer.tar -> ../HASH.tar`.
            name = match to.strip_prefix("../") {
                Some(sibling) => sibling.to_owned(),
                None => to.clone(),
            };
        }
        bail!("the archive has no {name}: it is no `docker save` archive, or it was cut short")
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<T> {
        let (offset, len) = self.member(name)?;
        if len > JSON_BYTES_MAX {
            bail!("{name} has {len} bytes, more than {JSON_BYTES_MAX}");
        }
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        serde_json::from_slice(&bytes).with_context(|| name.to_owned())
    }

    fn layer(&self, name: &str, scratch: &Path) -> Result<Layer> {
        let (offset, len) = self.member(name)?;
        let mut magic = [0; 4];
        self.file.read_exact_at(&mut magic[..len.min(4) as usize], offset)?;
        match magic {
            [0x1f, 0x8b, ..] => {
                let mut compressed = self.file.try_clone()?;
                compressed.seek(SeekFrom::Start(offset))?;
                let mut unpacked = tempfile::tempfile_in(scratch)?;
                let mut decoder = GzDecoder::new(BufReader::new(compressed.take(len)));
                let len = std::io::copy(&mut decoder, &mut unpacked).context("unpacking a layer")?;
                Ok(Layer { file: Arc::new(unpacked), offset: 0, len })
            }
            [0x28, 0xb5, 0x2f, 0xfd] => bail!("layer {name} is compressed with zstd: save the image with gzip or none"),
            _ => Ok(Layer { file: Arc::clone(&self.file), offset, len }),
        }
    }
}
