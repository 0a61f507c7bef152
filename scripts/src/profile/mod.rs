//! Boot profiles: an image is booted once when it is made, and what that reads goes into boot packs (`disk::pack`), so that
//! a visitor's boot needs a few requests and few bytes it has no use for.
//!
//! | module | subject |
//! |---|---|
//! | [`record`] | the boot, and which blocks it reads |
//!
//! A profile is a hint. An image without one boots as well, just with more requests; so one that can't be booted here is
//! worth a warning and no more.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Result;
use disk::codec::Quality;
use disk::digest::DIGEST_BYTES;
use disk::index::IndexPage;
use disk::layout::LEAF_CHUNKS;
use disk::overlay::BLOCK_BYTES;
use disk::pack::{PACK_BYTES_MAX, PACK_RUNS_MAX, PACKS_MAX, Part};
use disk::{ChunkDigest, Layout, Manifest, Pack, Runs};

use crate::export::page;
use crate::pack::Store;
use crate::progress;

mod record;

/// Bytes of the first pack, decoded: some 150 KB on the wire, so that a boot begins early.
const FIRST_PACK_BYTES: u64 = 512 << 10;
/// How many times larger each further pack is: a boot that needs more has more to do meanwhile.
const GROWTH: u64 = 4;
/// Leaf pages of the index that ride along in the last pack, 128 KiB each that hardly can be compressed: what is read
/// after the boot is found with them. All that an image of ordinary size has.
const LEAVES_MAX: usize = 2;
/// Bytes of the index that ride along. If there would be more, because the root page of a huge image is large, none do.
const INDEX_BYTES_MAX: u64 = 512 << 10;
/// Every visitor of an image loads its packs.
const QUALITY: Quality = Quality::BEST;

/// What a profile has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Profile {
    pub blocks: u64,
    pub packs: usize,
    /// Bytes of the packs, as they are stored.
    pub bytes: u64,
}

/// Boots the image `name`, whose raw image is at `raw`, and adds boot packs to its manifest. If that can't be done, says
/// why and leaves the image as it is.
pub fn add(store: &Store, name: &str, raw: &Path) {
    let spinner = progress::spinner(&format!("booting image {name}"));
    let outcome = try_add(store, name, raw);
    drop(spinner);
    match outcome {
        Ok(Profile { blocks, packs, bytes }) => {
            let (read, stored) = (blocks as f64 * BLOCK_BYTES as f64 / 1e6, bytes as f64 / 1e6);
            eprintln!("image {name}: its boot reads {read:.1} MB, in {packs} packs of {stored:.2} MB together");
        }
        Err(error) => eprintln!("image {name}: no boot profile, so that booting takes more requests: {error:#}"),
    }
}

fn try_add(store: &Store, name: &str, raw: &Path) -> Result<Profile> {
    let config = store.source().manifest(name)?.config;
    store_packs(store, name, raw, &record::boot(raw, &config)?)
}

/// Stores packs with these blocks of an image, which are in the order of its boot.
fn store_packs(store: &Store, name: &str, raw: &Path, order: &[u64]) -> Result<Profile> {
    let mut manifest = store.source().manifest(name)?;
    let image = File::open(raw)?;
    let mut profile = Profile::default();
    manifest.boot.clear();
    for (index, blocks) in divide(manifest.layout, order) {
        let (pack, bytes) = build(store, &manifest, &image, index, blocks)?;
        // Nothing but zeros needs no pack.
        if !pack.digest.is_zero() {
            profile.bytes += store.put_object(&pack.digest, &bytes, QUALITY)?;
            profile.blocks += pack.blocks.count();
            manifest.boot.push(pack);
        }
    }
    profile.packs = manifest.boot.len();
    disk::pack::check(manifest.layout, &manifest.boot).map_err(anyhow::Error::msg)?;
    store.put_manifest(name, &manifest)?;
    Ok(profile)
}

/// Divides blocks in the order of a boot into packs, each the leaf pages and the blocks it has. What does not fit is left
/// out: the last blocks.
fn divide(layout: Layout, order: &[u64]) -> Vec<(Option<Runs>, Runs)> {
    let mut packs = Vec::new();
    let mut rest = order;
    let mut len_max = FIRST_PACK_BYTES;
    while !rest.is_empty() && packs.len() < PACKS_MAX {
        let count = rest.len().min((len_max / BLOCK_BYTES as u64) as usize);
        let (blocks, left) = rest.split_at(count);
        let runs = Runs::of(blocks.iter().copied());
        if runs.range_count() > PACK_RUNS_MAX {
            break;
        }
        packs.push((None, runs));
        rest = left;
        len_max = (len_max * GROWTH).min(PACK_BYTES_MAX as u64 - INDEX_BYTES_MAX);
    }
    if let Some((index, _)) = packs.last_mut() {
        *index = index_of(layout, order);
    }
    packs
}

/// The leaf pages that list the first of these blocks, if not too much would ride along.
fn index_of(layout: Layout, order: &[u64]) -> Option<Runs> {
    let leaf_blocks = u64::from(layout.chunk_bytes()) / BLOCK_BYTES as u64 * LEAF_CHUNKS;
    let mut leaves: Vec<u64> = Vec::new();
    for leaf in order.iter().map(|block| block / leaf_blocks) {
        if !leaves.contains(&leaf) && leaves.len() < LEAVES_MAX {
            leaves.push(leaf);
        }
    }
    let parts = leaves.iter().copied().map(Part::Leaf).chain([Part::Root]);
    let len: u64 = parts.map(|part| part.len_bytes(layout)).sum();
    (len <= INDEX_BYTES_MAX).then(|| Runs::of(leaves))
}

