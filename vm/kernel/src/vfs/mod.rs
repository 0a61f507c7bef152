//! The virtual file system: paths, mounts, permissions, over file systems that know only inodes.
//!
//! | module | subject |
//! |---|---|
//! | [`filesystem`] | the trait each file system implements |

pub mod filesystem;

pub use filesystem::*;
