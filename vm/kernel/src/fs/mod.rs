//! File systems.
//!
//! | module | subject |
//! |---|---|
//! | [`ext2`] | the file system on the disk |
//! | [`tmpfs`] | files in memory: /dev, /run, /dev/shm, memfd |

pub mod ext2;
pub mod tmpfs;
