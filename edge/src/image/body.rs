//! An image's body, piece by piece as it is sent.
//!
//! Index pages are read one after the other, chunks a few at a time, in order, and none before there is room for it:
//! whoever takes pieces slowly makes the storage be asked slowly.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use disk::index::{self, IndexPage};
use disk::layout::LEAF_CHUNKS;
use disk::{ChunkDigest, Layout, Manifest};
use futures_util::future::{FutureExt, LocalBoxFuture, Shared};
use futures_util::stream::{self, LocalBoxStream, StreamExt, TryStreamExt};

use super::opened::Memory;
use super::plan::Segment;
use crate::refusal::Refusal;
use crate::storage::Storage;

/// Chunks fetched at a time for one request: a Worker may have six connections open, and two requests of one client
/// share an isolate. Bounds what a request holds in memory, a megabyte each at the largest chunk size.
const FETCHES_MAX: usize = 4;

/// Part of a body, ready to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// What separates parts.
    Text(String),
    /// That many zeros.
    Zeros(u64),
    /// Bytes of a chunk.
    Bytes(Rc<[u8]>, Range<usize>),
}

/// A body: it ends after its last piece or with the first refusal.
pub type Pieces = LocalBoxStream<'static, Result<Piece, Refusal>>;

/// The body that consists of `segments` of an image.
#[must_use]
pub fn pieces(storage: Rc<dyn Storage>, memory: Rc<Memory>, manifest: &Manifest, segments: Vec<Segment>) -> Pieces {
    let reader = Rc::new(Reader {
        storage,
        memory,
        layout: manifest.layout,
        index_root: manifest.index_root,
        under_way: RefCell::default(),
    });
    let walk = Walk { reader: Rc::clone(&reader), segments: segments.into(), leaf: None };
    let steps = stream::try_unfold(walk, |mut walk| async { Ok(walk.next().await?.map(|step| (step, walk))) });
    steps.map_ok(move |step| Rc::clone(&reader).take(step)).try_buffered(FETCHES_MAX).boxed_local()
}

/// What comes next, not yet fetched.
enum Step {
    Ready(Piece),
    Fetch { digest: ChunkDigest, len: usize, range: Range<usize> },
}

/// A chunk's content, fetched once for all who wait for it.
type Awaited = Shared<LocalBoxFuture<'static, Result<Option<Rc<[u8]>>, Refusal>>>;

struct Reader {
    storage: Rc<dyn Storage>,
    memory: Rc<Memory>,
    layout: Layout,
    index_root: ChunkDigest,
    /// Chunks being fetched, by digest and length: ranges close to each other want the same one. Not shared with other
    /// requests: the platform cancels a request's fetches with it.
    under_way: RefCell<HashMap<(ChunkDigest, usize), Awaited>>,
}

impl Reader {
    async fn take(self: Rc<Self>, step: Step) -> Result<Piece, Refusal> {
        match step {
            Step::Ready(piece) => Ok(piece),
            Step::Fetch { digest, len, range } => Ok(match self.fetch(digest, len).await? {
                Some(bytes) => Piece::Bytes(bytes, range),
                None => Piece::Zeros((range.end - range.start) as u64),
            }),
        }
    }

    async fn fetch(&self, digest: ChunkDigest, len: usize) -> Result<Option<Rc<[u8]>>, Refusal> {
        let awaited = self.under_way.borrow().get(&(digest, len)).cloned();
        let awaited = awaited.unwrap_or_else(|| {
            let (storage, memory) = (Rc::clone(&self.storage), Rc::clone(&self.memory));
            let fetch = async move { memory.content(&*storage, &digest, len).await };
            let awaited = fetch.boxed_local().shared();
            self.under_way.borrow_mut().insert((digest, len), awaited.clone());
            awaited
        });
        let outcome = awaited.await;
        self.under_way.borrow_mut().remove(&(digest, len));
        outcome
    }

    async fn page(&self, digest: ChunkDigest, entries: usize) -> Result<Option<IndexPage>, Refusal> {
        let len = entries.saturating_mul(disk::digest::DIGEST_BYTES);
        let bytes = self.memory.content(&*self.storage, &digest, len).await?;
        Ok(bytes.and_then(|bytes| IndexPage::new(bytes, entries)))
    }

    /// Leaf page `leaf`; `None` if all its chunks are zero.
    async fn leaf(&self, leaf: u64) -> Result<Option<IndexPage>, Refusal> {
        let root = self.page(self.index_root, self.layout.leaf_count() as usize).await?;
        let digest = root.and_then(|root| root.digest(leaf as usize)).unwrap_or(ChunkDigest::ZERO);
        self.page(digest, self.layout.leaf_len(leaf)).await
    }
}

/// Goes through a body's segments and along the index.
struct Walk {
    reader: Rc<Reader>,
    segments: VecDeque<Segment>,
    /// The leaf page it is in.
    leaf: Option<(u64, Option<IndexPage>)>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Step>, Refusal> {
        while let Some(segment) = self.segments.pop_front() {
            match segment {
                Segment::Text(text) => return Ok(Some(Step::Ready(Piece::Text(text)))),
                Segment::Image(range) if range.is_empty() => {}
                Segment::Image(range) => {
                    let (step, len) = self.step(&range).await?;
                    self.segments.push_front(Segment::Image(range.start + len..range.end));
                    return Ok(Some(step));
                }
            }
        }
        Ok(None)
    }

    /// The first step into a range that is not empty, and how many bytes it goes: to the end of the chunk, or of all
    /// the zeros that the leaf page shows.
    async fn step(&mut self, range: &Range<u64>) -> Result<(Step, u64), Refusal> {
        let layout = self.reader.layout;
        let (first, offset) = layout.locate(range.start);
        let (leaf, _) = index::place_of(first);
        if self.leaf.as_ref().is_none_or(|(current, _)| *current != leaf) {
            self.leaf = Some((leaf, self.reader.leaf(leaf).await?));
        }
        let page = self.leaf.as_ref().and_then(|(_, page)| page.as_ref());
        let digest_of =
            |chunk| page.and_then(|page| page.digest(index::place_of(chunk).1)).unwrap_or(ChunkDigest::ZERO);
        let end_of = |chunk: u64| ((chunk + 1) * u64::from(layout.chunk_bytes())).min(range.end);
        let digest = digest_of(first);
        if !digest.is_zero() {
            let len = end_of(first) - range.start;
            let in_chunk = offset..offset + len as usize;
            return Ok((Step::Fetch { digest, len: layout.chunk_len(first), range: in_chunk }, len));
        }
        let end_of_leaf = (leaf + 1).saturating_mul(LEAF_CHUNKS);
        let mut chunk = first + 1;
        if page.is_none() {
            chunk = end_of_leaf;
        }
        while chunk < end_of_leaf && end_of(chunk - 1) < range.end && digest_of(chunk).is_zero() {
            chunk += 1;
        }
        let len = end_of(chunk - 1) - range.start;
        Ok((Step::Ready(Piece::Zeros(len)), len))
    }
}
