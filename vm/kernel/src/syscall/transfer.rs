//! From file to file without a detour through the program: `sendfile`, `copy_file_range`, `splice`.

use std::rc::Rc;

use abi::file::RW_COUNT_MAX;
use abi::inotify::{IN_ACCESS, IN_MODIFY};
use abi::{Errno, Layout};

use super::buffers::goes_on;
use super::rw::{Place, readable, unless_nonblocking, writable};
use crate::files::OpenFile;
use crate::files::pipe::PipeEnd;
use crate::kernel::Kernel;
use crate::stop::{Outcome, Stop};
use crate::task::Task;
use crate::vfs::FileKind;

/// Bytes moved in one go.
const PIECE_BYTES: usize = 64 * 1024;
const SPLICE_F_NONBLOCK: u32 = 2;

/// One side of a transfer: a file, and an offset in the program's memory if not the file's position.
struct Side {
    file: Rc<OpenFile>,
    offset_addr: u64,
    /// What is at that address: how long an offset is.
    layout: Layout,
}

impl Side {
    /// With an offset of 64 bits, or none.
    fn new(file: Rc<OpenFile>, offset_addr: u64) -> Self {
        Self { file, offset_addr, layout: Layout::X86_64 }
    }

    fn place(&self, t: &Rc<Task>) -> Outcome<Place> {
        match self.offset_addr {
            0 => Ok(Place::Position),
            addr => {
                let bytes = t.struct_arg(addr, self.layout.word_bytes)?;
                super::rw::place_at(&self.file, self.layout.reader(&bytes).long())
            }
        }
    }

    /// Where it starts.
    fn start(&self, t: &Rc<Task>) -> Outcome<u64> {
        Ok(match self.place(t)? {
            Place::At(offset) => offset,
            _ => self.file.position.get(),
        })
    }

    /// Notes how far it has come.
    fn advance(&self, t: &Rc<Task>, from: u64, bytes: usize) -> Outcome<()> {
        let next = from.saturating_add(bytes as u64);
        match self.offset_addr {
            0 if self.file.object.is_seekable() => self.file.position.set(next),
            0 => {}
            addr => t.mm()?.write_user(addr, &self.layout.writer().word(next).finish())?,
        }
        Ok(())
    }
}

pub(super) fn sendfile(k: &mut Kernel, t: &Rc<Task>, out: i32, input: i32, offset: u64, len: usize) -> Outcome<u64> {
    let from = Side { layout: t.layout(), ..Side::new(readable(t, input)?, offset) };
    sendfile_from(k, t, out, &from, len)
}

/// The same with a 64-bit offset.
pub(super) fn sendfile64(k: &mut Kernel, t: &Rc<Task>, out: i32, input: i32, offset: u64, len: usize) -> Outcome<u64> {
    let from = Side::new(readable(t, input)?, offset);
    sendfile_from(k, t, out, &from, len)
}

fn sendfile_from(k: &mut Kernel, t: &Rc<Task>, out: i32, from: &Side, len: usize) -> Outcome<u64> {
    let to = Side::new(writable(t, out)?, 0);
    if !from.file.object.is_seekable() {
        return Err(Errno::EINVAL.into());
    }
    transfer(k, t, from, &to, len)
}

pub(super) fn copy_file_range(
    k: &mut Kernel,
    t: &Rc<Task>,
    input: i32,
    offset_in: u64,
    out: i32,
    offset_out: u64,
    len: usize,
    flags: u32,
) -> Outcome<u64> {
    let from = Side::new(readable(t, input)?, offset_in);
    let to = Side::new(writable(t, out)?, offset_out);
    let kinds = [from.file.location.kind(), to.file.location.kind()];
    if kinds.contains(&FileKind::Directory) {
        return Err(Errno::EISDIR.into());
    }
    if flags != 0 || kinds != [FileKind::Regular; 2] {
        return Err(Errno::EINVAL.into());
    }
    if to.file.appends() {
        return Err(Errno::EBADF.into());
    }
    let (start, target) = (from.start(t)?, to.start(t)?);
    let overlaps = target < start.saturating_add(len as u64) && start < target.saturating_add(len as u64);
    if from.file.location.same_file(&to.file.location) && overlaps {
        return Err(Errno::EINVAL.into());
    }
    transfer(k, t, &from, &to, len)
}

pub(super) fn splice(
    k: &mut Kernel,
    t: &Rc<Task>,
    input: i32,
    offset_in: u64,
    out: i32,
    offset_out: u64,
    len: usize,
    flags: u32,
) -> Outcome<u64> {
    let from = Side::new(readable(t, input)?, offset_in);
    let to = Side::new(writable(t, out)?, offset_out);
    let is_pipe = |side: &Side| side.file.object_as::<PipeEnd>().is_some();
    if !is_pipe(&from) && !is_pipe(&to) {
        return Err(Errno::EINVAL.into());
    }
    if [&from, &to].iter().any(|side| is_pipe(side) && side.offset_addr != 0) {
        return Err(Errno::ESPIPE.into());
    }
    unless_told(flags, transfer(k, t, &from, &to, len.min(PIECE_BYTES)))
}

/// Flags of `tee` and `vmsplice`: those of `splice`.
const SPLICE_FLAGS: u32 = 0xf;

