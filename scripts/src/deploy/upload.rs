//! Uploading images: what a bucket lacks of them, then their manifests.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result};
use disk::directory::manifest_path;
use disk::{ChunkDigest, DirectorySource};

use super::alias::Alias;
use super::bucket::{Bucket, Stored, Upload, size_of};
use crate::objects::{self, manifest_key};
use crate::progress::Progress;

/// Manifests that were replaced, as they were. What they name is kept for those who still have it open.
pub const RETIRED: &str = "retired/";
/// Manifests that previews have instead of everybody's.
pub const PREVIEWS: &str = "previews/";

/// What a bucket lacks.
pub struct Plan {
    /// Objects of the images.
    wanted: Vec<Upload>,
    /// Those of them that are not there.
    missing: Vec<Upload>,
    /// Manifests that are not or are others: key and bytes.
    manifests: Vec<(String, Vec<u8>)>,
    /// Manifests that are replaced.
    replaced: Vec<String>,
}

impl Plan {
    /// What of the images `names`, which are in the store at `disk`, `bucket` lacks, for everybody or for one preview.
    pub fn new(bucket: &mut Bucket, disk: &Path, names: &[String], preview: Option<&Alias>) -> Result<Self> {
        let listed = bucket.list().context("listing what is in the bucket")?;
        let stored: HashMap<&str, &Stored> = listed.iter().map(|object| (object.key.as_str(), object)).collect();
        let mut source = DirectorySource::new(disk);
        let mut wanted = BTreeMap::new();
        let (mut manifests, mut replaced) = (Vec::new(), Vec::new());
        for name in names {
            let manifest = source.manifest(name);
            let manifest =
                manifest.with_context(|| format!("there is no image {name:?}: build it with ./scripts/image"))?;
            wanted.extend(objects::of_manifest(&mut source, &manifest).with_context(|| format!("image {name}"))?);
            let key = match preview {
                None => manifest_key(name),
                Some(alias) => format!("{PREVIEWS}{alias}/{name}.json"),
            };
            let bytes = std::fs::read(disk.join(manifest_path(name)))?;
            let is_there = stored.contains_key(key.as_str());
            if is_there && bucket.get(&key)?.as_deref() == Some(&bytes) {
                continue;
            }
            if is_there {
                replaced.push(key.clone());
            }
            manifests.push((key, bytes));
        }
        let upload = |(key, file)| -> Result<Upload> {
            let path = disk.join(file);
            Ok(Upload { key, size: size_of(&path)?, path })
        };
        let wanted: Vec<Upload> = wanted.into_iter().map(upload).collect::<Result<_>>()?;
        let missing = wanted.iter().filter(|upload| !stored.contains_key(upload.key.as_str())).cloned().collect();
        Ok(Plan { wanted, missing, manifests, replaced })
    }

    /// Bytes that are missing.
    fn missing_bytes(&self) -> u64 {
        self.missing.iter().map(|upload| upload.size).sum()
    }

    /// In words, for `dry-run` and for the end.
    pub fn summary(&self) -> String {
        let (missing, megabytes) = (self.missing.len(), self.missing_bytes() as f64 / 1e6);
        let manifests = self.manifests.len();
        format!(
            "{} objects, {missing} of them missing ({megabytes:.2} MB); {manifests} manifests new",
            self.wanted.len()
        )
    }

    /// Uploads what is missing. A run that was interrupted is just repeated: what it stored is there.
    pub fn carry_out(&self, bucket: &mut Bucket, progress: &Progress) -> Result<()> {
        progress.start("uploading", self.missing_bytes());
        let outcome = bucket.put_all(&self.missing, progress);
        progress.finish();
        outcome.context("uploading; what was stored stays, so run it again to go on")?;
        // Last, so that a manifest never names what is not there yet.
        self.replaced.iter().try_for_each(|key| retire(bucket, key))?;
        self.manifests.iter().try_for_each(|(key, bytes)| bucket.put(key, bytes))?;
        self.check(bucket)
    }

    /// Looks whether everything is there that should be: what nothing named before may have been collected as garbage
    /// between the first look and the manifests' arrival.
    fn check(&self, bucket: &mut Bucket) -> Result<()> {
        if self.manifests.is_empty() {
            return Ok(());
        }
        let stored: HashSet<String> = bucket.list()?.into_iter().map(|object| object.key).collect();
        let gone: Vec<_> = self.wanted.iter().filter(|upload| !stored.contains(&upload.key)).cloned().collect();
        bucket.put_all(&gone, &Progress::new()).context("uploading once more what was deleted meanwhile")
    }
}

/// Keeps a copy of the manifest at `key`, from now on.
pub fn retire(bucket: &mut Bucket, key: &str) -> Result<()> {
    match bucket.get(key)? {
        Some(bytes) => bucket.put(&format!("{RETIRED}{}.json", ChunkDigest::of(&bytes)), &bytes),
        None => Ok(()),
    }
}
