//! Telling whoever watches a file what happens to it: the events of `inotify(7)`, where they arise.
//!
//! A [`Watcher`] may hear of an event while a file system is being changed, so it only takes note; whoever runs tasks
//! asks [`Watches::take_news`] afterwards for those who have news, and wakes who waits for them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use abi::inotify::*;

use super::dentry::Dentry;
use super::{FileKind, Ino, Location, SetAttributes, Volume};
use crate::files::Listeners;
use crate::stop::Stop;
use crate::wait::WaitQueue;

/// Somebody who watches files.
pub trait Watcher {
    /// Something happened to the file of the watch `descriptor`.
    fn notice(&self, descriptor: i32, event: &Event<'_>);

    /// A watch ended by itself: its file is gone, or one event was all that was asked for.
    fn ended(&self, descriptor: i32);

    /// Where those wait who want to hear of it.
    fn queue(&self) -> &WaitQueue;

    /// Who is to be signalled.
    fn listeners(&self) -> &Listeners;
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// `IN_*`, with `IN_ISDIR` if it happened to a directory.
    pub mask: u32,
    /// Ties the two halves of a rename together; otherwise 0.
    pub cookie: u32,
    /// What it happened to, if that is an entry of the watched directory.
    pub name: Option<&'a [u8]>,
}

/// A watch on a file.
#[derive(Clone)]
struct Watch {
    watcher: Weak<dyn Watcher>,
    descriptor: i32,
    /// Wanted events and `IN_ONESHOT`, `IN_EXCL_UNLINK`.
    mask: u32,
    /// Keeps the inode, but none of its names.
    _inode: Rc<Dentry>,
}

impl Watch {
    fn is_of(&self, watcher: &Weak<dyn Watcher>) -> bool {
        std::ptr::addr_eq(self.watcher.as_ptr(), watcher.as_ptr())
    }
}

/// Device and inode.
type FileKey = (u64, Ino);

/// All watches of a machine.
#[derive(Default)]
pub struct Watches {
    by_file: RefCell<HashMap<FileKey, Vec<Watch>>>,
    /// Watchers who have noticed something that nobody has been told.
    news: RefCell<Vec<Weak<dyn Watcher>>>,
    /// Watched files of which a removed name has just been let go of: they may have ceased to exist.
    abandoned: RefCell<Vec<(Rc<Volume>, Ino)>>,
    last_cookie: Cell<u32>,
}

impl Watches {
    /// Starts watching, or changes what is watched for: the file's other watches of that watcher are replaced.
    pub fn set(&self, file: &Location, watcher: &Weak<dyn Watcher>, descriptor: i32, mask: u32) {
        let (ino, kind) = (file.ino(), file.kind());
        // Not while the table is borrowed: what is dropped may come back to it.
        let inode = Dentry::detached(&file.dentry.volume, ino, kind, b"");
        let watch = Watch { watcher: watcher.clone(), descriptor, mask, _inode: inode };
        let mut by_file = self.by_file.borrow_mut();
        let watches = by_file.entry((file.device(), ino)).or_default();
        match watches.iter_mut().find(|watch| watch.is_of(watcher)) {
            Some(old) => old.mask = mask,
            None => watches.push(watch),
        }
    }

    /// The watch that a watcher has on a file: its descriptor and mask.
    pub fn find(&self, file: &Location, watcher: &Weak<dyn Watcher>) -> Option<(i32, u32)> {
        let by_file = self.by_file.borrow();
        let watch = by_file.get(&(file.device(), file.ino()))?.iter().find(|watch| watch.is_of(watcher))?;
        Some((watch.descriptor, watch.mask))
    }

    /// Ends a watch, or with `None` all of a watcher. Returns whether there was one.
    pub fn remove(&self, watcher: &Weak<dyn Watcher>, descriptor: Option<i32>) -> bool {
        let mut removed = Vec::new();
        self.by_file.borrow_mut().retain(|_, watches| {
            let ends = |watch: &Watch| watch.is_of(watcher) && descriptor.is_none_or(|one| one == watch.descriptor);
            removed.extend(watches.iter().filter(|watch| ends(watch)).cloned());
            watches.retain(|watch| !ends(watch));
            !watches.is_empty()
        });
        !removed.is_empty()
    }

