//! System V IPC: `svipc(7)`, `shmget(2)`, `semop(2)`, `msgsnd(2)`.

use crate::layout::Writer;

constants! { ipc: u32 {
    IPC_CREAT = 0o1000; IPC_EXCL = 0o2000; IPC_NOWAIT = 0o4000; IPC_RMID = 0; IPC_SET = 1; IPC_STAT = 2; IPC_INFO = 3;
    SHM_RDONLY = 0o10000; SHM_RND = 0o20000; SHM_REMAP = 0o40000; SHM_EXEC = 0o100000; SHM_LOCK = 11; SHM_UNLOCK = 12;
    SHM_HUGETLB = 0o4000; SHM_NORESERVE = 0o10000;
    SEM_UNDO = 0x1000; GETPID = 11; GETVAL = 12; GETALL = 13; GETNCNT = 14; GETZCNT = 15; SETVAL = 16; SETALL = 17;
    MSG_NOERROR = 0o10000; MSG_EXCEPT = 0o20000; MSG_COPY = 0o40000;
} }

constants! { ipc_keys: i32 { IPC_PRIVATE = 0; } }

/// What tools ask with (`linux/shm.h`, `linux/sem.h`, `linux/msg.h`), and what the C library leaves out.
#[allow(missing_docs)]
mod tools {
    /// A structure with 32-bit ids is wanted: only callers of `ipc(2)` say so.
    pub const IPC_64: u32 = 0x100;
    pub const SHM_STAT: u32 = 13;
    pub const SHM_INFO: u32 = 14;
    pub const SHM_STAT_ANY: u32 = 15;
    /// Bits of `shm_perm.mode`: it goes with the last who uses it; it is locked in memory.
    pub const SHM_DEST: u32 = 0o1000;
    pub const SHM_LOCKED: u32 = 0o2000;
    pub const SEM_STAT: u32 = 18;
    pub const SEM_INFO: u32 = 19;
    pub const SEM_STAT_ANY: u32 = 20;
    pub const MSG_STAT: u32 = 11;
    pub const MSG_INFO: u32 = 12;
    pub const MSG_STAT_ANY: u32 = 13;
}
pub use tools::*;

/// What all three kinds of objects have (`struct ipc64_perm`).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct IpcPerm {
    /// What it was asked for with; 0 is private.
    pub key: i32,
    /// Owner.
    pub uid: u32,
    /// The owner's group.
    pub gid: u32,
    /// Creator.
    pub creator_uid: u32,
    /// The creator's group.
    pub creator_gid: u32,
    /// Permission bits, and what else there is to say.
    pub mode: u32,
    /// Upper part of its number.
    pub sequence: u16,
}

impl IpcPerm {
    /// Appends it to a struct.
    #[must_use]
    pub fn write(&self, to: Writer) -> Writer {
        let ids = to.i32(self.key).u32(self.uid).u32(self.gid).u32(self.creator_uid).u32(self.creator_gid);
        ids.u32(self.mode).u16(self.sequence).u16(0).align().word(0).word(0)
    }
}
