//! `Members`: the files an image archive consists of, in a tar file or, for OCI layouts, in a directory.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::image::section::Section;

/// Longest JSON file read out of an archive.
const JSON_BYTES_MAX: u64 = 16 << 20;
/// Links between an archive's members followed for one name.
const MEMBER_LINKS_MAX: usize = 4;
/// Most members of an archive: an image has some hundred layers at most, and each a few files.
const MEMBERS_MAX: usize = 100_000;

/// See the module.
pub enum Members {
    Tar {
        /// Contents by name.
        files: HashMap<String, Section>,
        /// Target by name of a symbolic or hard link.
        links: HashMap<String, String>,
    },
    Directory(PathBuf),
}

impl Members {
    /// Those of the tar archive `archive`.
    pub fn of_tar(archive: &Section) -> Result<Self> {
        let (mut files, mut links) = (HashMap::new(), HashMap::new());
        archive.for_each_entry(|entry| {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            if files.len() + links.len() == MEMBERS_MAX {
                bail!("it has more than {MEMBERS_MAX} files");
            }
            if let Some(to) = entry.link_name_bytes() {
                links.insert(name, String::from_utf8_lossy(&to).into_owned());
            } else {
                let content = archive.part(entry.raw_file_position(), entry.size());
                files.insert(name, content.context("it was cut short")?);
            }
            Ok(())
        })?;
        Ok(Members::Tar { files, links })
    }

    /// Those below `directory`.
    pub fn of_directory(directory: &Path) -> Self {
        Members::Directory(directory.into())
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_ok()
    }

    /// The content of `name`.
    pub fn get(&self, name: &str) -> Result<Section> {
        match self {
            Members::Directory(directory) => {
                if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
                    bail!("{name:?} is outside of the archive");
                }
                let path = directory.join(name);
                let file = File::open(&path).with_context(|| path.display().to_string())?;
                Ok(Section::of_file(file)?)
            }
            Members::Tar { files, links } => {
                let mut name = name.to_owned();
                for _ in 0..MEMBER_LINKS_MAX {
                    if let Some(found) = files.get(&name) {
                        return Ok(found.clone());
                    }
                    let Some(to) = links.get(&name) else { break };
                    // Old archives link a layer that several images share: `ID/layer.tar -> ../HASH.tar`.
                    name = to.strip_prefix("../").unwrap_or(to).to_owned();
                }
                bail!(
                    "the archive has no {name}: it is neither a `docker save` nor an OCI archive, or it was cut short"
                )
            }
        }
    }

    pub fn json<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<T> {
        parse_json(&self.get(name)?).with_context(|| name.to_owned())
    }
}

/// Reads a section that should be JSON.
pub fn parse_json<T: for<'de> Deserialize<'de>>(section: &Section) -> Result<T> {
    if section.len > JSON_BYTES_MAX {
        bail!("it has {} bytes, more than {JSON_BYTES_MAX}", section.len);
    }
    let mut bytes = vec![0; section.len as usize];
    section.file.read_exact_at(&mut bytes, section.offset)?;
    Ok(serde_json::from_slice(&bytes)?)
}
