//! System V IPC (`svipc(7)`): shared memory, semaphores, message queues.
//!
//! | module | subject |
//! |---|---|
//! | [`shm`] | shared memory |
//! | [`sem`] | sets of semaphores |
//! | [`msg`] | message queues |

pub mod msg;
pub mod sem;
pub mod shm;

use std::collections::BTreeMap;

use abi::Errno;
use abi::capability::{CAP_IPC_OWNER, CAP_SYS_ADMIN};
use abi::ipc::*;

use crate::credentials::Credentials;
use crate::task::Pid;

/// Bits of an object's number that are its index (`IPCMNI_SHIFT`).
const INDEX_BITS: u32 = 15;
/// Highest sequence number.
const SEQUENCE_MAX: u16 = u16::MAX;
/// Indices that are gone through before one is used again (`ipc_min_cycle`).
const CYCLE_MIN: usize = 64;

/// Everything of one machine.
#[derive(Default)]
pub struct Ipc {
    /// Segments of shared memory.
    pub segments: Ids<shm::Segment>,
    /// Sets of semaphores.
    pub semaphores: Ids<sem::SemaphoreSet>,
    /// Message queues.
    pub queues: Ids<msg::MessageQueue>,
    /// Tasks that wait for semaphores.
    pub(crate) waiting: sem::Waiting,
}

/// An object with a number and a key.
pub trait Object {
    /// Whose it is.
    fn perm(&self) -> &IpcPerm;
    /// Whose it is, to be changed.
    fn perm_mut(&mut self) -> &mut IpcPerm;
    /// Most objects of this kind.
    const COUNT_MAX: usize;
}

/// Objects of one kind.
pub struct Ids<T> {
    entries: BTreeMap<usize, T>,
    last_index: Option<usize>,
    sequence: u16,
}

impl<T> Default for Ids<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), last_index: None, sequence: 0 }
    }
}

/// What is done with an object that is asked for by key.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The key.
    pub key: i32,
    /// `IPC_CREAT`, `IPC_EXCL` and permission bits.
    pub flags: u32,
}

impl<T: Object> Ids<T> {
    /// The object with that number.
    ///
    /// # Errors
    /// `EINVAL` if there is none, `EIDRM` if there was one and its place has been given to another.
    pub fn get(&mut self, id: i32) -> Result<&mut T, Errno> {
        let index = usize::try_from(id).map_err(|_| Errno::EINVAL)? & ((1 << INDEX_BITS) - 1);
        let object = self.entries.get_mut(&index).ok_or(Errno::EINVAL)?;
        if number(index, object.perm()) == id { Ok(object) } else { Err(Errno::EIDRM) }
    }

    /// The object at that place (`SHM_STAT` and its relatives), and its number.
    pub fn at(&mut self, index: i32) -> Result<(i32, &mut T), Errno> {
        let index = usize::try_from(index).map_err(|_| Errno::EINVAL)?;
        let object = self.entries.get_mut(&index).ok_or(Errno::EINVAL)?;
        Ok((number(index, object.perm()), object))
    }

    /// The object of a key that exists and may be used as asked, or `None` if it is to be made.
    ///
    /// # Errors
    /// `ENOENT`, `EEXIST`, `EACCES`, and what `fits` says.
    pub fn find(
        &mut self,
        asked: Asked,
        who: &Credentials,
        fits: impl Fn(&T) -> Result<(), Errno>,
    ) -> Result<Option<i32>, Errno> {
        if asked.key == IPC_PRIVATE {
            return Ok(None);
        }
        let found = self.entries.iter().find(|(_, object)| object.perm().key == asked.key);
        let Some((index, object)) = found else {
            return if asked.flags & IPC_CREAT != 0 { Ok(None) } else { Err(Errno::ENOENT) };
        };
        if asked.flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL {
            return Err(Errno::EEXIST);
        }
        fits(object)?;
        check_access(object.perm(), who, asked.flags)?;
        Ok(Some(number(*index, object.perm())))
    }

    /// Adds an object; returns its number.
    ///
    /// # Errors
    /// `ENOSPC` if there are too many.
    pub fn add(&mut self, mut object: T) -> Result<i32, Errno> {
        if self.entries.len() >= T::COUNT_MAX {
            return Err(Errno::ENOSPC);
        }
        let end = (self.entries.len() * 3 / 2).clamp(CYCLE_MIN, T::COUNT_MAX);
        let next = self.last_index.map_or(0, |last| last + 1);
        let free = |index: &usize| !self.entries.contains_key(index);
        let index = (next..end).chain(0..T::COUNT_MAX).find(free).ok_or(Errno::ENOSPC)?;
        if self.last_index.is_some_and(|last| index <= last) {
            self.sequence = if self.sequence == SEQUENCE_MAX { 0 } else { self.sequence + 1 };
        }
        self.last_index = Some(index);
        object.perm_mut().sequence = self.sequence;
        let id = number(index, object.perm());
        self.entries.insert(index, object);
        Ok(id)
    }

    /// Removes an object that is known to be there.
    pub fn remove(&mut self, id: i32) -> Option<T> {
        self.entries.remove(&(id as usize & ((1 << INDEX_BITS) - 1)))
    }

    /// All objects with their numbers, ascending by place.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &T)> {
        self.entries.iter().map(|(index, object)| (number(*index, object.perm()), object))
    }

    /// All objects, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (i32, &mut T)> {
        self.entries.iter_mut().map(|(index, object)| (number(*index, object.perm()), object))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The highest place in use, or 0: what `IPC_INFO` returns.
    pub fn index_max(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(index, _)| *index as u64)
    }
}

fn number(index: usize, perm: &IpcPerm) -> i32 {
    (i32::from(perm.sequence) << INDEX_BITS & i32::MAX) | index as i32
}

/// A new object of `who`.
pub fn new_perm(asked: Asked, who: &Credentials) -> IpcPerm {
    let (uid, gid) = (who.euid, who.egid);
    IpcPerm { key: asked.key, uid, gid, creator_uid: uid, creator_gid: gid, mode: asked.flags & 0o777, sequence: 0 }
}

/// Whether `who` may do what the permission bits in `wanted` say, in any of their three places.
///
/// # Errors
/// `EACCES`.
pub fn check_access(perm: &IpcPerm, who: &Credentials, wanted: u32) -> Result<(), Errno> {
    let wanted = wanted >> 6 | wanted >> 3 | wanted;
    let granted = if who.euid == perm.uid || who.euid == perm.creator_uid {
        perm.mode >> 6
    } else if [perm.gid, perm.creator_gid].iter().any(|gid| who.egid == *gid || who.groups.contains(gid)) {
        perm.mode >> 3
    } else {
        perm.mode
    };
    if wanted & !granted & 7 == 0 || who.has(CAP_IPC_OWNER) { Ok(()) } else { Err(Errno::EACCES) }
}

/// Whether `who` may change or remove an object.
///
/// # Errors
/// `EPERM`.
pub fn check_owner(perm: &IpcPerm, who: &Credentials) -> Result<(), Errno> {
    let owns = [perm.uid, perm.creator_uid].contains(&who.euid);
    if owns || who.has(CAP_SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM) }
}

/// What `IPC_SET` sets of them all.
pub fn set_owner(perm: &mut IpcPerm, uid: u32, gid: u32, mode: u32) {
    (perm.uid, perm.gid) = (uid, gid);
    perm.mode = perm.mode & !0o777 | mode & 0o777;
}

/// Who used an object last, and when (seconds since 1970).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Use {
    /// The process.
    pub pid: Pid,
    /// When.
    pub time: u64,
}
