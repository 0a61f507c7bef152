//! What every machine mounts: `/proc`, `/sys`, `/dev` and what is in it.

use std::cell::Cell;
use std::rc::Rc;

use abi::Errno;

use super::mqueue;
use super::procfs::ProcFs;
use super::sysfs::SysFs;
use super::tmpfs::{self, Tmpfs};
use crate::credentials::Credentials;
use crate::files::device::number;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::FsState;
use crate::vfs::{At, Context, FileKind, FileSystem, Location, Mount, MountFlags, Vfs};

/// Bytes that all tmpfs hold together, however many a program mounts: they share one WebAssembly memory with the engine
/// and its caches.
const TMPFS_BYTES_TOTAL: u64 = 1 << 30;

/// Device nodes of `/dev`: name, mode, device.
const NODES: [(&str, u16, u64); 10] = [
    ("null", 0o666, number::NULL),
    ("zero", 0o666, number::ZERO),
    ("full", 0o666, number::FULL),
    ("random", 0o666, number::RANDOM),
    ("urandom", 0o666, number::URANDOM),
    ("kmsg", 0o644, number::KMSG),
    ("tty", 0o666, number::TTY),
    ("tty1", 0o620, number::TTY1),
    ("console", 0o600, number::CONSOLE),
    ("ptmx", 0o666, number::PTMX),
];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];

/// A tmpfs without a path, for files that never have one.
pub fn memory_files(vfs: &Vfs, pages: &Rc<Cell<u64>>) -> Rc<Mount> {
    let tmpfs = Tmpfs::new(tmpfs::BYTES_MAX, 0o700).sharing(pages.clone());
    vfs.mount_nowhere(Box::new(tmpfs), "tmpfs", MountFlags::default())
}

/// Pages that all tmpfs together may take.
pub fn tmpfs_pages() -> Rc<Cell<u64>> {
    Rc::new(Cell::new(TMPFS_BYTES_TOTAL / memory::PAGE_SIZE))
}

impl Kernel {
    /// Bytes in all tmpfs.
    pub fn tmpfs_bytes(&self) -> u64 {
        TMPFS_BYTES_TOTAL - self.tmpfs_pages.get() * memory::PAGE_SIZE
    }
}

/// Mounts everything. Directories that an image lacks are made. `/run` is the image's own, as in a container: servers find
/// there what their packages and Dockerfiles have put into it, and nothing else would make it.
pub fn mount_standard(kernel: &mut Kernel) -> Outcome<()> {
    let safe = MountFlags { no_suid: true, no_dev: true, ..MountFlags::default() };
    let nodes = MountFlags { no_suid: true, ..MountFlags::default() };
    let strict = MountFlags { no_exec: true, ..safe };
    let mount = |kernel: &mut Kernel, kind: &str, path: &str, options: &str, flags| -> Outcome<()> {
        let at = directory(kernel, path)?;
        self::mount(kernel, kind, kind, &at, flags, options)
    };
    mount(kernel, "proc", "/proc", "", strict)?;
    mount(kernel, "sysfs", "/sys", "", MountFlags { read_only: true, ..strict })?;
    mount(kernel, "devtmpfs", "/dev", "mode=755", nodes)?;
    make_nodes(kernel)?;
    mount(kernel, "devpts", "/dev/pts", "", MountFlags { no_exec: true, ..nodes })?;
    mount(kernel, "tmpfs", "/dev/shm", "mode=1777", safe)?;
    mount(kernel, mqueue::TYPE, "/dev/mqueue", "", strict)
}

fn as_root<T>(kernel: &Kernel, act: impl FnOnce(&Kernel, &Context<'_>) -> Outcome<T>) -> Outcome<T> {
    let root = kernel.vfs.root();
    let state = FsState { root: root.clone(), cwd: root, umask: 0 };
    let who = Credentials::root();
    act(kernel, &state.context(&who))
}

fn directory(kernel: &Kernel, path: &str) -> Outcome<Location> {
    as_root(kernel, |kernel, context| {
        let at = At::cwd(path.as_bytes());
        match kernel.vfs.mkdir(context, at, 0o755) {
            Ok(_) => {}
            Err(stop) if stop.is(Errno::EEXIST) => {}
            Err(stop) => return Err(stop),
        }
        kernel.vfs.resolve(context, at, true)
    })
}

fn make_nodes(kernel: &Kernel) -> Outcome<()> {
    as_root(kernel, |kernel, context| {
        for (name, mode, rdev) in NODES {
            let path = format!("/dev/{name}");
            kernel.vfs.mknod(context, At::cwd(path.as_bytes()), FileKind::CharDevice, mode, rdev)?;
        }
        for (name, target) in LINKS {
            let path = format!("/dev/{name}");
            kernel.vfs.symlink(context, target.as_bytes(), At::cwd(path.as_bytes()))?;
        }
        Ok(())
    })
}

/// Mounts a file system by the name that `mount(2)` gives it.
pub fn mount(
    kernel: &Kernel,
    kind: &str,
    source: &str,
    at: &Location,
    flags: MountFlags,
    options: &str,
) -> Outcome<()> {
    if kind == mqueue::TYPE {
        return kernel.vfs.mount_again(&kernel.queues_mount.root(), source, at, flags);
    }
    kernel.vfs.mount(by_name(kernel, kind, options)?, source, at, flags)
}

/// A new file system by its name.
fn by_name(kernel: &Kernel, kind: &str, options: &str) -> Outcome<Box<dyn FileSystem>> {
    match kind {
        "proc" => Ok(Box::new(ProcFs::new(kernel))),
        "sysfs" => Ok(Box::new(SysFs::new())),
        "devpts" => Ok(Box::new(kernel.devpts())),
        "tmpfs" | "devtmpfs" | "ramfs" => {
            let options = tmpfs::Options::parse(options)?;
            let bytes = options.pages.map_or(tmpfs::BYTES_MAX, |pages| pages * memory::PAGE_SIZE);
            let name = if kind == "devtmpfs" { "devtmpfs" } else { "tmpfs" };
            let mode = options.mode.unwrap_or(0o1777);
            let tmpfs = Tmpfs::with_type(bytes, mode, name);
            Ok(Box::new(tmpfs.configured(&options).sharing(kernel.tmpfs_pages.clone())))
        }
        _ => Err(Errno::ENODEV.into()),
    }
}
