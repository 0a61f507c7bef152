//! The configuration of an image: what it is for and how to run it (image-spec, "Image Configuration").

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use disk::ImageConfig;
use serde::Deserialize;

use crate::image::platform::Platform;

#[derive(Deserialize)]
pub struct ConfigFile {
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

impl ConfigFile {
    /// How to run the image, if it is for one of the platforms that are `acceptable`.
    pub fn into_config(self, acceptable: &[Platform]) -> Result<ImageConfig> {
        if acceptable.iter().all(|platform| platform.architecture() != self.architecture) {
            bail!("the image is for linux/{}: {}", self.architecture, Platform::way_out(acceptable));
        }
        Ok(self.config.unwrap_or_default().into())
    }
}
