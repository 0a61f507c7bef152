//! A server of chunks, and images on it.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use disk::codec::{self, Quality};
use disk::index::IndexBuilder;
use disk::overlay::BLOCK_BYTES;
use disk::pack::Part;
use disk::{
    BlockDevice, BlockError, ChunkDigest, ChunkSource, Delivery, Disk, Encoding, Fetch, FetchError, ImageConfig,
    Layout, Manifest, Pack, Runs,
};

/// Bytes of an image that ends in the middle of a block.
pub const SIZE: usize = 50 * 4096 + 123;

/// What the source does with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    AtOnce,
    Later,
    Unreachable,
}

/// A server: objects, and damage done to them on the way.
#[derive(Default)]
pub struct Server {
    pub objects: HashMap<ChunkDigest, Vec<u8>>,
    /// Delivered instead of the object: always, or only by a cache on the way.
    pub stale: HashMap<ChunkDigest, Vec<u8>>,
    pub requests: Vec<(ChunkDigest, bool)>,
    pub mode: Option<Mode>,
}

impl Server {
    pub fn answer(&self, digest: &ChunkDigest, refetch: bool) -> Result<Delivery, FetchError> {
        let stale = if refetch { None } else { self.stale.get(digest) };
        let bytes = stale.or_else(|| self.objects.get(digest)).cloned();
        let bytes = bytes.ok_or_else(|| FetchError::Missing("404".into()))?;
        Ok(Delivery { encoding: Some(Encoding::Brotli), bytes })
    }
}

#[derive(Clone, Default)]
pub struct Source(pub Rc<RefCell<Server>>);

impl ChunkSource for Source {
    fn fetch(&mut self, digest: &ChunkDigest, refetch: bool) -> Fetch {
        let mut server = self.0.borrow_mut();
        server.requests.push((*digest, refetch));
        match server.mode {
            Some(Mode::Later) => Fetch::Started,
            Some(Mode::Unreachable) => Fetch::Done(Err(FetchError::Unreachable("no network".into()))),
            _ => Fetch::Done(server.answer(digest, refetch)),
        }
    }
}

impl Source {
    /// Delivers everything the disk waits for, until it asks for nothing more.
    pub fn deliver_all(&self, disk: &mut Disk<Source>) {
        loop {
            let requests = std::mem::take(&mut self.0.borrow_mut().requests);
            if requests.is_empty() {
                return;
            }
            for (digest, refetch) in requests {
                let answer = self.0.borrow().answer(&digest, refetch);
                disk.arrived(&digest, answer);
            }
        }
    }

    pub fn requests(&self) -> usize {
        self.0.borrow().requests.len()
    }
}

/// Packs an image for a server of its own.
pub fn pack(image: &[u8], chunk_bytes: u32) -> (Manifest, Source) {
    let layout = Layout::new(image.len() as u64, chunk_bytes).expect("layout");
    let source = Source::default();
    let store = |digest: ChunkDigest, bytes: &[u8]| {
        if !digest.is_zero() {
            source.0.borrow_mut().objects.insert(digest, codec::encode(bytes, Quality::QUICK));
        }
    };
    let mut index = IndexBuilder::new(layout);
    for chunk in image.chunks(chunk_bytes as usize) {
        let digest = ChunkDigest::of(chunk);
        store(digest, chunk);
        if let Some(leaf) = index.push(digest) {
            store(leaf.digest, &leaf.bytes);
        }
    }
    let root = index.finish();
    store(root.digest, &root.bytes);
    (Manifest { layout, index_root: root.digest, config: ImageConfig::default(), packs: Vec::new() }, source)
}

/// An image with zero stretches, so that chunks, repeats and holes all occur.
pub fn image(len: usize) -> Vec<u8> {
    (0..len).map(|at| if at / 10_000 % 3 == 1 { 0 } else { (at * 31 / 7 % 251) as u8 }).collect()
}

pub fn read(disk: &mut Disk<Source>, offset: u64, len: usize) -> Result<Vec<u8>, BlockError> {
    let mut bytes = vec![0xaa; len];
    disk.read(offset, &mut bytes).map(|()| bytes)
}

/// Adds a boot pack with these blocks, and all pages of the index if it is to have them; but none of zeros,
/// and none twice.
pub fn add_boot_pack(manifest: &mut Manifest, source: &Source, image: &[u8], blocks: Runs, has_index: bool) {
    add_pack(manifest, source, image, (None, blocks), has_index);
}

/// Adds a pack that is fetched `on` reading a block.
pub fn add_pack(
    manifest: &mut Manifest,
    source: &Source,
    image: &[u8],
    (on, blocks): (Option<u64>, Runs),
    has_index: bool,
) {
    let content = |digest: ChunkDigest, to: &mut [u8]| {
        let delivery = source.0.borrow().answer(&digest, false).expect("an index page");
        to.copy_from_slice(&delivery.open(&digest, to.len()).expect("right"));
    };
    let layout = manifest.layout;
    let mut root = vec![0; Part::Root.len_bytes(layout) as usize];
    content(manifest.index_root, &mut root);
    let root = disk::index::IndexPage::new(root.into(), layout.leaf_count() as usize).expect("a root page");
    let index = has_index.then(|| Runs::of(0..layout.leaf_count()));
    let built = Pack { digest: ChunkDigest::ZERO, on, index, blocks }.build(layout, |part, to| {
        match part {
            Part::Root => content(manifest.index_root, to),
            Part::Leaf(leaf) => content(root.digest(*leaf as usize).expect("listed"), to),
            Part::Blocks(blocks) => {
                let start = blocks.start as usize * BLOCK_BYTES;
                to.copy_from_slice(&image[start..start + to.len()]);
            }
        }
        Ok::<(), ()>(())
    });
    let (pack, bytes) = built.expect("nothing can fail");
    if pack.digest.is_zero() || manifest.packs.iter().any(|other| other.digest == pack.digest) {
        return;
    }
    source.0.borrow_mut().objects.insert(pack.digest, codec::encode(&bytes, Quality::QUICK));
    manifest.packs.push(pack);
}