fn build(
    store: &Store,
    manifest: &Manifest,
    image: &File,
    index: Option<Runs>,
    blocks: Runs,
) -> Result<(Pack, Vec<u8>)> {
    let layout = manifest.layout;
    let mut source = store.source();
    let root = page(&mut source, manifest.index_root, layout.leaf_count() as usize)?;
    Pack::build(layout, index, blocks, |part, to| {
        match part {
            Part::Root => copy_page(root.as_ref(), to),
            Part::Leaf(leaf) => {
                let digest = root.as_ref().and_then(|root| root.digest(*leaf as usize)).unwrap_or(ChunkDigest::ZERO);
                copy_page(page(&mut source, digest, layout.leaf_len(*leaf))?.as_ref(), to);
            }
            Part::Blocks(blocks) => image.read_exact_at(to, blocks.start * BLOCK_BYTES as u64)?,
        }
        Ok(())
    })
}

/// Copies a page's bytes, which are zeros if there is none.
fn copy_page(page: Option<&IndexPage>, to: &mut [u8]) {
    let digests = page.into_iter().flat_map(IndexPage::digests);
    to.chunks_exact_mut(DIGEST_BYTES).zip(digests).for_each(|(to, digest)| to.copy_from_slice(digest.as_bytes()));
}

#[cfg(test)]
mod tests {
    use disk::codec::Quality;
    use disk::layout::CHUNK_BYTES;
    use disk::{BlockDevice, Disk, ImageConfig};

    use super::*;
    use crate::progress::Progress;

    const GIB: u64 = 1 << 30;

    fn layout(size_bytes: u64) -> Layout {
        Layout::new(size_bytes, CHUNK_BYTES).expect("layout")
    }

    #[test]
    fn packs_grow_and_the_last_one_has_the_index() {
        let order: Vec<u64> = (0..2000).map(|number| number * 7919 % 100_003).collect();
        let packs = divide(layout(GIB), &order);
        let counts: Vec<_> = packs.iter().map(|(_, blocks)| blocks.count()).collect();
        assert_eq!(counts, [128, 512, 896, 464]);
        assert_eq!(packs[0].1, Runs::of(order[..128].iter().copied()));
        let leaves: Vec<_> = packs.iter().map(|(index, _)| index.as_ref().map(Runs::to_string)).collect();
        assert_eq!(leaves, [None, None, None, Some("0".into())]);
        assert!(divide(layout(GIB), &[]).is_empty());
    }

    #[test]
    fn limits_hold_however_much_a_boot_reads() {
        for (size_bytes, stride) in [(GIB, 1), (GIB, 3), (1 << 40, 1 << 17), (16 << 40, 1 << 20)] {
            let layout = layout(size_bytes);
            let order: Vec<u64> = (0..size_bytes / 4096 / stride).map(|number| number * stride).rev().collect();
            let number = |at: usize| ChunkDigest::of(&[at as u8 + 1]);
            let packs: Vec<Pack> = divide(layout, &order)
                .into_iter()
                .enumerate()
                .map(|(at, (index, blocks))| Pack { digest: number(at), index, blocks })
                .collect();
            assert_eq!(disk::pack::check(layout, &packs), Ok(()), "{size_bytes} {stride}");
            assert!(packs.iter().all(|pack| pack.blocks.range_count() <= PACK_RUNS_MAX));
            assert!(!packs.is_empty());
        }
    }

    #[test]
    fn a_disk_with_these_packs_reads_the_same() {
        let scratch = tempfile::tempdir().expect("directory");
        let raw = scratch.path().join("raw");
        let image: Vec<u8> = (0..500_000u32).flat_map(|number| (number / 3).to_le_bytes()).collect();
        std::fs::write(&raw, &image).expect("raw image");
        let store = Store::new(scratch.path());
        let config = ImageConfig::default();
        store.pack(&raw, "x", config, CHUNK_BYTES, Quality::QUICK, &Progress::new()).expect("packed");
        let profile = store_packs(&store, "x", &raw, &[400, 3, 4, 0, 488]).expect("packs");
        assert_eq!((profile.blocks, profile.packs), (5, 1));
        let manifest = store.source().manifest("x").expect("manifest");
        for pack in &manifest.boot {
            let path = scratch.path().join(disk::directory::chunk_path(&pack.digest));
            assert!(path.exists());
        }
        let mut disk = Disk::new(&manifest, store.source());
        for offset in [0, 3 * 4096, 400 * 4096 + 5, 488 * 4096, 77 * 4096] {
            let mut bytes = [0; 1000];
            disk.read(offset, &mut bytes).expect("read");
            assert_eq!(bytes[..], image[offset as usize..][..1000], "{offset}");
        }
        assert_eq!(disk.stats().requests, 2, "the pack, and the chunk of the last block");
    }

    #[test]
    fn an_image_that_can_not_be_booted_stays_as_it_is() {
        let scratch = tempfile::tempdir().expect("directory");
        let raw = scratch.path().join("raw");
        std::fs::write(&raw, vec![7; 1 << 20]).expect("raw image");
        let store = Store::new(scratch.path());
        let with_command = ImageConfig { cmd: vec!["/bin/sh".into()], ..ImageConfig::default() };
        for (config, why) in [(ImageConfig::default(), "no command"), (with_command, "can't be mounted")] {
            store.pack(&raw, "x", config, CHUNK_BYTES, Quality::QUICK, &Progress::new()).expect("packed");
            let before = store.source().manifest("x").expect("manifest");
            let error = try_add(&store, "x", &raw).expect_err(why);
            assert!(format!("{error:#}").contains(why), "{error:#}");
            add(&store, "x", &raw);
            assert_eq!(store.source().manifest("x").expect("manifest"), before);
        }
    }
}
