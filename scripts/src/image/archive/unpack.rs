//! Layers and archives that are compressed: unpacked to files without names, zeros left out, and not without end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::image::section::{Reader, Section};

/// Bytes that all layers of an image may have together when unpacked: three images of the largest size that is tested. A
/// gigabyte of gzip can be a terabyte.
pub const UNPACKED_BYTES_MAX: u64 = 64 << 30;
/// Unpacked at a time.
const BUFFER_BYTES: usize = 128 << 10;

/// Unpacks what an image has compressed, into `scratch`.
pub struct Unpacker<'a> {
    scratch: &'a Path,
    /// What may still be unpacked.
    left_bytes: u64,
}

impl<'a> Unpacker<'a> {
    pub fn new(scratch: &'a Path, limit_bytes: u64) -> Self {
        Unpacker { scratch, left_bytes: limit_bytes }
    }

    /// `section` as it is, or unpacked if it is compressed with gzip or zstd.
    pub fn unpacked(&mut self, section: Section) -> Result<Section> {
        let mut magic = [0; 4];
        section.start(&mut magic)?;
        let source = || BufReader::with_capacity(BUFFER_BYTES, section.reader());
        match magic {
            // Of several members, as parallel and seekable compressors write them.
            [0x1f, 0x8b, ..] => self.copy(MultiGzDecoder::new(source())),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => self.copy(ZstdFrames::new(source())),
            _ => Ok(section),
        }
    }

    fn copy(&mut self, mut from: impl Read) -> Result<Section> {
        let mut to = tempfile::tempfile_in(self.scratch)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let len = read_full(&mut from, &mut buffer).context("unpacking")?;
            self.left_bytes = match self.left_bytes.checked_sub(len as u64) {
                Some(left) => left,
                None => bail!("the image unpacks to more than {} GiB", UNPACKED_BYTES_MAX >> 30),
            };
            write_sparsely(&mut to, &buffer[..len])?;
            if len < buffer.len() {
                break;
            }
        }
        // Zeros at the end were not written.
        let len = to.stream_position()?;
        to.set_len(len)?;
        Ok(Section::of_file(to)?)
    }
}

/// Reads until the buffer is full or there is no more.
fn read_full(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Leaves out zeros, which the host's file system then need not store.
fn write_sparsely(to: &mut File, bytes: &[u8]) -> io::Result<()> {
    if bytes.iter().all(|byte| *byte == 0) {
        return to.seek(SeekFrom::Current(bytes.len() as i64)).map(drop);
    }
    to.write_all(bytes)
}

/// All frames of a zstd file (RFC 8878, section 3), the skippable ones left out.
struct ZstdFrames {
    source: BufReader<Reader>,
    decoder: FrameDecoder,
}

impl ZstdFrames {
    fn new(source: BufReader<Reader>) -> Self {
        ZstdFrames { source, decoder: FrameDecoder::new() }
    }

    /// Begins the next frame; `false` at the end of the file.
    fn next_frame(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.decoder.reset(&mut self.source) {
            Ok(()) => Ok(true),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let mut skipped = (&mut self.source).take(length.into());
                match io::copy(&mut skipped, &mut io::sink())? == u64::from(length) {
                    true => Ok(true),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

impl Read for ZstdFrames {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 {
            if self.decoder.is_finished() {
                if !self.next_frame()? {
                    return Ok(0);
                }
                continue;
            }
            let decoded = self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
            decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        self.decoder.read(to)
    }
}
