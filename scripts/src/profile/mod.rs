//! Profiles: an image is booted once when it is made, and what that reads goes into boot packs (`disk::pack`), so that a
//! visitor's boot needs a few requests and few bytes it has no use for. The same is done for programs that the image names
//! in its label `edgebox.profile`, separated by semicolons: each is started on the console, and what it reads until it waits
//! for input or ends goes into packs of its own, which are fetched when the first block of its file is read, and as it goes on.
//!
//! | module | subject |
//! |---|---|
//! | [`record`] | the boot, and which blocks it reads |
//! | [`divide`] | which blocks go into which pack |
//!
//! A profile is a hint. An image without one boots as well, just with more requests; so one that can't be booted here is
//! worth a warning and no more.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use disk::codec::Quality;
use disk::digest::DIGEST_BYTES;
use disk::index::IndexPage;
use disk::manifest::MANIFEST_BYTES_MAX;
use disk::overlay::BLOCK_BYTES;
use disk::pack::Part;
use disk::{ChunkDigest, ImageConfig, Manifest, Pack};

use crate::objects::page;
use crate::pack::Store;
use crate::progress;
use record::{Kind, Order};

mod divide;
mod record;

/// The label that names programs.
const LABEL: &str = "edgebox.profile";
/// Every visitor of an image loads its boot packs.
const BOOT_QUALITY: Quality = Quality::BEST;
/// Only some need those of programs, which are larger: twice as many bytes a second are made with a few per cent more.
const PROGRAM_QUALITY: Quality = Quality::GOOD;

/// What a profile has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Profile {
    pub blocks: u64,
    pub packs: usize,
    /// Bytes of the packs, as they are stored.
    pub bytes: u64,
}

/// Blocks in the order of a boot or of a program's start.
struct Recorded {
    /// What it is called in what is said to whoever waits.
    name: String,
    /// Of a program: the first block of its file.
    on: Option<u64>,
    order: Order,
}

/// Boots the image `name`, whose raw image is at `raw`, and adds packs to its manifest. If that can't be done, says why and
/// leaves the image as it is.
pub fn add(store: &Store, name: &str, raw: &Path) {
    if let Err(error) = try_add(store, name, raw) {
        eprintln!("image {name}: no boot profile, so that booting takes more requests: {error:#}");
    }
}

fn try_add(store: &Store, name: &str, raw: &Path) -> Result<()> {
    let mut manifest = store.source().manifest(name)?;
    let spinner = progress::spinner(&format!("booting image {name}"));
    let recorded = record_all(name, raw, &manifest.config)?;
    drop(spinner);
    let _spinner = progress::spinner(&format!("packing what image {name} reads first"));
    let image = File::open(raw)?;
    manifest.packs.clear();
    for each in &recorded {
        let count = manifest.packs.len();
        let profile = store_packs(store, &mut manifest, &image, each)?;
        if let Err(why) = check(&manifest) {
            manifest.packs.truncate(count);
            eprintln!("image {name}: no packs of what {} reads: {why}", each.name);
            continue;
        }
        let Profile { blocks, packs, bytes } = profile;
        let (read, stored) = (blocks as f64 * BLOCK_BYTES as f64 / 1e6, bytes as f64 / 1e6);
        eprintln!("image {name}: {} reads {read:.1} MB; packs: {packs}, {stored:.2} MB", each.name);
    }
    store.put_manifest(name, &manifest)
}

/// Why a manifest would not be accepted.
fn check(manifest: &Manifest) -> Result<(), String> {
    disk::pack::check(manifest.layout, &manifest.packs)?;
    match manifest.to_json().len() {
        len if len > MANIFEST_BYTES_MAX => Err(format!("the manifest would have {len} bytes")),
        _ => Ok(()),
    }
}

