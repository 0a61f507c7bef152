//! `rename(2)` and its variants.

use std::rc::Rc;

use super::entries::{check_may_add, check_may_remove};
use super::permission::Access;
use super::walk::{Last, Walk};
use super::{At, Context, FileKind, Location, NewFile, Vfs};
use crate::stop::Outcome;
use abi::Errno;

/// What becomes of a file that already has the new name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenameMode {
    /// It is replaced.
    Replace,
    /// The call fails (`RENAME_NOREPLACE`).
    NoReplace,
    /// It gets the old name (`RENAME_EXCHANGE`).
    Exchange,
    /// It is replaced, and a mark gets the old name (`RENAME_WHITEOUT`); or the call fails with that, too.
    Whiteout {
        /// `RENAME_NOREPLACE` as well.
        no_replace: bool,
    },
}

impl RenameMode {
    fn may_replace(self) -> bool {
        !matches!(self, RenameMode::NoReplace | RenameMode::Whiteout { no_replace: true })
    }
}

/// One end of a rename.
struct End {
    dir: Location,
    name: Vec<u8>,
    slashes: bool,
}

impl Vfs {
    /// Gives the file at `from` the name `to`.
    pub fn rename(&self, context: &Context<'_>, from: At<'_>, to: At<'_>, mode: RenameMode) -> Outcome<()> {
        let (from, to) = (self.rename_end(context, from)?, self.rename_end(context, to)?);
        if !Rc::ptr_eq(&from.0.mount, &to.0.mount) {
            return Err(Errno::EXDEV.into());
        }
        let from = End::named(from, Errno::EBUSY)?;
        let to = End::named(to, if mode.may_replace() { Errno::EBUSY } else { Errno::EEXIST })?;
        let moved = self.entry(&from.dir, &from.name)?;
        let in_the_way = self.child(&to.dir, &to.name)?;
        let there = in_the_way.inode().map(|_| Location::new(to.dir.mount.clone(), in_the_way.clone()));
        check_shape(&from, &to, &moved, there.as_ref(), mode)?;
        if there.as_ref().is_some_and(|there| there.same_file(&moved)) {
            return Ok(());
        }
        check_rights(context, &from, &to, &moved, there.as_ref(), mode)?;
        let mark = NewFile { kind: FileKind::CharDevice, mode: 0, uid: 0, gid: 0, rdev: 0, target: b"" };
        let leaves_mark = matches!(mode, RenameMode::Whiteout { .. });
        let mark = if leaves_mark { from.dir.owned_by(context, mark)? } else { mark };
        from.dir.change(|file_system, from_dir| {
            let (old, new) = ((from_dir, &*from.name), (to.dir.ino(), &*to.name));
            match mode {
                RenameMode::Exchange => file_system.exchange(old, new),
                RenameMode::Whiteout { .. } => file_system.rename_leaving_whiteout(old, new, &mark),
                _ => file_system.rename(old, new),
            }
        })?;
        match (&there, mode) {
            (Some(there), RenameMode::Exchange) => there.dentry.moved(&from.dir.dentry, &from.name),
            (Some(there), _) => self.forget(there),
            (None, _) => self.cache.forget(&in_the_way),
        }
        moved.dentry.moved(&to.dir.dentry, &to.name);
        drop(in_the_way);
        let replaced = there.as_ref().filter(|_| mode != RenameMode::Exchange);
        moved.notify_move((&from.dir, &from.name), (&to.dir, &to.name), replaced);
        if let (Some(there), RenameMode::Exchange) = (&there, mode) {
            there.notify_move((&to.dir, &to.name), (&from.dir, &from.name), None);
        }
        Ok(())
    }

    fn rename_end(&self, context: &Context<'_>, path: At<'_>) -> Outcome<(Location, Last)> {
        let mut walk = Walk::new(self, context, path)?;
        let last = walk.advance()?;
        Ok((walk.at, last))
    }
}

impl End {
    /// An end that has a name; `.` and `..` can't be renamed.
    fn named((dir, last): (Location, Last), otherwise: Errno) -> Outcome<Self> {
        match last {
            Last::Name(name, slashes) => Ok(Self { dir, name, slashes }),
            _ => Err(otherwise.into()),
        }
    }
}

/// Whether the two names go together at all: no loops, no slashes after what is no directory.
fn check_shape(from: &End, to: &End, moved: &Location, there: Option<&Location>, mode: RenameMode) -> Outcome<()> {
    match (there, mode) {
        (Some(_), mode) if !mode.may_replace() => return Err(Errno::EEXIST.into()),
        (None, RenameMode::Exchange) => return Err(Errno::ENOENT.into()),
        (Some(there), RenameMode::Exchange) if to.slashes && !there.is_directory() => {
            return Err(Errno::ENOTDIR.into());
        }
        _ => {}
    }
    if !moved.is_directory() && (from.slashes || (to.slashes && mode != RenameMode::Exchange)) {
        return Err(Errno::ENOTDIR.into());
    }
    if moved.dentry.is_ancestor_of(&to.dir.dentry) {
        return Err(Errno::EINVAL.into());
    }
    match there {
        Some(there) if there.dentry.is_ancestor_of(&from.dir.dentry) => {
            Err(if mode == RenameMode::Exchange { Errno::EINVAL } else { Errno::ENOTEMPTY }.into())
        }
        _ => Ok(()),
    }
}

/// Whether the task may do it.
fn check_rights(
    context: &Context<'_>,
    from: &End,
    to: &End,
    moved: &Location,
    there: Option<&Location>,
    mode: RenameMode,
) -> Outcome<()> {
    check_may_remove(context, &from.dir, moved, moved.is_directory())?;
    match there {
        Some(there) if mode == RenameMode::Exchange => {
            check_may_remove(context, &to.dir, there, there.is_directory())?;
        }
        Some(there) => check_may_remove(context, &to.dir, there, moved.is_directory())?,
        None => check_may_add(context, &to.dir)?,
    }
    // A directory that moves elsewhere has its `..` changed, which is a write to it.
    let changes_parent = !from.dir.same_file(&to.dir);
    for dir in [Some(moved), there.filter(|_| mode == RenameMode::Exchange)].into_iter().flatten() {
        if changes_parent && dir.is_directory() {
            dir.check_access(context.credentials, Access::WRITE)?;
        }
    }
    Ok(())
}
