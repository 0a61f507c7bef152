//! What the host lends the machine when it runs natively, in a shell.
//!
//! | module | subject |
//! |---|---|
//! | [`hostdir`] | a directory of the host as a file system of the guest |

#[cfg(target_os = "linux")]
pub mod hostdir;
