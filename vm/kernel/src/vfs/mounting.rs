//! What `mount(2)`, `umount2(2)` and `pivot_root(2)` do to the table of mounts.

use std::rc::Rc;

use super::mount::{Mount, MountFlags};
use super::walk::Walk;
use super::{At, Context, Location, Vfs};
use crate::stop::Outcome;
use abi::Errno;

/// How a mount is taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unmount {
    /// If nobody uses it.
    Unused,
    /// From its place; it lives on while somebody uses it (`MNT_DETACH`).
    Detach,
    /// If nobody has used it since the last time that this was asked for (`MNT_EXPIRE`).
    Expired,
}

impl Vfs {
    /// Makes the tree at `from` visible at `at` too (`mount --bind`, with `recursive` `--rbind`).
    pub fn bind(&self, from: &Location, at: &Location, recursive: bool) -> Outcome<()> {
        if from.mount.is_unbindable() {
            return Err(Errno::EINVAL.into());
        }
        let copy = |of: &Location| {
            let mount = &of.mount;
            self.mounts.borrow_mut().create(of.dentry.clone(), &mount.source, mount.flags())
        };
        let top = copy(from);
        self.attach(&top, at)?;
        let mut copied = vec![(from.mount.clone(), top)];
        while let (true, Some((original, twin))) = (recursive, copied.pop()) {
            let inside = self.mounts.borrow().within(&original);
            for mount in inside.into_iter().filter(|mount| !Rc::ptr_eq(mount, &twin) && !mount.is_unbindable()) {
                let Some(on) = mount.mount_point().filter(|on| twin.root.is_ancestor_of(&on.dentry)) else { continue };
                let under = copy(&mount.root());
                self.attach(&under, &Location::new(twin.clone(), on.dentry))?;
                copied.push((mount, under));
            }
        }
        Ok(())
    }

    /// Mounts the tree at `from` at `at` as well, as something of its own.
    pub fn mount_again(&self, from: &Location, source: &str, at: &Location, flags: MountFlags) -> Outcome<()> {
        let mount = self.mounts.borrow_mut().create(from.dentry.clone(), source, flags);
        self.attach(&mount, at)
    }

    /// Moves the mount whose root is `from` to `at` (`mount --move`).
    pub fn move_mount(&self, from: &Location, at: &Location) -> Outcome<()> {
        let mount = self.mount_rooted_at(from)?;
        if mount.mount_point().is_none() || from.is_directory() != at.is_directory() {
            return Err(Errno::EINVAL.into());
        }
        if at.is_deleted() {
            return Err(Errno::ENOENT.into());
        }
        if at.is_below(from) {
            return Err(Errno::ELOOP.into());
        }
        self.mounts.borrow_mut().place(&mount, at);
        Ok(())
    }

    /// Changes what the mount at `at` forbids, and nothing but that (`mount -o remount,bind`).
    pub fn remount_bound(&self, at: &Location, flags: MountFlags) -> Outcome<()> {
        let mount = self.mount_rooted_at(at)?;
        if flags.read_only && !mount.flags().read_only && mount.is_written() {
            return Err(Errno::EBUSY.into());
        }
        mount.flags.set(flags);
        Ok(())
    }

    /// The same for the mount and its file system, which all other mounts of that then feel, with other options for
    /// that (`mount -o remount`).
    pub fn remount(&self, at: &Location, flags: MountFlags, options: &str) -> Outcome<()> {
        let mount = self.mount_rooted_at(at)?;
        let volume = &mount.root.volume;
        let is_written = |other: &Rc<Mount>| Rc::ptr_eq(&other.root.volume, volume) && other.is_written();
        if flags.read_only && !volume.is_read_only() && self.mounts().iter().any(is_written) {
            return Err(Errno::EBUSY.into());
        }
        volume.enter().reconfigure(options)?;
        volume.set_read_only(flags.read_only)?;
        mount.flags.set(flags);
        Ok(())
    }

