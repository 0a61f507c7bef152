//! The disk: an ext2 image cut into content-addressed, compressed chunks, read on demand.
//!
//! The same code serves the engine (which reads), the tool (which writes) and the Worker (which hands out). Nothing
//! here does I/O but [`directory`], which only exists natively; bytes come through [`ChunkSource`] and go to the
//! file system through [`BlockDevice`].
//!
//! | module | subject |
//! |---|---|
//! | [`device`] | `BlockDevice`, what a file system needs |
//! | [`digest`] | `ChunkDigest`, the name of a chunk |
//! | [`layout`] | `Layout`, the arithmetic of image, chunks and pages; the format's limits |
//! | [`index`] | the two-level index, read and built |
//! | [`manifest`] | the JSON that names an image's index and says how to run it |
//! | [`codec`] | brotli, bounded |
//! | [`source`] | `ChunkSource`, where chunks come from |
//! | [`cache`] | decoded chunks in memory |
//! | [`overlay`] | what the guest wrote |
//! | [`pack`] | boot packs: what a start reads, in a few objects |
//! | [`packs`] | which packs a disk has asked for and got |
//! | [`runs`] | lists of numbers, as a manifest has them |
//! | [`readahead`] | guessing the next chunks |
//! | [`disk`] | `Disk`, all of it together |
//! | [`directory`] | a store of chunks in a directory (native) |

pub mod cache;
pub mod codec;
pub mod device;
pub mod digest;
#[cfg(not(target_arch = "wasm32"))]
pub mod directory;
#[allow(clippy::module_inception, reason = "the crate's subject and its main type share the name")]
pub mod disk;
pub mod index;
pub mod layout;
pub mod manifest;
pub mod overlay;
pub mod pack;
pub mod packs;
pub mod readahead;
pub mod runs;
pub mod source;

pub use codec::Encoding;
pub use device::{BlockDevice, BlockError};
pub use digest::ChunkDigest;
#[cfg(not(target_arch = "wasm32"))]
pub use directory::DirectorySource;
pub use disk::{Disk, DiskStats};
pub use layout::Layout;
pub use manifest::{ImageConfig, Manifest, ManifestError};
pub use pack::Pack;
pub use runs::Runs;
pub use source::{ChunkSource, Damage, Delivery, Fetch, FetchError};
