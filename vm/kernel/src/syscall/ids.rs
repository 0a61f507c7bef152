//! Who a process is: user, group, process-group and session ids (`credentials(7)`).

use abi::capability::{CAP_SETGID, CAP_SETUID};
use std::rc::Rc;

use abi::{Errno, Reader, Writer};

use crate::credentials::Credentials;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::{Pid, Process, Task};

const GROUPS_MAX: usize = 65_536;

pub(super) fn getpid(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    Ok(t.process.pid as u64)
}

pub(super) fn gettid(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    Ok(t.tid() as u64)
}

/// Orphans are the kernel's own children, whom programs know as process 1.
pub(super) fn getppid(k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    Ok(k.shown_parent(&t.process) as u64)
}

impl Kernel {
    /// The parent as programs see it: what the host started has none, and orphans have process 1.
    pub fn shown_parent(&self, process: &Process) -> Pid {
        match process.parent.get() {
            0 if !self.hosted.contains_key(&process.pid) => 1,
            parent => parent,
        }
    }
}

pub(super) fn getpgrp(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    Ok(t.process.group.get() as u64)
}

fn process_of(k: &Kernel, t: &Rc<Task>, pid: i32) -> Outcome<Rc<Process>> {
    match pid {
        0 => Ok(t.process.clone()),
        pid => k.tasks.process(pid).ok_or(Errno::ESRCH.into()),
    }
}

pub(super) fn getpgid(k: &mut Kernel, t: &Rc<Task>, pid: i32) -> Outcome<u64> {
    Ok(process_of(k, t, pid)?.group.get() as u64)
}

pub(super) fn getsid(k: &mut Kernel, t: &Rc<Task>, pid: i32) -> Outcome<u64> {
    Ok(process_of(k, t, pid)?.session.get() as u64)
}

pub(super) fn setpgid(k: &mut Kernel, t: &Rc<Task>, pid: i32, group: i32) -> Outcome<u64> {
    k.set_process_group(t, pid, group).map(|()| 0)
}

pub(super) fn setsid(k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    k.start_session(&t.process).map(|pid| pid as u64)
}

pub(super) fn getuid(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    Ok(u64::from(t.credentials().uid))
}

pub(super) fn geteuid(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    Ok(u64::from(t.credentials().euid))
}

pub(super) fn getgid(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    Ok(u64::from(t.credentials().gid))
}

pub(super) fn getegid(_k: &mut Kernel, t: &Rc<Task>) -> Outcome<u64> {
    Ok(u64::from(t.credentials().egid))
}

/// Changes credentials, and what follows from that: who has become somebody else, or has gained anything, is not to be looked
/// into by others.
pub(super) fn change(t: &Rc<Task>, change: impl FnOnce(&mut Credentials) -> Outcome<()>) -> Outcome<u64> {
    let old = t.credentials();
    let mut new = (*old).clone();
    change(&mut new)?;
    if new.guards_against_others(&old) {
        t.process.dumpable.set(false);
        t.parent_death_signal.set(0);
    }
    *t.credentials.borrow_mut() = Rc::new(new);
    Ok(0)
}

/// [`change`]s user ids: capabilities follow.
fn change_user(t: &Rc<Task>, body: impl FnOnce(&mut Credentials) -> Outcome<()>) -> Outcome<u64> {
    change(t, |c| {
        let old = c.clone();
        body(c)?;
        c.adjust_to_user(&old);
        Ok(())
    })
}

const UNCHANGED: u32 = u32::MAX;

pub(super) fn setuid(_k: &mut Kernel, t: &Rc<Task>, uid: u32) -> Outcome<u64> {
    change_user(t, |c| {
        if uid == UNCHANGED {
            return Err(Errno::EINVAL.into());
        }
        match c.has(CAP_SETUID) {
            true => (c.uid, c.suid) = (uid, uid),
            false if uid != c.uid && uid != c.suid => return Err(Errno::EPERM.into()),
            false => {}
        }
        (c.euid, c.fsuid) = (uid, uid);
        Ok(())
    })
}

pub(super) fn setgid(_k: &mut Kernel, t: &Rc<Task>, gid: u32) -> Outcome<u64> {
    change(t, |c| {
        if gid == UNCHANGED {
            return Err(Errno::EINVAL.into());
        }
        match c.has(CAP_SETGID) {
            true => (c.gid, c.sgid) = (gid, gid),
            false if gid != c.gid && gid != c.sgid => return Err(Errno::EPERM.into()),
            false => {}
        }
        (c.egid, c.fsgid) = (gid, gid);
        Ok(())
    })
}

pub(super) fn setreuid(_k: &mut Kernel, t: &Rc<Task>, uid: u32, euid: u32) -> Outcome<u64> {
    change_user(t, |c| {
        let privileged = c.has(CAP_SETUID);
        let old = c.clone();
        let uid_ok = uid == UNCHANGED || uid == old.uid || uid == old.euid;
        let euid_ok = euid == UNCHANGED || [old.uid, old.euid, old.suid].contains(&euid);
        if !(privileged || (uid_ok && euid_ok)) {
            return Err(Errno::EPERM.into());
        }
        if uid != UNCHANGED {
            c.uid = uid;
        }
        if euid != UNCHANGED {
            c.euid = euid;
        }
        if uid != UNCHANGED || (euid != UNCHANGED && euid != old.uid) {
            c.suid = c.euid;
        }
        c.fsuid = c.euid;
        Ok(())
    })
}

