//! A raw image in a file, read as needed, written in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use disk::overlay::{BLOCK_BYTES, OVERLAY_BYTES_MAX, Overlay};
use disk::{BlockDevice, BlockError};

/// Bytes of a disk written to a file at a time: those of a chunk, so that each is looked up once.
const WRITE_BYTES: usize = 128 << 10;

/// The file and what the guest has written over it.
pub struct RawDisk {
    file: File,
    size_bytes: u64,
    overlay: Overlay,
}

impl RawDisk {
    /// Opens an image. The file is never written.
    ///
    /// # Errors
    /// The host's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size_bytes = file.metadata()?.len();
        Ok(Self { file, size_bytes, overlay: Overlay::new(OVERLAY_BYTES_MAX) })
    }

    fn check(&self, offset: u64, len: usize) -> Result<(), BlockError> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.size_bytes => Ok(()),
            _ => Err(BlockError::Failed(format!("{len} bytes at {offset} lie past the disk's end"))),
        }
    }

    /// Fills `to` from the file; past its end there are zeros.
    fn read_file(&self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        let within = self.size_bytes.saturating_sub(offset).min(to.len() as u64) as usize;
        to[within..].fill(0);
        let failed = |error: io::Error| BlockError::Failed(format!("reading the image: {error}"));
        self.file.read_exact_at(&mut to[..within], offset).map_err(failed)
    }
}

/// The parts of a byte range that lie in one block each: block, offset in it, range of the buffer.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let block_bytes = BLOCK_BYTES as u64;
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let (block, within) = (at / block_bytes, (at % block_bytes) as usize);
        let step = (BLOCK_BYTES - within).min(len - done);
        done += step;
        (step > 0).then(|| (block, within, done - step..done))
    })
}

impl BlockDevice for RawDisk {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        self.check(offset, to.len())?;
        self.read_file(offset, to)?;
        for (block, within, range) in pieces(offset, to.len()) {
            if let Some(written) = self.overlay.get(block) {
                let len = range.len();
                to[range].copy_from_slice(&written[within..within + len]);
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), BlockError> {
        self.check(offset, from.len())?;
        if from.is_empty() {
            return Ok(());
        }
        let block_bytes = BLOCK_BYTES as u64;
        let last = (offset + from.len() as u64 - 1) / block_bytes;
        if !self.overlay.has_room_for(offset / block_bytes..=last) {
            return Err(BlockError::Full);
        }
        for (block, within, range) in pieces(offset, from.len()) {
            if !self.overlay.contains(block) {
                let mut old = [0; BLOCK_BYTES];
                self.read_file(block * block_bytes, &mut old)?;
                *self.overlay.block_mut(block) = old;
            }
            let len = range.len();
            self.overlay.block_mut(block)[within..within + len].copy_from_slice(&from[range]);
        }
        Ok(())
    }
}

/// Writes a disk to an empty file as a raw image, with holes where it has nothing but zeros.
///
/// # Errors
/// The host's, and what of the disk can't be had.
pub fn write(disk: &mut dyn BlockDevice, file: &File) -> io::Result<()> {
    let size_bytes = disk.size_bytes();
    file.set_len(size_bytes)?;
    let mut piece = vec![0; WRITE_BYTES];
    for offset in (0..size_bytes).step_by(WRITE_BYTES) {
        let len = (size_bytes - offset).min(WRITE_BYTES as u64) as usize;
        disk.read(offset, &mut piece[..len]).map_err(io::Error::other)?;
        for (index, block) in piece[..len].chunks(BLOCK_BYTES).enumerate() {
            if block.iter().any(|byte| *byte != 0) {
                file.write_all_at(block, offset + (index * BLOCK_BYTES) as u64)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn writes_stay_in_memory_and_are_read_back() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[1; 10_000]).unwrap();
        let mut disk = RawDisk::open(file.path()).unwrap();
        disk.write(4090, &[2; 12]).unwrap();
        let mut bytes = [0; 20];
        disk.read(4086, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1]);
        assert!(std::fs::read(file.path()).unwrap().iter().all(|byte| *byte == 1));
        assert!(disk.read(9_990, &mut bytes).is_err());
    }

    #[test]
    fn a_disk_becomes_a_file() {
        let mut image = vec![0; 3 * WRITE_BYTES + 100];
        image[WRITE_BYTES - 1..WRITE_BYTES + 5000].fill(1);
        image[3 * WRITE_BYTES + 99] = 2;
        let file = tempfile::NamedTempFile::new().unwrap();
        write(&mut image, file.as_file()).unwrap();
        assert!(std::fs::read(file.path()).unwrap() == image);
    }
}
