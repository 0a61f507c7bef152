//! The Linux kernel layer: answers the system calls of guest programs.
//!
//! | module | subject |
//! |---|---|
//! | [`credentials`] | on whose behalf a task acts |
//! | [`fs`] | file systems |
//! | [`stop`] | why an operation has no result yet: an errno, or something to wait for |
//! | [`vfs`] | paths, mounts, permissions |

pub mod credentials;
pub mod fs;
pub mod stop;
pub mod vfs;
