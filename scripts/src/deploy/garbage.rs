//! Garbage: objects that no manifest names any more.
//!
//! A tab that was opened before a deployment goes on with the manifest it has read. So manifests that are replaced are kept
//! as `retired/…`, and count as long as any other until they are some days old; and so do objects that nothing names yet, for
//! an upload may be under way.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use disk::Manifest;

use super::bucket::{Bucket, Stored};
use super::upload::{PREVIEWS, RETIRED};
use crate::objects;

/// Where manifests that count lie.
const ROOTS: [&str; 3] = ["manifests/", PREVIEWS, RETIRED];

/// What a bucket has too much of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Garbage {
    pub keys: Vec<String>,
    pub bytes: u64,
    /// Objects that stay.
    pub kept: usize,
}

/// Finds the garbage in `bucket`: what is older than `keep` and that no manifest names which counts. A manifest that can't be
/// read, or whose index can't, is an error: then nobody knows what it names.
pub fn find(bucket: &mut Bucket, keep: Duration, now: SystemTime) -> Result<Garbage> {
    let listed = bucket.list().context("listing what is in the bucket")?;
    let now_ms = now.duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let is_old = |object: &Stored| u128::from(object.uploaded_ms) + keep.as_millis() <= now_ms;
    let is_expired = |object: &Stored| object.key.starts_with(RETIRED) && is_old(object);
    let mut named = HashSet::new();
    let mut indexes = BTreeSet::new();
    let roots = listed.iter().filter(|object| ROOTS.iter().any(|root| object.key.starts_with(root)));
    for root in roots.filter(|object| !is_expired(object)) {
        let key = &root.key;
        let Some(bytes) = bucket.get(key)? else { continue };
        let manifest = Manifest::parse(&bytes).with_context(|| format!("{key}: nothing is deleted"))?;
        // Previews have the same images as everybody, mostly.
        if indexes.insert(manifest.to_json()) {
            let objects = objects::of_manifest(bucket, &manifest);
            named.extend(objects.with_context(|| format!("{key}: nothing is deleted"))?.into_keys());
        }
    }
    // All else in a bucket is somebody else's.
    let is_ours = |object: &Stored| objects::KINDS.iter().any(|kind| object.key.starts_with(kind));
    let is_unnamed = |object: &Stored| is_ours(object) && !named.contains(&object.key);
    let (garbage, kept): (Vec<_>, Vec<_>) =
        listed.into_iter().partition(|object| is_expired(object) || (is_unnamed(object) && is_old(object)));
    let bytes = garbage.iter().map(|object| object.size).sum();
    // Manifests first: one whose objects are gone in part could not be read the next time.
    let (mut keys, chunks): (Vec<_>, Vec<_>) =
        garbage.into_iter().map(|object| object.key).partition(|key| key.starts_with(RETIRED));
    keys.extend(chunks);
    Ok(Garbage { keys, bytes, kept: kept.len() })
}
