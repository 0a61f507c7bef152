//! File systems.
//!
//! | module | subject |
//! |---|---|
//! | [`tmpfs`] | files in memory: /dev, /run, /dev/shm, memfd |

pub mod tmpfs;
