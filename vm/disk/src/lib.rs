//! The disk: an ext2 image cut into content-addressed, compressed chunks, read on demand.
//!
//! | module | subject |
//! |---|---|
//! | [`device`] | `BlockDevice`, what a file system needs |

pub mod device;

pub use device::{BlockDevice, BlockError};