    /// The mount that a path leads to the root of, for taking it away: that is no use of it.
    pub fn resolve_mount(&self, context: &Context<'_>, path: At<'_>, follow: bool) -> Outcome<Location> {
        Walk::new(self, context, path)?.finish(follow)
    }

    /// Takes the mount whose root is `at` away.
    pub fn unmount(&self, at: Location, how: Unmount) -> Outcome<()> {
        let mount = self.mount_rooted_at(&at)?;
        if mount.mount_point().is_none() && !Rc::ptr_eq(&mount, &self.root.borrow()) {
            return Err(Errno::EINVAL.into());
        }
        drop(at);
        let inside = self.mounts.borrow().within(&mount);
        let detach = how == Unmount::Detach;
        if Rc::ptr_eq(&mount, &self.root.borrow()) || (!detach && !inside.is_empty()) {
            return Err(Errno::EBUSY.into());
        }
        // One reference is the table's, one is ours.
        if !detach && Rc::strong_count(&mount) > 2 {
            return Err(Errno::EBUSY.into());
        }
        if how == Unmount::Expired && !mount.expiring.replace(true) {
            return Err(Errno::EAGAIN.into());
        }
        let volume = mount.root.volume.clone();
        volume.enter().sync()?;
        for inner in inside {
            self.unmount(inner.root(), Unmount::Detach)?;
        }
        self.mounts.borrow_mut().detach(&mount);
        self.cache.forget_volume(&volume);
        if !self.mounts().iter().any(|other| Rc::ptr_eq(&other.root.volume, &volume)) {
            self.watches.unmounted(volume.device);
        }
        Ok(())
    }

    /// Takes mounts away whose place is gone from a file system in which names come and go by themselves: what sits in
    /// `/proc/PID` goes with the process. A mount that can't be synced yet goes the next time.
    pub fn unmount_gone(&self) {
        let is_gone = |at: Location| at.dentry.volume.volatile && at.attributes().is_err();
        for mount in self.mounts().iter().filter(|mount| mount.mount_point().is_some_and(is_gone)) {
            let _ = self.unmount(mount.root(), Unmount::Detach);
        }
    }

    /// Puts the mount whose root is `new` in the place of the one whose root is `root`, and that at `old`, which is below
    /// (`pivot_root(2)`). Who stood at either is for the caller to know.
    pub fn pivot(&self, root: &Location, new: &Location, old: &Location) -> Outcome<()> {
        if Rc::ptr_eq(&new.mount, &root.mount) || Rc::ptr_eq(&old.mount, &root.mount) {
            return Err(Errno::EBUSY.into());
        }
        let (old_mount, new_mount) = (self.mount_rooted_at(root)?, self.mount_rooted_at(new)?);
        if new_mount.mount_point().is_none() || !old.is_below(new) || !new.is_below(root) {
            return Err(Errno::EINVAL.into());
        }
        let mut mounts = self.mounts.borrow_mut();
        mounts.displace(&new_mount);
        match mounts.displace(&old_mount) {
            Some(place) => mounts.place(&new_mount, &place),
            None => *self.root.borrow_mut() = new_mount,
        }
        mounts.place(&old_mount, old);
        Ok(())
    }

    pub(super) fn attach(&self, mount: &Rc<Mount>, at: &Location) -> Outcome<()> {
        if at.is_directory() != mount.root().is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        if at.is_deleted() {
            return Err(Errno::ENOENT.into());
        }
        let at = self.top_of(at.clone());
        self.mounts.borrow_mut().attach(mount, &at);
        Ok(())
    }

    /// The mount whose root is `at`.
    ///
    /// # Errors
    /// `EINVAL` if it is something else.
    pub fn mount_rooted_at(&self, at: &Location) -> Outcome<Rc<Mount>> {
        if Rc::ptr_eq(&at.dentry, &at.mount.root) { Ok(at.mount.clone()) } else { Err(Errno::EINVAL.into()) }
    }
}
