//! Reading and writing: `read`, `write` and their relatives.

use std::rc::Rc;

use abi::Errno;
use abi::file::{O_APPEND, O_LARGEFILE, RW_COUNT_MAX, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET};
use abi::inotify::{IN_ACCESS, IN_MODIFY};
use abi::process::RLIMIT_FSIZE;
use abi::signal::{SIGPIPE, SIGXFSZ};
use memory::PAGE_SIZE;

use super::buffers::{check_addresses, gather, gather_some, goes_on, scatter, scatter_some};
use crate::files::OpenFile;
use crate::files::device::Device;
use crate::files::open::SMALL_FILE_BYTES_MAX;
use crate::files::pipe::{Pipe, PipeEnd};
use crate::kernel::Kernel;
use crate::net::file::SocketFile;
use crate::signal::SigInfo;
use crate::stop::{Outcome, Stop, Wait};
use crate::task::Task;
use crate::vfs::FileKind;

/// Bytes moved in one go: bounds our own buffers.
const PIECE_BYTES: usize = 256 * 1024;

/// Where in the file an operation takes place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At its position, which moves on.
    Position,
    /// There, and the position stays.
    At(u64),
    /// Behind its end (`RWF_APPEND`).
    End {
        /// Whether the position goes there, too.
        moves: bool,
    },
}

impl Place {
    fn moves_position(self) -> bool {
        matches!(self, Place::Position | Place::End { moves: true })
    }
}

pub(super) fn read(k: &mut Kernel, t: &Rc<Task>, fd: i32, buf: u64, len: usize) -> Outcome<u64> {
    let file = readable(t, fd)?;
    read_vector(k, t, &file, &[(buf, len.min(RW_COUNT_MAX))], Place::Position)
}

pub(super) fn write(k: &mut Kernel, t: &Rc<Task>, fd: i32, buf: u64, len: usize) -> Outcome<u64> {
    let file = writable(t, fd)?;
    write_vector(k, t, &file, &[(buf, len.min(RW_COUNT_MAX))], Place::Position)
}

pub(super) fn pread64(k: &mut Kernel, t: &Rc<Task>, fd: i32, buf: u64, len: usize, offset: i64) -> Outcome<u64> {
    let file = readable(t, fd)?;
    let place = place_at(&file, offset)?;
    read_vector(k, t, &file, &[(buf, len.min(RW_COUNT_MAX))], place)
}

pub(super) fn pwrite64(k: &mut Kernel, t: &Rc<Task>, fd: i32, buf: u64, len: usize, offset: i64) -> Outcome<u64> {
    let file = writable(t, fd)?;
    let place = place_at(&file, offset)?;
    write_vector(k, t, &file, &[(buf, len.min(RW_COUNT_MAX))], place)
}

pub(super) fn readv(k: &mut Kernel, t: &Rc<Task>, fd: i32, iov: u64, count: usize) -> Outcome<u64> {
    let file = readable(t, fd)?;
    let vector = t.vector_arg(iov, count)?;
    read_vector(k, t, &file, &vector, Place::Position)
}

pub(super) fn writev(k: &mut Kernel, t: &Rc<Task>, fd: i32, iov: u64, count: usize) -> Outcome<u64> {
    let file = writable(t, fd)?;
    let vector = t.vector_arg(iov, count)?;
    write_vector(k, t, &file, &vector, Place::Position)
}

pub(super) fn preadv(k: &mut Kernel, t: &Rc<Task>, fd: i32, iov: u64, count: usize, offset: i64) -> Outcome<u64> {
    let file = readable(t, fd)?;
    let place = place_at(&file, offset)?;
    let vector = t.vector_arg(iov, count)?;
    read_vector(k, t, &file, &vector, place)
}

pub(super) fn pwritev(k: &mut Kernel, t: &Rc<Task>, fd: i32, iov: u64, count: usize, offset: i64) -> Outcome<u64> {
    let file = writable(t, fd)?;
    let place = place_at(&file, offset)?;
    let vector = t.vector_arg(iov, count)?;
    write_vector(k, t, &file, &vector, place)
}

pub(super) fn readable(t: &Rc<Task>, fd: i32) -> Outcome<Rc<OpenFile>> {
    let file = t.file(fd)?;
    if file.is_readable() { Ok(file) } else { Err(Errno::EBADF.into()) }
}

