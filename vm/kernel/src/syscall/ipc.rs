//! What the three kinds of System V IPC share, and `ipc(2)`, by which older 32-bit programs reach all of them.

use std::rc::Rc;

use abi::ipc::IPC_64;
use abi::{Errno, Reader};

use super::{msg, sem, shm};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

/// Bytes of a `struct ipc64_perm` up to the mode.
const PERM_HEAD_BYTES: u64 = 24;

/// Owner, group and mode that `IPC_SET` is given.
pub(super) fn read_owner(t: &Rc<Task>, addr: u64) -> Outcome<(u32, u32, u32)> {
    Ok(owner_of(&t.struct_arg(addr, PERM_HEAD_BYTES)?))
}

/// The same, from the struct's bytes.
pub(super) fn owner_of(bytes: &[u8]) -> (u32, u32, u32) {
    let mut reader = Reader::new(bytes);
    let (_key, uid, gid) = (reader.u32(), reader.u32(), reader.u32());
    let (_creator, _creators_group, mode) = (reader.u32(), reader.u32(), reader.u32());
    (uid, gid, mode)
}

/// `ipc(2)`: which call it stands for is in the lower half of `call`, a version in the upper.
pub(super) fn ipc(
    k: &mut Kernel,
    t: &Rc<Task>,
    call: u32,
    first: i32,
    second: u32,
    third: u32,
    ptr: u64,
    fifth: u32,
) -> Outcome<u64> {
    let (version, call) = (call >> 16, call & 0xffff);
    // Without the flag, structures would be those of before 1996, with ids of 16 bits.
    let control = |command: u32| if command & IPC_64 != 0 { Ok(command & !IPC_64) } else { Err(Errno::EINVAL) };
    match call {
        1 => sem::semop(k, t, first, ptr, second),
        2 => sem::semget(k, t, first, second as i32, third),
        3 if ptr == 0 => Err(Errno::EINVAL.into()),
        3 => {
            let arg = t.mm()?.read_u32(ptr)?;
            let is_plain = matches!(third & !IPC_64, 11..=17 | 0);
            let command = if is_plain { third & !IPC_64 } else { control(third)? };
            sem::semctl(k, t, first, second as i32, command, arg.into())
        }
        4 => sem::semtimedop(k, t, first, ptr, second, fifth.into()),
        11 => msg::msgsnd(k, t, first, ptr, (second as i32).into(), third),
        12 if version == 0 => {
            // Address and type are in a struct of their own.
            if ptr == 0 {
                return Err(Errno::EINVAL.into());
            }
            let (addr, kind) = (t.mm()?.read_u32(ptr)?, t.mm()?.read_u32(ptr + 4)? as i32);
            msg::msgrcv(k, t, first, addr.into(), (second as i32).into(), kind.into(), third)
        }
        12 => msg::msgrcv(k, t, first, ptr, (second as i32).into(), (fifth as i32).into(), third),
        13 => msg::msgget(k, t, first, second),
        14 if second & !IPC_64 == 0 => msg::msgctl(k, t, first, 0, ptr),
        14 => msg::msgctl(k, t, first, control(second)?, ptr),
        21 if version == 1 => Err(Errno::EINVAL.into()),
        21 => {
            let start = shm::shmat(k, t, first, ptr, second)?;
            t.mm()?.write_u32(third.into(), start as u32)?;
            Ok(0)
        }
        22 => shm::shmdt(k, t, ptr),
        23 => shm::shmget(k, t, first, second.into(), third),
        24 if matches!(second & !IPC_64, 0 | 11 | 12) => shm::shmctl(k, t, first, second & !IPC_64, ptr),
        24 => shm::shmctl(k, t, first, control(second)?, ptr),
        _ => Err(Errno::ENOSYS.into()),
    }
}
