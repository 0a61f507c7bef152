//! A storage for tests: objects in memory, and faults on demand.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::task::Poll;

use disk::codec::{self, Quality};
use disk::index::IndexBuilder;
use disk::{ChunkDigest, ImageConfig, Layout, Manifest};
use futures_util::future;

use super::{Content, Failure, Fetched, Key, Meta, Object, Storage};

/// Objects by key.
#[derive(Default)]
pub struct Memory {
    /// What is stored.
    pub objects: RefCell<HashMap<String, Vec<u8>>>,
    /// When it was stored.
    pub modified: Option<std::time::SystemTime>,
    /// Requests that succeed until all others fail.
    pub answers_left: Cell<Option<usize>>,
    /// Keys asked for so far.
    pub asked: RefCell<Vec<String>>,
}

impl Memory {
    /// A storage with the image `name` cut into chunks of 4 KiB.
    pub fn with_image(name: &str, image: &[u8]) -> Self {
        let memory = Memory::default();
        let layout = Layout::new(image.len() as u64, 4096).expect("layout");
        let mut index = IndexBuilder::new(layout);
        for chunk in image.chunks(4096) {
            let digest = ChunkDigest::of(chunk);
            memory.put_chunk(chunk);
            if let Some(leaf) = index.push(digest) {
                memory.put_chunk(&leaf.bytes);
            }
        }
        let root = index.finish();
        memory.put_chunk(&root.bytes);
        memory.put_manifest(
            name,
            &Manifest { layout, index_root: root.digest, config: ImageConfig::default(), packs: Vec::new() },
        );
        memory
    }

    /// Stores a chunk, unless it is zero.
    pub fn put_chunk(&self, bytes: &[u8]) {
        let digest = ChunkDigest::of(bytes);
        if !digest.is_zero() {
            self.put(Key::Chunk(&digest), codec::encode(bytes, Quality::QUICK));
        }
    }

    /// Stores a manifest.
    pub fn put_manifest(&self, name: &str, manifest: &Manifest) {
        self.put(Key::Manifest(name), manifest.to_json().into_bytes());
    }

    /// Stores anything.
    pub fn put(&self, key: Key<'_>, bytes: Vec<u8>) {
        self.objects.borrow_mut().insert(key.to_string(), bytes);
    }

    fn find(&self, key: Key<'_>) -> Result<Option<Object>, Failure> {
        self.asked.borrow_mut().push(key.to_string());
        if let Some(left) = self.answers_left.get() {
            self.answers_left.set(Some(left.checked_sub(1).ok_or(Failure("on purpose".into()))?));
        }
        let bytes = self.objects.borrow().get(&key.to_string()).cloned();
        Ok(bytes.map(|bytes| Object {
            meta: Meta { size_bytes: Some(bytes.len() as u64), modified: self.modified },
            content: Content::Bytes(bytes),
        }))
    }
}

/// Lets others run first: no storage answers at once.
async fn later() {
    let mut is_late = false;
    future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut is_late, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

impl Storage for Memory {
    fn get<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Object> {
        Box::pin(async move {
            later().await;
            self.find(key)
        })
    }

    fn head<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Meta> {
        Box::pin(async move {
            later().await;
            Ok(self.find(key)?.map(|object| object.meta))
        })
    }
}