pub(super) fn setregid(_k: &mut Kernel, t: &Rc<Task>, gid: u32, egid: u32) -> Outcome<u64> {
    change(t, |c| {
        let privileged = c.has(CAP_SETGID);
        let old = c.clone();
        let gid_ok = gid == UNCHANGED || gid == old.gid || gid == old.egid;
        let egid_ok = egid == UNCHANGED || [old.gid, old.egid, old.sgid].contains(&egid);
        if !(privileged || (gid_ok && egid_ok)) {
            return Err(Errno::EPERM.into());
        }
        if gid != UNCHANGED {
            c.gid = gid;
        }
        if egid != UNCHANGED {
            c.egid = egid;
        }
        if gid != UNCHANGED || (egid != UNCHANGED && egid != old.gid) {
            c.sgid = c.egid;
        }
        c.fsgid = c.egid;
        Ok(())
    })
}

pub(super) fn setresuid(_k: &mut Kernel, t: &Rc<Task>, uid: u32, euid: u32, suid: u32) -> Outcome<u64> {
    change_user(t, |c| {
        let known = [c.uid, c.euid, c.suid, UNCHANGED];
        if !c.has(CAP_SETUID) && ![uid, euid, suid].iter().all(|id| known.contains(id)) {
            return Err(Errno::EPERM.into());
        }
        for (id, new) in [(&mut c.uid, uid), (&mut c.euid, euid), (&mut c.suid, suid)] {
            *id = if new == UNCHANGED { *id } else { new };
        }
        c.fsuid = c.euid;
        Ok(())
    })
}

pub(super) fn setresgid(_k: &mut Kernel, t: &Rc<Task>, gid: u32, egid: u32, sgid: u32) -> Outcome<u64> {
    change(t, |c| {
        let known = [c.gid, c.egid, c.sgid, UNCHANGED];
        if !c.has(CAP_SETGID) && ![gid, egid, sgid].iter().all(|id| known.contains(id)) {
            return Err(Errno::EPERM.into());
        }
        for (id, new) in [(&mut c.gid, gid), (&mut c.egid, egid), (&mut c.sgid, sgid)] {
            *id = if new == UNCHANGED { *id } else { new };
        }
        c.fsgid = c.egid;
        Ok(())
    })
}

fn give_three(t: &Rc<Task>, values: [u32; 3], addrs: [u64; 3]) -> Outcome<u64> {
    let mm = t.mm()?;
    for (value, addr) in values.iter().zip(addrs) {
        mm.write_u32(addr, *value)?;
    }
    Ok(0)
}

pub(super) fn getresuid(_k: &mut Kernel, t: &Rc<Task>, uid: u64, euid: u64, suid: u64) -> Outcome<u64> {
    let c = t.credentials();
    give_three(t, [c.uid, c.euid, c.suid], [uid, euid, suid])
}

pub(super) fn getresgid(_k: &mut Kernel, t: &Rc<Task>, gid: u64, egid: u64, sgid: u64) -> Outcome<u64> {
    let c = t.credentials();
    give_three(t, [c.gid, c.egid, c.sgid], [gid, egid, sgid])
}

/// Returns the old id whether or not it could be changed, as `setfsuid(2)` does.
pub(super) fn setfsuid(_k: &mut Kernel, t: &Rc<Task>, uid: u32) -> Outcome<u64> {
    let old = t.credentials().fsuid;
    change(t, |c| {
        if c.has(CAP_SETUID) || [c.uid, c.euid, c.suid, c.fsuid].contains(&uid) {
            c.fsuid = uid;
            c.adjust_to_file_user(old);
        }
        Ok(())
    })?;
    Ok(u64::from(old))
}

pub(super) fn setfsgid(_k: &mut Kernel, t: &Rc<Task>, gid: u32) -> Outcome<u64> {
    let old = t.credentials().fsgid;
    change(t, |c| {
        if c.has(CAP_SETGID) || [c.gid, c.egid, c.sgid, c.fsgid].contains(&gid) {
            c.fsgid = gid;
        }
        Ok(())
    })?;
    Ok(u64::from(old))
}

pub(super) fn getgroups(_k: &mut Kernel, t: &Rc<Task>, size: i32, list: u64) -> Outcome<u64> {
    give_groups(t, size, list, Writer::u32)
}

/// Writes the groups, each in the caller's form.
pub(super) fn give_groups(t: &Rc<Task>, size: i32, list: u64, put: impl Fn(Writer, u32) -> Writer) -> Outcome<u64> {
    let groups = t.credentials().groups.clone();
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    if size == 0 {
        return Ok(groups.len() as u64);
    }
    if size < groups.len() {
        return Err(Errno::EINVAL.into());
    }
    let bytes = groups.iter().fold(Writer::new(), |writer, group| put(writer, *group)).finish();
    t.mm()?.write_user(list, &bytes)?;
    Ok(groups.len() as u64)
}

pub(super) fn setgroups(_k: &mut Kernel, t: &Rc<Task>, count: i32, list: u64) -> Outcome<u64> {
    take_groups(t, count, list, 4, |reader| reader.u32())
}

/// Reads groups of so many bytes each, and takes them on.
pub(super) fn take_groups(
    t: &Rc<Task>,
    count: i32,
    list: u64,
    bytes_each: usize,
    get: impl Fn(&mut Reader<'_>) -> u32,
) -> Outcome<u64> {
    if !t.credentials().has(CAP_SETGID) {
        return Err(Errno::EPERM.into());
    }
    let count = usize::try_from(count).ok().filter(|count| *count <= GROUPS_MAX).ok_or(Errno::EINVAL)?;
    let bytes = t.struct_arg(list, (count * bytes_each) as u64)?;
    let mut reader = Reader::new(&bytes);
    let groups = (0..count).map(|_| get(&mut reader)).collect();
    change(t, |c| {
        c.groups = groups;
        Ok(())
    })
}
