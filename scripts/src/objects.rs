//! The objects an image consists of besides its manifest: everything that must be where a visitor gets it from.
//!
//! Export, upload and garbage collection all ask here, so whatever a manifest comes to name is named in one place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use disk::digest::DIGEST_BYTES;
use disk::directory::chunk_path;
use disk::index::IndexPage;
use disk::{ChunkDigest, ChunkSource, Fetch, Manifest};

/// Objects by their keys, which are their names in a bucket and their paths below `/disk/` of a host; and where each lies
/// in a store of the tool, below its root.
pub type Objects = BTreeMap<String, PathBuf>;

/// How keys of such objects start: what is there under these and named by no manifest is garbage.
pub const KINDS: [&str; 1] = ["chunks/"];

/// Key of the manifest of image `name`.
pub fn manifest_key(name: &str) -> String {
    format!("manifests/{name}.json")
}

/// All objects that `manifest` names, directly or through what it names. Index pages are got from `store`, and verified.
pub fn of_manifest(store: &mut impl ChunkSource, manifest: &Manifest) -> Result<Objects> {
    let layout = manifest.layout;
    let mut objects = Objects::new();
    manifest.packs.iter().for_each(|pack| add_chunk(&mut objects, &pack.digest));
    let Some(root) = page(store, manifest.index_root, layout.leaf_count() as usize)? else { return Ok(objects) };
    add_chunk(&mut objects, &manifest.index_root);
    for (number, digest) in root.digests().enumerate() {
        let Some(leaf) = page(store, digest, layout.leaf_len(number as u64))? else { continue };
        add_chunk(&mut objects, &digest);
        leaf.digests().filter(|digest| !digest.is_zero()).for_each(|digest| add_chunk(&mut objects, &digest));
    }
    Ok(objects)
}

fn add_chunk(objects: &mut Objects, digest: &ChunkDigest) {
    objects.insert(format!("chunks/{digest}"), chunk_path(digest));
}

/// An index page; `None` if it is all zero.
pub fn page(store: &mut impl ChunkSource, digest: ChunkDigest, entries: usize) -> Result<Option<IndexPage>> {
    if digest.is_zero() {
        return Ok(None);
    }
    let Fetch::Done(delivery) = store.fetch(&digest, false) else { bail!("stores of the tool answer at once") };
    let bytes = delivery?.open(&digest, entries * DIGEST_BYTES);
    let bytes = bytes.with_context(|| format!("index page {digest} is damaged"))?;
    let page = IndexPage::new(bytes.into(), entries);
    Ok(Some(page.with_context(|| format!("index page {digest} has another length"))?))
}