    /// Of all watches of a watcher: descriptor, device, inode, mask.
    pub fn of(&self, watcher: &Weak<dyn Watcher>) -> Vec<(i32, u64, Ino, u32)> {
        let by_file = self.by_file.borrow();
        let all = by_file.iter().flat_map(|(key, watches)| watches.iter().map(move |watch| (key, watch)));
        let mut own: Vec<_> = all
            .filter(|(_, watch)| watch.is_of(watcher))
            .map(|((device, ino), watch)| (watch.descriptor, *device, *ino, watch.mask))
            .collect();
        own.sort_unstable_by_key(|(descriptor, ..)| *descriptor);
        own
    }

    /// Watchers who have noticed something since this was last asked.
    pub fn take_news(&self) -> Vec<Rc<dyn Watcher>> {
        if !self.abandoned.borrow().is_empty() {
            self.settle();
        }
        if self.news.borrow().is_empty() {
            return Vec::new();
        }
        self.news.take().iter().filter_map(Weak::upgrade).collect()
    }

    fn is_empty(&self) -> bool {
        self.by_file.borrow().is_empty()
    }

    fn next_cookie(&self) -> u32 {
        self.last_cookie.set(self.last_cookie.get().wrapping_add(1).max(1));
        self.last_cookie.get()
    }

    /// Tells all who watch that file and want to know.
    fn tell(&self, key: FileKey, event: &Event<'_>, is_unlinked: bool) {
        let watches = self.by_file.borrow().get(&key).cloned().unwrap_or_default();
        let excluded = |watch: &Watch| is_unlinked && watch.mask & IN_EXCL_UNLINK != 0;
        for watch in watches.iter().filter(|watch| watch.mask & event.mask & IN_ALL_EVENTS != 0 && !excluded(watch)) {
            let Some(watcher) = watch.watcher.upgrade() else { continue };
            watcher.notice(watch.descriptor, event);
            self.news.borrow_mut().push(watch.watcher.clone());
            if watch.mask & IN_ONESHOT != 0 {
                self.remove(&watch.watcher, Some(watch.descriptor));
                watcher.ended(watch.descriptor);
            }
        }
    }

    /// A file has ceased to exist: ends the watches on it.
    fn end(&self, key: FileKey) {
        let Some(watches) = self.by_file.borrow_mut().remove(&key) else { return };
        for watch in &watches {
            if let Some(watcher) = watch.watcher.upgrade() {
                watcher.ended(watch.descriptor);
                self.news.borrow_mut().push(watch.watcher.clone());
            }
        }
    }

    /// A name of a file that had been removed is not in use any more either. Called when nothing may be entered.
    pub(super) fn abandon(&self, volume: &Rc<Volume>, ino: Ino) {
        if self.by_file.borrow().contains_key(&(volume.device, ino)) {
            self.abandoned.borrow_mut().push((volume.clone(), ino));
        }
    }

    /// Reports watched files that don't exist any more.
    pub(super) fn settle(&self) {
        for (volume, ino) in self.abandoned.take() {
            let attributes = volume.enter().attributes(ino);
            match attributes {
                Err(Stop::Wait(_)) => self.abandoned.borrow_mut().push((volume, ino)),
                Ok(attributes) if attributes.links > 0 && attributes.kind != FileKind::Directory => {}
                _ => {
                    let key = (volume.device, ino);
                    self.tell(key, &Event { mask: IN_DELETE_SELF, cookie: 0, name: None }, false);
                    self.end(key);
                }
            }
        }
    }

