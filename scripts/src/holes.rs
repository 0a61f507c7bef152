//! Files with holes: stretches of zeros that the host's file system does not store, so that nobody need read them.

use std::os::fd::AsFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Whether nothing is stored of the `len` bytes from `offset` on. Moves the file's position.
pub fn is_hole(file: impl AsFd, offset: u64, len: u64) -> bool {
    match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(data) => data >= offset.saturating_add(len),
        // No data up to the end; whoever reads there has looked at the length before. Anything else: a file system
        // without holes.
        Err(error) => error == Errno::NXIO,
    }
}