pub(super) fn writable(t: &Rc<Task>, fd: i32) -> Outcome<Rc<OpenFile>> {
    let file = t.file(fd)?;
    if file.is_writable() { Ok(file) } else { Err(Errno::EBADF.into()) }
}

pub(super) fn place_at(file: &OpenFile, offset: i64) -> Outcome<Place> {
    let offset = u64::try_from(offset).map_err(|_| Errno::EINVAL)?;
    if file.object.is_seekable() { Ok(Place::At(offset)) } else { Err(Errno::ESPIPE.into()) }
}

/// A wait becomes `EAGAIN` for a file that must not wait.
pub(super) fn unless_nonblocking<T>(file: &OpenFile, outcome: Outcome<T>) -> Outcome<T> {
    match outcome {
        Err(Stop::Wait(Wait::On(_) | Wait::Listed)) if file.is_nonblocking() => Err(Errno::EAGAIN.into()),
        outcome => outcome,
    }
}

/// Whether a call may wait for what it reads or for room for what it writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Unless the file must not (`O_NONBLOCK`).
    OfFile,
    /// Never, not even for the disk (`RWF_NOWAIT`).
    None,
}

impl Patience {
    /// A wait becomes `EAGAIN` where it is not wanted.
    fn apply<T>(self, file: &OpenFile, outcome: Outcome<T>) -> Outcome<T> {
        match (self, outcome) {
            (Patience::None, Err(Stop::Wait(_))) => Err(Errno::EAGAIN.into()),
            (_, outcome) => unless_nonblocking(file, outcome),
        }
    }
}

/// Reads into the program's buffers. From a file as much as there is; from a stream what comes first.
pub(super) fn read_vector(
    k: &mut Kernel,
    t: &Rc<Task>,
    file: &Rc<OpenFile>,
    vector: &[(u64, usize)],
    place: Place,
) -> Outcome<u64> {
    read_patiently(k, t, file, vector, place, Patience::OfFile)
}

/// As [`read_vector`], with a say in what is waited for.
pub(super) fn read_patiently(
    k: &mut Kernel,
    t: &Rc<Task>,
    file: &Rc<OpenFile>,
    vector: &[(u64, usize)],
    place: Place,
    patience: Patience,
) -> Outcome<u64> {
    let outcome = read_some(k, t, file, vector, place, patience);
    t.process.reads.count(&outcome);
    outcome
}

fn read_some(
    k: &mut Kernel,
    t: &Rc<Task>,
    file: &Rc<OpenFile>,
    vector: &[(u64, usize)],
    place: Place,
    patience: Patience,
) -> Outcome<u64> {
    check_addresses(vector)?;
    let total: usize = vector.iter().map(|(_, len)| len).sum();
    let stash = t.with_call(|call| std::mem::take(&mut call.stash));
    if !stash.is_empty() {
        return give(t, file, vector, stash);
    }
    let is_stream = !file.object.is_seekable();
    let start = if let Place::At(offset) = place { offset } else { file.position.get() };
    let mut done = t.with_call(|call| call.done as usize).min(total);
    let mut buffer = vec![0; total.min(PIECE_BYTES)];
    loop {
        let len = buffer.len().min(total - done);
        let read = file.object.read(k, file, start.saturating_add(done as u64), &mut buffer[..len]);
        let read = match patience.apply(file, read) {
            Ok(read) => read,
            Err(wait @ Stop::Wait(_)) => {
                t.with_call(|call| call.done = done as u64);
                return Err(wait);
            }
            Err(_) if done > 0 => break,
            Err(stop) => return Err(stop),
        };
        if is_stream {
            buffer.truncate(read);
            return give(t, file, vector, buffer);
        }
        let given = match scatter_some(t, vector, done, &buffer[..read]) {
            Ok(given) => given,
            Err(Stop::Errno(_)) if done > 0 => break,
            Err(stop) => {
                t.with_call(|call| call.done = done as u64);
                return Err(stop);
            }
        };
        done += given;
        if given < len || done == total || given == 0 || !goes_on(k, t, done, given)? {
            break;
        }
    }
    if place == Place::Position {
        file.position.set(start.saturating_add(done as u64));
    }
    if done > 0 {
        file.location.notify(IN_ACCESS);
    }
    Ok(done as u64)
}