    /// A file system is not in use any more.
    pub(super) fn unmounted(&self, device: u64) {
        let keys: Vec<FileKey> = self.by_file.borrow().keys().filter(|(at, _)| *at == device).copied().collect();
        for key in keys {
            let watches = self.by_file.borrow().get(&key).cloned().unwrap_or_default();
            for watch in &watches {
                if let Some(watcher) = watch.watcher.upgrade() {
                    watcher.notice(watch.descriptor, &Event { mask: IN_UNMOUNT, cookie: 0, name: None });
                }
            }
            self.end(key);
        }
    }
}

fn directory_bit(kind: FileKind) -> u32 {
    if kind == FileKind::Directory { IN_ISDIR } else { 0 }
}

/// What setting attributes is called (Linux: `fsnotify_change`).
fn events_of(set: &SetAttributes) -> u32 {
    let ids = set.uid.is_some() || set.gid.is_some() || set.mode.is_some();
    let times = match (set.accessed.is_some(), set.modified.is_some()) {
        (true, true) => IN_ATTRIB,
        (true, false) => IN_ACCESS,
        (false, true) => IN_MODIFY,
        (false, false) => 0,
    };
    times | if ids { IN_ATTRIB } else { 0 } | if set.size_bytes.is_some() { IN_MODIFY } else { 0 }
}

impl Location {
    fn watches(&self) -> &Watches {
        &self.dentry.volume.watches
    }

    fn key(&self) -> FileKey {
        (self.device(), self.ino())
    }

    /// Something happened to this file: tells those who watch its directory, then those who watch the file itself.
    pub fn notify(&self, mask: u32) {
        let watches = self.watches();
        if watches.is_empty() || mask == 0 {
            return;
        }
        let event = Event { mask: mask | directory_bit(self.kind()), cookie: 0, name: None };
        if let Some(dir) = self.dentry.parent().and_then(|dir| dir.inode()) {
            let named = Event { name: Some(&self.name()), ..event };
            watches.tell((self.device(), dir.0), &named, self.is_deleted());
        }
        watches.tell(self.key(), &event, self.is_deleted());
    }

    /// Something happened to this inode, whatever its names.
    pub(super) fn notify_inode(&self, mask: u32) {
        if !self.watches().is_empty() {
            let mask = mask | directory_bit(self.kind());
            // Nobody is told that a directory moved or went away that it was one.
            let mask = if mask & (IN_MOVE_SELF | IN_DELETE_SELF) != 0 { mask & !IN_ISDIR } else { mask };
            self.watches().tell(self.key(), &Event { mask, cookie: 0, name: None }, false);
        }
    }

    /// Something happened to an entry of this directory.
    pub(super) fn notify_entry(&self, mask: u32, name: &[u8], kind: FileKind, cookie: u32) {
        if !self.watches().is_empty() {
            let mask = mask | directory_bit(kind);
            self.watches().tell(self.key(), &Event { mask, cookie, name: Some(name) }, false);
        }
    }

    /// Attributes have been set.
    pub(super) fn notify_change(&self, set: &SetAttributes) {
        self.notify(events_of(set));
    }

    /// This file has moved from one name to another; it had taken the place of `replaced`.
    pub(super) fn notify_move(&self, from: (&Location, &[u8]), to: (&Location, &[u8]), replaced: Option<&Location>) {
        let watches = self.watches();
        if watches.is_empty() {
            return;
        }
        let cookie = watches.next_cookie();
        from.0.notify_entry(IN_MOVED_FROM, from.1, self.kind(), cookie);
        to.0.notify_entry(IN_MOVED_TO, to.1, self.kind(), cookie);
        if let Some(replaced) = replaced {
            replaced.notify_inode(IN_ATTRIB);
        }
        self.notify_inode(IN_MOVE_SELF);
    }

    /// The entry `name` of this directory, which was `victim`, has been removed.
    pub(super) fn notify_removal(&self, name: &[u8], victim: Location) {
        if self.watches().is_empty() {
            return;
        }
        let kind = victim.kind();
        if kind != FileKind::Directory {
            victim.notify_inode(IN_ATTRIB);
        }
        // If nobody uses it any more it has ended by now, and that is told first.
        drop(victim);
        self.watches().settle();
        self.notify_entry(IN_DELETE, name, kind, 0);
    }
}
