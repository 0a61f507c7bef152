//! Mounts, and what a task takes for the root of all.

use std::rc::Rc;

use abi::Errno;
use abi::capability::{CAP_SYS_ADMIN, CAP_SYS_CHROOT};
use abi::file::*;

use super::path::{check_directory, locate};
use crate::kernel::Kernel;
use crate::stop::{Outcome, Stop};
use crate::task::Task;
use crate::vfs::{Location, MountFlags, Unmount};

/// Flags that say how mounts would be copied to other namespaces, of which there is none.
const PROPAGATION: u64 = MS_UNBINDABLE | MS_PRIVATE | MS_SLAVE | MS_SHARED;
/// What the upper half of the flags was, long ago.
const MAGIC: u64 = 0xc0ed_0000;

fn check_privileged(t: &Rc<Task>) -> Outcome<()> {
    if t.credentials().has(CAP_SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM.into()) }
}

fn text_arg(t: &Rc<Task>, addr: u64) -> Outcome<Option<String>> {
    if addr == 0 {
        return Ok(None);
    }
    let bytes = t.mm()?.read_string(addr, PATH_MAX, Errno::ENAMETOOLONG)?;
    String::from_utf8(bytes).map(Some).map_err(|_| Stop::Errno(Errno::EINVAL))
}

pub(super) fn mount(
    k: &mut Kernel,
    t: &Rc<Task>,
    source: u64,
    target: u64,
    kind: u64,
    flags: u64,
    data: u64,
) -> Outcome<u64> {
    let flags = if flags & 0xffff_0000 == MAGIC { flags & 0xffff } else { flags };
    let (kind, options) = (text_arg(t, kind)?, text_arg(t, data)?.unwrap_or_default());
    let target = locate(k, t, &t.path_arg(target)?, true)?;
    check_privileged(t)?;
    if flags & MS_REMOUNT != 0 {
        let wanted = remount_flags(flags, target.mount().flags());
        match flags & MS_BIND {
            0 => k.vfs.remount(&target, wanted, &options)?,
            _ => k.vfs.remount_bound(&target, wanted)?,
        }
    } else if flags & (MS_BIND | MS_MOVE) != 0 && flags & (MS_BIND | PROPAGATION) != PROPAGATION {
        if source == 0 || t.mm()?.read_string(source, PATH_MAX, Errno::ENAMETOOLONG)?.is_empty() {
            return Err(Errno::EINVAL.into());
        }
        let from = locate(k, t, &t.path_arg(source)?, true)?;
        match flags & MS_BIND {
            0 => k.vfs.move_mount(&from, &target)?,
            _ => k.vfs.bind(&from, &target, flags & MS_REC != 0)?,
        }
    } else if flags & PROPAGATION != 0 {
        set_propagation(k, &target, flags)?;
    } else {
        let kind = kind.ok_or(Errno::EINVAL)?;
        let name = text_arg(t, source)?.filter(|name| !name.is_empty()).unwrap_or_else(|| "none".to_owned());
        check_source(k, t, &kind, source)?;
        crate::fs::mount(k, &kind, &name, &target, mount_flags(flags), &options)?;
    }
    Ok(0)
}

/// File systems on disks are those of devices, and there is no device but the one that is the root.
fn check_source(k: &Kernel, t: &Rc<Task>, kind: &str, source: u64) -> Outcome<()> {
    if kind != "ext2" {
        return Ok(());
    }
    let is_device = locate(k, t, &t.path_arg(source)?, true)?.kind() == crate::vfs::FileKind::BlockDevice;
    Err(if is_device { Errno::ENXIO } else { Errno::ENOTBLK }.into())
}