/// Gives bytes taken from a stream to the program; if its memory has to come from the disk first, they are kept for
/// the next attempt.
fn give(t: &Rc<Task>, file: &OpenFile, vector: &[(u64, usize)], bytes: Vec<u8>) -> Outcome<u64> {
    match scatter(t, vector, 0, &bytes) {
        Ok(()) => {
            if !bytes.is_empty() {
                file.location.notify(IN_ACCESS);
            }
            Ok(bytes.len() as u64)
        }
        Err(wait @ Stop::Wait(_)) => {
            t.with_call(|call| call.stash = bytes);
            Err(wait)
        }
        Err(stop) => match file.object_as::<PipeEnd>().map(|end| give_pages(t, &end.pipe, vector, &bytes)) {
            None | Some(0) => Err(stop),
            Some(given) => Ok(given as u64),
        },
    }
}

/// Gives as many pages of what was taken from a pipe as the program's memory can hold, each whole or not at all, and
/// leaves the others in the pipe. Returns how many bytes that were.
fn give_pages(t: &Rc<Task>, pipe: &Pipe, vector: &[(u64, usize)], bytes: &[u8]) -> usize {
    let pages = bytes.chunks(PAGE_SIZE as usize);
    let given = pages
        .scan(0, |at, page| {
            let from = std::mem::replace(at, *at + page.len());
            scatter(t, vector, from, page).ok().map(|()| page.len())
        })
        .sum();
    pipe.unread(&bytes[given..]);
    given
}

/// Writes the program's buffers. All of them, waiting as often as it takes, unless the file must not wait.
pub(super) fn write_vector(
    k: &mut Kernel,
    t: &Rc<Task>,
    file: &Rc<OpenFile>,
    vector: &[(u64, usize)],
    place: Place,
) -> Outcome<u64> {
    write_patiently(k, t, file, vector, place, Patience::OfFile)
}

/// As [`write_vector`], with a say in what is waited for.
pub(super) fn write_patiently(
    k: &mut Kernel,
    t: &Rc<Task>,
    file: &Rc<OpenFile>,
    vector: &[(u64, usize)],
    place: Place,
    patience: Patience,
) -> Outcome<u64> {
    let outcome = write_all(k, t, file, vector, place, patience);
    t.process.writes.count(&outcome);
    outcome
}

fn write_all(
    k: &mut Kernel,
    t: &Rc<Task>,
    file: &Rc<OpenFile>,
    vector: &[(u64, usize)],
    place: Place,
    patience: Patience,
) -> Outcome<u64> {
    check_addresses(vector)?;
    let total: usize = vector.iter().map(|(_, len)| len).sum();
    if file.object_as::<Device>().is_some_and(Device::discards) {
        return Ok(total as u64);
    }
    let mut done = t.with_call(|call| call.done as usize).min(total);
    if done == 0 && file.object.is_seekable() && file.location.kind() == FileKind::Regular {
        file.location.drop_privileges(&t.credentials())?;
    }
    loop {
        if patience == Patience::None {
            // The program's own memory may have to be waited for all the same.
            gather_some(t, vector, done, &mut vec![0; (total - done).min(PIECE_BYTES)])?;
        }
        let written = write_piece(k, t, file, vector, place, done);
        match patience.apply(file, written) {
            Ok(written) => {
                done += written;
                if done == total || written == 0 || !goes_on(k, t, done, written)? {
                    return Ok(done as u64);
                }
            }
            Err(wait @ Stop::Wait(_)) => {
                t.with_call(|call| call.done = done as u64);
                return Err(wait);
            }
            Err(_) if done > 0 => return Ok(done as u64),
            Err(stop) => {
                let is_stream = file.object_as::<SocketFile>().is_none_or(|socket| !socket.0.has_messages());
                if stop.is(Errno::EPIPE) && is_stream {
                    k.signal_task(t, SigInfo::user(SIGPIPE, 0, t.process.pid, t.credentials().uid));
                }
                return Err(stop);
            }
        }
    }
}

