//! From a path to an open file.

use std::rc::Rc;

use abi::Errno;
use abi::file::*;
use abi::inotify::{IN_MODIFY, IN_OPEN};

use super::device::{Device, number};
use super::mqueue::QueueFile;
use super::regular::{Directory, PathOnly, Regular};
use super::{FileObject, OpenFile};
use crate::fs::procfs::Node;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::tty::TtyFile;
use crate::tty::pty::check_exclusive;
use crate::vfs::{Access, At, FileKind, Location, OpenHow};

/// Flags that matter while opening only.
const OPENING_FLAGS: u32 = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC;
/// `O_TMPFILE` without the `O_DIRECTORY` it contains.
const TMPFILE_BIT: u32 = O_TMPFILE & !O_DIRECTORY;

/// What the flags of `open(2)` ask of the file system.
pub(crate) fn open_how(flags: u32, mode: u32) -> OpenHow {
    let has = |flag: u32| flags & flag == flag;
    let access = match flags & O_ACCMODE {
        O_RDONLY => Access::READ,
        O_WRONLY => Access::WRITE,
        _ => Access { read: true, write: true, execute: false },
    };
    let mode = (mode & 0o7777) as u16;
    let unnamed = has(TMPFILE_BIT);
    OpenHow {
        access,
        create: has(O_CREAT).then_some(mode),
        exclusive: has(O_EXCL),
        truncate: has(O_TRUNC),
        directory: has(O_DIRECTORY) && !unnamed,
        no_follow: has(O_NOFOLLOW),
        unnamed: unnamed.then_some(mode),
        path_only: has(O_PATH),
        no_atime: has(O_NOATIME),
    }
}

/// What offsets of 31 bits reach (`MAX_NON_LFS`).
pub const SMALL_FILE_BYTES_MAX: u64 = i32::MAX as u64;

impl Kernel {
    /// `openat(2)`, except for the descriptor.
    pub fn open(&mut self, task: &Rc<Task>, path: At<'_>, flags: u32, mode: u32) -> Outcome<Rc<OpenFile>> {
        let flags = if flags & O_PATH != 0 { flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) } else { flags };
        let opening = task.with_call(|call| call.opening.as_ref().map(|file| file.location.clone()));
        if let Some(location) = opening {
            return self.open_location(task, location, flags & !OPENING_FLAGS);
        }
        let (fs, who) = (task.fs_state(), task.credentials());
        let opened = self.vfs.open(&fs.context(&who), path, &open_how(flags, mode))?;
        if flags & O_TRUNC != 0
            && let Some(object) = self.shared.get(&opened.location)
        {
            object.forget(0..u64::MAX);
        }
        let file = self.open_location(task, opened.location, flags)?;
        if opened.truncated {
            file.location.notify(IN_MODIFY);
        }
        Ok(file)
    }

    /// Opens a file that has been found, and that the caller may open.
    pub fn open_location(&mut self, task: &Rc<Task>, location: Location, flags: u32) -> Outcome<Rc<OpenFile>> {
        let file = self.make_file(task, location, flags)?;
        if !file.is_path_only() {
            file.location.notify(IN_OPEN);
        }
        Ok(file)
    }

    fn make_file(&mut self, task: &Rc<Task>, location: Location, flags: u32) -> Outcome<Rc<OpenFile>> {
        // 32-bit programs say themselves whether they can cope with long offsets.
        let large = if flags & O_PATH != 0 || task.layout().is_32() { 0 } else { O_LARGEFILE };
        let kept = flags & !OPENING_FLAGS | large;
        if flags & O_PATH != 0 {
            return Ok(OpenFile::new(Rc::new(PathOnly), location, kept));
        }
        let object: Rc<dyn FileObject> = match location.kind() {
            FileKind::Regular if location.mount().type_name() == "proc" => {
                let node = Node::of(location.ino()).ok_or(Errno::ENOENT)?;
                match node.is_kernel_log() {
                    true => self.open_proc_kmsg(task)?,
                    false => Rc::new(super::proc::ProcFile::open(self, node)?),
                }
            }
            FileKind::Regular if location.mount().type_name() == crate::fs::mqueue::TYPE => {
                Rc::new(QueueFile(self.message_queues.get(location.ino(), task.credentials().uid)))
            }
            FileKind::Regular => {
                // What has just been made is empty, and must not be asked: it would be made again after a wait.
                let may_be_large = flags & (O_EXCL | O_TRUNC | TMPFILE_BIT) == 0;
                if kept & O_LARGEFILE == 0 && may_be_large && location.attributes()?.size_bytes > SMALL_FILE_BYTES_MAX {
                    return Err(Errno::EOVERFLOW.into());
                }
                Rc::new(Regular)
            }
            FileKind::Directory => Rc::new(Directory),
            FileKind::CharDevice => return self.open_character(task, location, flags, kept),
            FileKind::Fifo => return self.open_fifo(task, location, kept),
            FileKind::Symlink => return Err(Errno::ELOOP.into()),
            FileKind::BlockDevice | FileKind::Socket => return Err(Errno::ENXIO.into()),
        };
        Ok(OpenFile::new(object, location, kept))
    }

    fn open_character(&mut self, task: &Rc<Task>, location: Location, flags: u32, kept: u32) -> Outcome<Rc<OpenFile>> {
        let rdev = location.attributes()?.rdev;
        if location.mount().flags().no_dev {
            return Err(Errno::EACCES.into());
        }
        if let Some(device) = Device::of(rdev) {
            return Ok(OpenFile::new(device, location, kept));
        }
        let tty = match rdev {
            number::KMSG => return self.open_kmsg(task, location, kept),
            number::PTMX => return self.open_ptmx(task, location, kept),
            number::TTY => task.process.tty.borrow().clone().ok_or(Errno::ENXIO)?,
            number::TTY1 | number::CONSOLE => self.console.clone(),
            _ if device_major(rdev) == number::PTS_MAJOR => self.open_pts(task, device_minor(rdev))?,
            _ => return Err(Errno::ENXIO.into()),
        };
        check_exclusive(&tty, task)?;
        let is_console = rdev == number::CONSOLE;
        let object = if is_console { TtyFile::console(tty.clone()) } else { TtyFile::new(tty.clone()) };
        let file = OpenFile::new(Rc::new(object), location, kept);
        // Who can only write to a terminal does not get to control it.
        if flags & O_NOCTTY == 0 && rdev != number::TTY && !is_console && file.is_readable() {
            self.take_tty_on_open(&task.process, &tty);
        }
        Ok(file)
    }
}