/// With one namespace every mount is private. One that is `shared` would have to appear in all copies of the mount that
/// it is in: that is refused, so that nobody relies on it.
fn set_propagation(k: &Kernel, target: &Location, flags: u64) -> Outcome<()> {
    let mount = k.vfs.mount_rooted_at(target)?;
    let kind = flags & !(MS_REC | MS_SILENT);
    if kind & !PROPAGATION != 0 || !kind.is_power_of_two() || kind == MS_SHARED {
        return Err(Errno::EINVAL.into());
    }
    // What is nobody's slave stays as it is.
    if kind == MS_SLAVE {
        return Ok(());
    }
    let all = k.vfs.mounts();
    let inside = |other: &&Rc<crate::vfs::Mount>| flags & MS_REC != 0 && other.root().is_below(target);
    for each in all.iter().filter(inside).chain([&mount]) {
        each.set_unbindable(kind == MS_UNBINDABLE);
    }
    Ok(())
}

fn mount_flags(flags: u64) -> MountFlags {
    let has = |flag: u64| flags & flag != 0;
    MountFlags {
        read_only: has(MS_RDONLY),
        no_suid: has(MS_NOSUID),
        no_dev: has(MS_NODEV),
        no_exec: has(MS_NOEXEC),
        no_atime: has(MS_NOATIME) && !has(MS_STRICTATIME),
        no_dir_atime: has(MS_NODIRATIME) && !has(MS_STRICTATIME),
        strict_atime: has(MS_STRICTATIME),
    }
}

/// As [`mount_flags`]; access times stay as they were unless something is said about them.
fn remount_flags(flags: u64, old: MountFlags) -> MountFlags {
    let new = mount_flags(flags);
    if flags & (MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME) != 0 {
        return new;
    }
    let MountFlags { no_atime, no_dir_atime, strict_atime, .. } = old;
    MountFlags { no_atime, no_dir_atime, strict_atime, ..new }
}

pub(super) fn umount2(k: &mut Kernel, t: &Rc<Task>, target: u64, flags: u32) -> Outcome<u64> {
    const ALL: u32 = MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW;
    if flags & !ALL != 0 {
        return Err(Errno::EINVAL.into());
    }
    let path = t.path_arg(target)?;
    let (fs, who) = (t.fs_state(), t.credentials());
    let target = k.vfs.resolve_mount(&fs.context(&who), path.at(), flags & UMOUNT_NOFOLLOW == 0)?;
    drop(fs);
    check_privileged(t)?;
    let how = match flags & (MNT_DETACH | MNT_EXPIRE) {
        0 => Unmount::Unused,
        MNT_DETACH => Unmount::Detach,
        MNT_EXPIRE if flags & MNT_FORCE == 0 => Unmount::Expired,
        _ => return Err(Errno::EINVAL.into()),
    };
    k.vfs.unmount(target, how).map(|()| 0)
}

pub(super) fn chroot(k: &mut Kernel, t: &Rc<Task>, path: u64) -> Outcome<u64> {
    let location = locate(k, t, &t.path_arg(path)?, true)?;
    check_directory(t, &location)?;
    if !t.credentials().has(CAP_SYS_CHROOT) {
        return Err(Errno::EPERM.into());
    }
    t.fs.borrow().borrow_mut().root = location;
    Ok(0)
}

pub(super) fn pivot_root(k: &mut Kernel, t: &Rc<Task>, new: u64, old: u64) -> Outcome<u64> {
    check_privileged(t)?;
    let directory = |path: u64| -> Outcome<Location> {
        let found = locate(k, t, &t.path_arg(path)?, true)?;
        if found.is_directory() { Ok(found) } else { Err(Errno::ENOTDIR.into()) }
    };
    let (new, old) = (directory(new)?, directory(old)?);
    let root = t.fs_state().root;
    k.vfs.pivot(&root, &new, &old)?;
    for task in k.tasks.tasks() {
        let state = task.fs.borrow().clone();
        let mut state = state.borrow_mut();
        if state.root.is(&root) {
            state.root = new.clone();
        }
        if state.cwd.is(&root) {
            state.cwd = new.clone();
        }
    }
    Ok(0)
}