/// Boots an image, and runs the programs it names.
fn record_all(name: &str, raw: &Path, config: &ImageConfig) -> Result<Vec<Recorded>> {
    if config.command().is_empty() {
        bail!("it has no command (CMD or ENTRYPOINT) to be booted with");
    }
    let mut of_boot = record::boot(raw, config, &config.command())?;
    let mut of_programs = Vec::new();
    let image = File::open(raw)?;
    let commands = config.labels.get(LABEL).map_or("", String::as_str).split(';');
    for command in commands.map(str::trim).filter(|command| !command.is_empty()) {
        let words: Vec<String> = command.split_whitespace().map(String::from).collect();
        let recorded = record::boot(raw, config, &words).and_then(|mut order| {
            let known: BTreeSet<u64> = of_boot.iter().map(|(block, _)| *block).collect();
            order.retain(|(block, _)| !known.contains(block));
            let begins = |(block, kind): &(u64, Kind)| *kind == Kind::Contents && begins_program(&image, *block);
            let start = order.iter().position(begins).context("its boot has it")?;
            let on = Some(order[start].0);
            // To find its file, directories were read, before any sign of it.
            let (ways, others): (Order, Order) = order.drain(..start).partition(|(_, kind)| *kind == Kind::Structure);
            of_boot.extend(ways);
            Ok(Recorded { name: command.into(), on, order: [others, order].concat() })
        });
        match recorded {
            Ok(recorded) => of_programs.push(recorded),
            Err(error) => eprintln!("image {name}: no profile of {command:?}: {error:#}"),
        }
    }
    let boot = Recorded { name: "its boot".into(), on: None, order: of_boot };
    Ok(std::iter::once(boot).chain(of_programs).collect())
}

/// Whether a block is the first one of an ELF file.
fn begins_program(image: &File, block: u64) -> bool {
    let mut magic = [0; 4];
    image.read_exact_at(&mut magic, block * BLOCK_BYTES as u64).is_ok() && magic == *b"\x7fELF"
}

/// Stores packs with these blocks, and adds them to the manifest.
fn store_packs(store: &Store, manifest: &mut Manifest, image: &File, recorded: &Recorded) -> Result<Profile> {
    let mut profile = Profile::default();
    let (quality, packs) = match recorded.on {
        None => (BOOT_QUALITY, divide::boot(manifest.layout, &recorded.order)),
        Some(on) => (PROGRAM_QUALITY, divide::program(on, &recorded.order)),
    };
    for pack in packs {
        let (pack, bytes) = build(store, manifest, image, pack)?;
        // Nothing but zeros needs no pack, and what another one has needs no second.
        if !pack.digest.is_zero() && !manifest.packs.iter().any(|other| other.digest == pack.digest) {
            profile.bytes += store.put_object(&pack.digest, &bytes, quality)?;
            profile.blocks += pack.blocks.count();
            profile.packs += 1;
            manifest.packs.push(pack);
        }
    }
    Ok(profile)
}

fn build(store: &Store, manifest: &Manifest, image: &File, pack: Pack) -> Result<(Pack, Vec<u8>)> {
    let layout = manifest.layout;
    let mut source = store.source();
    let root = page(&mut source, manifest.index_root, layout.leaf_count() as usize)?;
    pack.build(layout, |part, to| {
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
    use disk::layout::CHUNK_BYTES;
    use disk::{BlockDevice, Disk};

    use super::*;
    use crate::progress::Progress;

    #[test]
    fn a_disk_with_these_packs_reads_the_same() {
        let scratch = tempfile::tempdir().expect("directory");
        let raw = scratch.path().join("raw");
        let image: Vec<u8> = (0..500_000u32).flat_map(|number| (number / 3).to_le_bytes()).collect();
        std::fs::write(&raw, &image).expect("raw image");
        let store = Store::new(scratch.path());
        let config = ImageConfig::default();
        store.pack(&raw, "x", config, CHUNK_BYTES, Quality::QUICK, &Progress::new()).expect("packed");
        let mut manifest = store.source().manifest("x").expect("manifest");
        let file = File::open(&raw).expect("raw image");
        for (on, structure, contents, packs) in
            [(None, vec![400, 0], vec![3, 4, 488], 2), (Some(7), vec![8], vec![7], 1)]
        {
            let structure = structure.into_iter().map(|block| (block, Kind::Structure));
            let order = structure.chain(contents.into_iter().map(|block| (block, Kind::Contents))).collect();
            let recorded = Recorded { name: String::new(), on, order };
            let profile = store_packs(&store, &mut manifest, &file, &recorded).expect("packs");
            assert_eq!((profile.blocks, profile.packs), (recorded.order.len() as u64, packs));
        }
        for pack in &manifest.packs {
            assert!(scratch.path().join(disk::directory::chunk_path(&pack.digest)).exists());
        }
        let mut disk = Disk::new(&manifest, store.source());
        let mut read = |offset: u64| {
            let mut bytes = [0; 1000];
            disk.read(offset, &mut bytes).expect("read");
            assert_eq!(bytes[..], image[offset as usize..][..1000], "{offset}");
            disk.stats().requests
        };
        let requests = [0, 3 * 4096, 400 * 4096 + 5, 488 * 4096, 77 * 4096, 7 * 4096, 8 * 4096].map(&mut read);
        assert_eq!(requests, [2, 2, 2, 2, 3, 4, 4], "the boot's packs, a chunk, the program's pack");
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