/// Writes the next piece, `done` bytes into the buffers.
fn write_piece(
    k: &mut Kernel,
    t: &Rc<Task>,
    file: &Rc<OpenFile>,
    vector: &[(u64, usize)],
    place: Place,
    done: usize,
) -> Outcome<usize> {
    let total: usize = vector.iter().map(|(_, len)| len).sum();
    let mut buffer = vec![0; (total - done).min(PIECE_BYTES)];
    if file.object.is_seekable() {
        let len = gather_some(t, vector, done, &mut buffer)?;
        buffer.truncate(len);
    } else {
        gather(t, vector, done, &mut buffer)?;
    }
    let position = write_position(file, place, done)?;
    let len = within_limit(k, t, file, position, buffer.len(), done == 0)?;
    let written = file.object.write(k, file, position, &buffer[..len])?;
    if written > 0 {
        file.location.notify(IN_MODIFY);
    }
    if place.moves_position() && file.object.is_seekable() {
        file.position.set(position + written as u64);
    }
    Ok(written)
}

/// Where a write goes.
fn write_position(file: &Rc<OpenFile>, place: Place, done: usize) -> Outcome<u64> {
    let is_regular = file.location.kind() == FileKind::Regular;
    let at_end = file.has(O_APPEND) || matches!(place, Place::End { .. });
    match place {
        _ if at_end && is_regular && file.object.is_seekable() => Ok(file.location.attributes()?.size_bytes),
        Place::At(offset) => Ok(offset.saturating_add(done as u64)),
        Place::Position | Place::End { .. } => Ok(file.position.get()),
    }
}

/// Whether a file may become so long (`RLIMIT_FSIZE`).
pub(super) fn check_size_limit(k: &mut Kernel, t: &Rc<Task>, size_bytes: u64) -> Outcome<()> {
    if size_bytes <= t.process.limits.borrow().soft(RLIMIT_FSIZE) {
        return Ok(());
    }
    k.signal_task(t, SigInfo::kernel(SIGXFSZ));
    Err(Errno::EFBIG.into())
}

/// Cuts a write at `RLIMIT_FSIZE`, and where a program's offsets end that has not asked for `O_LARGEFILE`.
/// The program is signalled only if this is the first of a call's pieces.
fn within_limit(
    k: &mut Kernel,
    t: &Rc<Task>,
    file: &Rc<OpenFile>,
    position: u64,
    len: usize,
    first: bool,
) -> Outcome<usize> {
    if file.location.kind() != FileKind::Regular || len == 0 {
        return Ok(len);
    }
    let limit = t.process.limits.borrow().soft(RLIMIT_FSIZE);
    if position >= limit && first {
        k.signal_task(t, SigInfo::kernel(SIGXFSZ));
    }
    let end = if file.has(O_LARGEFILE) { limit } else { limit.min(SMALL_FILE_BYTES_MAX) };
    let room = end.saturating_sub(position).min(len as u64) as usize;
    if room == 0 { Err(Errno::EFBIG.into()) } else { Ok(room) }
}

pub(super) fn lseek(k: &mut Kernel, t: &Rc<Task>, fd: i32, offset: i64, whence: u32) -> Outcome<u64> {
    let file = t.usable_file(fd)?;
    if whence > SEEK_HOLE {
        return Err(Errno::EINVAL.into());
    }
    if let Some(outcome) = file.object.seek(k, offset, whence) {
        return outcome;
    }
    if !file.object.is_seekable() {
        // Kernel objects that are no streams take it as said in vain.
        let is_object = file.location.kind() == FileKind::Regular;
        return if is_object { Ok(file.position.get()) } else { Err(Errno::ESPIPE.into()) };
    }
    if whence > SEEK_HOLE {
        return Err(Errno::EINVAL.into());
    }
    // The simple devices are at their beginning wherever one goes.
    if file.object_as::<Device>().is_some() {
        file.position.set(0);
        return Ok(0);
    }
    let size = || -> Outcome<u64> { Ok(file.location.attributes()?.size_bytes) };
    let base = match whence {
        SEEK_SET => 0,
        SEEK_CUR => file.position.get(),
        SEEK_END => size()?,
        _ => {
            // Everything counts as data, and the end as a hole: what a file system may say that keeps no account.
            let size = size()?;
            let offset = u64::try_from(offset).ok().filter(|offset| *offset < size).ok_or(Errno::ENXIO)?;
            let found = if whence == SEEK_DATA { offset } else { size };
            file.position.set(found);
            return Ok(found);
        }
    };
    let position = base.checked_add_signed(offset).filter(|position| i64::try_from(*position).is_ok());
    let position = position.ok_or(Errno::EINVAL)?;
    file.position.set(position);
    Ok(position)
}