/// A wait becomes `EAGAIN` for a call that must not wait.
fn unless_told<T>(flags: u32, outcome: Outcome<T>) -> Outcome<T> {
    match outcome {
        Err(Stop::Wait(crate::stop::Wait::On(_))) if flags & SPLICE_F_NONBLOCK != 0 => Err(Errno::EAGAIN.into()),
        outcome => outcome,
    }
}

pub(super) fn tee(k: &mut Kernel, t: &Rc<Task>, input: i32, out: i32, len: usize, flags: u32) -> Outcome<u64> {
    if flags & !SPLICE_FLAGS != 0 {
        return Err(Errno::EINVAL.into());
    }
    if len == 0 {
        return Ok(0);
    }
    let (from, to) = (readable(t, input)?, writable(t, out)?);
    let (source, sink) = (from.object_as::<PipeEnd>(), to.object_as::<PipeEnd>());
    let (Some(source), Some(sink)) = (source, sink) else { return Err(Errno::EINVAL.into()) };
    if Rc::ptr_eq(&source.pipe, &sink.pipe) {
        return Err(Errno::EINVAL.into());
    }
    let bytes = unless_told(flags, unless_nonblocking(&from, source.pipe.peek(len.min(PIECE_BYTES))))?;
    if bytes.is_empty() {
        return Ok(0);
    }
    let written = unless_nonblocking(&to, sink.pipe.write_some(k, &bytes));
    unless_told(flags, written).map(|written| written as u64)
}

/// Between memory and a pipe; pages are copied, not given away.
pub(super) fn vmsplice(k: &mut Kernel, t: &Rc<Task>, fd: i32, iov: u64, count: usize, flags: u32) -> Outcome<u64> {
    if flags & !SPLICE_FLAGS != 0 {
        return Err(Errno::EINVAL.into());
    }
    let file = t.usable_file(fd)?;
    if file.object_as::<PipeEnd>().is_none() {
        return Err(Errno::EBADF.into());
    }
    let vector = t.vector_arg(iov, count)?;
    if vector.iter().all(|(_, len)| *len == 0) {
        return Ok(0);
    }
    let moved = match file.is_writable() {
        true => super::rw::write_vector(k, t, &file, &vector, Place::Position),
        false => super::rw::read_vector(k, t, &file, &vector, Place::Position),
    };
    unless_told(flags, moved)
}

/// Moves up to `len` bytes. What the receiver does not take goes back to where it came from, so the sender must be
/// seekable or the receiver is asked first.
fn transfer(k: &mut Kernel, t: &Rc<Task>, from: &Side, to: &Side, len: usize) -> Outcome<u64> {
    let len = len.min(RW_COUNT_MAX);
    let mut done = t.with_call(|call| call.done as usize);
    let mut buffer = vec![0; len.min(PIECE_BYTES)];
    while done < len {
        let piece = buffer.len().min(len - done);
        match move_piece(k, t, from, to, &mut buffer[..piece]) {
            Ok(0) => break,
            Ok(moved) => {
                done += moved;
                if done < len && !goes_on(k, t, done, moved)? {
                    break;
                }
            }
            Err(wait @ Stop::Wait(_)) => {
                // A stream that has given something has nothing more for now.
                if done > 0 && !from.file.object.is_seekable() {
                    break;
                }
                t.with_call(|call| call.done = done as u64);
                return Err(wait);
            }
            Err(_) if done > 0 => break,
            Err(stop) => return Err(stop),
        }
    }
    Ok(done as u64)
}

fn move_piece(k: &mut Kernel, t: &Rc<Task>, from: &Side, to: &Side, buffer: &mut [u8]) -> Outcome<usize> {
    let (source, target) = (from.place(t)?, to.place(t)?);
    let position = |side: &Side, place| if let Place::At(at) = place { at } else { side.file.position.get() };
    let (read_at, mut write_at) = (position(from, source), position(to, target));
    if to.file.appends() {
        write_at = to.file.location.attributes()?.size_bytes;
    }
    // Bytes that a stream gave in an earlier attempt and that were not taken.
    let stash = t.with_call(|call| std::mem::take(&mut call.stash));
    let (read, bytes) = if stash.is_empty() {
        let read = unless_nonblocking(&from.file, from.file.object.read(k, &from.file, read_at, buffer))?;
        (read, &buffer[..read])
    } else {
        (stash.len(), &stash[..])
    };
    let written = match unless_nonblocking(&to.file, to.file.object.write(k, &to.file, write_at, bytes)) {
        Ok(written) => written,
        Err(stop) => {
            match stop {
                Stop::Errno(_) => {
                    if let Some(end) = from.file.object_as::<PipeEnd>() {
                        end.pipe.unread(bytes);
                    }
                }
                Stop::Wait(_) if from.file.object.is_seekable() => {}
                Stop::Wait(_) => t.with_call(|call| call.stash = bytes.to_vec()),
            }
            return Err(stop);
        }
    };
    if !from.file.object.is_seekable() && written < read {
        t.with_call(|call| call.stash = bytes[written..].to_vec());
    }
    from.advance(t, read_at, written)?;
    to.advance(t, write_at, written)?;
    if written > 0 {
        from.file.location.notify(IN_ACCESS);
        to.file.location.notify(IN_MODIFY);
    }
    Ok(written)
}
