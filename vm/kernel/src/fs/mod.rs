//! File systems.
//!
//! | module | subject |
//! |---|---|
//! | [`ext2`] | the file system on the disk |
//! | [`tmpfs`] | files in memory: /dev, /dev/shm, memfd |
//! | [`procfs`] | processes and the machine as files |
//! | [`devpts`] | /dev/pts |
//! | [`mqueue`] | POSIX message queues as files |
//! | [`sysfs`] | the little of /sys that programs look for |
//! | [`standard`] | what every machine mounts |

pub mod devpts;
pub mod ext2;
pub mod mqueue;
pub mod procfs;
pub mod standard;
pub mod sysfs;
pub mod tmpfs;

pub use standard::{mount, mount_standard};
